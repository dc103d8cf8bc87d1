"""What a gain map's values mean: the fields that stand beside it.

Two standards say the same in other words: Adobe's *Gain Map Specification* 1.0 in XMP (namespace ``hdrgm``), which
*Ultra HDR Image Format* 1.1 uses, and ISO 21496-1:2025 in binary.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

__all__ = ["GainFields", "xmp_values"]

Array = np.ndarray[Any, Any]

HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
_SEVERAL, _COMMON_DENOMINATOR, _BACKWARD, _BASE_COLOURS = 0x80, 0x08, 0x04, 0x40
_MOST_EV = 64.0
"""Greatest gain of a map, in EV. Those of environments reach 16."""


@dataclass(frozen=True)
class GainFields:
    """In linear light, HDR = (SDR + offset_sdr) 2^L - offset_hdr; L = min (1 - g') + max g' with g' = g^(1/gamma).

    Attributes:
        minimum: L where the map's value g is 0, of one channel or three.
        maximum: L where g is 1.
        gamma: exponent that the map was stored by.
        offset_sdr: what is added to SDR light; its white is 1.
        offset_hdr: what is added to HDR light.
        headroom: EV above SDR white that the HDR rendition was made for.
        base_is_hdr: whether the picture with the map is the HDR rendition.
        several: whether the map has three channels; None: as many as its picture has.
        base_colours: whether the map holds for the primaries of the picture with the map, not of the other one.
    """

    minimum: Array
    maximum: Array
    gamma: Array
    offset_sdr: Array
    offset_hdr: Array
    headroom: float
    base_is_hdr: bool = False
    several: bool | None = None
    base_colours: bool = True

    @classmethod
    def of_names(cls, fields: Mapping[str, Any]) -> GainFields | None:
        """Take fields by their names in ``hdrgm``, without regard to case.

        Returns:
            None if GainMapMax is missing or a field is damaged.
        """
        known = {name.lower(): value for name, value in fields.items()}
        defaults = {"gainmapmin": 0, "gamma": 1, "offsetsdr": 1 / 64, "offsethdr": 1 / 64}
        names = ("gainmapmin", "gainmapmax", "gamma", "offsetsdr", "offsethdr")
        try:
            minimum, maximum, gamma, sdr, hdr = (_numbers(known.get(name, defaults.get(name))) for name in names)
            headroom = float(_numbers(known.get("hdrcapacitymax", maximum.max())).max())
        except (TypeError, ValueError):
            return None
        base_is_hdr = str(known.get("baserenditionishdr")).strip().lower() in ("true", "1")
        return cls(minimum, maximum, gamma, sdr, hdr, headroom, base_is_hdr)._checked()

    @classmethod
    def of_iso(cls, data: bytes) -> GainFields | None:
        """Read the metadata of ISO 21496-1, from its minimum version on; None if damaged or of a later version."""
        try:
            least, writer, flags = struct.unpack_from(">HHB", data)
            channels = 3 if flags & _SEVERAL else 1
            numbers, used = _fractions(data[5:], 2 + 5 * channels, common=bool(flags & _COMMON_DENOMINATOR))
        except (struct.error, ZeroDivisionError):
            return None
        if least or (not writer and used != len(data) - 5):  # what later versions add comes last
            return None
        base, other = numbers[:2]
        minimum, maximum, gamma, base_offset, other_offset = np.array(numbers[2:], np.float32).reshape(-1, 5).T
        hdr = bool(flags & _BACKWARD) or base > other
        return cls(
            minimum,
            maximum,
            gamma,
            offset_sdr=other_offset if hdr else base_offset,
            offset_hdr=base_offset if hdr else other_offset,
            headroom=max(base, other),
            base_is_hdr=hdr,
            several=channels == 3,
            base_colours=bool(flags & _BASE_COLOURS),
        )._checked()

    def log2(self, values: Array) -> Array:
        """Return L of the map's values in [0, 1], ``[..., 1 or 3]``, float32."""
        share = values if (self.gamma == 1).all() else values ** (1 / self.gamma)
        stops: Array = self.minimum + (self.maximum - self.minimum) * share
        return stops.astype(np.float32, copy=False)

    def to_hdr(self, sdr: Array, values: Array) -> Array:
        """Return HDR light of linear SDR ``[H, W, 3]`` and the map's values in [0, 1], ``[H, W, 1 or 3]``."""
        light: Array = (sdr + self.offset_sdr) * np.exp2(self.log2(values)) - self.offset_hdr
        return np.maximum(light, 0, dtype=np.float32)  # rounding of a black pixel

    def to_sdr(self, hdr: Array, values: Array) -> Array:
        """Return SDR light of linear HDR ``[H, W, 3]``; the inverse of `to_hdr`."""
        light: Array = (hdr + self.offset_hdr) * np.exp2(-self.log2(values)) - self.offset_sdr
        return np.clip(light, 0, 1, dtype=np.float32)

    def _checked(self) -> GainFields | None:
        """Return the fields if they make sense."""
        arrays = (self.minimum, self.maximum, self.gamma, self.offset_sdr, self.offset_hdr)
        sound = (
            all(each.size in (1, 3) and np.isfinite(each).all() for each in arrays)
            and np.isfinite(self.headroom)
            and (self.gamma > 0).all()
            and (self.maximum >= self.minimum).all()
            and max(np.abs(self.minimum).max(), np.abs(self.maximum).max()) <= _MOST_EV
        )
        return self if sound else None


def xmp_values(xmp: bytes | str | None, namespace: str) -> dict[str, Any]:
    """Return the fields of one namespace by name: a text each, or a list of texts; damaged XMP has none."""
    try:
        root = ElementTree.fromstring(_packet(xmp or b""))
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    prefix = f"{{{namespace}}}"
    fields: dict[str, Any] = {}
    for node in root.iter():
        fields |= {key[len(prefix) :]: value for key, value in node.attrib.items() if key.startswith(prefix)}
        if node.tag.startswith(prefix):
            items = [item.text for item in node.iter() if item.tag.endswith("}li")]
            fields[node.tag[len(prefix) :]] = items or node.text
    return fields


def _packet(xmp: bytes | str) -> bytes | str:
    """Return the XML between the wrapper and the padding of an XMP packet."""
    data = xmp.encode() if isinstance(xmp, str) else xmp
    found = re.search(rb"<(\w+:xmpmeta|\w+:RDF)\b.*</\1\s*>", data, re.DOTALL)
    return found.group() if found else xmp


def _numbers(value: Any) -> Array:
    """Return the numbers of a field: a number, a text of one or several, or a list of them.

    Raises:
        TypeError: there is none.
        ValueError: a text is not a number.
    """
    numbers: list[Any] = []
    for each in value if isinstance(value, list | tuple) else [value]:
        numbers += re.split(r"[\s,]+", each.strip()) if isinstance(each, str) else [each]
    return np.array([float(each) for each in numbers], np.float32)


def _fractions(data: bytes, count: int, *, common: bool) -> tuple[list[float], int]:
    """Return numbers of ISO 21496-1, and the bytes that they take; headrooms and gamma are unsigned.

    Raises:
        struct.error: the data are cut off.
        ZeroDivisionError: a denominator is zero.
    """
    letters = "II" + "iiIii" * ((count - 2) // 5)
    if common:  # of a draft of the standard, as libultrahdr writes it
        denominator, *tops = struct.unpack_from(f">I{letters}", data)
        return [top / denominator for top in tops], 4 + 4 * count
    pairs = struct.unpack_from(">" + "".join(f"{letter}I" for letter in letters), data)
    return [top / bottom for top, bottom in zip(pairs[::2], pairs[1::2], strict=True)], 8 * count
