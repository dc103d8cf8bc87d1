"""The colours of a DNG under the light of the shot (DNG specification 1.7.1, chapter 6).

*Convention*: `CameraColours.xyz_to_camera` is the specification's XYZtoCamera. A profile's colour matrix is for
XYZ under D65. So if a file tells the colours under two lights, or a ForwardMatrix, those under the light of the
shot are adapted to D65 by linear Bradford, as the specification adapts them to D50. Without that, a matrix for
tungsten light is further from the specification than the one for daylight. A file with one ColorMatrix keeps it if
its ForwardMatrix says the same colours or is absent: a DNG of ours gives its own profile back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from revisp.camera.profile import SRGB_TO_XYZ
from revisp.camera.temperature import correlated_temperature
from revisp.io.primaries import xyz_to_srgb
from revisp.io.raw.dng_tags import DngTags

__all__ = ["AsShot", "CameraColours", "as_shot"]

Array = np.ndarray[Any, Any]
Chromaticity = tuple[float, float]
Light = tuple[Array, ...]
"""A matrix for each light that the file tells of: one or two."""

_D50: Chromaticity = (0.3457, 0.3585)
_D65: Chromaticity = (0.3127, 0.3290)
_COLOR_MATRIX, _CAMERA_CALIBRATION, _FORWARD_MATRIX = (50721, 50722), (50723, 50724), (50964, 50965)
_ILLUMINANTS, _SIGNATURES = (50778, 50779), (50931, 50932)
_ANALOG_BALANCE, _AS_SHOT_NEUTRAL, _AS_SHOT_WHITE = 50727, 50728, 50729
_TEMPERATURE = {
    **dict.fromkeys((3, 17), 2850),  # tungsten, standard light A
    **dict.fromkeys((1, 4, 9, 18, 20), 5500),  # daylight, flash, fine weather, B, D55
    **dict.fromkeys((10, 19, 21), 6500),  # cloudy weather, C, D65
    **dict.fromkeys((11, 22), 7500),  # shade, D75
    2: 4150, 12: 6400, 13: 5050, 14: 4150, 15: 3525, 16: 2925,  # fluorescent lamps
    23: 5000, 24: 3200,  # D50, ISO studio tungsten
}  # fmt: skip
"""Kelvin by EXIF LightSource, as the DNG SDK takes them (dng_camera_profile.cpp)."""
_MOST_PASSES = 30
_CONVERGED = 1e-7  # change of x plus change of y; both constants as in the DNG SDK (dng_color_spec.cpp)
_RESTATED = 1e-3
"""Error of colours, white 1, up to which a ForwardMatrix says nothing new: its fractions are rounded."""


class AsShot(NamedTuple):
    """White balance of a shot.

    Attributes:
        neutral: camera RGB ``[3]`` of a white object.
        white: chromaticity (x, y) of the light, if the file states it.
    """

    neutral: Array
    white: Chromaticity | None = None


@dataclass(frozen=True)
class CameraColours:
    """How a camera sees colours.

    Attributes:
        temperatures: of the lights of the matrices, in kelvin.
        color: ColorMatrix ``[3, 3]`` for each light, XYZ to the reference camera's RGB.
        calibration: CameraCalibration ``[3, 3]`` for each light: from the reference camera to this one.
        balance: AnalogBalance ``[3, 3]``, diagonal: gains before the samples were stored.
        forward: ForwardMatrix ``[3, 3]`` for each light, or for one, or none: balanced RGB to XYZ of D50.
    """

    temperatures: tuple[float, ...]
    color: Light
    calibration: Light
    balance: Array
    forward: Light = ()

    @classmethod
    def of(cls, tags: DngTags) -> CameraColours | None:
        """Return the colours of a DNG; None if it has no ColorMatrix.

        CameraCalibration counts only where its signature is that of the profile (CameraCalibrationSignature). A
        second light counts only where both are known and differ.
        """
        color = [tags.numbers(code) for code in _COLOR_MATRIX]
        kelvin = [_TEMPERATURE.get(int(tags.numbers(code, 0)[0])) for code in _ILLUMINANTS]
        known = [at for at in (0, 1) if color[at].size == 9 and np.isfinite(color[at]).all() and color[at].any()]
        if not known:
            return None
        if len(known) == 2 and (None in kelvin or kelvin[0] == kelvin[1]):
            known = known[:1]
        same = tags.text(_SIGNATURES[0]) == tags.text(_SIGNATURES[1])
        calibration = [_matrix(tags.numbers(code)) if same else None for code in _CAMERA_CALIBRATION]
        forward = [_matrix(tags.numbers(code)) for code in _FORWARD_MATRIX]
        balance = tags.numbers(_ANALOG_BALANCE)
        usable = balance.shape == (3,) and np.isfinite(balance).all() and (balance > 0).all()
        return cls(
            tuple(float(kelvin[at] or 0) for at in known),
            tuple(color[at].reshape(3, 3) for at in known),
            tuple(np.eye(3) if (matrix := calibration[at]) is None else matrix for at in known),
            np.diag(balance) if usable else np.eye(3),
            tuple(matrix for at in known if (matrix := forward[at]) is not None),
        )

    def xyz_to_camera(self, white: Chromaticity) -> Array:
        """Return XYZtoCamera ``[3, 3]`` under a light: AnalogBalance times CameraCalibration times ColorMatrix."""
        matrix: Array = self._body(white) @ self._between(self.color, white)
        return matrix

    def neutral(self, white: Chromaticity) -> Array:
        """Return the camera's RGB ``[3]`` of a white object under a light."""
        x, y = white
        rgb: Array = self.xyz_to_camera(white) @ [x / y, 1, (1 - x - y) / y]
        return rgb

    def white(self, neutral: Array) -> Chromaticity:
        """Return the light (x, y) under which a white object has a camera's RGB, ``[3]``.

        The matrix depends on the light, and the light on the matrix, so this is repeated until nothing changes. If
        it swings between two lights, the middle is taken. A neutral of no real light ends at the last real one; on
        the way, the light need not be real.
        """
        last = real = _D50
        for number in range(_MOST_PASSES):
            xyz = np.linalg.solve(self.xyz_to_camera(last), neutral)
            if xyz.sum() <= 0 or xyz[1] <= 0:
                break
            x, y = (float(value) for value in xyz[:2] / xyz.sum())
            change = abs(x - last[0]) + abs(y - last[1])
            if number == _MOST_PASSES - 1:
                x, y = (x + last[0]) / 2, (y + last[1]) / 2
            last = x, y
            real = last if (xyz > 0).all() else real
            if change < _CONVERGED:
                break
        return real

    def color_matrix(self, shot: AsShot | None) -> Array:
        """Return the colour matrix ``[3, 3]`` of a `revisp.CameraProfile` for the light of a shot.

        Args:
            shot: white balance of the shot; None if unknown, which counts as D65.
        """
        if len(self.color) == 1 and (not self.forward or self._forward_restates()):
            return self.xyz_to_camera(_D65)
        if shot is None:
            shot = AsShot(self.neutral(_D65), _D65)
        white = self.white(shot.neutral) if shot.white is None else shot.white
        camera_to_srgb = self._forward_to_srgb(white, shot.neutral) if self.forward else None
        if camera_to_srgb is None:
            camera_to_srgb = xyz_to_srgb(white) @ np.linalg.inv(self.xyz_to_camera(white))
        matrix: Array = np.linalg.inv(SRGB_TO_XYZ @ camera_to_srgb)
        return matrix

    def _forward_restates(self) -> bool:
        """Whether the ForwardMatrix gives the colours that a profile makes of the ColorMatrix, as in our DNGs."""
        to_camera = self.xyz_to_camera(_D65) @ SRGB_TO_XYZ
        forward = xyz_to_srgb(_D50) @ self.forward[0]
        restated = forward @ (to_camera / to_camera.sum(axis=1, keepdims=True))
        return bool(np.abs(restated - np.eye(3)).max() < _RESTATED)

    def _forward_to_srgb(self, white: Chromaticity, neutral: Array) -> Array | None:
        """Return camera RGB to linear sRGB by the ForwardMatrix; None if it is not invertible."""
        to_reference = np.linalg.inv(self._body(white))
        reference = to_reference @ neutral
        forward = self._between(self.forward, white)
        if not (reference > 0).all() or abs(np.linalg.det(forward)) < 1e-9:
            return None
        matrix: Array = xyz_to_srgb(_D50) @ forward @ np.diag(1 / reference) @ to_reference
        return matrix

    def _body(self, white: Chromaticity) -> Array:
        """Return AnalogBalance times CameraCalibration."""
        matrix: Array = self.balance @ self._between(self.calibration, white)
        return matrix

    def _between(self, matrices: Light, white: Chromaticity) -> Array:
        """Interpolate between two lights by reciprocal temperature; beyond them, the nearer one counts."""
        if len(matrices) == 1:
            return matrices[0]
        first, second = (1 / kelvin for kelvin in self.temperatures)
        share = (1 / correlated_temperature(*white) - second) / (first - second)
        share = min(max(share, 0.0), 1.0)
        matrix: Array = share * matrices[0] + (1 - share) * matrices[1]
        return matrix


def as_shot(tags: DngTags, colours: CameraColours | None) -> AsShot | None:
    """Return the white balance of the shot: AsShotNeutral, else AsShotWhiteXY.

    Returns:
        None if the file tells neither, or AsShotWhiteXY without a ColorMatrix.
    """
    neutral, white = tags.numbers(_AS_SHOT_NEUTRAL), None
    if neutral.shape != (3,):
        x, y = stated if (stated := tags.numbers(_AS_SHOT_WHITE)).shape == (2,) else (0.0, 0.0)
        if colours is None or not (x > 0 and y > 0 and x + y < 1):
            return None
        white = float(x), float(y)
        neutral = colours.neutral(white)
    return AsShot(neutral, white) if np.isfinite(neutral).all() and (neutral > 0).all() else None


def _matrix(values: Array) -> Array | None:
    """Return the matrix of nine numbers; None if they are missing or not valid."""
    return values.reshape(3, 3) if values.size == 9 and np.isfinite(values).all() and values.any() else None
