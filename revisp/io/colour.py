"""The colours that a file declares, and their conversion to sRGB.

LittleCMS converts by ICC profiles, relative to white. Primaries and curves that a file states as numbers are
applied here, exactly: the tables of LittleCMS for 16 bits err by up to 0.08 near black.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch

from revisp.camera.isp import linear_to_srgb
from revisp.errors import ImageError
from revisp.io.containers.png import PngFile
from revisp.io.containers.tiff import Directory
from revisp.io.exif import Exif
from revisp.io.primaries import D50, REC709, Primaries, xyz_to_srgb
from revisp.io.transfer import HDR_TRANSFERS, SRGB_TRANSFER, transfer_function

__all__ = ["Colour", "colour_of_cicp", "colour_of_exif", "colour_of_png", "profile_transfer", "to_srgb"]

Array = np.ndarray[Any, Any]

_D65 = REC709.white

_ADOBE_RGB = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
_ADOBE_GAMMA = 563 / 256
"""Adobe RGB (1998) color image encoding, 2005-05, section 4.3.1.2."""

_CICP_PRIMARIES = {
    1: REC709,
    2: REC709,  # unspecified
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: Primaries((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), (0.310, 0.316)),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    10: Primaries((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""Primaries by their numbers in ITU-T H.273, table 2."""

_NAMED_PRIMARIES = {
    "sRGB primaries": REC709,
    "Adobe RGB primaries": _ADOBE_RGB,
    "Display P3 primaries": _CICP_PRIMARIES[12],
    "BT.2020 primaries": _CICP_PRIMARIES[9],
}

_SRGB_GAMMA = (0.452, 0.457)
"""PNG gAMA of this range says sRGB: its specification tells writers of sRGB to store 0.45455 beside it."""

_TRANSFER_FUNCTION = 0x012D
_TRANSFER_LENGTHS = {channels << bits for channels in (1, 3) for bits in range(8, 17)}

_UNSPECIFIED_CICP = (2, 2, 0, 1)
_UNCALIBRATED, _ADOBE_COLOUR_SPACE, _SRGB_COLOUR_SPACE = 0xFFFF, 2, 1
_LONGEST_TABLE = 65535
_LONGEST_NAME = 80
_ROWS = 256
"""Rows that are converted at once: the intermediate values of all would take several times the photo's memory."""


@dataclass(frozen=True)
class Colour:
    """The colours of a file. The default is sRGB.

    Attributes:
        icc: a colour profile, which the other fields do not change.
        primaries: of the red, green and blue of the pixels, with their white.
        transfer: number of the transfer function in ITU-T H.273.
        gamma: exponent from encoded to linear values, instead of ``transfer``.
        curve: linear light in [0, 1] at evenly spaced values, instead of both.
        full_range: whether black is 0 and white the greatest value; else they are 16 and 235 of 8 bits.
    """

    icc: bytes | None = None
    primaries: Primaries = REC709
    transfer: int = SRGB_TRANSFER
    gamma: float | None = None
    full_range: bool = True
    curve: tuple[float, ...] | None = None

    @property
    def transfer_number(self) -> int:
        """Number of the transfer function, of a profile too where it states it."""
        return self.transfer if self.icc is None else profile_transfer(self.icc) or self.transfer

    @property
    def hdr(self) -> str | None:
        """Name of the transfer function of an HDR picture; None for others."""
        return HDR_TRANSFERS.get(self.transfer_number)

    @property
    def name(self) -> str:
        """What the file declares, in words: the name of its profile, or of its numbers."""
        if self.icc is not None:
            return _profile_name(self.icc) or "a colour profile without a name"
        if self.is_srgb:
            return "sRGB"
        named = next(
            (name for name, known in _NAMED_PRIMARIES.items() if known.same(self.primaries)), "own primaries"
        )
        if self.curve is not None:
            return f"{named}, own curve"
        if self.gamma is not None:
            return f"{named}, gamma {self.gamma:.3g}"
        return f"{named}, transfer function {self.transfer_number}"

    @property
    def is_srgb(self) -> bool:
        """Whether nothing is to be converted."""
        own = (self.icc, self.gamma, self.curve) != (None, None, None)
        standard = not own and self.transfer in (2, SRGB_TRANSFER)
        return standard and self.full_range and self.primaries.same(REC709)

    def linear(self, encoded: Array) -> Array:
        """Return the linear light of values from black 0 to white 1, by the curve of the numbers."""
        if self.curve is not None:
            return np.interp(encoded, np.linspace(0, 1, len(self.curve)), self.curve)
        if self.gamma is not None:
            return np.asarray(encoded**self.gamma)
        function = transfer_function(self.transfer_number)
        assert function is not None
        return function(encoded)

    def to_linear_srgb(self) -> Array:
        """Return the matrix from the linear light of the pixels to linear sRGB."""
        if self.icc is None:
            return self.primaries.to_srgb()
        columns = [_profile_xyz(self.icc, name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        if any(each is None for each in columns):
            return np.eye(3)
        matrix: Array = xyz_to_srgb(D50) @ np.array(columns).T
        return matrix


def colour_of_cicp(primaries: int, transfer: int, *, full_range: bool, path: Path) -> Colour:
    """Return the colours that numbers of ITU-T H.273 declare.

    Raises:
        ImageError: reserved numbers.
    """
    known = _CICP_PRIMARIES.get(primaries)
    if known is None or transfer_function(transfer) is None:
        raise ImageError(
            f"{path}: declares colour primaries {primaries} and transfer function {transfer} (ITU-T H.273), "
            "which are not known: convert it to sRGB first"
        )
    return Colour(primaries=known, transfer=transfer, full_range=full_range)


def colour_of_png(png: PngFile, exif: Exif, path: Path) -> Colour:
    """Return the colours of a PNG: of cICP, else of iCCP, sRGB, gAMA and cHRM, or EXIF.

    Raises:
        ImageError: reserved numbers.
    """
    if png.cicp is not None and png.cicp != _UNSPECIFIED_CICP:
        primaries, transfer, _, full = png.cicp
        return colour_of_cicp(primaries, transfer, full_range=bool(full), path=path)
    if png.icc is not None:
        return Colour(icc=png.icc)
    if png.srgb:
        return Colour()
    chromaticities = png.chromaticities and Primaries.of(png.chromaticities[2:] + png.chromaticities[:2])
    if png.gamma is None and chromaticities is None:
        return colour_of_exif(exif)
    gamma = None if png.gamma is None or _SRGB_GAMMA[0] < png.gamma < _SRGB_GAMMA[1] else 1 / png.gamma
    return Colour(primaries=chromaticities or REC709, gamma=gamma)


def colour_of_exif(exif: Exif) -> Colour:
    """Return the colours that EXIF declares: sRGB, Adobe RGB, or primaries and a gamma.

    Cameras that are set to Adobe RGB write no profile. The *Design rule for Camera File system* 2.0 (CIPA DC-009)
    asks for an uncalibrated colour space and interoperability R03; some write colour space 2.
    """
    space = _number(exif.photo, 0xA001)
    rule = exif.interoperability.get(0x0001)
    if space == _SRGB_COLOUR_SPACE:
        return Colour()
    if space == _ADOBE_COLOUR_SPACE or (isinstance(rule, bytes) and rule.startswith(b"R03")):
        return Colour(primaries=_ADOBE_RGB, gamma=_ADOBE_GAMMA)
    return colour_of_primaries(exif.image, _number(exif.photo, 0xA500))


def colour_of_primaries(directory: Directory, gamma: float | None = None) -> Colour:
    """Return the colours of the tags of TIFF 6.0 (section 20) and EXIF.

    They are WhitePoint, PrimaryChromaticities and TransferFunction.
    """
    stated = (*directory.get(0x013F, ()), *directory.get(0x013E, ()))
    primaries = None
    if len(stated) == 8 and None not in stated:
        primaries = Primaries.of([float(value) for value in stated])
    if primaries is None:
        return Colour(curve=_stated_curve(directory))
    if gamma is None and primaries.same(_ADOBE_RGB):
        gamma = _ADOBE_GAMMA
    gamma = gamma if gamma and 0.1 < gamma < 10 else None
    return Colour(primaries=primaries, gamma=gamma, curve=_stated_curve(directory))


def _stated_curve(directory: Directory) -> tuple[float, ...] | None:
    """Return the tag TransferFunction, of three channels their mean; None if it does not rise to white."""
    stated = directory.get(_TRANSFER_FUNCTION, ())
    if not isinstance(stated, tuple) or len(stated) not in _TRANSFER_LENGTHS:
        return None
    table = np.array(stated, np.float64)
    mean = table.reshape(3 if len(table) % 3 == 0 else 1, -1).mean(axis=0) / 65535
    rises = 0 <= mean[0] < 0.1 and 0.9 < mean[-1] <= 1 and (np.diff(mean) >= 0).all()
    return tuple(mean.tolist()) if rises else None


def to_srgb(pixels: Array, mode: str, white: int, colour: Colour, path: Path) -> tuple[Array, int]:
    """Convert pixels to sRGB; those that are sRGB already keep their values.

    Args:
        pixels: ``[H, W]`` or ``[H, W, C]``, whole numbers from 0 to ``white``.
        mode: ``"L"``, ``"RGB"`` or ``"CMYK"``.
        white: value of white.
        colour: what the file declares.
        path: the file, for errors.

    Returns:
        Pixels ``[H, W, 3]``, and their value of white.

    Raises:
        ImageError: pixels for an HDR display; CMYK that cannot be converted; a damaged profile.
    """
    if colour.hdr is not None:
        raise ImageError(
            f"{path}: stored for HDR displays ({colour.hdr}) without an SDR rendition: export an SDR photo of it"
        )
    if mode == "CMYK" and colour.icc is None:
        raise ImageError(f"{path}: CMYK without a colour profile: convert it to sRGB first")
    if colour.icc is not None:
        space = colour.icc[16:20].decode("ascii", "replace").strip()
        if space == {"L": "GRAY"}.get(mode, mode):
            try:
                pixels, white, mode = _by_profile(pixels, mode, white, colour.icc)
            except (imagecodecs.CmsError, ValueError) as error:
                raise ImageError(f"{path}: its colour profile is damaged ({error}): convert it to sRGB") from error
        elif mode == "CMYK":
            raise ImageError(f"{path}: CMYK with a colour profile for {space}: convert it to sRGB first")
        # a grey photo with an RGB profile, or a wrong profile: viewers ignore it too
    rgb = np.stack([pixels] * 3, axis=-1) if mode == "L" else pixels
    return (rgb, white) if colour.icc is not None or colour.is_srgb else (_by_numbers(rgb, white, colour), 1)


def profile_transfer(icc: bytes) -> int | None:
    """Return the transfer function that the cicp tag of a profile states (ICC.1:2022, 9.2.17), or None."""
    tag = _profile_tag(icc, b"cicp")
    return tag[9] if len(tag) >= 12 and tag[:4] == b"cicp" else None


def _profile_xyz(icc: bytes, name: bytes) -> tuple[float, ...] | None:
    """Return the three numbers of a tag of type XYZ."""
    tag = _profile_tag(icc, name)
    return tuple(value / 65536 for value in struct.unpack(">3i", tag[8:20])) if len(tag) >= 20 else None


def _profile_name(icc: bytes) -> str:
    """Return the description of a profile (ICC.1:2001, 6.5.17; ICC.1:2022, 10.15); empty if it has none."""
    tag = _profile_tag(icc, b"desc")
    try:
        if tag[:4] == b"desc":
            (length,) = struct.unpack_from(">I", tag, 8)
            text = tag[12 : 12 + length].decode("latin-1")
        elif tag[:4] == b"mluc":
            length, offset = struct.unpack_from(">II", tag, 20)  # of the first language
            text = tag[offset : offset + length].decode("utf-16-be", "replace")
        else:
            return ""
    except struct.error:
        return ""
    return "".join(letter for letter in text[:_LONGEST_NAME] if letter.isprintable()).strip()


def _profile_tag(icc: bytes, wanted: bytes) -> bytes:
    """Return the bytes of a tag of a profile; none if it has none."""
    try:
        (count,) = struct.unpack_from(">I", icc, 128)
        for at in range(132, 132 + 12 * min(count, 256), 12):
            name, offset, size = struct.unpack_from(">4sII", icc, at)
            if name == wanted:
                return icc[offset : offset + size]
    except struct.error:
        pass
    return b""


def _by_profile(pixels: Array, mode: str, white: int, icc: bytes) -> tuple[Array, int, str]:
    """Convert pixels by a profile whose colour space is theirs."""
    if mode == "RGB" and _is_srgb(icc):
        return pixels, white, mode
    if white not in (255, 65535):
        pixels = np.rint(pixels * (65535 / white)).astype(np.uint16)
    converted = imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        icc,
        imagecodecs.cms_profile("srgb"),
        colorspace={"L": "gray"}.get(mode, mode.lower()),
        outcolorspace="rgb",
        outdtype="u2",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
    )
    return converted, 65535, "RGB"


def _by_numbers(rgb: Array, white: int, colour: Colour) -> Array:
    """Convert ``[H, W, 3]`` by primaries and a curve: float32 in [0, 1]."""
    matrix = colour.primaries.to_srgb().T.astype(np.float32)
    unit = (white + 1) / 256  # of a value of 8 bits (ITU-T H.273, 8.3)
    black, span = (0, white) if colour.full_range else (16 * unit, 219 * unit)

    def decode(values: Array) -> Array:
        return colour.linear(np.clip((values - black) / span, 0, 1)).astype(np.float32)

    table = decode(np.arange(white + 1)) if white <= _LONGEST_TABLE else None
    found = np.empty(rgb.shape, np.float32)
    for top in range(0, len(rgb), _ROWS):
        part = rgb[top : top + _ROWS]
        light = decode(part) if table is None else table[part]
        found[top : top + _ROWS] = linear_to_srgb(torch.from_numpy(light @ matrix).clamp_(0, 1)).numpy()
    return found


@lru_cache(maxsize=16)
def _is_srgb(icc: bytes) -> bool:
    """Whether the conversion of a profile to sRGB changes no 8-bit colour by more than one step."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    through = imagecodecs.cms_transform(
        cube, icc, imagecodecs.cms_profile("srgb"), colorspace="rgb", outcolorspace="rgb"
    )
    return bool((np.abs(through.astype(int) - cube.astype(int)) <= 1).all())


def _number(directory: Directory, tag: int) -> float | None:
    value: Sequence[Any] = directory.get(tag, ())
    return float(value[0]) if isinstance(value, tuple) and value and value[0] is not None else None
