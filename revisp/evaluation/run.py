"""Run ``revisp-evaluate``: choose a mode by the given settings, and run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisp.errors import ConfigError, ImageError
from revisp.io.photo_folder import PhotoFolder, read_photo_folder

if TYPE_CHECKING:
    from revisp.evaluation.scores import Evaluation
    from revisp.pipeline import ReverseISP

__all__ = ["MODES", "Mode", "choose_mode", "evaluate"]

_FLAGS = frozenset({"cycle", "submission", "blind"})
"""Settings that are true or false."""

Progress = Callable[[int, int], None]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Mode:
    """A mode of the command.

    Attributes:
        words: the words of the command line that choose it.
        needs: settings that must be given.
        takes: optional settings.
        metrics: whether ``metrics=`` may choose the figures.
    """

    words: str
    needs: frozenset[str]
    takes: frozenset[str] = frozenset()
    metrics: bool = True


MODES = {
    "model": Mode("model=FOLDER data=NAME", frozenset({"model", "data"})),
    "submissions": Mode(
        "submissions=FOLDER truths=FOLDER [inputs=FOLDER]",
        frozenset({"submissions", "truths"}),
        frozenset({"inputs"}),
    ),
    "raw": Mode(
        "prediction=DNG truth=DNG [photos=PHOTO]", frozenset({"prediction", "truth"}), frozenset({"photos"})
    ),
    "cycle": Mode(
        "--cycle model=FOLDER photos=PATH [camera=FILE]",
        frozenset({"cycle", "model", "photos"}),
        frozenset({"camera"}),
        metrics=False,
    ),
    "submission": Mode(
        "--submission model=FOLDER inputs=FOLDER", frozenset({"submission", "model", "inputs"}), metrics=False
    ),
    "blind": Mode("--blind model=FOLDER data=NAME", frozenset({"blind", "model", "data"}), metrics=False),
}
"""The modes of the command by name."""


def choose_mode(settings: Settings) -> str:
    """Return the mode that has exactly the given settings.

    Raises:
        ConfigError: no mode has these settings; the message names all modes.
    """
    known = frozenset().union(*(mode.needs | mode.takes for mode in MODES.values()))
    given = {name for name in known if settings.get(name)}
    for name, mode in MODES.items():
        if mode.needs <= given <= mode.needs | mode.takes:
            return name
    words = "; or ".join(mode.words for mode in MODES.values())
    raise ConfigError(f"give {words}; given: {', '.join(sorted(given)) or 'nothing'}")


def evaluate(settings: Settings, progress: Progress | None = None) -> Evaluation | tuple[Path, ...]:
    """Run the evaluation that the settings of ``conf/evaluate.yaml`` choose.

    Args:
        settings: keys and values of that file.
        progress: called with (pictures done, all pictures).

    Returns:
        The figures. The mode ``submission`` returns the files that it wrote into ``submission/`` of the run
        folder.

    Raises:
        RevispError: a setting or file is wrong; the message names it.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, level in (("given", 614), ("true", 512)):
        ...         Path(folder, name).mkdir()
        ...         np.save(f"{folder}/{name}/0_0.npy", np.full((16, 24, 4), level, np.uint16))
        ...     folders = {"submissions": f"{folder}/given", "truths": f"{folder}/true"}
        ...     found = evaluate({**folders, "bits": 10, "metrics": "aim"})
        >>> round(found.mean["psnr"], 2)
        20.03
    """
    from revisp.evaluation.measures import DEFAULT_METRICS, check_metrics

    mode = choose_mode(settings)
    if check_metrics(settings["metrics"]) != DEFAULT_METRICS and not MODES[mode].metrics:
        raise ConfigError(f"metrics= does not go with --{mode}, which has its own figures")
    if mode != "blind" and settings.get("split", "val") != "val":
        raise ConfigError(f"split={settings['split']} goes with --blind only, got {MODES[mode].words}")
    for name in sorted((MODES[mode].needs | MODES[mode].takes) - _FLAGS):
        if isinstance(settings.get(name), bool | int | float):
            value = settings[name]
            raise ConfigError(f"{name} must name files, got {value!r}: write {name}=./{str(value).lower()}")
    return _RUN_MODE[mode](settings, progress)


def _score_model(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.data import create_data
    from revisp.evaluation.score_model import score_model

    data = create_data(**settings["data"], seed=settings["seed"], demosaic=settings["demosaic"])
    found = score_model(
        _model(settings),
        data,
        tile=_tile(settings),
        keep=settings["report_photos"],
        metrics=settings["metrics"],
        progress=progress,
    )
    return found.noting(*data.left_out)


def _score_submissions(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.evaluation.score_submissions import score_submissions

    folders = (settings["submissions"], settings["truths"], settings.get("inputs"))
    return score_submissions(*folders, bits=settings["bits"], metrics=settings["metrics"], progress=progress)


def _score_raw(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.evaluation.score_raw import score_raw_files

    files = (settings["prediction"], settings["truth"], settings.get("photos"))
    return score_raw_files(*files, metrics=settings["metrics"])


def _score_cycle(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.evaluation.score_cycle import score_cycle

    path = Path(settings["photos"])
    if not path.exists():
        raise ImageError(f"{path}: no such file or folder")
    folder = read_photo_folder(path) if path.is_dir() else PhotoFolder(path, (path,))
    camera, tile = settings.get("camera"), _tile(settings)
    found = score_cycle(_model(settings), folder.photos, camera, tile=tile, progress=progress)
    return found.noting(*([folder.left_out] if folder.left_out else []))


def _score_blind(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.data import create_data
    from revisp.evaluation.score_blind import BASELINES, model_method, score_blind

    styles = settings["styles"]
    if not isinstance(styles, int) or isinstance(styles, bool) or styles < 0 or styles == 1:
        raise ConfigError(f"styles must be 0 or a number of gradings from 2 on, got {styles!r}")
    data = create_data(**settings["data"], seed=settings["seed"], demosaic=settings["demosaic"])
    name = settings["model"]
    method = BASELINES[name] if name in BASELINES else model_method(_model(settings), tile=_tile(settings))
    found = score_blind(
        method,
        data,
        name=name if name in BASELINES else Path(name).name,
        split=settings["split"],
        styles=styles,
        progress=progress,
    )
    return found.noting(*data.left_out)


def _write_submission(settings: Settings, progress: Progress | None) -> tuple[Path, ...]:
    from revisp.evaluation.write_submission import write_submission

    return write_submission(
        _model(settings),
        settings["inputs"],
        Path(settings["run_dir"]) / "submission",
        tile=_tile(settings),
        extra_data=bool(settings["extra_data"]),
        other=str(settings.get("other") or ""),
        progress=progress,
    )


_RUN_MODE: Mapping[str, Callable[[Settings, Progress | None], Evaluation | tuple[Path, ...]]] = {
    "model": _score_model,
    "submissions": _score_submissions,
    "raw": _score_raw,
    "cycle": _score_cycle,
    "blind": _score_blind,
    "submission": _write_submission,
}


def _model(settings: Settings) -> ReverseISP:
    from revisp.convert.load import load_model

    return load_model(settings["model"], settings["device"])


def _tile(settings: Settings) -> int | None:
    tile = settings.get("tile")
    if tile is not None and (not isinstance(tile, int) or isinstance(tile, bool)):
        raise ConfigError(f"tile must be a number of pixels, or null, got {tile!r}")
    return tile
