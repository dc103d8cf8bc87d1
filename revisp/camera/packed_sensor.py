"""From light to stored values: noise and quantisation of a batch of shots, in packed planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.camera.noise import NoiseLevels
    from revisp.camera.profile import CameraProfile

__all__ = ["add_noise_", "store_"]


def add_noise_(planes: Tensor, levels: Sequence[NoiseLevels], noise: Tensor) -> Tensor:
    """Add Gaussian noise to light in place, as `revisp.camera.noise.add_noise` does to one picture.

    Args:
        planes: normalised ``[B, 4, h, w]``, at least 0.
        levels: shot and read variance of each picture.
        noise: of deviation 1, of the shape of ``planes``. It is overwritten.
    """
    shot, read = (_column(values, planes) for values in zip(*levels, strict=True))
    return planes.add_(noise.mul_(torch.addcmul(read, planes, shot).sqrt_()))


def store_(planes: Tensor, profiles: Sequence[CameraProfile], *, quantise: bool) -> Tensor:
    """Clip planes in place to the range of stored values of a camera, and round them to its bits.

    Args:
        planes: normalised ``[B, 4, h, w]``: R, Gr, Gb, B.
        profiles: levels of each picture's camera.
        quantise: round to whole stored values; otherwise only clip.

    Returns:
        The normalised planes. Noise around black makes some values slightly negative; no value exceeds 1.
    """
    black = planes.new_tensor([profile.black_level for profile in profiles])[..., None, None]
    white = _column([profile.white_level for profile in profiles], planes)
    top = _column([min(profile.white_level, 2**profile.bits - 1) for profile in profiles], planes)
    scale = white - black
    planes.mul_(scale).add_(black)
    if quantise:
        planes.round_()
    return torch.minimum(planes.clamp_min_(0), top, out=planes).sub_(black).div_(scale)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(-1, 1, 1, 1)
