"""Pairs of photo and RAW in memory, and the data sets that serve them whole or in crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch.utils.data import Dataset

from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from revisp.camera.profile import CameraProfile
    from revisp.data.crops import CropSpec

__all__ = ["CropDataset", "Pair", "PairSource", "Sample", "WholeDataset"]


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
    """Where pairs come from: the embedded photographs, or a folder."""

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
        bayer: RAW mosaic ``[1, H, W]``, of the profile's CFA.
        target: demosaiced RAW ``[3, H, W]``, whose mosaic is ``bayer``.
        name: of the pair.
    """

    srgb: Tensor
    bayer: Tensor
    target: Tensor
    name: str


class WholeDataset(Dataset[Sample]):
    """Whole images, in order."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class CropDataset(Dataset[Sample]):
    """Crops, indexed by the `CropSpec` that a `CropSampler` yields.

    Args:
        samples: whole images.
        crop: side of a crop in pixels.
    """

    def __init__(self, samples: Sequence[Sample], crop: int) -> None:
        self.samples = samples
        self.crop = crop

    def __getitem__(self, spec: CropSpec) -> Sample:
        sample = self.samples[spec.image]
        window = (..., slice(spec.top, spec.top + self.crop), slice(spec.left, spec.left + self.crop))
        srgb, bayer, target = (
            spec.symmetry.apply(x[window]).contiguous() for x in (sample.srgb, sample.bayer, sample.target)
        )
        return Sample(srgb, bayer, target, sample.name)
