"""Pictures: a photo and its RAW, of which windows are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA

__all__ = [
    "BRIGHTNESS_STEP",
    "Pair",
    "PairSource",
    "Picture",
    "PictureSource",
    "Sample",
]

BRIGHTNESS_STEP = 8
"""Rows and columns between the pixels of `Picture.brightness`."""


@dataclass(frozen=True)
class Pair:
    """A photo and its RAW, both of even height and width.

    Attributes:
        name: what to call it in reports.
        srgb: the camera's rendering ``[3, H, W]``, display-referred, in [0, 1].
        bayer: the RAW mosaic ``[1, H, W]``, (value - black) / (white - black).

    Raises:
        ShapeError: wrong shapes or dtypes, odd sizes, or sizes that differ.
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
    """Where pairs come from that fit into memory: the embedded photographs."""

    @property
    def profile(self) -> CameraProfile:
        """The camera of all pairs."""

    def train_pairs(self) -> list[Pair]:
        """Read or make the pairs to learn from."""

    def val_pairs(self) -> list[Pair]:
        """Read or make the pairs to validate with, none of which is in `train_pairs`."""


class Sample(NamedTuple):
    """What a data loader yields; a batch has a leading axis B, and a list of names.

    Attributes:
        srgb: photo ``[3, H, W]`` in [0, 1].
        bayer: RAW mosaic ``[1, H, W]``, of the data set's CFA.
        target: demosaiced RAW ``[3, H, W]``, whose mosaic is ``bayer``.
        name: of the picture.
        valid: ``[1, H, W]``, 1 where photo and RAW show the same; where it is 0, a pixel counts in no loss and in
            no score.
    """

    srgb: Tensor
    bayer: Tensor
    target: Tensor
    name: str
    valid: Tensor


class Picture(Protocol):
    """A photo and its RAW, of which windows are read when they are asked for; pickled for worker processes."""

    @property
    def name(self) -> str:
        """What to call it in reports."""

    @property
    def height(self) -> int:
        """Rows, even."""

    @property
    def width(self) -> int:
        """Columns, even."""

    @property
    def cfa(self) -> CFA:
        """Bayer phase at its first pixel; windows are placed so that they show the data set's."""

    @property
    def has_overexposed(self) -> bool:
        """Whether `overexposed` gives any pixel."""

    def overexposed(self) -> np.ndarray[Any, Any]:
        """Return (row, column) of overexposed pixels, ``[n, 2]`` integers: all, or a random share of them."""

    def brightness(self) -> np.ndarray[Any, Any]:
        """Return the target at every `BRIGHTNESS_STEP`-th row and column, ``[3, ceil(H/8), ceil(W/8)]`` floats."""

    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Read a window.

        Args:
            top: its first row.
            left: its first column.
            height: its rows.
            width: its columns.
            seed: of what is random in a picture that is made when it is read; another one for each crop.
        """


class PictureSource(Protocol):
    """Where pictures come from."""

    @property
    def profile(self) -> CameraProfile:
        """The camera of the data set, whose Bayer phase all samples have."""

    def train_pictures(self) -> Sequence[Picture]:
        """Return the pictures to learn from."""

    def val_pictures(self) -> Sequence[Picture]:
        """Return the pictures to validate with, of scenes that are not in `train_pictures`."""
