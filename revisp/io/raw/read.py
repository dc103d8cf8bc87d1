"""Camera RAW files in: the mosaic as stored, and the camera profile to make sense of it."""

from __future__ import annotations

from pathlib import Path

from revisp.camera.profile import CameraProfile
from revisp.errors import ImageError
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import read_planes
from revisp.io.raw.gpr import read_gpr
from revisp.io.raw.libraw import read_libraw
from revisp.io.raw.rawimage import RawImage, Rectangle
from revisp.io.readable import check_file

__all__ = ["RawImage", "Rectangle", "read_mosaic_raw", "read_raw"]


def read_raw(path: str | Path) -> RawImage:
    """Read the mosaic and the camera profile of a RAW file.

    LibRaw reads it (CR2, CR3, CRW, NEF, ARW, RAF, DNG and many more); GoPro's ``.gpr`` is read by flashraw, which
    the extra ``gpr`` installs.

    *Black level*: the file's, or LibRaw's knowledge of the camera, mapped to R, Gr, Gb, B by position. Where both
    give none, a plausible masked border does (`RawImage.optical_black`).

    *White level*: the file's, or LibRaw's knowledge of the camera, never the brightest sample: that is a hot pixel
    or, in a dim photo, far below saturation. Samples may exceed it and then normalise to more than 1.

    *Colour matrix*: of several, the one for the light nearest to D65. A camera that has none, or no white balance,
    gets sRGB's matrix, or a neutral of 1, with a warning.

    Pixels that are not square (Kodak DC120) are read as they are.

    Raises:
        ImageError: missing, empty, cut off, damaged, no RAW, or without a 2x2 Bayer mosaic (X-Trans, Foveon,
            monochrome, already demosaiced); a ``.gpr`` file without flashraw.

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
    return read_gpr(path) if path.suffix.lower() == ".gpr" else read_libraw(path)


def read_mosaic_raw(path: str | Path, profile: CameraProfile) -> RawImage:
    """Read a mosaic that does not say its camera, and the profile that does, as a RAW.

    Args:
        path: one channel of 16 bits (``.png``, ``.tiff``, ``.npy``), or the challenges' ``.npy`` of planes R, Gr,
            Gb, B, uint16 ``[h, w, 4]``.
        profile: camera whose units the values are in; its CFA is the mosaic's.

    Raises:
        ImageError: missing, damaged, of another kind, or with values above the profile's white level.

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
    mosaic = read_planes(path, profile.cfa)
    if mosaic.max() > profile.white_level:
        raise ImageError(
            f"{path}: holds {int(mosaic.max())}, above the white level {profile.white_level:g} of the profile of "
            f"{profile.name}: give the profile that belongs to it"
        )
    return RawImage(mosaic, profile, PhotoMetadata(make=profile.make, model=profile.model), orientation=1)
