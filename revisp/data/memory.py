"""Pictures in memory, which are demosaiced once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from revisp.camera.place import Place
from revisp.data.picture import BRIGHTNESS_STEP, Sample
from revisp.demosaic import Demosaic
from revisp.mask import OverexposureMask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from revisp.camera.profile import CameraProfile
    from revisp.cfa import CFA
    from revisp.data.picture import Pair, PairSource

__all__ = ["MemoryPicture", "MemorySource"]


class MemoryPicture:
    """A whole picture in memory with valid pixels only.

    Args:
        sample: the whole picture.
        cfa: its Bayer phase.
        mask: overexposure mask ``[1, H, W]``; values of at least 0.5 count as overexposed. The border of one pixel
            is left out, since a window that a symmetry moves by one pixel may not contain it.
    """

    def __init__(self, sample: Sample, cfa: CFA, mask: torch.Tensor) -> None:
        self.sample = sample
        self.name = sample.name
        self.height, self.width = sample.srgb.shape[-2:]
        self.cfa = cfa
        self.frame = Place(0, 0, self.height, self.width)
        found = mask.cpu().numpy()[0] >= 0.5
        found[[0, -1], :] = found[:, [0, -1]] = False
        self._overexposed = np.argwhere(found).astype(np.int32)

    @property
    def has_overexposed(self) -> bool:
        """Whether any pixel is overexposed."""
        return len(self._overexposed) > 0

    def overexposed(self) -> np.ndarray[Any, Any]:
        """Return (row, column) of all overexposed pixels, ``[n, 2]`` int32."""
        return self._overexposed

    def brightness(self) -> np.ndarray[Any, Any]:
        """Return the target at every `BRIGHTNESS_STEP`-th row and column, ``[3, ceil(H/8), ceil(W/8)]``."""
        pixels: np.ndarray[Any, Any] = self.sample.target[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP].numpy()
        return pixels

    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Return a window, without copying."""
        window = (..., slice(top, top + height), slice(left, left + width))
        whole = self.sample
        return Sample(
            whole.srgb[window], whole.bayer[window], whole.target[window], whole.name, whole.valid[window]
        )


class MemorySource:
    """Pictures of pairs that fit into memory.

    The pairs of a split are demosaiced when they are requested, with the profile's white balance. Measured samples
    are written back, so the mosaic of a target equals its RAW exactly.

    Args:
        source: the source of the pairs.
        demosaic: arguments of `Demosaic` (``method``, ...); its CFA and gains are the profile's.
        mask: arguments of `OverexposureMask`, which finds overexposed pixels.

    Raises:
        ConfigError: an argument of either is outside its range.
        WeightsError: DemosaicNet's weights are missing.
    """

    def __init__(
        self,
        source: PairSource,
        *,
        demosaic: Mapping[str, Any] | None = None,
        mask: Mapping[str, Any] | None = None,
    ) -> None:
        self.source = source
        self.demosaic = Demosaic(
            **{"method": "demosaicnet", **(demosaic or {})}, cfa=self.profile.cfa, gains=self.profile.gains
        ).to(memory_format=torch.channels_last)  # a quarter faster on a CPU
        self.mask = OverexposureMask(**(mask or {}))

    @property
    def profile(self) -> CameraProfile:
        """The camera of all pairs."""
        return self.source.profile

    def train_pictures(self) -> list[MemoryPicture]:
        """Read and demosaic the training pairs."""
        return self._prepare(self.source.train_pairs())

    def val_pictures(self) -> list[MemoryPicture]:
        """Read and demosaic the validation pairs."""
        return self._prepare(self.source.val_pairs())

    @torch.no_grad()
    def _prepare(self, pairs: Sequence[Pair]) -> list[MemoryPicture]:
        pictures = []
        for pair in pairs:
            valid = torch.ones_like(pair.bayer)
            sample = Sample(pair.srgb, pair.bayer, self.demosaic(pair.bayer), pair.name, valid)
            pictures.append(MemoryPicture(sample, self.profile.cfa, self.mask(pair.srgb)))
        return pictures
