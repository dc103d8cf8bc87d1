"""Camera profiles: the constants that reading, writing and developing a camera's RAW values needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from revisp.camera.json_file import json_of
from revisp.cfa import CFA
from revisp.display import cfa_pattern, rich_display, swatch
from revisp.errors import ConfigError
from revisp.schema import Matrix, Number, Text, Triple, Whole, build, check_fields, part

__all__ = ["MOST_COEFFICIENT", "SRGB_TO_XYZ", "CameraProfile", "Profile", "camera_name"]

Array = np.ndarray[Any, Any]

SRGB_TO_XYZ: Array = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to CIE XYZ, D65 white (IEC 61966-2-1)."""

MOST_COEFFICIENT = 1000.0
"""Greatest number of a colour matrix or neutral; those of cameras stay below 10."""


def _phase(value: object) -> object:
    """Return the phase of a name in any case."""
    return CFA.parse(value) if isinstance(value, str) and len(value) < 20 else value


def _of_planes(value: object) -> object:
    """Return levels of the four planes: a single one is repeated."""
    values = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return (values,) * 4 if isinstance(values, int | float) else values


@dataclass(frozen=True)
class CameraProfile:
    """Constants of one camera at one setting; JSON on disk.

    Attributes:
        make: manufacturer, as in EXIF.
        model: camera model, as in EXIF.
        cfa: Bayer phase of the stored mosaic.
        black_level: sensor reading of no light, for the planes R, Gr, Gb, B, in stored units.
        white_level: sensor reading of saturation, in stored units.
        bits: bits of the stored values; ``white_level < 2 ** bits``, except that a scale of 1024 for 10 bits
            (the AIM 2022 challenge) is allowed.
        color_matrix: CIE XYZ (D65) to camera RGB, as Adobe DNG's ColorMatrix under illuminant 21 (D65).
        as_shot_neutral: camera RGB of a white object, green = 1 (DNG AsShotNeutral); the white-balance gains are
            its inverse.

    Raises:
        ConfigError: an impossible value; the message names the field.

    Example:
        >>> profile = CameraProfile(
        ...     "Make", "Model", CFA.RGGB, (64.0, 64.0, 64.0, 64.0), white_level=1023.0, bits=10,
        ...     color_matrix=np.eye(3).tolist(), as_shot_neutral=(0.5, 1.0, 0.625),
        ... )
        >>> profile.gains, profile.normalise(np.array([[64, 1023]])).tolist()
        ((2.0, 1.0, 1.6), [[0.0, 1.0]])
    """

    make: Text
    model: Text
    cfa: Annotated[CFA, BeforeValidator(_phase)]
    black_level: Annotated[tuple[Number, Number, Number, Number], BeforeValidator(_of_planes)]
    white_level: Number
    bits: Whole
    color_matrix: Matrix
    as_shot_neutral: Triple

    def __post_init__(self) -> None:
        check_fields(self, "camera profile", ConfigError)
        matrix, neutral = np.asarray(self.color_matrix), np.asarray(self.as_shot_neutral)
        if np.abs(matrix).max() > MOST_COEFFICIENT or abs(np.linalg.det(matrix)) < 1e-6:
            raise ConfigError(
                f"camera profile: color_matrix must be an invertible 3x3 matrix of numbers "
                f"up to {MOST_COEFFICIENT:g}"
            )
        if not (neutral.min() >= 1 / MOST_COEFFICIENT and neutral.max() <= MOST_COEFFICIENT):
            raise ConfigError(
                f"camera profile: as_shot_neutral must be three positive numbers up to {MOST_COEFFICIENT:g}"
            )
        if not 1 <= self.bits <= 16:
            raise ConfigError(f"camera profile: bits must lie in 1..16, got {self.bits}")
        if not 0 <= min(self.black_level) <= max(self.black_level) < self.white_level <= 2**self.bits:
            raise ConfigError(
                f"camera profile: need 0 <= black_level < white_level <= 2**bits, got black {self.black_level}, "
                f"white {self.white_level}, bits {self.bits}"
            )

    @property
    def name(self) -> str:
        """Make and model; the make only once if the model begins with it.

        Example:
            >>> from revisp.camera.cameras import typical_profile
            >>> typical_profile().replace(make="Canon", model="Canon EOS R").name
            'Canon EOS R'
        """
        return camera_name(self.make, self.model)

    @property
    def gains(self) -> tuple[float, float, float]:
        """White-balance gains for R, G, B, green = 1."""
        red, green, blue = self.as_shot_neutral
        return green / red, 1.0, green / blue

    @property
    def srgb_to_camera(self) -> Array:
        """Linear sRGB to *white-balanced* camera RGB ``[3, 3]``, each row summing to 1 (dcraw, UPI)."""
        return _colours(self.color_matrix)[0].copy()

    @property
    def camera_to_srgb(self) -> Array:
        """White-balanced camera RGB to linear sRGB ``[3, 3]``; keeps white."""
        return _colours(self.color_matrix)[1].copy()

    def normalise(self, mosaic: Array) -> Array:
        """Map stored values ``[H, W]`` to float32: (value − black) / (white − black), unclamped."""
        black = self._black_mosaic(*mosaic.shape[-2:])
        scaled: Array = ((mosaic.astype(np.float32) - black) / (self.white_level - black)).astype(np.float32)
        return scaled

    def quantise(self, mosaic: Array) -> Array:
        """Map normalised values ``[H, W]`` to stored uint16: scaled, rounded and clipped to [0, white]."""
        black = self._black_mosaic(*mosaic.shape[-2:])
        stored = mosaic * (self.white_level - black)
        stored += black
        np.rint(stored, out=stored)
        return stored.clip(0, min(self.white_level, 2**self.bits - 1), out=stored).astype(np.uint16)

    def _black_mosaic(self, height: int, width: int) -> Array:
        """Return the black level of each pixel; as one number ``[1, 1]`` where all are equal."""
        if len(set(self.black_level)) == 1:
            return np.full((1, 1), self.black_level[0], np.float32)
        tile = np.empty((2, 2), np.float32)
        for value, (row, column) in zip(self.black_level, self.cfa.offsets, strict=True):
            tile[row, column] = value
        return np.tile(tile, (height // 2 + 1, width // 2 + 1))[:height, :width]

    def _repr_html_(self) -> str:
        """Show the camera in a notebook: its pattern, levels, and how it sees the primaries of sRGB."""
        black = ", ".join(f"{level:g}" for level in dict.fromkeys(self.black_level))
        seen = np.asarray(self.color_matrix) @ SRGB_TO_XYZ
        seen = seen / seen.sum(axis=1).max()  # a white object reaches white in one channel
        colours = {"white": seen.sum(axis=1), **dict(zip(("red", "green", "blue"), seen.T, strict=True))}
        facts = [
            ("CFA", cfa_pattern(self.cfa.value)),
            ("levels", f"black {black}, white {self.white_level:g}, {self.bits} bits"),
            ("white balance", "gains " + ", ".join(f"{gain:.3f}" for gain in self.gains)),
            ("color_matrix", "<br>".join(" ".join(f"{value:+.4f}" for value in row) for row in self.color_matrix)),
            ("as it sees D65", "".join(swatch(colour.tolist(), name) for name, colour in colours.items())),
        ]
        return rich_display(f"CameraProfile: {self.name}", facts)

    def replace(self, **changes: Any) -> CameraProfile:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON values."""
        return {**dataclasses.asdict(self), "cfa": self.cfa.value}

    @classmethod
    def from_dict(cls, values: Any) -> CameraProfile:
        """Build a profile from JSON values.

        Raises:
            ConfigError: a field is missing, unknown or wrong.
        """
        return build(cls, values, "camera profile", ConfigError)

    @classmethod
    def load(cls, path: str | Path) -> CameraProfile:
        """Read a profile from a JSON file.

        Raises:
            ConfigError: the file is missing, not JSON, or not a profile.
        """
        with json_of(path, "a camera profile") as values:
            return cls.from_dict(values)


@lru_cache(maxsize=16)
def _colours(color_matrix: Matrix) -> tuple[Array, Array]:
    """Return `CameraProfile.srgb_to_camera` and its inverse."""
    matrix = np.asarray(color_matrix) @ SRGB_TO_XYZ
    balanced = matrix / matrix.sum(axis=1, keepdims=True)
    return balanced, np.linalg.inv(balanced)


Profile = Annotated[CameraProfile, part(CameraProfile, "camera profile", ConfigError)]
"""A field that holds a profile; JSON values of one become one."""


def camera_name(make: str, model: str) -> str:
    """Return make and model; the make only once if the model begins with it, as cameras' files have it.

    Example:
        >>> camera_name("Canon", "Canon EOS 20D"), camera_name("Apple", "iPhone 5")
        ('Canon EOS 20D', 'Apple iPhone 5')
    """
    return model if model.startswith(make) else f"{make} {model}".strip()
