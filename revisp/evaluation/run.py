"""What ``revisp-evaluate`` does: choose one of its modes by what is given, and do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisp.errors import ConfigError, ImageError
from revisp.io.endings import PHOTO_ENDINGS

if TYPE_CHECKING:
    from revisp.evaluation.scores import Evaluation
    from revisp.pipeline import ReverseISP

__all__ = ["DEFAULT", "MODES", "Mode", "choose_mode", "evaluate"]

DEFAULT = "default"
"""Name of the small model in the package, in place of a model folder."""

Progress = Callable[[int, int], None]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Mode:
    """A thing that the command does.

    Attributes:
        words: how it is asked for.
        needs: settings that must be given.
        takes: settings that may be given, too.
    """

    words: str
    needs: frozenset[str]
    takes: frozenset[str] = frozenset()


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
    ),
    "submission": Mode("--submission model=FOLDER inputs=FOLDER", frozenset({"submission", "model", "inputs"})),
}
"""What the command does, one at a time."""


def choose_mode(settings: Settings) -> str:
    """Return the mode whose settings are given, no more and no less.

    Raises:
        ConfigError: they are those of no mode; the message names all modes.
    """
    known = frozenset().union(*(mode.needs | mode.takes for mode in MODES.values()))
    given = {name for name in known if settings.get(name)}
    for name, mode in MODES.items():
        if mode.needs <= given <= mode.needs | mode.takes:
            return name
    words = "; or ".join(mode.words for mode in MODES.values())
    raise ConfigError(f"give {words}; given: {', '.join(sorted(given)) or 'nothing'}")


def evaluate(settings: Settings, progress: Progress | None = None) -> Evaluation | tuple[Path, ...]:
    """Do what the settings of ``conf/evaluate.yaml`` ask for.

    Args:
        settings: its keys and values.
        progress: called with (pictures done, all pictures).

    Returns:
        The figures; of the mode ``submission`` the files written, into ``submission/`` of the run folder.

    Raises:
        RevispError: a setting or file is wrong; the message says which.
    """
    mode = choose_mode(settings)
    return _DO[mode](settings, progress)


def _score_model(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.data import create_data
    from revisp.evaluation.score_model import score_model

    data = create_data(**settings["data"], seed=settings["seed"], demosaic=settings["demosaic"])
    keep = settings["report_photos"]
    return score_model(_model(settings), data, tile=_tile(settings), keep=keep, progress=progress)


def _score_submissions(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.evaluation.score_submissions import score_submissions

    folders = (settings["submissions"], settings["truths"], settings.get("inputs"))
    return score_submissions(*folders, bits=settings["bits"], progress=progress)


def _score_raw(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.evaluation.score_raw import score_raw_files

    return score_raw_files(settings["prediction"], settings["truth"], settings.get("photos"))


def _score_cycle(settings: Settings, progress: Progress | None) -> Evaluation:
    from revisp.evaluation.score_cycle import score_cycle

    photos = find_photos(settings["photos"])
    return score_cycle(_model(settings), photos, settings.get("camera"), tile=_tile(settings), progress=progress)


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


_DO: Mapping[str, Callable[[Settings, Progress | None], Evaluation | tuple[Path, ...]]] = {
    "model": _score_model,
    "submissions": _score_submissions,
    "raw": _score_raw,
    "cycle": _score_cycle,
    "submission": _write_submission,
}


def find_photos(path: str | Path) -> list[Path]:
    """Return a photo, or the photos of a folder in natural order.

    Raises:
        ImageError: a folder without photos, or nothing there.
    """
    from revisp.data.manifest import natural_key

    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise ImageError(f"{path}: no such file or folder")
        return [path]
    found = [file for file in path.iterdir() if file.suffix.lower() in PHOTO_ENDINGS and file.is_file()]
    if not found:
        raise ImageError(f"{path}: no photos in this folder ({', '.join(PHOTO_ENDINGS)})")
    return sorted(found, key=lambda file: natural_key(file.name))


def _model(settings: Settings) -> ReverseISP:
    from revisp.convert.load import load_model

    folder = settings["model"]
    return load_model(None if folder == DEFAULT else folder, settings["device"])


def _tile(settings: Settings) -> int | None:
    tile = settings.get("tile")
    if tile is not None and (not isinstance(tile, int) or isinstance(tile, bool)):
        raise ConfigError(f"tile must be a number of pixels, or null, got {tile!r}")
    return tile
