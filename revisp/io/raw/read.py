"""Read camera RAW files: the stored mosaic and the camera profile."""

from __future__ import annotations

from pathlib import Path

from revisp.camera.profile import CameraProfile
from revisp.errors import ImageError
from revisp.io.damaged import Damaged
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import read_planes
from revisp.io.raw.dng import read_dng
from revisp.io.raw.dng_tags import is_dng
from revisp.io.raw.gain_opcodes import apply_gain_maps, read_gain
from revisp.io.raw.gpr import read_gpr
from revisp.io.raw.libraw import read_libraw
from revisp.io.raw.rawimage import RawImage, Rectangle
from revisp.io.readable import check_file

__all__ = ["RawImage", "Rectangle", "read_mosaic_raw", "read_raw"]


def read_raw(path: str | Path, *, gain_maps: bool = False, damaged: Damaged = "refuse") -> RawImage:
    """Read the mosaic and the camera profile of a RAW file.

    LibRaw reads most formats (CR2, CR3, CRW, NEF, ARW, RAF, DNG and many more). tifffile and imagecodecs decode a
    DNG whose mosaic is JPEG XL or floating point. flashraw reads GoPro's ``.gpr``; the extra ``gpr`` installs it.
    What a DNG says about its samples and colours is read from its tags, by the DNG specification 1.7.1.

    *Black level*: from the file, or from LibRaw's table of cameras, mapped to R, Gr, Gb, B by position. If neither
    has one, masked areas that the file names, or else a plausible masked border, give it
    (`RawImage.optical_black`). A warning says where a stated level is far from theirs. A DNG's black level may
    differ by row and column: what a place deviates from its plane is taken off the sample, in finer units if it is
    a fraction.

    *White level*: from the file, or from LibRaw's table of cameras. It is never the brightest sample, which may be
    a hot pixel or, in a dim photo, far below saturation. Samples above the white level normalise to more than 1.
    Only floating-point samples are cut there; they are scaled to 16 bits.

    *Colour matrix*: of a DNG, the matrices for two lights are interpolated for the light of the shot, and adapted
    to D65. AnalogBalance, CameraCalibration and ForwardMatrix are multiplied into it. Other formats and GPR have
    the matrix for the light nearest to D65. Without a matrix, that of sRGB is used; without a white balance, a
    neutral of 1. A warning says so.

    Pixels that are not square (Kodak DC120) are read without scaling.

    Args:
        path: the RAW file.
        gain_maps: multiply the samples by the GainMaps of a DNG's or GPR's OpcodeList2, by which the camera evens
            out its lens shading; what exceeds white ends there. Other opcodes, and other formats, are left as they
            are.
        damaged: ``"warn"`` reads a file that is cut off, lacks strips or tiles, or whose lossless JPEG does not
            end well, with a warning; the samples that are missing are of any value. Files that LibRaw refuses stay
            refused.

    Raises:
        ImageError: the file is missing, empty, cut off, damaged, not a RAW file, or has no 2x2 Bayer mosaic
            (X-Trans, Foveon, monochrome, already demosaiced); or it is a ``.gpr`` file and flashraw is missing.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io import write_dng
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_dng(f"{folder}/photo.dng", torch.rand(1, 32, 48), SIMULATED.profile)
        ...     raw = read_raw(f"{folder}/photo.dng")
        >>> raw.mosaic.shape, raw.mosaic.dtype, raw.profile.cfa.value
        ((32, 48), dtype('uint16'), 'RGGB')
    """
    path = check_file(path)
    if path.suffix.lower() == ".gpr":
        raw = read_gpr(path)
    else:
        raw = read_dng(path, damaged) if is_dng(path) else read_libraw(path, damaged)
    gain = read_gain(path, raw.mosaic.shape) if gain_maps else None
    return raw if gain is None else apply_gain_maps(raw, gain)


def read_mosaic_raw(path: str | Path, profile: CameraProfile, *, damaged: Damaged = "refuse") -> RawImage:
    """Read a mosaic file without camera data, and a camera profile, as a RAW.

    Args:
        path: one channel of 16 bits (``.png``, ``.tiff``, ``.npy``), or the challenges' ``.npy`` of planes R, Gr,
            Gb, B, uint16 ``[h, w, 4]``.
        profile: camera that defines the units of the values and the CFA of the mosaic.
        damaged: as for `read_mosaic`.

    Raises:
        ImageError: the file is missing, damaged, of another kind, or has values above the profile's white level.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from revisp.camera.simulate import SIMULATED
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/mosaic.npy", np.full((16, 24), SIMULATED.profile.white_level, np.uint16))
        ...     raw = read_mosaic_raw(f"{folder}/mosaic.npy", SIMULATED.profile)
        >>> float(raw.normalised().max())
        1.0
    """
    mosaic = read_planes(path, profile.cfa, damaged=damaged)
    if mosaic.max() > profile.white_level:
        raise ImageError(
            f"{path}: holds {int(mosaic.max())}, above the white level {profile.white_level:g} of the profile of "
            f"{profile.name}: give the profile that belongs to it"
        )
    return RawImage(mosaic, profile, PhotoMetadata(make=profile.make, model=profile.model), orientation=1)
