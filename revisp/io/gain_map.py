"""HDR pictures stored as an ordinary picture and a gain map.

`GainFields` has the formula and its fields. They stand in the map where both pictures are one JPEG, or in a JSON
file beside the two, as ``gainmap-js`` writes environments: ``NAME.webp``, ``NAME-gainmap.webp``, ``NAME.json``.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import TypeAdapter

from revisp.camera.isp import srgb_to_linear
from revisp.errors import ImageError
from revisp.io.apple_gain import AppleGain
from revisp.io.boundary import decoding
from revisp.io.containers.jpeg import SIGNATURE, parse_jpeg
from revisp.io.gain_fields import HDRGM, GainFields
from revisp.io.jpeg_gain import find_jpeg_gain
from revisp.io.photo import decode_srgb, read_srgb
from revisp.io.pixel_limit import check_pixels, pixel_limit
from revisp.io.scene_light import StoredLight
from revisp.schema import Json, Text, parse_file, validated

__all__ = ["gain_map_beside", "has_gain_map", "read_gain_map", "read_gain_map_jpeg"]

Array = np.ndarray[Any, Any]

_MARKS = (HDRGM.encode(), b"urn:iso:std:iso:ts:21496:-1")
"""What the head of a JPEG with a gain map holds, by Adobe and by ISO."""

_ENDINGS = (".webp", ".jpg", ".jpeg", ".png")
_ROWS = 256
"""Rows that are combined at once: the intermediate values of all would take several times the picture's memory."""

_FIELDS = TypeAdapter(dict[Text, Json])

_RENDERED_EV = 6.0
"""Maps of photos rendered for displays hold up to about 4 EV; those of environments 10 to 16."""


def has_gain_map(data: bytes) -> bool:
    """Whether a file that begins so is a JPEG that says it has a gain map."""
    return data.startswith(SIGNATURE) and any(mark in data for mark in _MARKS)


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
    with decoding(described, "not the description of a gain map"):
        values = parse_file(described)
    fields = validated(_FIELDS, values, f"{described}: not the description of a gain map", ImageError)
    meaning = _of_sdr(GainFields.of_names(fields), described)
    return _combine(read_srgb(path), file.read_bytes(), meaning, path)


def read_gain_map_jpeg(data: bytes, path: Path) -> StoredLight:
    """Decode a JPEG that holds its gain map as a second one.

    Raises:
        ImageError: no second one with the fields of a map, or damaged.
    """
    first = parse_jpeg(data)
    found = None if first is None else find_jpeg_gain(data, first)
    if found is None or isinstance(found.meaning, AppleGain):
        raise ImageError(f"{path}: says that it has a gain map, but holds none, or none with its fields")
    return _combine(decode_srgb(data, path), data[found.at :], _of_sdr(found.meaning, path), path)


def _of_sdr(meaning: GainFields | None, path: Path) -> GainFields:
    """Return the fields of a map that goes from SDR to HDR.

    Raises:
        ImageError: they are damaged, or the map goes from HDR to SDR.
    """
    if meaning is None:
        raise ImageError(f"{path}: the fields of its gain map are incomplete or damaged")
    if meaning.base_is_hdr:
        raise ImageError(f"{path}: its gain map goes from HDR to SDR, which is not supported")
    return meaning


def _combine(srgb: Any, stored: bytes, meaning: GainFields, path: Path) -> StoredLight:
    with decoding(path, "its gain map is damaged"), pixel_limit(), Image.open(io.BytesIO(stored)) as image:
        check_pixels(path, *image.size)
        height, width = srgb.shape[-2:]
        shown = image if image.mode in ("L", "RGB") else image.convert("RGB")
        values = np.asarray(shown.resize((width, height), Image.Resampling.BILINEAR))
    values = values.reshape(height, width, -1)
    light = np.empty((height, width, 3), np.float32)
    for top in range(0, height, _ROWS):
        rows = slice(top, top + _ROWS)
        sdr = srgb_to_linear(srgb[:, rows]).permute(1, 2, 0).numpy()
        light[rows] = meaning.to_hdr(sdr, values[rows].astype(np.float32) / 255)
    notes = [f"gain map of up to {meaning.maximum.max():.1f} EV"]
    if meaning.maximum.max() < _RENDERED_EV:
        notes.append("a photo rendered for HDR displays, not the light of the scene")
    return StoredLight(light, None, tuple(notes))


def _without_size(stem: str) -> str:
    return re.sub(r"[_-]\d+k$", "", stem)
