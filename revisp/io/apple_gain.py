"""Apple's gain maps: HDR = SDR (1 + (headroom - 1) g), of the map's linear values g.

Source: Apple, *Applying Apple HDR effect to your photos*, developer.apple.com. The map is stored by the curve of
Rec. 709. Newer files state their headroom in the map's XMP, as a ratio; others in two fields of the maker note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from revisp.io.containers.damage import DamagedError
from revisp.io.containers.tiff import DirectoryReader
from revisp.io.exif import Exif
from revisp.io.gain_fields import xmp_values
from revisp.io.transfer import rec709_to_linear

__all__ = ["APPLE_AUXILIARY", "AppleGain", "apple_headroom", "is_apple_map"]

Array = np.ndarray[Any, Any]

APPLE_AUXILIARY = "urn:com:apple:photo:2020:aux:hdrgainmap"
"""Kind of the auxiliary picture."""

_GAIN_NAMESPACE = "http://ns.apple.com/HDRGainMap/1.0/"
_PIXEL_NAMESPACE = "http://ns.apple.com/pixeldatainfo/1.0/"
_MAKER_NOTE, _HEADROOM, _GAIN = 0x927C, 0x21, 0x30
_SIGNATURE = b"Apple iOS\0"
_MOST = 64.0
"""Greatest ratio of HDR to SDR white that is taken for a headroom."""


@dataclass(frozen=True)
class AppleGain:
    """What the values of an Apple gain map mean.

    Attributes:
        ratio: HDR light of SDR white where the map is 1, at least 1.
    """

    ratio: float
    offset_sdr = np.zeros(1, np.float32)
    offset_hdr = np.zeros(1, np.float32)
    several = False
    base_is_hdr = False

    @property
    def headroom(self) -> float:
        """EV above SDR white."""
        return math.log2(self.ratio)

    def log2(self, values: Array) -> Array:
        """Return the log2 gain of the map's values in [0, 1], float32."""
        return np.log2(1 + (self.ratio - 1) * rec709_to_linear(values), dtype=np.float32)


def is_apple_map(xmp: bytes | None) -> bool:
    """Whether the XMP of a picture in a JPEG says that it is Apple's gain map."""
    if xmp is None or b"HDRGainMap" not in xmp:
        return False
    stated = xmp_values(xmp, _PIXEL_NAMESPACE).get("AuxiliaryImageType")
    return stated == APPLE_AUXILIARY or "HDRGainMapVersion" in xmp_values(xmp, _GAIN_NAMESPACE)


def apple_headroom(xmp: bytes | None, exif: Exif) -> float | None:
    """Return the ratio of HDR to SDR white: of the map's XMP, else of the photo's maker note.

    None without one, or if it is beyond any display.
    """
    try:
        stated = float(xmp_values(xmp, _GAIN_NAMESPACE)["HDRGainMapHeadroom"])
    except (KeyError, TypeError, ValueError):
        stated = 0.0
    if 1 <= stated <= _MOST:
        return stated
    fields = _maker_note(exif.photo.get(_MAKER_NOTE))
    headroom, gain = fields.get(_HEADROOM), fields.get(_GAIN)
    if headroom is None or gain is None:
        return None
    if headroom < 1:
        stops = 1.8 - 20 * gain if gain <= 0.01 else 1.601 - 0.101 * gain
    else:
        stops = 3.0 - 70 * gain if gain <= 0.01 else 2.303 - 0.303 * gain
    return float(2 ** max(stops, 0.0)) if stops <= math.log2(_MOST) else None


def _maker_note(note: Any) -> dict[int, float]:
    """Return the numbers of Apple's maker note, a directory whose places are counted from its first byte."""
    if not isinstance(note, bytes) or not note.startswith(_SIGNATURE) or len(note) < 14:
        return {}
    order = {b"II": "<", b"MM": ">"}.get(note[12:14])
    if order is None:
        return {}
    try:
        directory = DirectoryReader(note, order=(order, 14)).read(14)
    except DamagedError:
        return {}
    found = {tag: value[0] for tag, value in directory.items() if isinstance(value, tuple) and value}
    return {tag: float(value) for tag, value in found.items() if value is not None and math.isfinite(value)}
