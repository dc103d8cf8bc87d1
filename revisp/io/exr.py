"""Read OpenEXR pictures with any channel names, depths, primaries and parts."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.pixel_limit import check_pixels
from revisp.io.primaries import REC709, Primaries
from revisp.io.scene_light import StoredLight

__all__ = ["MAGIC", "read_exr"]

Array = np.ndarray[Any, Any]

MAGIC = b"v/1\x01"
"""First bytes of a file."""

_FIRST_LAYERS = ("combined", "beauty", "rgba", "rgb")
"""Preferred last names of layers if several have colours: renderers also store components of the light."""

_NOT_LINEAR = ("srgb_", "g18_", "g22_", "g24_", "g26_", "pq_", "hlg_", "data")
"""Prefixes of ``colorInteropID`` of colours that are not linear light."""

_lock = threading.Lock()


def read_exr(path: Path) -> StoredLight:
    """Read the first part that has colours: R, G, B; or Y with RY and BY; or Y alone, which becomes grey.

    Pixels outside the display window are left out. Colours are converted from the file's ``chromaticities``, or
    its ``colorInteropID``, to sRGB; ``adoptedNeutral`` becomes white. Alpha is ignored: RGB is light already.

    Raises:
        ImageError: the package OpenEXR is missing; or the file has no colours, deep pixels, a cube map or encoded
            colours, or is too large, cut off or damaged.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise ImageError(f'{path}: .exr files need the package OpenEXR: pip install "revisp[scenes]"') from error
    with decoding(path):
        return _read(OpenEXR, path)


def _read(library: Any, path: Path) -> StoredLight:
    parts = _open(library, path, header_only=True)
    for part in parts:
        _check(part.header, library, path)
    index, layer, names = _choose(parts, library, path)
    part = _open(library, path, header_only=False)[index]
    primaries, notes = _colours(part.header, library, path)
    pixels = _rgb({key: part.channels[name] for key, name in names.items()}, primaries)
    pixels = _in_display_window(pixels, part.header, path)
    if layer:
        notes.append(f"layer {layer} taken")
    if set(names) == {"Y"}:
        notes.append("luminance alone: grey")
    is_map = part.header.get("envmap") == library.ENVMAP_LATLONG
    if is_map:
        pixels = pixels[:, :-1]  # by definition it shows the same direction as the first column
    neutral = part.header.get("adoptedNeutral")
    white = primaries.white if neutral is None else (float(neutral[0]), float(neutral[1]))
    converts = not primaries.same(REC709._replace(white=white))
    return StoredLight(
        np.ascontiguousarray(pixels, np.float32),
        primaries.to_srgb(white) if converts else None,
        (*notes, "colours converted from the file's own primaries") if converts else tuple(notes),
        "equirectangular" if is_map else None,
    )


def _open(library: Any, path: Path, *, header_only: bool) -> list[Any]:
    """Return the parts of a file.

    The library raises no error if pixels are missing: it prints a warning and returns a file without parts.
    """
    with _silent() as said:
        try:
            parts: list[Any] = library.File(str(path), separate_channels=True, header_only=header_only).parts
        except Exception as error:  # RuntimeError or ValueError
            said.append(str(error))
            parts = []
    if not parts:
        reason = said[0].replace(f"{path}: ", "") if said else "no picture in it"
        raise ImageError(f"{path}: cut off or damaged ({reason})")
    return parts


@contextlib.contextmanager
def _silent() -> Iterator[list[str]]:
    """Capture the output of the library: warnings of Python, errors of its C core from the file descriptor.

    The context yields a list that holds the lines at the end.
    """
    lines: list[str] = []
    with _lock, tempfile.TemporaryFile() as file, contextlib.redirect_stdout(io.StringIO()) as printed:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines() + printed.getvalue().splitlines()


def _check(header: Any, library: Any, path: Path) -> None:
    """Refuse parts that are too large, and environments that are not lat-long maps."""
    (left, top), (right, bottom) = header["dataWindow"]
    width, height = int(right) - int(left) + 1, int(bottom) - int(top) + 1
    check_pixels(path, width, height)
    if header.get("envmap") == library.ENVMAP_CUBE:
        raise ImageError(f"{path}: a cube map: make a lat-long map of it, by exrenvmap -latlong of OpenEXR")


def _choose(parts: list[Any], library: Any, path: Path) -> tuple[int, str, dict[str, str]]:
    """Return the first part with colours, the layer that has them ("" for none), and their channels by colour."""
    found: list[str] = []
    for index, part in enumerate(parts):
        names = [channel.name for channel in part.header["channels"]]
        found += names
        if part.header.get("type") in (library.deepscanline, library.deeptile):
            continue
        layers = [(layer, chosen) for layer, chosen in _layers(names).items() if chosen]
        if layers:
            return (index, *min(layers, key=lambda entry: _rank(entry[0])))
    if any(part.header.get("type") in (library.deepscanline, library.deeptile) for part in parts):
        raise ImageError(f"{path}: deep pixels: flatten them first")
    shown = ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")
    raise ImageError(f"{path}: no colours in it: R, G and B, or Y, are needed, and its channels are {shown}")


def _rank(layer: str) -> tuple[bool, bool]:
    return layer != "", layer.rpartition(".")[2].lower() not in _FIRST_LAYERS


def _layers(names: list[str]) -> dict[str, dict[str, str]]:
    """Return the channels by colour of each layer; empty where a layer has no colours."""
    layers: dict[str, dict[str, str]] = {}
    for name in names:
        layer, _, last = name.rpartition(".")
        colour = {"RED": "R", "GREEN": "G", "BLUE": "B"}.get(last.upper(), last.upper())
        layers.setdefault(layer, {})[colour] = name
    wanted = (("R", "G", "B"), ("Y", "RY", "BY"), ("Y",))
    return {
        layer: next(({c: found[c] for c in colours} for colours in wanted if found.keys() >= set(colours)), {})
        for layer, found in layers.items()
    }


def _colours(header: Any, library: Any, path: Path) -> tuple[Primaries, list[str]]:
    """Return the primaries of a part; without a statement those of sRGB, as the format defines."""
    notes = [f"white is {header['whiteLuminance']:g} cd/m2"] if "whiteLuminance" in header else []
    name = header.get("colorInteropID", "")
    if name.startswith(_NOT_LINEAR):
        raise ImageError(f"{path}: its colours are {name}, not linear light")
    numbers = header.get("chromaticities")
    if numbers is None and name and hasattr(library, "colorInteropIDToChromaticities"):  # since 3.5
        numbers = library.colorInteropIDToChromaticities(name)
    return (numbers is not None and Primaries.of(numbers)) or REC709, notes


def _rgb(channels: dict[str, Any], primaries: Primaries) -> Array:
    """Return ``[H, W, 3]`` of R, G, B, of Y, RY, BY, or of Y."""
    if "R" in channels:
        return np.stack([channels[name].pixels.astype(np.float32) for name in "RGB"], axis=-1)
    y = channels["Y"].pixels.astype(np.float32)
    if "RY" not in channels:
        return np.stack([y] * 3, axis=-1)
    red, blue = (y * (1 + _spread(channels[name], *y.shape)) for name in ("RY", "BY"))
    weights = primaries.to_xyz()[1].astype(np.float32)
    green = (y - weights[0] * red - weights[2] * blue) / weights[1]
    return np.stack([red, green, blue], axis=-1)


def _spread(channel: Any, height: int, width: int) -> Array:
    """Interpolate a channel that has samples only at every n-th row and column linearly to all pixels."""
    plane = channel.pixels.astype(np.float32)
    for axis, size, step in ((0, height, channel.ySampling), (1, width, channel.xSampling)):
        place = np.minimum(np.arange(size) / step, plane.shape[axis] - 1)
        first = place.astype(int)
        share = np.expand_dims((place - first).astype(np.float32), 1 - axis)
        after = np.minimum(first + 1, plane.shape[axis] - 1)
        plane = np.take(plane, first, axis) * (1 - share) + np.take(plane, after, axis) * share
    return plane


def _in_display_window(pixels: Array, header: Any, path: Path) -> Array:
    (left, top), (right, bottom) = header["dataWindow"]
    (x, y), (end_x, end_y) = header["displayWindow"]
    inside = pixels[
        max(0, y - top) : min(bottom, end_y) - top + 1, max(0, x - left) : min(right, end_x) - left + 1
    ]
    if not inside.size:
        raise ImageError(f"{path}: no pixels in its display window")
    return inside
