"""``revisp-evaluate``: score RAW against the truth. All settings are Hydra overrides: see its ``--help``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from revisp.cli._empty import refuse_empty_words
from revisp.cli._hydra import is_help, run_command
from revisp.cli._limits import LIMIT_WORDS, take_limits
from revisp.cli._main import say
from revisp.cli._progress import TerminalBar
from revisp.cli._supervise import end_at_once, loading, supervise
from revisp.config import as_dict, config_dir
from revisp.hardware import keep_freed_memory, share_processors
from revisp.wording import counted

if TYPE_CHECKING:
    from revisp.evaluation.score_model import ModelEvaluation
    from revisp.evaluation.scores import Evaluation

__all__ = ["main"]

USAGE = """\
Usage: revisp-evaluate MODE [KEY=VALUE ...]

Score RAW by the definitions of AIM 2022, over all pixels, overexposed pixels (OE) and the others (NOE). Prints a
table; writes scores.json (means) and scores.csv (a row for each picture) to the run folder, and for a model also
report.html, a page that shows its errors.

Modes, one at a time:
  model=FOLDER data=NAME [data.KEY=VALUE ...]        a model on a data set
  submissions=FOLDER truths=FOLDER [inputs=FOLDER]   arrays of a challenge against the true arrays
  prediction=DNG truth=DNG [photos=PHOTO]            a camera RAW file against another
  --cycle model=FOLDER photos=PATH [camera=FILE]     develop the predicted RAW, compare with the photos
  --blind model=FOLDER data=NAME                     a model on cameras that are not in its training
  --submission model=FOLDER inputs=FOLDER            write arrays and readme.txt for the server of a challenge

  model=default is the small model in the package; data sets: {data}
  --blind also takes model=srgb and model=upi, two formulas

Keys, the default in brackets:
  bits            10 (AIM 2022), 12 (NTIRE 2025) or [auto]: by the size of the tiles
  metrics         [aim], ntire, colour, noise, lpips: one or more, such as metrics=[aim,colour]
  split           [val] or all: which pictures --blind judges
  styles          [8]: gradings of each picture for --blind; 0 for none
  report_photos   [4] photos in the page
  tile            side of the tiles of a prediction, for less memory; [null]: whole pictures
  device          [auto], cpu or cuda
  hydra.run.dir   the run folder [runs/evaluate/TIME]

Other words of the command line:
  --cfg job       print the composed configuration with all keys, and stop
  --hydra-help    options of Hydra, which reads all this
"""

FLAG_SETTINGS = {"--blind": "blind=true", "--cycle": "cycle=true", "--submission": "submission=true"}
"""Words of the command line that stand for a setting."""


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    if is_help():
        names = sorted(path.stem for path in (config_dir() / "data").glob("*.yaml"))
        say(USAGE.format(data=", ".join(names)) + LIMIT_WORDS.rstrip("\n"))
    else:
        share_processors()
        supervise()
        with end_at_once():
            run_command("evaluate", _evaluate, [FLAG_SETTINGS.get(word, word) for word in sys.argv[1:]])


def _evaluate(cfg: DictConfig) -> None:
    keep_freed_memory()
    with loading():
        import revisp.evaluation.measures  # loads torch  # noqa: F401
        from revisp.evaluation.run import evaluate

    with TerminalBar("pictures") as bar:
        result = evaluate(as_dict(cfg), bar.update)
    _report(result, Path(cfg.run_dir), cfg)


def _report(result: Evaluation | tuple[Path, ...], run_dir: Path, cfg: DictConfig) -> None:
    """Write and print the figures, or name the files of a submission."""
    from revisp.evaluation import scores
    from revisp.evaluation.blind_table import blind_table
    from revisp.evaluation.frame_errors import write_frame_errors
    from revisp.evaluation.score_blind import BlindEvaluation
    from revisp.evaluation.score_model import ModelEvaluation
    from revisp.evaluation.write_scores import score_table, write_scores

    if not isinstance(result, scores.Evaluation):
        say(f"{len(result) - 1} arrays and {result[-1].name} in {result[-1].parent}")
        say(result[-1].read_text().rstrip("\n"))
        return
    written = [f"Scores: {', '.join(map(str, write_scores(result, run_dir)))}"]
    if isinstance(result, ModelEvaluation) and result.frame is not None:
        written.append(f"Errors over the frame: {write_frame_errors(result.frame, run_dir)}")
    if isinstance(result, ModelEvaluation) and result.worst:
        written.append(f"Report: {_write_report(result, run_dir / 'report.html', cfg)}")
    say(blind_table(result) if isinstance(result, BlindEvaluation) else score_table(result))
    say("\n".join(written))


def _write_report(result: ModelEvaluation, path: Path, cfg: DictConfig) -> Path:
    import importlib.metadata

    from revisp.evaluation.report.page import ReportRow, write_report

    assert result.profile is not None
    assert result.brightness is not None
    name = str(cfg.model)
    return write_report(
        path,
        title=f"{name} on {cfg.data.name}",
        rows=[ReportRow(name, result.mean, {"parameters": result.parameters})],
        images=result.worst,
        profile=result.profile,
        configuration=OmegaConf.to_yaml(cfg, resolve=True),
        versions={package: importlib.metadata.version(package) for package in ("revisp", "torch", "numpy")},
        brightness={name: result.brightness},
        frame=result.frame,
        groups=result.groups,
        notes=[
            f"Means over {counted(len(result.images), 'picture')}; PSNR and SSIM as AIM 2022 defines them.",
            *result.notes,
        ],
    )
