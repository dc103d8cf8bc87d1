"""Score the arrays of a challenge against their truths, with the result of the challenge's server.

AIM 2022 stores uint16 ``[h, w, 4]`` (R, Gr, Gb, B); 1024 means 1. Its tiles are 252 x 252 (S7) or 248 x 248 (P20).
NTIRE 2025 stores 1 as 4095, in tiles of 512 x 512 (`revisp.io.challenge_npy`). The script of the challenge pairs
files by their order and stops at the first problem. Here files are paired by name, and one message names all
problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from revisp.challenges import CHALLENGES, by_tile, challenge_scale
from revisp.errors import ConfigError, DataError, ImageError
from revisp.evaluation.measures import DEFAULT_METRICS, check_metrics, choose_measures, notes_of
from revisp.evaluation.scores import Evaluation, ImageScores, score_pair
from revisp.io.file_names import PHOTO_ENDINGS, natural_key
from revisp.io.npy import open_npy, read_npy
from revisp.io.photo import read_srgb
from revisp.metrics import quantise
from revisp.metrics.by_region import psnr_ssim

__all__ = ["Problems", "list_files", "score_submissions"]

Array = np.ndarray[Any, Any]

NTIRE_FIGURES = partial(psnr_ssim, stored=quantise)
"""PSNR and SSIM of 12-bit arrays."""

MOST_PROBLEMS = 20
"""Most problems that an error names."""

MIN_SSIM_SIDE = 11
"""Rows and columns that SSIM needs, as it leaves out 5 on each side."""

Progress = Callable[[int, int], None]


class Problems:
    """Collects problems of files, and raises them as one error."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        """Add a problem; it names its file."""
        self.found.append(problem)

    def raise_any(self) -> None:
        """Raise one error for all problems, if there are any.

        Raises:
            DataError: there are problems; at most `MOST_PROBLEMS` are named, and the rest counted.
        """
        if not self.found:
            return
        shown = "; ".join(self.found[:MOST_PROBLEMS])
        more = f"; and {len(self.found) - MOST_PROBLEMS} more" if len(self.found) > MOST_PROBLEMS else ""
        raise DataError(f"{shown}{more}")


def list_files(folder: str | Path, endings: tuple[str, ...], problems: Problems) -> dict[str, Path]:
    """Return the files of a folder by their names without ending, in natural order.

    Two files with the same name, such as ``a.jpg`` and ``a.png``, are a problem.

    Args:
        folder: the folder.
        endings: endings of the files that count; hidden files do not count.
        problems: collects the problems.

    Raises:
        DataError: the folder does not exist, or has no such files.
    """
    folder = Path(folder)
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in endings and path.name[0] != "."]
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror or error}") from error
    if not paths:
        raise DataError(f"{folder}: no {', '.join(endings)} in it")
    found: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: natural_key(path.stem)):
        if (other := found.setdefault(path.stem, path)) is not path:
            problems.add(f"{other} and {path.name} have one name")
    return found


def score_submissions(
    submissions: str | Path,
    truths: str | Path,
    inputs: str | Path | None = None,
    *,
    bits: Literal["auto"] | int = "auto",
    metrics: str | Sequence[str] = DEFAULT_METRICS,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a folder of submitted arrays against a folder of true ones, paired by name.

    ``psnr`` and ``ssim`` follow NTIRE 2025 for 12 bits and AIM 2022 for 10 bits; for stored values the definitions
    agree.

    Args:
        submissions: folder of ``.npy`` files, uint16 ``[h, w, 4]``.
        truths: folder of the true ``.npy`` files.
        inputs: folder of the photos (JPEG, PNG) of 2h x 2w pixels, for figures by region; None: no figures by
            region.
        bits: 10 (AIM 2022, 1024 is 1), 12 (NTIRE 2025, 4095 is 1), or ``"auto"``: by the size of the tiles.
        metrics: names of `revisp.evaluation.measures.METRICS`. Metrics of developed pictures are not possible,
            since arrays do not name their camera.
        progress: called with (tiles done, all tiles).

    Raises:
        DataError: a name has no partner, or a shape, dtype or value is wrong; the message names all problems.
        ConfigError: ``bits`` has another value, or a metric cannot be computed from arrays.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, level in (("given", 614), ("true", 512)):
        ...         Path(folder, name).mkdir()
        ...         np.save(f"{folder}/{name}/0_0.npy", np.full((16, 24, 4), level, np.uint16))
        ...     found = score_submissions(f"{folder}/given", f"{folder}/true", bits=10)
        >>> {name: round(value, 2) for name, value in found.mean.items()}
        {'psnr': 20.03, 'ssim': 0.98}
    """
    names = check_metrics(metrics)
    measures = choose_measures(names)
    if bits not in ("auto", *(challenge.bits for challenge in CHALLENGES.values())):
        raise ConfigError(f"bits must be auto, 10 (AIM 2022) or 12 (NTIRE 2025), got {bits!r}")
    problems = Problems()
    given, true = (list_files(folder, (".npy",), problems) for folder in (submissions, truths))
    photos = list_files(inputs, PHOTO_ENDINGS, problems) if inputs is not None else {}
    if len(given) != len(true):
        problems.add(f"{len(given)} submissions for {len(true)} truths")
    _pair_names(given, true, (submissions, truths), ("submission", "truth"), problems)
    if inputs is not None:
        _pair_names(photos, true, (inputs, truths), ("input", "truth"), problems)
    scale = _scale(true, bits, problems)
    _check_arrays(given, true, scale, problems)
    _check_photos(photos, true, problems)
    problems.raise_any()
    figures = [measure.figures for measure in measures]
    if scale == CHALLENGES["ntire2025"].scale:
        figures = [NTIRE_FIGURES if name == "aim" else own for name, own in zip(names, figures, strict=True)]
    elif "ntire" in names:
        raise ConfigError("metrics=ntire is for arrays of 12 bits (NTIRE 2025), and these have 10")
    images = []
    for name, truth in true.items():
        srgb = read_srgb(photos[name]) if photos else None
        scores = score_pair(_planes(given[name], scale), _planes(truth, scale), srgb, figures=figures)
        images.append(ImageScores(name, scores))
        if progress is not None:
            progress(len(images), len(true))
    return Evaluation(tuple(images), notes_of(measures))


def _pair_names(
    some: Mapping[str, Path],
    others: Mapping[str, Path],
    folders: tuple[str | Path, str | Path],
    kinds: tuple[str, str],
    problems: Problems,
) -> None:
    """Note names that only one of two folders has."""
    for name, path in others.items():
        if name not in some:
            problems.add(f"{path} has no {kinds[0]} in {folders[0]}")
    for name, path in some.items():
        if name not in others:
            problems.add(f"{path} has no {kinds[1]} in {folders[1]}")


def _scale(truths: Mapping[str, Path], bits: Literal["auto"] | int, problems: Problems) -> int:
    """Return the stored value of 1; if it cannot be determined, note the reason."""
    if bits != "auto":
        return challenge_scale(bits)
    sizes = {array.shape[:2] for _, array in _opened(truths, Problems())}
    known = {challenge.scale if (challenge := by_tile(size)) else None for size in sizes}
    if len(known) == 1 and (scale := known.pop()) is not None:
        return scale
    if sizes:
        shown = ", ".join("x".join(map(str, size)) for size in sorted(sizes))
        problems.add(f"tiles of {shown} are not those of one challenge: say bits=10 (AIM 2022) or 12 (NTIRE 2025)")
    return max(challenge.scale for challenge in CHALLENGES.values())


def _opened(files: Mapping[str, Path], problems: Problems) -> Iterator[tuple[str, Array]]:
    """Open arrays without reading their values; note files that are not arrays of a challenge."""
    for name, path in files.items():
        try:
            array = open_npy(path)
        except ImageError as error:
            problems.add(str(error))
            continue
        if array.dtype != np.uint16 or array.ndim != 3 or array.shape[-1] != 4:
            problems.add(f"{path}: is {array.dtype} {list(array.shape)}, not uint16 [h, w, 4]")
        elif min(array.shape[:2]) < MIN_SSIM_SIDE:
            problems.add(
                f"{path}: is {array.shape[0]}x{array.shape[1]}, but SSIM needs {MIN_SSIM_SIDE}x{MIN_SSIM_SIDE}"
            )
        else:
            yield name, array


def _check_arrays(given: Mapping[str, Path], true: Mapping[str, Path], scale: int, problems: Problems) -> None:
    """Note arrays whose shape differs from that of their truth, and values above 1."""
    shapes: dict[str, tuple[int, ...]] = {}
    for files in (true, given):
        for name, array in _opened(files, problems):
            expected = shapes.setdefault(name, array.shape)
            if array.shape != expected:
                problems.add(f"{files[name]}: is {list(array.shape)}, but its truth is {list(expected)}")
            if (highest := int(array.max())) > scale:
                problems.add(f"{files[name]}: holds {highest}, above {scale}")


def _check_photos(photos: Mapping[str, Path], true: Mapping[str, Path], problems: Problems) -> None:
    """Note photos that cannot be read or do not have twice the size of their truth."""
    for name, array in _opened({name: path for name, path in true.items() if name in photos}, Problems()):
        try:
            size = tuple(read_srgb(photos[name]).shape[-2:])
        except ImageError as error:
            problems.add(str(error))
            continue
        if size != (2 * array.shape[0], 2 * array.shape[1]):
            problems.add(
                f"{photos[name]}: is {size[0]}x{size[1]}, but its RAW is {2 * array.shape[0]}x{2 * array.shape[1]}"
            )


def _planes(path: Path, scale: int) -> Tensor:
    """Return packed planes ``[4, h, w]`` as float64, like the script of the challenge."""
    stored = read_npy(path)
    return torch.from_numpy(np.ascontiguousarray(stored.transpose(2, 0, 1)).astype(np.float64) / scale)
