"""HDR renditions of scenes, and the gain maps that lead to them from a photo.

A gain map tells by how many EV the HDR rendition of a scene is brighter than the photo. Some HDR renditions are
linear to the scene, as those of converters. Those of phones equal the photo up to mid grey, leave it where its
tone curve bends, and end a few EV above its white.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.draw import Draw
from revisp.camera.isp import srgb_to_linear
from revisp.camera.scene_rendering import MID_GREY

__all__ = ["BLACK", "HDRRendition", "random_hdr_rendition", "unmix_clipped"]

BLACK = 1 / 64
"""Light, the photo's white 1, that is added before gains are taken: the offset of most writers of gain maps."""

LINEAR_SHARE = 0.5
"""Share of the renditions that are linear to the scene."""

LEVEL_EV = ((-1.5, 1.0), (-0.5, 0.3))
"""EV of mid grey above the photo's: of linear renditions, and of phones'. Of 14 photos by ten writers whose map
was looked at, those by phones have gains of 0 up to an sRGB value of 0.6, and of 0.9 to 2.4 EV at 0.95."""

CONTRAST, HEADROOM_EV = (0.9, 1.6), (1.2, 4.5)
"""Of phones' renditions: factor of EV above mid grey, and where they end. The 14 photos end 1.3 to 3.9 EV above
their white."""

KNEE = 4.0
"""How sharply a rendition ends."""

SMALLER, EIGHT_BITS = (1, 2, 4), 0.7
"""How much smaller than the photo a map can be, and the share of the maps that are stored in 8 bits."""

CLIPPED, NEAR_WHITE = 0.98, 0.8
"""sRGB values: of the darkest channel from which a pixel is clipped, and of the brightest above which it is near
white."""

LEAST_COVER = 0.02
"""Squared share of clipped pixels among those that a place of a small map is the mean of, from which it tells of
them."""

ANCHOR_EV = 0.1
"""Deviation of the error with which a photo tells its gain at mid grey."""


@dataclass(frozen=True)
class HDRRendition:
    """How the HDR rendition of a scene is made and stored as a gain map.

    Attributes:
        level: EV of mid grey above the photo's.
        contrast: factor of the EV above mid grey.
        headroom: EV above the photo's white where it ends; infinite: nowhere.
        least: least gain in EV; minus infinity: none.
        smaller: the factor by which the map is smaller than the photo.
        eight_bits: whether the map is stored in 8 bits.

    Example:
        >>> scene = torch.full((3, 8, 8), 2.88)  # four EV above mid grey
        >>> HDRRendition().above_mid_grey(scene, torch.ones(3, 8, 8)).mean().round(decimals=2)
        tensor(1.5100)
    """

    level: float = 0.0
    contrast: float = 1.0
    headroom: float = math.inf
    least: float = -math.inf
    smaller: int = 1
    eight_bits: bool = False

    def above_mid_grey(self, light: Tensor, photo: Tensor) -> Tensor:
        """Return the gain map of a photo, less the gain at mid grey, as `revisp.io.GainMap.above_mid_grey` does.

        Args:
            light: the scene as the sensor holds it, ``[3, H, W]``, mid grey 0.18.
            photo: its rendering as a photo, sRGB ``[3, H, W]`` in [0, 1].

        Returns:
            EV ``[1, H, W]``.
        """
        mean = light.mean(dim=-3, keepdim=True).clamp_min(0)
        bright = MID_GREY * (mean / MID_GREY).clamp_min(1) ** self.contrast
        hdr = torch.where(mean > MID_GREY, bright, mean) * 2.0**self.level
        if math.isfinite(self.headroom):
            hdr = hdr / (1 + (hdr / 2.0**self.headroom) ** KNEE) ** (1 / KNEE)
        shown = srgb_to_linear(photo).mean(dim=-3, keepdim=True)
        return self._stored(_gain(hdr, shown).clamp_min(self.least), photo) - self.at_mid_grey

    @property
    def at_mid_grey(self) -> float:
        """The gain of what is mid grey in scene and photo, in EV."""
        grey = torch.tensor(MID_GREY, dtype=torch.float64)
        return max(float(_gain(grey * 2.0**self.level, grey)), self.least)

    def _stored(self, stops: Tensor, photo: Tensor) -> Tensor:
        """Return a map as it is read from the photo's file."""
        size = stops.shape[-2:]
        small = (max(1, size[0] // self.smaller), max(1, size[1] // self.smaller))
        values = F.adaptive_avg_pool2d(stops[None], small)
        if self.eight_bits:
            low, high = values.amin(), values.amax()
            values = low + (high - low) * ((values - low) / (high - low).clamp_min(1e-6) * 255).round() / 255
        large = F.interpolate(values, (size[0], size[1]), mode="bilinear", align_corners=False)[0]
        return unmix_clipped(large, values[0], photo)


def unmix_clipped(stops: Tensor, small: Tensor, photo: Tensor) -> Tensor:
    """Tell the gain of clipped pixels apart from that of the pixels beside them, with which a small map mixes it.

    Each place of a small map is the mean of some pixels, of which a share f is clipped: f c + (1 - f) u, with
    their gain c and that of pixels just below white, u. By least squares over the places around a pixel, c is the
    sum of f (mean - (1 - f) u) over that of f².

    Args:
        stops: the map in EV, enlarged to the photo's size, ``[1, H, W]``.
        small: the map as it is stored, in EV, ``[1, h, w]``.
        photo: sRGB ``[3, H, W]`` in [0, 1].

    Returns:
        The map in EV ``[1, H, W]``, changed at clipped pixels alone.

    Example:
        >>> photo = torch.full((3, 8, 8), 0.9)
        >>> photo[..., 5:] = 1.0
        >>> truth = torch.where(photo[:1] == 1, 3.0, 0.5)
        >>> small = F.adaptive_avg_pool2d(truth, 2)
        >>> unmix_clipped(F.interpolate(small[None], 8, mode="bilinear")[0], small, photo).max() > 2.5
        tensor(True)
    """
    clipped = (photo.amin(dim=0, keepdim=True) >= CLIPPED).to(stops)
    size = (photo.shape[-2], photo.shape[-1])
    if small.shape[-2] >= size[0] or not bool(clipped.any()):
        return stops
    near = stops[(photo.amax(dim=0, keepdim=True) > NEAR_WHITE) & (clipped == 0)]
    beside = near.median() if near.numel() else stops.new_zeros(())
    share = F.adaptive_avg_pool2d(clipped[None], (small.shape[-2], small.shape[-1]))
    told, cover = (
        F.interpolate(x, size, mode="bilinear", align_corners=False)[0]
        for x in (share * (small[None] - (1 - share) * beside), share.square())
    )
    return torch.where((clipped == 1) & (cover > LEAST_COVER), told / cover.clamp_min(LEAST_COVER), stops)


def random_hdr_rendition(generator: torch.Generator) -> tuple[HDRRendition, float]:
    """Draw an HDR rendition, and the error in EV with which its gain at mid grey is known.

    Args:
        generator: source of randomness, on the CPU.

    Example:
        >>> rendition, error = random_hdr_rendition(torch.Generator().manual_seed(0))
        >>> rendition.smaller in (1, 2, 4), abs(error) < 1
        (True, True)
    """
    draw = Draw(generator)
    linear = draw.uniform(0, 1) < LINEAR_SHARE
    rendition = HDRRendition(
        level=draw.uniform(*LEVEL_EV[0 if linear else 1]),
        contrast=1.0 if linear else draw.uniform(*CONTRAST),
        headroom=math.inf if linear else draw.uniform(*HEADROOM_EV),
        least=-math.inf if linear else 0.0,
        smaller=draw.choice(SMALLER),
        eight_bits=draw.uniform(0, 1) < EIGHT_BITS,
    )
    return rendition, draw.normal(0, ANCHOR_EV)


def _gain(hdr: Tensor, shown: Tensor) -> Tensor:
    return ((hdr + BLACK) / (shown + BLACK)).log2()
