"""Writers of small scene files, by the descriptions of the formats alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def rgbe(light: Array) -> Array:
    """Return mantissas and exponents ``[H, W, 4]`` as Radiance makes them: the rest is cut off."""
    brightest = light.max(axis=-1)
    exponent = np.frexp(brightest)[1]
    mantissas = np.floor(light * np.exp2(8.0 - exponent)[..., None])
    lit = brightest > 1e-32
    return np.dstack([mantissas * lit[..., None], np.where(lit, exponent + 128, 0)]).astype(np.uint8)


def coded(quads: Array) -> bytes:
    """Code scanlines channel by channel, as today's writers."""
    data = b""
    for row in quads:
        data += bytes([2, 2, len(row) >> 8, len(row) & 255])
        for channel in row.T:
            start = 0
            while start < len(channel):
                end = start
                while end < len(channel) and end - start < 127 and channel[end] == channel[start]:
                    end += 1
                if end - start > 2:
                    data += bytes([128 + end - start, channel[start]])
                else:
                    end = min(start + 5, len(channel))
                    data += bytes([end - start]) + channel[start:end].tobytes()
                start = end
    return data


def uncoded(quads: Array) -> bytes:
    """Store pixels as they are."""
    return quads.tobytes()


def coded_long_ago(quads: Array) -> bytes:
    """Code repeated pixels of each scanline as 1, 1, 1, number."""
    data = b""
    for row in quads:
        start = 0
        while start < len(row):
            end = start + 1
            while end < len(row) and (row[end] == row[start]).all():
                end += 1
            data += row[start].tobytes()
            rest = end - start - 1
            while rest:
                data += bytes([1, 1, 1, rest & 255])
                rest >>= 8
            start = end
    return data


def write_hdr(path: Path, body: bytes, size: str, *lines: str, kind: str = "32-bit_rle_rgbe") -> Path:
    """Write a Radiance file of coded pixels, its resolution string, and further lines of its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = "\n".join(["#?RADIANCE", *lines, f"FORMAT={kind}"])
    path.write_bytes(f"{header}\n\n{size}\n".encode() + body)
    return path


def write_exr(
    path: Path,
    channels: dict[str, Array],
    *attributes: tuple[str, str, bytes],
    steps: dict[str, int] | None = None,
    corner: tuple[int, int] = (0, 0),
    display: tuple[int, int, int, int] | None = None,
) -> Path:
    """Write an OpenEXR file of uncompressed scanlines.

    Args:
        path: the file.
        channels: planes by name; float16, float32 or uint32.
        attributes: further ones: name, type, and bytes.
        steps: of channels with a sample at every n-th row and column only.
        corner: x and y of the first pixel.
        display: display window; None: the data window.
    """
    steps = steps or {}
    kinds = {"uint32": 0, "float16": 1, "float32": 2}
    height, width = max(plane.shape for plane in channels.values())
    names = sorted(channels)
    (x, y) = corner
    window = struct.pack("<4i", x, y, x + width - 1, y + height - 1)
    listed = b"".join(
        name.encode()
        + struct.pack("<xi4xii", kinds[str(channels[name].dtype)], steps.get(name, 1), steps.get(name, 1))
        for name in names
    )
    header = struct.pack("<ii", 20000630, 2)
    for name, kind, value in (
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window if display is None else struct.pack("<4i", *display)),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
        *attributes,
    ):
        header += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    header += b"\0"
    lines = []
    for row in range(height):
        line = b"".join(
            channels[name][row // steps.get(name, 1)].tobytes() for name in names if row % steps.get(name, 1) == 0
        )
        lines.append(struct.pack("<ii", y + row, len(line)) + line)
    starts = np.cumsum([len(header) + 8 * height, *(len(line) for line in lines[:-1])]).astype("<u8")
    path.write_bytes(header + starts.tobytes() + b"".join(lines))
    return path


def random_light(seed: int = 0, height: int = 20, width: int = 48) -> Array:
    """Return random light over twelve stops, with a dim blue and a run of equal pixels."""
    rng = np.random.default_rng(seed)
    light = np.exp2(rng.uniform(-6, 6, (height, width, 1))) * rng.uniform(0.2, 1, (height, width, 3))
    light[..., 2] *= 0.02
    light[4:8, 5:40] = light[4, 5]
    return light


def halves(light: Array) -> dict[str, Array]:
    """Return light ``[H, W, 3]`` as channels of 16 bits."""
    return {name: light[..., index].astype(np.float16) for index, name in enumerate("RGB")}


def pixels_of(scene: Any) -> Array:
    """Return the light of a `Scene` as ``[H, W, 3]`` float64."""
    pixels: Array = scene.light.permute(1, 2, 0).double().numpy()
    return pixels
