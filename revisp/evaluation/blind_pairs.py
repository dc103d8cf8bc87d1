"""What the judge for unknown cameras takes from a data set: whole photos, and the light that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.align.alignment import FULL_SIZE
from revisp.camera.profile import CameraProfile
from revisp.data.base import DataModule
from revisp.data.datamodule import PairDataModule
from revisp.data.picture import Picture
from revisp.data.prepared import PreparedPicture
from revisp.data.scene_pairs import ScenePicture
from revisp.errors import ConfigError
from revisp.metrics.blind import CLIPPED, BlindTruth, bin_mosaic, bin_picture, blind_truth

__all__ = ["BlindPair", "Split", "blind_pictures", "read_blind_pair"]

Split = Literal["val", "all"]
"""Pictures that were set apart, or those to train with, too: for a data set that no model has learnt from."""

VALID_SHARE = 0.9
"""Share of a binned pixel's samples that must be valid."""


@dataclass(frozen=True, eq=False)
class BlindPair:
    """A photo, and the light that the sensor saw.

    Attributes:
        name: of the picture.
        camera: pictures of one camera count together.
        exposure: pictures of one exposure are renderings of one RAW, or views of one scene.
        photo: sRGB ``[3, H, W]`` in [0, 1].
        raw_rgb: camera RGB ``[3, H // 2, W // 2]`` on the binned grid, black 0, white 1, not white-balanced.
        profile: the camera's white balance and matrix.
        saturated: ``[H // 2, W // 2]``, pixels with a sample that the sensor clipped.
        valid: ``[H // 2, W // 2]``, pixels at which photo and RAW show the same.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> dark = torch.zeros(32, 48, dtype=torch.bool)
        >>> light = torch.rand(3, 32, 48)
        >>> pair = BlindPair("room", "A", "room", torch.rand(3, 64, 96), light, SIMULATED.profile, dark, ~dark)
        >>> pair.reduced(24).raw_rgb.shape
        torch.Size([3, 16, 24])
    """

    name: str
    camera: str
    exposure: str
    photo: Tensor
    raw_rgb: Tensor
    profile: CameraProfile
    saturated: Tensor
    valid: Tensor

    def truth(self) -> BlindTruth:
        """Return what a prediction from the photo, binned, is compared with.

        Raises:
            ShapeError: sizes that differ, or no pixel that is clipped in neither.
        """
        return self.truth_of(bin_picture(self.photo))

    def truth_of(self, rendering: Tensor) -> BlindTruth:
        """Return what a prediction from another rendering ``[3, H // 2, W // 2]`` is compared with.

        Raises:
            ShapeError: sizes that differ, or no pixel that is clipped in neither.
        """
        return blind_truth(self.raw_rgb, rendering, self.profile.gains, saturated=self.saturated, valid=self.valid)

    def reduced(self, side: int) -> BlindPair:
        """Return the pair with its light averaged until no side of the binned grid has more pixels than ``side``.

        The photo is left as it is.
        """
        factor = -(-max(self.raw_rgb.shape[-2:]) // side)
        if factor == 1:
            return self
        spoilt = torch.stack([self.saturated, ~self.valid])
        saturated, invalid = F.max_pool2d(spoilt.float(), factor) > 0
        return replace(self, raw_rgb=F.avg_pool2d(self.raw_rgb, factor), saturated=saturated, valid=~invalid)


def blind_pictures(data: DataModule, split: Split = "val") -> Sequence[Picture]:
    """Return the pictures of a data set to judge by; `read_blind_pair` reads one.

    Args:
        data: a module of `revisp.data.create_data`.
        split: which of them.

    Raises:
        ConfigError: data that have no whole pictures, or an unknown split.
        DataError: the data set cannot be read.

    Example:
        >>> from revisp.data import create_data
        >>> blind_pictures(create_data("embedded"), "train")
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: split must be val or all, got 'train'
    """
    if split not in ("val", "all"):
        raise ConfigError(f"split must be val or all, got {split!r}")
    if not isinstance(data, PairDataModule):
        raise ConfigError("unknown cameras are judged on whole pictures: give data=prepared or data=scenes")
    return [*(data.train_pictures if split == "all" else ()), *data.val_pictures]


def read_blind_pair(picture: Picture, profile: CameraProfile) -> BlindPair:
    """Read a picture whole.

    The light is the mosaic's, binned. A RAW that was reduced to a small photo is no mosaic any more, however it is
    stored: its samples are averages over neighbouring areas, and so fine that R and B beside G would count as
    errors of colour. There the demosaiced target is binned. So it is of scenes, whose RAW has all colours. Views
    of one scene are no independent evidence: they count as one exposure.

    Args:
        picture: of a data set.
        profile: camera of a picture that does not name its own.

    Example:
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.data.memory import MemoryPicture
        >>> from revisp.data.picture import Sample
        >>> photo, bayer = torch.rand(3, 64, 96), torch.rand(1, 64, 96)
        >>> sample = Sample(photo, bayer, photo, "room", torch.ones_like(bayer))
        >>> picture = MemoryPicture(sample, SIMULATED.profile.cfa, torch.zeros_like(bayer))
        >>> pair = read_blind_pair(picture, SIMULATED.profile)
        >>> pair.camera, pair.raw_rgb.shape
        ('revisp Simulated A', torch.Size([3, 32, 48]))
    """
    if isinstance(picture, PreparedPicture):  # as shot; a training learns it under another light
        picture = PreparedPicture(picture.root, picture.entry)
    sample = picture.read(0, 0, picture.height, picture.width)
    camera, exposure = profile.name, picture.name
    raw_rgb = bin_mosaic(sample.bayer, picture.cfa)
    saturated = raw_rgb.amax(0) >= CLIPPED
    if isinstance(picture, PreparedPicture):
        entry = picture.entry
        camera, exposure, profile = entry.camera, entry.scene, entry.profile
        if (entry.alignment or {}).get("scale", 1) < FULL_SIZE:
            raw_rgb = bin_picture(sample.target)
    elif isinstance(picture, ScenePicture):
        exposure = picture.scene_name(sample)
        raw_rgb, saturated = bin_picture(sample.target), F.max_pool2d(sample.target, 2).amax(0) >= CLIPPED
    return BlindPair(
        name=picture.name,
        camera=camera,
        exposure=exposure,
        photo=sample.srgb,
        raw_rgb=raw_rgb,
        profile=profile,
        saturated=saturated,
        valid=bin_picture(sample.valid)[0] > VALID_SHARE,
    )
