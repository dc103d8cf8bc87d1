"""Which crops an epoch sees: rich in overexposed pixels on purpose, and a function of seed and epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch.utils.data import Sampler

from revisp.errors import ConfigError, DataError
from revisp.symmetry import SYMMETRIES, Symmetry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from revisp.cfa import CFA

__all__ = ["CropSampler", "CropSpec"]


class CropSpec(NamedTuple):
    """One crop: a square window of an image, and the symmetry to apply to it.

    Attributes:
        image: index of the image in its data set.
        top: first row of the window.
        left: first column of the window.
        symmetry: what to apply to the window, which then has the data set's Bayer phase.
    """

    image: int
    top: int
    left: int
    symmetry: Symmetry = SYMMETRIES[0]


class CropSampler(Sampler[CropSpec]):
    """Draw the crops of each epoch.

    An epoch is a function of ``(seed, epoch)`` alone: a resumed training sees what an uninterrupted one would have
    seen, whatever the number of workers. The crops of an epoch are dealt out to the ranks of distributed training,
    so that together they see what one process would.

    A share of the crops is drawn around overexposed pixels: an image that has some, uniformly; one of its
    overexposed pixels, uniformly; a window that holds it, uniformly. The other crops are uniform over all pixels.

    Args:
        masks: overexposure mask ``[1, H, W]`` of each image; values of at least 0.5 count as overexposed.
        cfa: Bayer phase of the images, which crops keep.
        crop: side of a crop in pixels, even.
        length: crops in an epoch, over all ranks; a remainder that does not fill all ranks is dropped.
        oe_share: share of crops drawn around overexposed pixels, in [0, 1].
        augment: apply a random one of the eight symmetries; a window at the image's edge that leaves no room for
            the pixel by which a symmetry must move it is moved the other way, or left as it is where it fills the
            image.
        seed: seed of the training.
        rank: this process among those of a distributed training.
        world_size: number of such processes.

    Raises:
        ConfigError: an argument outside its range.
        DataError: no images, or an image smaller than a crop.
    """

    def __init__(
        self,
        masks: Sequence[Tensor],
        cfa: CFA,
        *,
        crop: int,
        length: int,
        oe_share: float = 0.5,
        augment: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check(crop, length, oe_share, rank, world_size)
        if not masks:
            raise DataError("there are no images to crop from")
        self.sizes = [(int(mask.shape[-2]), int(mask.shape[-1])) for mask in masks]
        if min(min(size) for size in self.sizes) < crop:
            raise DataError(f"an image of {min(self.sizes, key=min)} pixels is smaller than the crop of {crop}")
        self.overexposed = [_overexposed_pixels(mask) for mask in masks]
        self.cfa = cfa
        self.crop = crop
        self.length = length // world_size * world_size
        self.oe_share = oe_share
        self.augment = augment
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        areas = np.array([height * width for height, width in self.sizes], float)
        self._by_area = np.cumsum(areas / areas.sum())
        self._with_oe = np.flatnonzero([found.size for found in self.overexposed])

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world_size

    def __iter__(self) -> Iterator[CropSpec]:
        generator = np.random.default_rng([self.seed, self.epoch])
        draws = generator.random((self.length, 6))
        return (self._crop(*row) for row in draws[self.rank :: self.world_size].tolist())

    def _crop(
        self, kind: float, image: float, row: float, column: float, pixel: float, symmetry: float
    ) -> CropSpec:
        """Turn six numbers, uniform in [0, 1), into a crop."""
        if kind < self.oe_share and self._with_oe.size:
            index = int(self._with_oe[int(image * self._with_oe.size)])
            height, width = self.sizes[index]
            found = self.overexposed[index]
            y, x = divmod(int(found[int(pixel * found.size)]), width)
            top, left = y - int(row * (self.crop - 1)), x - int(column * (self.crop - 1))
        else:
            index = min(int(np.searchsorted(self._by_area, image, side="right")), len(self.sizes) - 1)
            height, width = self.sizes[index]
            top, left = int(row * (height - self.crop + 1)), int(column * (width - self.crop + 1))
        chosen = SYMMETRIES[int(symmetry * len(SYMMETRIES))] if self.augment else SYMMETRIES[0]
        return self._fit(index, top, left, chosen)

    def _fit(self, index: int, top: int, left: int, symmetry: Symmetry) -> CropSpec:
        """Move a window into the image, to the nearest place above and left whose phase fits the symmetry."""
        offsets = symmetry.window_offset(self.cfa, self.crop)
        place = []
        for start, offset, side in zip((top, left), offsets, self.sizes[index], strict=True):
            start = min(max(start, 0), side - self.crop)
            start -= (start - offset) % 2
            if start < 0:
                start += 2
            if start > side - self.crop:
                return self._fit(index, top, left, SYMMETRIES[0])
            place.append(start)
        return CropSpec(index, place[0], place[1], symmetry)


def _overexposed_pixels(mask: Tensor) -> np.ndarray[Any, Any]:
    """Return flat indices, without the image's border, which a window moved by one pixel may miss."""
    found = mask.cpu().numpy()[0] >= 0.5
    found[[0, -1], :] = found[:, [0, -1]] = False
    return np.flatnonzero(found).astype(np.int32)


def _check(crop: int, length: int, oe_share: float, rank: int, world_size: int) -> None:
    if crop < 2 or crop % 2:
        raise ConfigError(f"crop must be an even number of pixels, got {crop}")
    if not 0 <= oe_share <= 1:
        raise ConfigError(f"oe_share must lie in [0, 1], got {oe_share}")
    if not 0 <= rank < world_size:
        raise ConfigError(f"rank must lie in [0, world_size = {world_size}), got {rank}")
    if length < world_size:
        raise ConfigError(f"an epoch of {length} crops is too short for {world_size} processes")
