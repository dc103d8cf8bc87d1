"""Pictures: a photo and its RAW, which are read in windows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from revisp.camera.place import Place, place_map
from revisp.cfa import CFA
from revisp.checks import check_image, check_same_size
from revisp.display import cfa_pattern, figure, rich_display, viewable
from revisp.errors import ShapeError
from revisp.mosaic import sampled_phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from revisp.camera.profile import CameraProfile

__all__ = [
    "BRIGHTNESS_STEP",
    "PHASES",
    "Pair",
    "PairSource",
    "Picture",
    "PictureSource",
    "PictureTable",
    "Sample",
    "know_places",
    "table_of",
    "with_place",
]

PHASES = tuple(CFA)
"""Bayer phases in the order of `PictureTable.cfa`."""

BRIGHTNESS_STEP = 8
"""Rows and columns between the pixels of `Picture.brightness`."""

KEPT_PIXELS = 2**20
"""Most pixels of a photo whose coordinates are kept, since crops of it are cut faster than they are computed."""


@dataclass(frozen=True)
class Pair:
    """A photo and its RAW, both of even height and width.

    Attributes:
        name: its name in reports.
        srgb: the camera's rendering ``[3, H, W]``, display-referred, in [0, 1].
        bayer: the RAW mosaic ``[1, H, W]``, (value - black) / (white - black).

    Raises:
        ShapeError: wrong shapes or dtypes, odd sizes, or different sizes.
    """

    name: str
    srgb: Tensor
    bayer: Tensor

    def __post_init__(self) -> None:
        check_image(self.srgb, 3, "srgb")
        check_image(self.bayer, 1, "bayer")
        check_same_size(self.srgb, self.bayer, ("srgb", "bayer"))
        if self.srgb.shape[-2] % 2 or self.srgb.shape[-1] % 2:
            raise ShapeError(f"{self.name}: height and width must be even, got {list(self.srgb.shape[-2:])}")


class PairSource(Protocol):
    """A source of pairs that fit into memory, such as the embedded photographs."""

    @property
    def profile(self) -> CameraProfile:
        """The camera of all pairs."""

    def train_pairs(self) -> list[Pair]:
        """Read or make the training pairs."""

    def val_pairs(self) -> list[Pair]:
        """Read or make the validation pairs. None of them is in `train_pairs`."""


class Sample(NamedTuple):
    """One item of a data loader. A batch has a leading axis B, and a list of names.

    Attributes:
        srgb: photo ``[3, H, W]`` in [0, 1].
        bayer: RAW mosaic ``[1, H, W]``, of the data set's CFA.
        target: demosaiced RAW ``[3, H, W]``, whose mosaic is ``bayer``.
        name: name of the picture.
        valid: ``[1, H, W]``: 1 where photo and RAW show the same; 0 excludes a pixel from losses and scores.
        clean: the photo without noise, smoothing, sharpening and compression ``[3, H, W]``, where a rendering
            tells it and a training asks for it; else an empty tensor.
        gain: what the photo's gain map says ``[1, H, W]``, as `revisp.io.GainMap.above_mid_grey` returns it; NaN
            where the photo has none. An empty tensor where the data know of no maps.
        place: coordinates of the pixels in the whole photo ``[3, H, W]`` (`revisp.camera.place.place_map`). A
            flipped crop keeps them: they say where on the sensor each pixel was. An empty tensor where they are
            not known.
    """

    srgb: Tensor
    bayer: Tensor
    target: Tensor
    name: str
    valid: Tensor
    clean: Tensor = torch.empty(0)
    gain: Tensor = torch.empty(0)
    place: Tensor = torch.empty(0)

    def _repr_html_(self) -> str:
        """Show the photo and the RAW in a notebook; the first ones of a batch."""
        srgb, bayer, target, valid = (
            x.detach().reshape(-1, *x.shape[-3:])[0] for x in (self.srgb, self.bayer, self.target, self.valid)
        )
        cfa = sampled_phase(target, bayer)
        facts = [
            (name, f"{list(x.shape)}, {float(x.min()):.4f} to {float(x.max()):.4f}")
            for name, x in self._asdict().items()
            if isinstance(x, torch.Tensor) and x.numel()
        ]
        if cfa is not None:
            facts.append(("CFA", cfa_pattern(cfa.value)))
        pictures = [figure(srgb, "srgb"), figure(viewable(target), "target, as if grey on average")]
        if bool((valid < 1).any()):
            pictures.append(figure(valid, "valid"))
        name = self.name if isinstance(self.name, str) else ", ".join(self.name)
        return rich_display(f"Sample: {name}", facts, pictures)


class Picture(Protocol):
    """A photo and its RAW, which are read in windows on demand. It is pickled for worker processes."""

    @property
    def name(self) -> str:
        """Its name in reports."""

    @property
    def height(self) -> int:
        """Rows, even."""

    @property
    def width(self) -> int:
        """Columns, even."""

    @property
    def cfa(self) -> CFA:
        """Bayer phase at its first pixel. Windows are placed so that they have the data set's phase."""

    @property
    def frame(self) -> Place | None:
        """Where it lies in the photo that the camera took; None if that is not known."""

    @property
    def has_overexposed(self) -> bool:
        """Whether `overexposed` returns any pixel."""

    def overexposed(self) -> np.ndarray[Any, Any]:
        """Return (row, column) of overexposed pixels, ``[n, 2]`` integers: all, or a random subset."""

    def brightness(self) -> np.ndarray[Any, Any]:
        """Return the target at every `BRIGHTNESS_STEP`-th row and column, ``[3, ceil(H/8), ceil(W/8)]`` floats."""

    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Read a window.

        Args:
            top: its first row.
            left: its first column.
            height: its rows.
            width: its columns.
            seed: seed of a picture that is simulated when it is read; each crop has another seed.
        """


class PictureSource(Protocol):
    """A source of training and validation pictures."""

    @property
    def profile(self) -> CameraProfile:
        """The camera of the data set. All samples have its Bayer phase."""

    def train_pictures(self) -> Sequence[Picture]:
        """Return the training pictures."""

    def val_pictures(self) -> Sequence[Picture]:
        """Return the validation pictures. Their scenes are not in `train_pictures`."""


class PictureTable(NamedTuple):
    """What is known of many pictures without reading them, as arrays ``[n]``.

    Attributes:
        height: rows of each.
        width: columns of each.
        cfa: position of its Bayer phase in `PHASES`.
        overexposed: whether any of its pixels is overexposed.
    """

    height: np.ndarray[Any, Any]
    width: np.ndarray[Any, Any]
    cfa: np.ndarray[Any, Any]
    overexposed: np.ndarray[Any, Any]


def table_of(pictures: Sequence[Picture]) -> PictureTable:
    """Return what is known of pictures. A sequence that knows it at once has it as its attribute ``table``.

    Args:
        pictures: the pictures.
    """
    known: PictureTable | None = getattr(pictures, "table", None)
    if known is not None:
        return known
    rows = [(p.height, p.width, PHASES.index(p.cfa), p.has_overexposed) for p in pictures]
    return PictureTable(*(np.array(column) for column in (zip(*rows, strict=True) if rows else [()] * 4)))


def know_places(pictures: Sequence[Picture]) -> bool:
    """Return whether all pictures know where they lie in their photos; a sequence may have it as ``placed``."""
    known: bool | None = getattr(pictures, "placed", None)
    return all(picture.frame is not None for picture in pictures) if known is None else known


def with_place(sample: Sample, picture: Picture, top: int, left: int) -> Sample:
    """Add the place in the photo to a window, read at ``top`` and ``left``, of a picture that knows its own."""
    assert picture.frame is not None
    height, width = sample.srgb.shape[-2:]
    there = picture.frame.crop(top, left)
    if there.height * there.width > KEPT_PIXELS:
        return sample._replace(place=place_map(height, width, there))
    rows, columns = slice(there.top, there.top + height), slice(there.left, there.left + width)
    return sample._replace(place=_frame_map(there.height, there.width)[:, rows, columns].clone())


@lru_cache(maxsize=4)
def _frame_map(height: int, width: int) -> Tensor:
    """Return the coordinates of all pixels of a frame, and keep those of the last sizes."""
    return place_map(height, width)
