"""A window of a picture as it is stored on disk, and its conversion to a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from revisp.camera.target import clipped_by_sensor
from revisp.data.picture import Sample
from revisp.demosaic import write_back
from revisp.mosaic import mosaic

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile

__all__ = ["StoredWindow"]

Array = np.ndarray[Any, Any]
Neutral = tuple[float, float, float]


@dataclass(frozen=True)
class StoredWindow:
    """Arrays of a window in the types of a prepared data set, which take a third of a `Sample`'s memory.

    Attributes:
        name: name of the picture.
        profile: constants of the RAW; its phase is that of the window's first pixel.
        raw: the mosaic ``[H, W]`` uint16, in stored units.
        srgb: the photo ``[H, W, 3]``, uint8 or uint16.
        target: the demosaiced RAW ``[3, H, W]`` float16, normalised.
        valid: ``[H, W]`` uint8, 1 where a pixel counts; None: everywhere.
    """

    name: str
    profile: CameraProfile
    raw: Array
    srgb: Array
    target: Array
    valid: Array | None = None

    def crop(self, top: int, left: int, height: int, width: int) -> StoredWindow:
        """Return a window of the window."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        return replace(
            self,
            profile=self.profile.replace(cfa=self.profile.cfa.crop(top, left)),
            raw=self.raw[rows, columns],
            srgb=self.srgb[rows, columns],
            target=self.target[:, rows, columns],
            valid=None if self.valid is None else self.valid[rows, columns],
        )

    def sample(self, neutral: Neutral | None = None) -> Sample:
        """Return the window as tensors; ``mosaic(target) == bayer`` exactly, for the window's own phase.

        The RAW is normalised by the levels of its planes, unclamped. The target is stored in half precision, so
        the RAW's samples are written into it.

        Args:
            neutral: camera RGB of a neutral object under the light in which the scene shall stand. The RAW is
                scaled to it, at most to saturation. A sample that the sensor clipped is not darkened: its light
                is not known, and validation has it saturated. None, or a picture that does not tell its own
                neutral (which is 1, 1, 1 then): as shot.
        """
        bayer = torch.from_numpy(self.profile.normalise(self.raw))[None]
        target = torch.from_numpy(self.target.astype(np.float32))
        srgb = torch.from_numpy(self.srgb.astype(np.float32)).permute(2, 0, 1).contiguous()
        valid = (
            torch.ones_like(bayer) if self.valid is None else torch.from_numpy(self.valid.astype(np.float32))[None]
        )
        target = write_back(target, bayer, self.profile.cfa)
        own = self.profile.as_shot_neutral
        if neutral is not None and neutral != own and own != (1, 1, 1):
            scaled = target * torch.tensor(neutral).view(3, 1, 1) / torch.tensor(own).view(3, 1, 1)
            scaled = torch.lerp(scaled, torch.maximum(scaled, target), clipped_by_sensor(target))
            target = torch.minimum(scaled, target.clamp_min(1))
            bayer = mosaic(target, self.profile.cfa)
        return Sample(srgb / np.iinfo(self.srgb.dtype).max, bayer, target, self.name, valid)
