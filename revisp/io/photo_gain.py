"""Gain maps of photos: how far each pixel of the HDR rendition is above the photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.hdr_rendition import BLACK, unmix_clipped
from revisp.camera.isp import apply_ccm, srgb_to_linear
from revisp.camera.scene_rendering import MID_GREY
from revisp.checks import check_image, check_same_size

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GainMap", "Meaning"]

Array = np.ndarray[Any, Any]

_CLIPPED = 0.98
_NEAR_EV, _LEAST_NEAR = 0.5, 64
"""Distance from mid grey of the pixels that tell the gain there, and the least number of them; if there are fewer,
the nearest tell it."""

_ROWS = 256
_SAMPLES = 1 << 20
"""Most pixels that the gain at mid grey is taken from."""


class Meaning(Protocol):
    """What the values of a map mean: `GainFields` or `AppleGain`."""

    @property
    def headroom(self) -> float:
        """EV above SDR white."""

    @property
    def several(self) -> bool | None:
        """Whether the map has three channels; None: as many as its picture has."""

    @property
    def base_is_hdr(self) -> bool:
        """Whether the picture with the map is the HDR rendition."""

    @property
    def offset_sdr(self) -> Array:
        """What is added to SDR light."""

    @property
    def offset_hdr(self) -> Array:
        """What is added to HDR light."""

    def log2(self, values: Array) -> Array:
        """Return the log2 gain of values in [0, 1]."""


@dataclass(frozen=True)
class GainMap:
    """The gain map of a photo: HDR = (SDR + offset_sdr) 2^log2 - offset_hdr, in linear light whose SDR white is 1.

    Attributes:
        values: the map as stored, ``[1 or 3, h, w]`` in [0, 1], upright; mostly smaller than the photo.
        meaning: what the values mean.
        size: height and width of the photo.
        origin: what stored it: ``"ISO 21496-1"``, ``"Ultra HDR"``, ``"Apple"``.
        to_srgb: matrix to linear sRGB from the colours that a map of three channels is for.

    Example:
        >>> photo = revisp.io.read_photo("photo.jpg")  # doctest: +SKIP
        >>> photo.gain.headroom, photo.gain.log2.shape  # doctest: +SKIP
        (2.99, torch.Size([1, 3072, 4080]))
    """

    values: Tensor
    meaning: Meaning
    size: tuple[int, int]
    origin: str
    to_srgb: Sequence[Sequence[float]] | None = field(default=None, repr=False)

    @property
    def headroom(self) -> float:
        """EV above SDR white that the HDR rendition was made for."""
        return self.meaning.headroom

    @property
    def offset_sdr(self) -> Tensor:
        """What is added to the photo's linear light, ``[1 or 3, 1, 1]``."""
        return torch.from_numpy(self.meaning.offset_sdr).view(-1, 1, 1)

    @property
    def offset_hdr(self) -> Tensor:
        """What is taken from the HDR rendition's light, ``[1 or 3, 1, 1]``."""
        return torch.from_numpy(self.meaning.offset_hdr).view(-1, 1, 1)

    @cached_property
    def log2(self) -> Tensor:
        """Log2 gain in EV, float32 ``[1 or 3, H, W]`` of the photo's size.

        The stored values are interpolated before the formula is applied, as Android's *Ultra HDR* 1.1 asks for.
        """
        values = self.values[None]
        if values.shape[-2:] != self.size:
            smaller = self.size[0] < values.shape[-2]
            values = F.interpolate(values, self.size, mode="bilinear", align_corners=False, antialias=smaller)
        stops = self.meaning.log2(values[0].permute(1, 2, 0).numpy())
        return torch.from_numpy(np.ascontiguousarray(stops.transpose(2, 0, 1)))

    def hdr(self, srgb: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return the HDR rendition of the photo: linear sRGB ``[3, H, W]``, SDR white 1, not clipped above.

        Args:
            srgb: the photo, ``[3, H, W]``, or some of its rows.
            rows: which rows these are.

        Raises:
            ShapeError: it is another photo, or a part that is not these rows.
        """
        log2 = self.log2[:, rows]
        check_image(srgb, 3, "srgb")
        check_same_size(srgb, log2, ("srgb", "the photo of this gain map"))
        light = srgb_to_linear(srgb)
        matrix = None if self.to_srgb is None or len(log2) == 1 else np.asarray(self.to_srgb)
        if matrix is not None:
            light = apply_ccm(light, np.linalg.inv(matrix))
        light = (light + self.offset_sdr) * torch.exp2(log2) - self.offset_hdr
        return (light if matrix is None else apply_ccm(light, matrix)).clamp_min(0)

    def above_mid_grey(self, srgb: Tensor) -> Tensor:
        """Return by how many EV the HDR rendition is brighter than the photo, less that at mid grey.

        HDR renditions differ in their level, which says nothing of the scene; relative to mid grey they agree.
        This is what networks see of a gain map.

        Args:
            srgb: the photo, ``[3, H, W]``.

        Returns:
            EV ``[1, H, W]``, of the mean of the channels. Crop it as you crop the photo.

        Raises:
            ShapeError: it is another photo, or a part of this one.
        """
        check_image(srgb, 3, "srgb")
        check_same_size(srgb, self.log2, ("srgb", "the photo of this gain map"))
        step = max(1, round((srgb[0].numel() / _SAMPLES) ** 0.5))
        stops, shown = torch.empty_like(srgb[:1]), torch.empty_like(srgb[0])
        for top in range(0, srgb.shape[-2], _ROWS):
            rows = slice(top, top + _ROWS)
            seen = srgb[:, rows]
            shown[rows] = srgb_to_linear(seen).mean(dim=0)
            stops[0, rows] = ((self.hdr(seen, rows).mean(dim=0) + BLACK) / (shown[rows] + BLACK)).log2()
        here = (slice(None, None, step), slice(None, None, step))
        unclipped = (srgb[:, *here].amax(dim=0) < _CLIPPED) & (shown[here] > 0)
        distance = (shown[here][unclipped] / MID_GREY).log2().abs()
        grey = stops.new_zeros(())
        if distance.numel():
            nearest = float(distance.kthvalue(min(_LEAST_NEAR, distance.numel())).values)
            grey = stops[0][here][unclipped][distance <= max(_NEAR_EV, nearest)].median()
        small = torch.from_numpy(self.meaning.log2(self.values.permute(1, 2, 0).numpy())).mean(dim=-1)
        return unmix_clipped(stops, small[None], srgb) - grey
