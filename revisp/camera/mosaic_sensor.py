"""From light to stored values: noise and quantisation of the mosaics of a batch of shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from revisp.cfa import CFA, plane_rows

if TYPE_CHECKING:
    from torch import Tensor

    from revisp.camera.noise import NoiseLevels
    from revisp.camera.profile import CameraProfile

__all__ = ["add_noise_", "store_"]


def add_noise_(mosaics: Tensor, levels: Sequence[NoiseLevels], noise: Tensor) -> None:
    """Add Gaussian noise to light in place, as `revisp.camera.noise.add_noise` does to one picture.

    Args:
        mosaics: normalised ``[B, 1, H, W]``, at least 0.
        levels: shot and read variance of each picture.
        noise: of deviation 1, of the shape of ``mosaics``. It is overwritten.
    """
    shot, read = (_column(values, mosaics) for values in zip(*levels, strict=True))
    mosaics.add_(noise.mul_((mosaics * shot).add_(read).sqrt_()))


def store_(mosaics: Tensor, profiles: Sequence[CameraProfile], cfa: CFA, *, quantise: bool) -> None:
    """Clip mosaics in place to the range of stored values of a camera, and round them to its bits.

    They stay normalised. Noise around black makes some values slightly negative; no value exceeds 1.

    Args:
        mosaics: normalised ``[B, 1, H, W]``, H and W even.
        profiles: levels of each picture's camera.
        cfa: the Bayer phase of the mosaics; those of the profiles are ignored.
        quantise: round to whole stored values; otherwise only clip.
    """
    black = mosaics.new_tensor([profile.black_level for profile in profiles])
    white = _column([profile.white_level for profile in profiles], mosaics)
    top = _column([min(profile.white_level, 2**profile.bits - 1) for profile in profiles], mosaics)
    if any(len(set(profile.black_level)) > 1 for profile in profiles):
        mosaics = mosaics[:, 0].unflatten(-2, (-1, 2))
        black = plane_rows(black[:, None], cfa, mosaics.shape[-1])
    else:
        black = black[:, :1, None, None]
    scale = white - black
    mosaics.mul_(scale).add_(black)
    if quantise:
        mosaics.round_()
    torch.minimum(mosaics.clamp_min_(0), top, out=mosaics)
    mosaics.sub_(black).div_(scale)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return like.new_tensor(values).view(-1, 1, 1, 1)
