"""The crops of an epoch. Many contain overexposed pixels; they depend only on seed and epoch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from revisp.data.picture import PHASES, Sample, know_places, table_of, with_place
from revisp.data.strata import Strata
from revisp.errors import ConfigError, DataError
from revisp.symmetry import SYMMETRIES, Symmetry
from revisp.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from revisp.cfa import CFA
    from revisp.data.picture import Picture, PictureTable

__all__ = ["CropDataset", "CropSampler", "CropSpec"]


class CropSpec(NamedTuple):
    """One crop: a square window of a picture, and the symmetry to apply to it.

    Attributes:
        image: index of the picture in its data set.
        top: first row of the window.
        left: first column of the window.
        symmetry: the symmetry to apply to the window. The result has the data set's Bayer phase.
        seed: seed of a picture that is simulated when it is read.
    """

    image: int
    top: int
    left: int
    symmetry: Symmetry = SYMMETRIES[0]
    seed: int = 0


class CropSampler(Sampler[CropSpec]):
    """Draw the crops of each epoch.

    An epoch depends only on ``(seed, epoch)``. A resumed training therefore sees the crops of an uninterrupted
    one, with any number of workers. In distributed training, the crops of an epoch are divided among the ranks,
    which together see the crops of a single process.

    A share of the crops is drawn around overexposed pixels. Three draws are uniform: a picture with overexposed
    pixels, one of these pixels, and a window that contains it. The other crops are uniform over all pixels or,
    with ``strata``, over the bins of brightness of each channel of the pictures' RAW (`Strata`).

    Only geometry is augmented. A change of exposure or white balance is a factor in the RAW, but acts on the photo
    through the camera's unknown, nonlinear processing. Photo and RAW would no longer be a pair. Simulated data
    vary exposure, white balance and camera instead.

    Args:
        pictures: the pictures of the data set. Their overexposed pixels are read when a crop is drawn around one,
            so any number of pictures takes little memory. A pixel at the border is replaced by its inner
            neighbour.
        cfa: Bayer phase of the crops. Windows of a picture with another phase are shifted by a row or a column.
        crop: side of a crop in pixels, even.
        length: crops in an epoch, over all ranks; a remainder that does not fill all ranks is dropped.
        oe_share: share of crops drawn around overexposed pixels, in [0, 1].
        strata: bins of brightness over which the other crops are drawn evenly, at least 2; None draws them from
            all pixels. With strata, the constructor reads the brightness of every picture.
        augment: apply a random one of the eight symmetries. Some symmetries move a window by one pixel. If a
            window at the picture's edge has no room for this, it moves in the other direction; if it fills the
            picture, it gets no symmetry.
        seed: seed of the training.
        rank: index of this process in a distributed training.
        world_size: number of such processes.

    Raises:
        ConfigError: an argument is outside its range.
        DataError: there are no pictures, or a picture is too small for a crop.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        cfa: CFA,
        *,
        crop: int,
        length: int,
        oe_share: float = 0.5,
        strata: int | None = None,
        augment: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check(crop, length, oe_share, strata, rank, world_size)
        if not pictures:
            raise DataError("there are no images to crop from")
        self.pictures = pictures
        self.table = table_of(pictures)
        _check_sizes(pictures, self.table, cfa, crop)
        self.cfa = cfa
        self.crop = crop
        self.length = length // world_size * world_size
        self.oe_share = oe_share
        self.augment = augment
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        areas = self.table.height.astype(float) * self.table.width
        self._by_area = np.cumsum(areas / areas.sum())
        self._strata = None if strata is None else Strata(pictures, crop, strata)
        self._with_oe = np.flatnonzero(self.table.overexposed)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world_size

    def __iter__(self) -> Iterator[CropSpec]:
        draws = np.random.default_rng([self.seed, self.epoch]).random((self.length, 6))
        seeds = np.random.default_rng([self.seed, self.epoch, 1]).integers(2**62, size=self.length)
        mine = slice(self.rank, None, self.world_size)
        return map(self._crop, seeds[mine].tolist(), draws[mine].tolist())

    def _crop(self, seed: int, numbers: Sequence[float]) -> CropSpec:
        """Turn six numbers, uniform in [0, 1), into a crop."""
        kind, image, row, column, pixel, symmetry = numbers
        if kind < self.oe_share and self._with_oe.size:
            index = int(self._with_oe[int(image * self._with_oe.size)])
            y, x = self._overexposed_pixel(self.pictures[index], pixel)
            top, left = y - int(row * (self.crop - 1)), x - int(column * (self.crop - 1))
        elif self._strata is not None:
            index, top, left = self._strata.draw(image, pixel, row, column)
        else:
            index = min(int(np.searchsorted(self._by_area, image, side="right")), len(self.pictures) - 1)
            height, width = self._size(index)
            top = int(row * (height - self.crop + 1))
            left = int(column * (width - self.crop + 1))
        chosen = SYMMETRIES[int(symmetry * len(SYMMETRIES))] if self.augment else SYMMETRIES[0]
        return self._fit(index, top, left, chosen, seed)

    def _size(self, index: int) -> tuple[int, int]:
        return int(self.table.height[index]), int(self.table.width[index])

    @staticmethod
    def _overexposed_pixel(picture: Picture, pixel: float) -> tuple[int, int]:
        """Choose a pixel by a number in [0, 1). It is not at the border, which a moved window may not contain."""
        found = picture.overexposed()
        y, x = found[int(pixel * len(found))].tolist()
        return min(max(y, 1), picture.height - 2), min(max(x, 1), picture.width - 2)

    def _fit(self, index: int, top: int, left: int, symmetry: Symmetry, seed: int) -> CropSpec:
        """Move a window into the picture, to the nearest position above and left whose phase fits the symmetry."""
        offsets = symmetry.window_offset(PHASES[self.table.cfa[index]], self.crop, self.cfa)
        place = []
        for start, offset, side in zip((top, left), offsets, self._size(index), strict=True):
            start = min(max(start, 0), side - self.crop)
            start -= (start - offset) % 2
            if start < 0:
                start += 2
            if start > side - self.crop:
                return self._fit(index, top, left, SYMMETRIES[0], seed)
            place.append(start)
        return CropSpec(index, place[0], place[1], symmetry, seed)


@functools.cache
def _offsets(cfa: CFA) -> np.ndarray[Any, Any]:
    """Return (row, column) by which pictures of each of `PHASES` are moved to have this phase."""
    return np.array([phase.offset_to(cfa) for phase in PHASES])


def _check_sizes(pictures: Sequence[Picture], table: PictureTable, cfa: CFA, crop: int) -> None:
    """Require room for a crop of the data set's phase, so that every window fits at least without symmetry."""
    small = (np.stack([table.height, table.width], axis=1) < crop + _offsets(cfa)[table.cfa]).any(axis=1)
    if not small.any():
        return
    picture = pictures[int(small.argmax())]
    for side, offset in zip((picture.height, picture.width), picture.cfa.offset_to(cfa), strict=True):
        if side < crop + offset:
            moved = " and the pixel by which its Bayer phase moves it" if offset else ""
            size = f"{picture.height}x{picture.width}"
            raise DataError(f"the image {picture.name!r} of {size} is smaller than the crop of {crop}{moved}")


def _check(crop: int, length: int, oe_share: float, strata: int | None, rank: int, world_size: int) -> None:
    if crop < 2 or crop % 2:
        raise ConfigError(f"crop must be an even number of pixels, got {crop}")
    if not 0 <= oe_share <= 1:
        raise ConfigError(f"oe_share must lie in [0, 1], got {oe_share}")
    if strata is not None and strata < 2:
        raise ConfigError(f"strata must be at least 2, or null, got {strata}")
    if not 0 <= rank < world_size:
        raise ConfigError(f"rank must lie in [0, world_size = {world_size}), got {rank}")
    if length < world_size:
        raise ConfigError(f"an epoch of {counted(length, 'crop')} is too short for {world_size} processes")


class CropDataset(Dataset[Sample]):
    """Crops, indexed by the `CropSpec` of a `CropSampler`. Photo, RAW and target get the same symmetry.

    If all pictures know their place, so do the crops.

    Args:
        pictures: the pictures of the data set.
        crop: side of a crop in pixels.
    """

    def __init__(self, pictures: Sequence[Picture], crop: int) -> None:
        self.pictures = pictures
        self.crop = crop
        self.placed = know_places(pictures)

    def __getitem__(self, spec: CropSpec) -> Sample:
        picture = self.pictures[spec.image]
        sample = picture.read(spec.top, spec.left, self.crop, self.crop, seed=spec.seed)
        if self.placed:
            sample = with_place(sample, picture, spec.top, spec.left)
        turned: dict[str, Any] = {
            name: spec.symmetry.apply(x).contiguous()
            for name, x in sample._asdict().items()
            if isinstance(x, torch.Tensor) and x.numel()
        }
        return sample._replace(**turned)
