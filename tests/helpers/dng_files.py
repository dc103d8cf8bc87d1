"""Small DNG files written by tifffile, and what the DNG specification says that they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

Array = np.ndarray[Any, Any]

IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)
CAMERA = (0.9, -0.3, -0.1, -0.4, 1.2, 0.2, 0.0, 0.2, 0.6)
TUNGSTEN = (1.1, -0.4, -0.2, -0.3, 1.1, 0.25, 0.05, 0.15, 0.5)
"""A matrix for D65 and one for standard light A."""

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50, D65 = (0.3457, 0.3585), (0.3127, 0.3290)

TAGS = {
    "CFARepeatPatternDim": (33421, "H"), "CFAPattern": (33422, "B"), "DNGVersion": (50706, "B"),
    "UniqueCameraModel": (50708, "s"), "LinearizationTable": (50712, "H"), "BlackLevelRepeatDim": (50713, "H"),
    "BlackLevel": (50714, "2I"), "BlackLevelDeltaH": (50715, "2i"), "BlackLevelDeltaV": (50716, "2i"),
    "WhiteLevel": (50717, "I"), "DefaultCropOrigin": (50719, "2I"), "DefaultCropSize": (50720, "2I"),
    "ColorMatrix1": (50721, "2i"), "ColorMatrix2": (50722, "2i"), "CameraCalibration1": (50723, "2i"),
    "CameraCalibration2": (50724, "2i"), "AnalogBalance": (50727, "2I"), "AsShotNeutral": (50728, "2I"),
    "AsShotWhiteXY": (50729, "2I"), "CalibrationIlluminant1": (50778, "H"), "CalibrationIlluminant2": (50779, "H"),
    "ActiveArea": (50829, "I"), "MaskedAreas": (50830, "I"), "CameraCalibrationSignature": (50931, "s"),
    "ProfileCalibrationSignature": (50932, "s"), "ForwardMatrix1": (50964, "2i"), "ForwardMatrix2": (50965, "2i"),
    "RowInterleaveFactor": (50975, "H"), "OpcodeList2": (51009, "B"), "ColumnInterleaveFactor": (52547, "H"),
}  # fmt: skip
"""Number and type of tags by name (DNG specification 1.7.1, chapter 4)."""

FIRST = {
    "DNGVersion", "UniqueCameraModel", "ColorMatrix1", "ColorMatrix2", "CameraCalibration1", "CameraCalibration2",
    "AnalogBalance", "AsShotNeutral", "AsShotWhiteXY", "CalibrationIlluminant1", "CalibrationIlluminant2",
    "CameraCalibrationSignature", "ProfileCalibrationSignature", "ForwardMatrix1", "ForwardMatrix2",
}  # fmt: skip
"""Tags of the first directory; the others belong to the RAW picture."""

PLAIN: dict[str, Any] = {
    "CFARepeatPatternDim": (2, 2),
    "CFAPattern": (0, 1, 1, 2),
    "DNGVersion": (1, 4, 0, 0),
    "UniqueCameraModel": "Example One",
    "WhiteLevel": (4095,),
    "ColorMatrix1": CAMERA,
    "CalibrationIlluminant1": (21,),
    "AsShotNeutral": (0.5, 1, 0.625),
}


def write_dng_file(
    path: Path, samples: Array, tags: Mapping[str, Any], *, below: bool = False, **options: Any
) -> None:
    """Write samples ``[H, W]`` with the tags of `PLAIN` and others; None leaves one out.

    Args:
        path: the file.
        samples: as they are stored.
        tags: numbers or text by the name of the tag.
        below: put the RAW below a thumbnail, as cameras do.
        options: of ``tifffile.TiffWriter.write``.
    """
    told = {name: value for name, value in (PLAIN | dict(tags)).items() if value is not None}
    extra = {name: _extra(name, value) for name, value in told.items()}
    order = options.pop("byteorder", "<")
    with tifffile.TiffWriter(path, byteorder=order) as tiff:
        if below:
            first = [entry for name, entry in extra.items() if name in FIRST]
            thumbnail = np.zeros((8, 12, 3), np.uint8)
            tiff.write(thumbnail, photometric="rgb", subifds=1, subfiletype=1, metadata=None, extratags=first)
            extra = {name: entry for name, entry in extra.items() if name not in FIRST}
        tiff.write(
            samples, photometric=32803, subfiletype=0, metadata=None, extratags=list(extra.values()), **options
        )


def _extra(name: str, value: Any) -> tuple[int, str, int, Any, bool]:
    code, kind = TAGS[name]
    if kind == "s":
        return code, kind, 0, value, True
    numbers = list(value)
    if kind.startswith("2"):
        ratios = [Fraction(number).limit_denominator(10**6) for number in numbers]
        flat = [part for ratio in ratios for part in (ratio.numerator, ratio.denominator)]
        return code, kind, len(numbers), tuple(flat), True
    return code, kind, len(numbers), tuple(numbers) if len(numbers) > 1 else numbers[0], True


@dataclass
class Written:
    """What a file holds by the specification.

    Attributes:
        above: how far each sample of the active area is above its black level, in the file's units, ``[H, W]``.
        white: white level.
        colours: colour index of each place: 0 red, 1 green, 2 blue.
        neutral: camera RGB of a white object, green = 1.
        matrix: XYZ under D65 to camera RGB ``[3, 3]``.
        tags: the tags that were written.
        storage: how the samples are stored.
    """

    above: Array
    white: float
    colours: Array
    neutral: Array
    matrix: Array
    tags: dict[str, Any]
    storage: dict[str, Any] = field(default_factory=dict)

    def difference(self, raw: Any) -> float:
        """Return the greatest difference of a `revisp.io.RawImage` from this, in the file's units, by planes."""
        if raw.mosaic.shape != self.above.shape:
            return float("inf")
        letters = np.array(list("RGB"))[self.colours]
        phase = "".join(letters[:2, :2].ravel())
        if raw.profile.cfa.value != phase:
            return float("inf")
        worst = 0.0
        for plane, level in enumerate(raw.profile.black_level):
            place = self._plane(plane)
            reading = (raw.mosaic[place].astype(float) - level) * self.white / raw.profile.white_level
            worst = max(worst, float(np.abs(reading - self.above[place]).max()))
        return worst

    def _plane(self, plane: int) -> Array:
        """Where R, Gr, Gb or B lies: greens of red rows come before those of blue rows."""
        red_rows = (self.colours == 0).any(axis=1)[:, None]
        green = self.colours == 1
        return [self.colours == 0, green & red_rows, green & ~red_rows, self.colours == 2][plane]


def random_dng(path: Path, seed: int) -> Written:
    """Write a DNG with random levels, areas, phases, tags and storage; return what it holds."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(34, 60, 2))
    kind = rng.choice(["whole", "whole", "whole", "table", "floating", "jpegxl"])
    tags: dict[str, Any] = {}

    pattern = np.array([(0, 1, 1, 2), (1, 0, 2, 1), (1, 2, 0, 1), (2, 1, 1, 0)][rng.integers(4)]).reshape(2, 2)
    repeat = int(rng.choice([1, 1, 2]))
    tags["CFARepeatPatternDim"] = (2 * repeat,) * 2
    tags["CFAPattern"] = np.tile(pattern, (repeat, repeat)).ravel().tolist()

    top, left = (int(n) for n in rng.integers(0, 6, 2)) if rng.random() < 0.7 else (0, 0)
    bottom, right = height - int(rng.integers(0, 4)), width - int(rng.integers(0, 4))
    if (top, left, bottom, right) != (0, 0, height, width) or rng.random() < 0.5:
        tags["ActiveArea"] = (top, left, bottom, right)
    rows, columns = bottom - top, right - left
    colours = np.tile(pattern, (rows, columns))[:rows, :columns]
    if top > 1 and rng.random() < 0.5:
        tags["MaskedAreas"] = (0, 0, top, width)

    white = float(rng.choice([255, 1023, 4095, 16383, 60000])) if kind != "floating" else float(rng.choice([1, 4]))
    unit = white / 1000
    whole = kind != "floating" and rng.random() < 0.5
    black = _random_black(rng, tags, (rows, columns), unit, whole=whole)
    lowest, highest = black.max() + 10 * unit, white * 0.95
    if kind == "floating":
        dtype = rng.choice(["float16", "float32"])
        stored = rng.uniform(lowest, highest, (height, width)).astype(dtype)
        linear = stored.astype(float)
    else:
        linear = rng.integers(int(np.ceil(lowest)), int(highest), (height, width)).astype(float)
        stored = linear.astype(np.uint8 if white < 256 and kind == "whole" else np.uint16)
    if kind == "table":  # the file stores places of a table of values
        table = np.unique(linear.astype(np.uint16))
        places = np.searchsorted(table, linear)
        stored = places.astype(np.uint8 if table.size <= 256 else np.uint16)
        tags["LinearizationTable"] = table.tolist()
    if (
        white != (255.0 if stored.dtype == np.uint8 else 1.0 if kind == "floating" else 65535.0)
        or rng.random() < 0.5
    ):
        tags["WhiteLevel"] = (int(white),)
    else:
        tags["WhiteLevel"] = None
    neutral, matrix = _random_colours(rng, tags)
    storage = _random_storage(rng, kind)
    write_dng_file(path, stored, tags, **storage)
    above = linear[top:bottom, left:right] - black
    return Written(above, white, colours, neutral, matrix, tags, storage | {"kind": str(kind)})


def _random_black(
    rng: np.random.Generator, tags: dict[str, Any], shape: tuple[int, int], unit: float, *, whole: bool
) -> Array:
    """Draw black levels; return that of each place of the active area."""
    down, across = ((1, 1), (2, 2), (2, 2), (1, 2), (2, 1), (4, 4), (3, 1))[rng.integers(7)]

    def draw(low: float, high: float, count: int) -> list[Fraction]:
        values = rng.uniform(low * unit, high * unit, count)
        return [Fraction(round(v)) if whole else Fraction(round(v * 1000), 1000) for v in values]

    levels = draw(20, 60, down * across)
    tags["BlackLevelRepeatDim"] = (down, across)
    tags["BlackLevel"] = levels
    black = np.array(levels, float).reshape(down, across)[np.arange(shape[0]) % down][
        :, np.arange(shape[1]) % across
    ]
    if rng.random() < 0.3:
        tags["BlackLevelDeltaV"] = deltas = draw(-8, 8, shape[0])
        black = black + np.array(deltas, float)[:, None]
    if rng.random() < 0.3:
        tags["BlackLevelDeltaH"] = deltas = draw(-8, 8, shape[1])
        black = black + np.array(deltas, float)[None]
    return black


def _random_colours(rng: np.random.Generator, tags: dict[str, Any]) -> tuple[Array, Array]:
    """Draw the colour tags; return the neutral, and the matrix from XYZ under D65 to camera RGB, by chapter 6.

    With two lights, the shot's is beyond one of them, so that the matrices of that one count, and is adapted.
    """
    two = rng.random() < 0.4
    matrices = [np.array(CAMERA).reshape(3, 3), np.array(TUNGSTEN).reshape(3, 3)]
    lights, bodies = [21, 17], [np.eye(3), np.eye(3)]  # D65, standard light A
    if rng.random() < 0.4:
        bodies = [np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3)).round(4) for _ in lights]
        ours, theirs = [("", ""), ("com.example", "com.example"), ("com.example", "com.other")][rng.integers(3)]
        tags["CameraCalibrationSignature"], tags["ProfileCalibrationSignature"] = ours or None, theirs or None
    else:
        ours = theirs = ""
    order = rng.permutation(2) if two else np.array([0])
    for place, light in enumerate(order, start=1):
        tags[f"ColorMatrix{place}"] = matrices[light].ravel().tolist()
        tags[f"CalibrationIlluminant{place}"] = (lights[light],)
        tags[f"CameraCalibration{place}"] = bodies[light].ravel().tolist()
    gains = rng.uniform(0.5, 2, 3).round(4) if rng.random() < 0.4 else np.ones(3)
    tags["AnalogBalance"] = gains.tolist()
    warm = bool(two and rng.random() < 0.5)
    matrix = np.diag(gains) @ (bodies[int(warm)] if ours == theirs else np.eye(3)) @ matrices[int(warm)]
    x, y = ((0.51, 0.41) if warm else (0.28, 0.29)) if two else rng.uniform(0.3, 0.4, 2).round(4)
    neutral = matrix @ [x / y, 1, (1 - x - y) / y]
    if rng.random() < 0.4:
        tags["AsShotWhiteXY"], tags["AsShotNeutral"] = (x, y), None
    else:
        neutral = neutral if two else rng.uniform(0.3, 1, 3).round(4)
        tags["AsShotNeutral"] = (neutral / neutral.max()).tolist()
    return neutral / neutral[1], matrix @ adaptation(D65, (x, y)) if two else matrix


def adaptation(source: tuple[float, float], target: tuple[float, float]) -> Array:
    """Return the linear Bradford adaptation of XYZ from one white (x, y) to another (ICC.1:2010, annex E)."""
    cones = [BRADFORD @ [x / y, 1, (1 - x - y) / y] for x, y in (source, target)]
    return np.linalg.inv(BRADFORD) @ np.diag(cones[1] / cones[0]) @ BRADFORD


def _random_storage(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """Draw how the samples are stored."""
    options: dict[str, Any] = {"below": bool(rng.random() < 0.5), "byteorder": str(rng.choice(["<", ">"]))}
    if rng.random() < 0.4 or kind == "jpegxl":
        options["tile"] = (16, 32)
    else:
        options["rowsperstrip"] = int(rng.integers(5, 60))
    if kind == "jpegxl":
        options |= {"compression": 52546, "compressionargs": {"level": 101, "effort": 1}, "byteorder": "<"}
    if kind == "floating" and rng.random() < 0.7:
        options |= {"compression": "zlib", "predictor": bool(rng.random() < 0.7)}
    return options


def corners(numbers: Sequence[int]) -> tuple[slice, slice]:
    """Return the slices of an area: top, left, bottom, right."""
    top, left, bottom, right = numbers
    return slice(top, bottom), slice(left, right)
