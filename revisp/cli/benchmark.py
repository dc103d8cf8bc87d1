"""``revisp-benchmark``: compare methods on equal terms. All settings are Hydra overrides: see its ``--help``."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from revisp.cli._empty import refuse_empty_words
from revisp.cli._hydra import as_our_errors, is_help, run_command
from revisp.cli._limits import LIMIT_WORDS, take_limits
from revisp.cli._main import report_errors, say
from revisp.config import as_dict, compose
from revisp.errors import RevispError
from revisp.wording import counted

__all__ = ["main"]

USAGE = """\
Usage: revisp-benchmark [KEY=VALUE ...]

Train and score every backbone in every pipeline on every data set with every seed, under one budget. Writes
leaderboard.md, leaderboard.csv and leaderboard.html to the run folder, and a folder with figures and model for
each cell. Finished cells are not done again: the same command continues an interrupted benchmark.

  revisp-benchmark backbones=[unet,mialgo,zeronoise] pipelines=[plain,fusion] seeds=[0,1,2] gains=pipeline
  revisp-benchmark 'backbones=[unet,"mialgo backbone.width=16"]' 'budget=2e7 pixels'
  revisp-benchmark 'datasets=[embedded,"prepared data.root=dataset"]' 'budget=120 seconds'
  revisp-benchmark experiment=ablation                    the paper's steps, one by one
  revisp-benchmark experiment=ablation hydra/launcher=joblib hydra.launcher.n_jobs=4

Keys, the default in brackets:
  backbones       [unet]: networks, each may be followed by words of revisp-train
  pipelines       [fusion], plain, fusion_shared
  datasets        [embedded] and the other data sets of revisp-train
  seeds           [0]
  budget          [256 steps], N pixels or N seconds for each training
  words           words of revisp-train for all cells: 'words=["data.crop=128","demosaic=malvar"]'
  methods         other methods by name: '+methods.mine="backbone=unet mask=max"'
  gains           [null], previous or pipeline: compare with the method before, or with the first pipeline
  report_photos   [4] photos in the page
  hydra.run.dir   the run folder [runs/benchmark]
  hydra/launcher  [basic]: one by one; joblib, submitit_slurm, ray: pip install hydra-joblib-launcher ...

Other words of the command line:
  --cfg job       print the composed configuration with all keys, and stop
  --hydra-help    options of Hydra, which reads all this
"""

CONFIG_NAME = "benchmark"


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    words = sys.argv[1:]
    if is_help():
        say(USAGE + LIMIT_WORDS.rstrip("\n"))
    elif any(word.startswith("-") for word in words):  # options of Hydra, such as --cfg
        run_command(CONFIG_NAME, _job)
    else:
        with report_errors(), as_our_errors():
            _benchmark(compose(words, CONFIG_NAME), words)


def _benchmark(cfg: DictConfig, words: list[str]) -> None:
    """Run the unfinished cells by Hydra's launcher, and write the leaderboard."""
    from revisp.benchmark.plan import plan_cells

    root = Path(cfg.run_dir)
    cells = plan_cells(as_dict(cfg))
    for cell in cells:
        cell.folder(root)  # refuses an invalid configuration before slow work

    from revisp.benchmark.leaderboard import leaderboard, markdown, write_leaderboard
    from revisp.benchmark.results import read_result

    left = [number for number, cell in enumerate(cells) if read_result(cell.folder(root)) is None]
    say(f"{counted(len(cells), 'cell')}, {len(cells) - len(left)} of them done, in {root}", sys.stderr)
    if left:
        own = [f"hydra.run.dir={root}", f"cell={','.join(map(str, left))}", "--multirun"]
        run_command(CONFIG_NAME, _job, [*words, *own])
    tables = leaderboard(cells, root)
    paths = write_leaderboard(
        tables, root, configuration=OmegaConf.to_yaml(cfg, resolve=True), photos=cfg.report_photos
    )
    say(markdown(tables))
    say(f"Leaderboard: {', '.join(map(str, paths))}")
    if failed := sum(len(row.failed) for rows in tables.values() for row in rows):
        raise RevispError(
            f"{failed} of {counted(len(cells), 'cell')} failed; the table says why, and {root / 'cells'} in full"
        )


def _job(cfg: DictConfig) -> None:
    """Run one cell; Hydra's launcher calls this, in this process or another."""
    if cfg.cell is None:
        return
    from revisp.benchmark.cell import run_cell
    from revisp.benchmark.plan import plan_cells

    root = HydraConfig.get().run.dir
    cell = plan_cells(as_dict(cfg))[cfg.cell]
    run_cell(cell, root, keep=cfg.report_photos, say=_say)


def _say(line: str) -> None:
    say(line, sys.stderr)
