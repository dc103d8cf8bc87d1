"""Write a submission for the server of a challenge: an array for each photo, and a readme."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from revisp.cfa import CFA
from revisp.challenges import CHALLENGES, Challenge, by_photo
from revisp.convert.formats import WRITERS, Choice, Origin
from revisp.errors import ConfigError, OutputError
from revisp.evaluation.prediction import Predictor, fast_predictor
from revisp.evaluation.score_submissions import Problems, list_files
from revisp.io.atomic import write_text
from revisp.io.header import photo_size
from revisp.io.locking import begin_folder
from revisp.io.photo import read_photo
from revisp.pipeline import ReverseISP

__all__ = ["README_FILE", "write_submission"]

INPUT_ENDINGS = (".jpg", ".jpeg", ".png")

README_FILE = "readme.txt"
"""Name of the readme, which has four lines in the order that the challenges ask for."""


def write_submission(
    model: ReverseISP,
    inputs: str | Path,
    folder: str | Path,
    *,
    tile: int | None = None,
    extra_data: bool = False,
    other: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Predict the RAW of the photos of a challenge and write the files for its server.

    Each photo ``NAME.jpg`` gives an array ``NAME.npy``, uint16 ``[h, w, 4]`` in the units of the challenge. The
    size of the photos identifies it: 504 x 504 (AIM 2022, S7), 496 x 496 (AIM 2022, P20) or 1024 x 1024 (NTIRE
    2025).

    Args:
        model: the pipeline, of a camera with phase RGGB; it runs on its own device.
        inputs: folder of the photos (JPEG, PNG).
        folder: output folder; it is made, or must be empty.
        tile: side of a tile of the prediction in pixels; None predicts each photo in one pass.
        extra_data: whether the model was trained on data from outside the challenge, for the readme.
        other: description for the readme, in one line.
        progress: called with (photos done, all photos).

    Returns:
        The files written; the readme is the last.

    Raises:
        DataError: photos cannot be read or do not have the size of one challenge; the message names all of them.
        ConfigError: the phase of the model is not RGGB, or the model predicts the RAW of another challenge.
        OutputError: the folder is not empty or cannot be written.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from revisp.io import write_png
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 2, "depth": 1}, branches="plain")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "photos").mkdir()
        ...     write_png(f"{folder}/photos/0_0.png", torch.rand(3, 496, 496))
        ...     files = write_submission(model, f"{folder}/photos", f"{folder}/submission")
        >>> [file.name for file in files]
        ['0_0.npy', 'readme.txt']
    """
    if model.cfa is not CFA.RGGB:
        raise ConfigError(f"the challenges take planes of an RGGB mosaic, but the model predicts {model.cfa}")
    problems = Problems()
    photos = list_files(inputs, INPUT_ENDINGS, problems)
    bits = _bits(photos, problems)
    folder = Path(folder)
    _make_empty(folder)
    written, seconds, run = [], 0.0, fast_predictor(model, tile=tile)
    for name, path in photos.items():
        written.append(folder / f"{name}.npy")
        seconds += _convert(run, model, path, written[-1], bits)
        if progress is not None:
            progress(len(written), len(photos))
    on_cpu = next(model.parameters()).device.type == "cpu"
    other = other or f"revisp, {model.description}"
    lines = _readme(seconds / len(photos), on_cpu=on_cpu, extra_data=extra_data, other=other)
    write_text(folder / README_FILE, lines)
    return (*written, folder / README_FILE)


def _convert(run: Predictor, model: ReverseISP, photo: Path, output: Path, bits: int) -> float:
    """Write the array of a photo; return the seconds of the prediction."""
    picture = read_photo(photo)
    started = time.perf_counter()
    bayer = run(picture.srgb).bayer
    seconds = time.perf_counter() - started
    WRITERS[".npy"](output, bayer, model, Origin(picture.metadata), Choice(bits))
    return seconds


def _bits(photos: Mapping[str, Path], problems: Problems) -> int:
    """Return the bits of the challenge that the photos belong to."""
    found: dict[str, tuple[Challenge, Path]] = {}
    for path in photos.values():
        if (size := photo_size(path)) is None:
            problems.add(f"{path}: not a readable photo")
            continue
        if (challenge := by_photo(size)) is None:
            known = ", ".join("x".join(map(str, each.photo_size)) for each in CHALLENGES.values())
            problems.add(f"{path}: is {size[0]}x{size[1]}, but the challenges' photos are {known}")
        else:
            found.setdefault(challenge.name, (challenge, path))
    if len(found) > 1:
        shown = ", ".join(f"{path.name} of {'x'.join(map(str, each.photo_size))}" for each, path in found.values())
        problems.add(f"photos of several challenges in one folder: {shown}")
    problems.raise_any()
    challenge, _ = next(iter(found.values()))
    return challenge.bits


def _make_empty(folder: Path) -> None:
    begin_folder(folder)
    try:
        if any(folder.iterdir()):
            raise OutputError(f"{folder} is not empty: choose another run folder")
    except OSError as error:
        raise OutputError(f"cannot read the folder {folder}: {error.strerror or error}") from error


def _readme(seconds: float, *, on_cpu: bool, extra_data: bool, other: str) -> str:
    return (
        f"runtime per image [s] : {seconds:.4f}\n"
        f"CPU[1] / GPU[0] : {int(on_cpu)}\n"
        f"Extra Data [1] / No Extra Data [0] : {int(extra_data)}\n"
        f"Other description : {' '.join(other.split())}\n"
    )
