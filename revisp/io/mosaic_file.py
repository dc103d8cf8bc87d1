"""RAW mosaics as plain 16-bit pictures or arrays, in the stored units of a camera profile."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import tifffile

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, unpack
from revisp.errors import ImageError, OutputError, ShapeError
from revisp.io.atomic import atomic_write
from revisp.io.boundary import decoding
from revisp.io.containers.png import parse_png, with_software
from revisp.io.damaged import Damaged
from revisp.io.not_a_photo import MOSAIC_SOFTWARE
from revisp.io.npy import read_npy
from revisp.io.pixel_limit import check_pixels
from revisp.io.readable import check_complete, check_samples

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "as_array",
    "named_program",
    "read_mosaic",
    "read_note",
    "read_planes",
    "require_normalised",
    "single_mosaic",
    "stored_mosaic",
    "write_mosaic",
]

Array = np.ndarray[Any, Any]

_SOFTWARE = 305

_SPARSE, _MOST_MEDIAN = 4, 2.0
"""Every how many rows and columns are looked at, and the most that a normalised RAW may have as its median: one of
which half lies a stop above white holds nothing."""


def as_array(raw: Tensor | Array, name: str) -> Array:
    """Return a RAW, tensor or array, as an array; bfloat16, which numpy lacks, becomes float32.

    Raises:
        ShapeError: it is neither.
    """
    if isinstance(raw, np.ndarray):
        return raw
    if not hasattr(raw, "detach"):
        raise ShapeError(f"{name} must be a torch tensor or a numpy array, got {type(raw).__name__}")
    raw = raw.detach().cpu()
    return (raw.float() if str(raw.dtype) == "torch.bfloat16" else raw).numpy()


def require_normalised(raw: Array) -> None:
    """Require floating-point values ``[..., H, W]`` that are not in stored units: white is 1.

    Raises:
        ShapeError: the median is far above white.
    """
    middle = float(np.median(raw[..., ::_SPARSE, ::_SPARSE]))
    if middle > _MOST_MEDIAN:
        raise ShapeError(
            f"the median of the RAW is {middle:g}, and white is 1: give stored units as uint16, or normalise them "
            "by CameraProfile.normalise"
        )


def single_mosaic(bayer: Tensor | Array) -> Array:
    """Return one mosaic ``[H, W]``, ``[1, H, W]`` or ``[1, 1, H, W]``, tensor or array, as an array ``[H, W]``.

    Raises:
        ShapeError: the input is not one mosaic, or has floating-point values that are not finite.
    """
    array = as_array(bayer, "a mosaic")
    if not 2 <= array.ndim <= 4 or any(n != 1 for n in array.shape[:-2]) or array.size == 0:
        raise ShapeError(f"one mosaic must have shape [H, W], [1, H, W] or [1, 1, H, W], got {list(array.shape)}")
    if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
        raise ShapeError("the mosaic holds values that are not finite numbers")
    return array.reshape(array.shape[-2:])


def stored_mosaic(bayer: Tensor | Array, profile: CameraProfile) -> Array:
    """Return a mosaic in stored units, uint16 ``[H, W]``.

    Args:
        bayer: as for `single_mosaic`. Floating-point values are normalised (black 0, white 1); they are scaled,
            rounded and clipped. uint16 values are in stored units already.
        profile: camera with the levels and bits of the stored units.

    Raises:
        ShapeError: the input is not one mosaic, has another dtype, or holds values of more than ``profile.bits``
            bits; or floating-point values whose median is far above white, as stored units are.
    """
    array = single_mosaic(bayer)
    if np.issubdtype(array.dtype, np.floating):
        require_normalised(array)
        return profile.quantise(array)
    if array.dtype != np.uint16:
        raise ShapeError(
            f"a mosaic must be floating point (normalised) or uint16 (stored units), got {array.dtype}"
        )
    if int(array.max()) > 2**profile.bits - 1:
        raise ShapeError(
            f"the mosaic holds {int(array.max())}, but the camera profile says {profile.bits} bits: "
            "use the profile that belongs to it"
        )
    return np.ascontiguousarray(array)


def write_mosaic(path: str | Path, bayer: Tensor | Array, profile: CameraProfile, *, note: str = "") -> None:
    """Write a mosaic as a single-channel 16-bit ``.png`` or ``.tiff`` in stored units, losslessly compressed.

    Stored units are those of the sensor: ``profile.black_level`` is black and ``profile.white_level`` is white.
    Values are not stretched to 65535. The file stores neither the levels nor the CFA: keep the profile with it. It
    names its program, so that nothing takes it for a photo.

    Args:
        path: the file; its ending is ``.png``, ``.tif`` or ``.tiff``.
        bayer: as for `stored_mosaic`: floating point and normalised, or uint16 in stored units.
        profile: camera that defines the stored units.
        note: a word of ASCII that is stored behind the program's name.

    Raises:
        ShapeError: the input is not one mosaic.
        OutputError: the file cannot be written, or has another ending.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mosaic(f"{folder}/white.png", np.ones((16, 16), np.float32), SIMULATED.profile)
        ...     stored = read_mosaic(f"{folder}/white.png")
        >>> bool((stored == SIMULATED.profile.white_level).all())
        True
    """
    stored = stored_mosaic(bayer, profile)
    ending = Path(path).suffix.lower()
    if ending not in (".png", ".tif", ".tiff"):
        raise OutputError(f"cannot write {path}: a mosaic is written as .png, .tif or .tiff")
    software = f"{MOSAIC_SOFTWARE} {note}".strip()
    with atomic_write(path) as file:
        if ending == ".png":
            file.write(with_software(bytes(imagecodecs.png_encode(stored)), software))
        else:
            tifffile.imwrite(
                file,
                stored,
                photometric="minisblack",
                compression="zlib",
                predictor=True,
                metadata=None,
                software=software,
            )


def read_note(path: str | Path) -> str:
    """Return the note that `write_mosaic` has stored; an empty text where there is none.

    Example:
        >>> import tempfile
        >>> from revisp.camera.simulate import SIMULATED
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_mosaic(f"{folder}/a.png", np.ones((16, 16), np.float32), SIMULATED.profile, note="draft")
        ...     read_note(f"{folder}/a.png")
        'draft'
    """
    program = named_program(path) or ""
    return program.removeprefix(MOSAIC_SOFTWARE).strip() if program.startswith(MOSAIC_SOFTWARE) else ""


def named_program(path: str | Path) -> str | None:
    r"""Return the program that a PNG or TIFF names; an empty text if it names none, None if it is no such file.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (16, 16)).save(f"{folder}/scan.png")
        ...     named_program(f"{folder}/scan.png")
        ''
    """
    path = Path(path)
    try:
        with decoding(path):
            if path.suffix.lower() == ".png":
                parsed = parse_png(path.read_bytes())
                if parsed is None:
                    return None
                software: object = parsed.software
            else:
                with tifffile.TiffFile(path) as tiff:
                    software = tiff.pages.first.tags.valueof(_SOFTWARE)
    except ImageError:
        return None
    return software if isinstance(software, str) else ""


def read_mosaic(path: str | Path, *, damaged: Damaged = "refuse") -> Array:
    """Read a single-channel 16-bit mosaic from ``.png``, ``.tiff`` or ``.npy``: uint16 ``[H, W]``.

    The file does not name its camera. `CameraProfile.normalise` of the right profile normalises the values.

    Args:
        path: the file.
        damaged: ``"warn"`` reads a TIFF that is cut off or lacks strips or tiles, with a warning; what is missing
            is 0.

    Raises:
        ImageError: the file is missing, damaged, or not one channel of 16 bits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/mosaic.npy", np.full((16, 24), 1023, np.uint16))
        ...     mosaic = read_mosaic(f"{folder}/mosaic.npy")
        >>> mosaic.shape, mosaic.dtype
        ((16, 24), dtype('uint16'))
    """
    array = _read(Path(path), damaged)
    if array.ndim != 2:
        raise ImageError(f"{path}: a mosaic is one channel, this is {array.dtype} {list(array.shape)}")
    return array


def read_planes(path: str | Path, cfa: CFA, *, damaged: Damaged = "refuse") -> Array:
    """Read a mosaic as `read_mosaic` does, or from the challenges' ``.npy`` of planes: uint16 ``[H, W]``.

    Args:
        path: the file; planes are uint16 ``[h, w, 4]`` in the order R, Gr, Gb, B.
        cfa: phase of the mosaic that the planes are unpacked to.
        damaged: as for `read_mosaic`.

    Raises:
        ImageError: the file is missing, damaged, or has neither form.
    """
    array = _read(Path(path), damaged)
    if array.ndim == 3 and array.shape[-1] == 4:
        array = unpack(np.ascontiguousarray(array.transpose(2, 0, 1)), cfa)[0]
    if array.ndim != 2:
        raise ImageError(
            f"{path}: a mosaic is one channel, or the planes R, Gr, Gb, B as [h, w, 4]; "
            f"this is {array.dtype} {list(array.shape)}"
        )
    return array


def _read(path: Path, damaged: Damaged) -> Array:
    """Return the array of a file: uint16, not empty."""
    with decoding(path, "not a readable 16-bit PNG, TIFF or npy mosaic"):
        array = _decode(path, damaged)
    if array.dtype != np.uint16:
        raise ImageError(
            f"{path}: a mosaic has 16 bits, this is {array.dtype} {list(array.shape)}: write the sensor's own "
            "values as a 16-bit PNG, TIFF or npy"
        )
    if array.size == 0:
        raise ImageError(f"{path}: the mosaic is empty, {list(array.shape)}")
    return array


def _decode(path: Path, damaged: Damaged) -> Array:
    decoded: Array
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"\x89PNG":
        data = path.read_bytes()
        check_pixels(path, *struct.unpack_from(">II", data, 16))  # of IHDR
        decoded = imagecodecs.png_decode(data)
    elif head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        with tifffile.TiffFile(path) as tiff:
            check_complete(tiff.pages.first, path, damaged)
            check_samples(tiff.pages.first, path, damaged)
            decoded = tiff.asarray()
    else:
        decoded = read_npy(path)
    return decoded
