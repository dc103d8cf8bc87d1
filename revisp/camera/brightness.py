"""Choose how bright a predicted RAW is stored, so that converters open it as bright as the photo.

The free converters ignore DNG's BaselineExposure. So the values themselves must be placed: as high as the
brightest of them allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import avg_pool2d

from revisp.camera.isp import apply_ccm, apply_gains, srgb_to_linear
from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import pack
from revisp.checks import check_image
from revisp.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Brightness", "match_brightness"]

OVEREXPOSED_FROM = 0.98
"""sRGB value from which a photo's pixel counts as overexposed: its light is not known."""

BLACK_LUMA = 0.001
"""Linear luma up to which a pixel is black, and tells nothing about brightness."""

KEPT_SHARE = 0.9999
"""Share of the pixels that keep their values below white. The few above it are specular reflections."""

MOST_SAMPLES = 2**18
"""Pixels, about, whose medians are compared; they lie on a grid."""

MOST_EV = 8.0
"""Greatest exposure in EV."""


@dataclass(frozen=True)
class Brightness:
    """How to brighten a RAW.

    Attributes:
        gain: EV by which the values are multiplied before they are stored, at least 0.
        rest: EV that remain to the photo's brightness: DNG's BaselineExposure.

    Example:
        >>> Brightness(gain=1.0).apply(torch.tensor([0.25, 0.75])).tolist()
        [0.5, 1.0]
    """

    gain: float = 0.0
    rest: float = 0.0

    def apply(self, raw: Tensor) -> Tensor:
        """Multiply normalised values (black 0, white 1) by the gain, and clip them at white."""
        return (raw * 2.0**self.gain).clamp_(max=1) if self.gain else raw


def match_brightness(raw: Tensor, srgb: Tensor, profile: CameraProfile) -> Brightness:
    """Return how to brighten a RAW so that it looks as bright as the photo.

    The medians of linear luma are compared, over pixels of the photo that are neither black nor overexposed; the
    RAW is developed by white balance and colour matrix alone. The gain is limited by the brightest values after
    white balance: they stay below white. So the headroom that a sensor has above the photo's white is kept as far
    as overexposed pixels need it, and no further.

    Args:
        raw: the mosaic ``[1, H, W]`` or demosaiced RAW ``[3, H, W]``, black 0, white 1.
        srgb: the photo ``[3, H, W]`` in [0, 1].
        profile: the camera of the RAW.

    Raises:
        ShapeError: RAW and photo are of different sizes.

    Example:
        >>> from revisp.camera.cameras import typical_profile
        >>> profile = typical_profile().replace(as_shot_neutral=(1, 1, 1))
        >>> grey = torch.full((3, 32, 48), 0.5)
        >>> found = match_brightness(torch.full((1, 32, 48), 0.0535), grey, profile)
        >>> round(found.gain, 2), round(found.rest, 2)
        (2.0, 0.0)
    """
    check_image(srgb, 3, "srgb")
    if raw.shape[-2:] != srgb.shape[-2:]:
        raise ShapeError(f"the RAW is {list(raw.shape)}, but the photo {list(srgb.shape)}")
    height, width = (size // 2 * 2 for size in raw.shape[-2:])
    raw_rgb = _halved(raw[..., :height, :width].float(), profile)
    balanced = apply_gains(raw_rgb, [gain / min(profile.gains) for gain in profile.gains])
    room = -math.log2(max(_quantile(balanced.amax(dim=0), KEPT_SHARE), 2.0**-MOST_EV))
    step = max(1, math.isqrt(height * width // 4 // MOST_SAMPLES))
    wanted = _difference(balanced[:, ::step, ::step], srgb[:, : height : 2 * step, : width : 2 * step], profile)
    gain = min(max(min(wanted, room), 0.0), MOST_EV)
    return Brightness(gain, min(max(wanted - gain, -MOST_EV), MOST_EV))


def _halved(raw: Tensor, profile: CameraProfile) -> Tensor:
    """Return demosaiced RAW ``[3, H/2, W/2]``: the mean of each 2x2 tile."""
    if raw.shape[-3] == 3:
        return avg_pool2d(raw, 2)
    red, green_red, green_blue, blue = pack(raw, profile.cfa)
    return torch.stack((red, (green_red + green_blue) / 2, blue))


def _difference(balanced: Tensor, srgb: Tensor, profile: CameraProfile) -> float:
    """Return by how many EV a photo's median luma exceeds that of balanced RAW; 0 if nothing can be compared."""
    weights = torch.tensor(SRGB_TO_XYZ[1], dtype=torch.float32, device=srgb.device).view(3, 1, 1)
    photo = (srgb_to_linear(srgb) * weights).sum(dim=0)
    raw = (apply_ccm(balanced, profile.camera_to_srgb) * weights).sum(dim=0)
    usable = (srgb.amax(dim=0) < OVEREXPOSED_FROM) & (photo > BLACK_LUMA) & (raw > 0)
    if not usable.any():
        return 0.0
    return math.log2(float(photo[usable].median()) / float(raw[usable].median()))


def _quantile(values: Tensor, share: float) -> float:
    """Return a quantile of any number of values (`torch.quantile` takes 16 million)."""
    flat = values.flatten()
    return float(flat.kthvalue(max(1, math.ceil(share * len(flat)))).values)
