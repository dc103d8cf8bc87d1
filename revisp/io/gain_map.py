"""HDR pictures stored as an ordinary picture and a gain map.

In linear light, HDR = (SDR + k_sdr) 2^(min (1 - g') + max g') - k_hdr, where g' = g^(1/gamma) of the map's values
g: Adobe's *Gain Map Specification* 1.0, with the fields of its namespace ``hdrgm``. They stand in the map's XMP
where both pictures are one JPEG (Ultra HDR), or in a JSON file beside the two, as ``gainmap-js`` writes
environments: ``NAME.webp``, ``NAME-gainmap.webp``, ``NAME.json``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from revisp.camera.isp import srgb_to_linear
from revisp.errors import ImageError
from revisp.io.photo import decode_srgb, read_srgb
from revisp.io.pixel_limit import pixel_limit
from revisp.io.scene_light import StoredLight

__all__ = ["gain_map_beside", "has_gain_map", "read_gain_map", "read_gain_map_jpeg"]

Array = np.ndarray[Any, Any]

_NAMESPACE = "http://ns.adobe.com/hdr-gain-map/1.0/"
_JPEG = b"\xff\xd8\xff"
_ENDINGS = (".webp", ".jpg", ".jpeg", ".png")
_ROWS = 256
"""Rows that are combined at once: the intermediate values of all would take several times the picture's memory."""

_RENDERED_EV = 6.0
"""Maps of photos rendered for displays hold up to about 4 EV; those of environments 10 to 16."""


@dataclass(frozen=True)
class _Gain:
    """The fields of a map, each a number or three."""

    maximum: Array
    minimum: Array
    gamma: Array
    offset_sdr: Array
    offset_hdr: Array

    @classmethod
    def of(cls, fields: Mapping[str, Any], path: Path) -> _Gain:
        """Take fields by their names in ``hdrgm``, without regard to case.

        Raises:
            ImageError: GainMapMax is missing, or a field is no number.
        """
        known = {name.lower(): value for name, value in fields.items()}
        if str(known.get("baserenditionishdr", "false")).lower() == "true":
            raise ImageError(f"{path}: its gain map leads from HDR to SDR, which is not supported")
        defaults = {"gainmapmin": 0, "gamma": 1, "offsetsdr": 1 / 64, "offsethdr": 1 / 64}
        names = ("gainmapmax", "gainmapmin", "gamma", "offsetsdr", "offsethdr")
        try:
            values = [np.array(known.get(name, defaults.get(name)), np.float32) for name in names]
        except (TypeError, ValueError):
            values = []
        if not values or any(value.size not in (1, 3) or not np.isfinite(value).all() for value in values):
            raise ImageError(f"{path}: the fields of its gain map are incomplete or damaged")
        return cls(*values)

    def apply(self, sdr: Array, gain: Array) -> Array:
        """Return HDR of linear SDR ``[H, W, 3]`` and the map's values in [0, 1], ``[H, W, 1 or 3]``."""
        share = gain if (self.gamma == 1).all() else gain ** (1 / self.gamma)
        stops = self.minimum + (self.maximum - self.minimum) * share
        light: Array = (sdr + self.offset_sdr) * np.exp2(stops) - self.offset_hdr
        return np.maximum(light, 0, dtype=np.float32)  # rounding of a black pixel


def has_gain_map(data: bytes) -> bool:
    """Whether a file that begins so is a JPEG that says it has an Adobe gain map."""
    return data.startswith(_JPEG) and _NAMESPACE.encode() in data


def gain_map_beside(path: Path) -> tuple[Path, Path] | None:
    """Return the gain map and the JSON file beside a picture, or None where it has none.

    The JSON file may leave out or change the picture's size: ``road_4k.json`` beside ``road_8k.webp``.
    """
    maps = [path.with_name(f"{path.stem}-gainmap{ending}") for ending in _ENDINGS]
    found = next((file for file in maps if file.is_file()), None)
    if found is None or path.suffix.lower() not in _ENDINGS:
        return None
    exact = path.with_suffix(".json")
    scene = _without_size(path.stem)
    near = [file for file in sorted(path.parent.glob("*.json")) if _without_size(file.stem) == scene]
    fields = [exact] if exact.is_file() else near
    return (found, fields[0]) if len(fields) == 1 else None


def read_gain_map(path: Path) -> StoredLight:
    """Read a picture that has a gain map and a JSON file beside it.

    Raises:
        ImageError: it has none, or a file is damaged.
    """
    beside = gain_map_beside(path)
    if beside is None:
        raise ImageError(f"{path}: no gain map ({path.stem}-gainmap) with a JSON file beside it")
    file, described = beside
    try:
        fields = json.loads(described.read_text())
    except (OSError, ValueError) as error:
        raise ImageError(f"{described}: cannot be read as JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ImageError(f"{described}: not the description of a gain map")
    return _combine(read_srgb(path), file.read_bytes(), _Gain.of(fields, described), path)


def read_gain_map_jpeg(data: bytes, path: Path) -> StoredLight:
    """Decode a JPEG that holds its gain map as a second one.

    Raises:
        ImageError: no second one with the fields of a map, or damaged.
    """
    for start in [match.start() for match in re.finditer(_JPEG, data)][1:]:
        try:
            with Image.open(io.BytesIO(data[start:]), formats=("JPEG",)) as image:
                fields = _fields(image.info.get("xmp", b""))
        except OSError:
            continue
        if "GainMapMax" in fields:
            return _combine(decode_srgb(data, path), data[start:], _Gain.of(fields, path), path)
    raise ImageError(f"{path}: says that it has a gain map, but holds none, or none by Adobe's XMP")


def _combine(srgb: Any, stored: bytes, gain: _Gain, path: Path) -> StoredLight:
    try:
        with pixel_limit(), Image.open(io.BytesIO(stored)) as image:
            height, width = srgb.shape[-2:]
            shown = image if image.mode in ("L", "RGB") else image.convert("RGB")
            values = np.asarray(shown.resize((width, height), Image.Resampling.BILINEAR))
    except (OSError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: its gain map is damaged ({error})") from error
    values = values.reshape(height, width, -1)
    light = np.empty((height, width, 3), np.float32)
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        sdr = srgb_to_linear(srgb[:, rows]).permute(1, 2, 0).numpy()
        light[rows] = gain.apply(sdr, values[rows].astype(np.float32) / 255)
    notes = [f"gain map of up to {gain.maximum.max():.1f} EV"]
    if gain.maximum.max() < _RENDERED_EV:
        notes.append("a photo rendered for HDR displays, not the light of the scene")
    return StoredLight(light, None, tuple(notes))


def _fields(xmp: bytes | str) -> dict[str, Any]:
    """Return the fields of a gain map by name, of one number or of three."""
    try:
        root = ElementTree.fromstring(xmp)
    except ElementTree.ParseError:
        return {}
    prefix = f"{{{_NAMESPACE}}}"
    fields: dict[str, Any] = {}
    for node in root.iter():
        fields |= {key[len(prefix) :]: value for key, value in node.attrib.items() if key.startswith(prefix)}
        if node.tag.startswith(prefix):
            items = [item.text for item in node.iter() if item.tag.endswith("}li")]
            fields[node.tag[len(prefix) :]] = items or node.text
    return fields


def _without_size(stem: str) -> str:
    return re.sub(r"[_-]\d+k$", "", stem)
