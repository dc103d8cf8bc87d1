"""Sizes are measured before memory is taken: a header that claims much is refused, whatever the kind."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import photo_writers as writers
import pytest
import scene_files
import tifffile
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, ImageError, RevispError
from revisp.io import read_challenge_npy, read_metadata, read_mosaic, read_photo, read_raw, read_scene, write_dng
from revisp.io.dng import read_linear_dng, write_linear_dng
from revisp.limits import max_pixels

SIDE = 60_000
MOST = 300_000  # KiB that a refusal may take


def png(bits: int, colour: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b"")
    )


def tiff(samples: int = 3, side: int = SIDE, bits: int = 16) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, np.zeros((16, 16, samples), np.uint16), photometric="rgb", compression="zlib")
    data = bytearray(out.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as held:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            at = held.pages[0].tags[name].valueoffset
            data[at : at + 4] = struct.pack("<I", side)
    return bytes(data)


def with_size(data: bytes, old: tuple[int, int], new: tuple[int, int], form: str) -> bytes:
    assert data.count(struct.pack(form, *old)) >= 1
    return data.replace(struct.pack(form, *old), struct.pack(form, *new))


def jpeg() -> bytes:
    data = writers.jpeg(np.zeros((32, 48, 3), np.uint8))
    return with_size(data, (32, 48), (SIDE, SIDE), ">HH")


def hdr(path: Path) -> None:
    scene_files.write_hdr(path, bytes(64), f"-Y {SIDE} +X {SIDE}")


def npy(path: Path) -> None:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<u2", "fortran_order": False, "shape": (SIDE, SIDE, 4)})
    path.write_bytes(out.getvalue() + bytes(100))


def dng(path: Path, *, compression: str) -> None:
    """A DNG whose RAW says that it is much larger."""
    write_dng(path, np.zeros((48, 64), np.uint16), SIMULATED.profile, compression=compression)
    _enlarge(path, (48, 64))


def linear(path: Path) -> None:
    write_linear_dng(path, np.zeros((3, 48, 64), np.float32), SIMULATED.profile)
    _enlarge(path, (48, 64))


def _enlarge(path: Path, shape: tuple[int, int]) -> None:
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as held:
        for page in [page for top in held.pages for page in (top, *(top.pages or ()))]:
            if (page.imagelength, page.imagewidth) == shape and not page.is_reduced:
                for name in ("ImageWidth", "ImageLength"):
                    at = page.tags[name].valueoffset
                    data[at : at + 4] = struct.pack("<I", SIDE)
    path.write_bytes(data)


KINDS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object]]] = {
    "JPEG": ("a.jpg", lambda path: path.write_bytes(jpeg()), read_photo),
    "PNG": ("a.png", lambda path: path.write_bytes(png(8, 2)), read_photo),
    "PNG of 16 bits": ("a.png", lambda path: path.write_bytes(png(16, 2)), read_photo),
    "TIFF": ("a.tif", lambda path: path.write_bytes(tiff()), read_photo),
    "AVIF": (
        "a.avif",
        lambda path: path.write_bytes(
            with_size(
                writers.item_file([writers.av1_item(np.zeros((32, 48, 3), np.uint8))], brands=b"avifmif1miaf"),
                (48, 32), (SIDE, SIDE), ">II",
            )
        ),
        read_photo,
    ),
    "mosaic as PNG": ("a.png", lambda path: path.write_bytes(png(16, 0)), read_mosaic),
    "mosaic as TIFF": ("a.tif", lambda path: path.write_bytes(tiff()), read_mosaic),
    "mosaic as npy": ("a.npy", npy, read_mosaic),
    "tile of a challenge": ("a.npy", npy, read_challenge_npy),
    "Radiance": ("a.hdr", hdr, read_scene),
    "DNG": ("a.dng", lambda path: dng(path, compression="none"), read_raw),
    "DNG of lossless JPEG": ("a.dng", lambda path: dng(path, compression="jpeg"), read_raw),
    "DNG of JPEG XL": ("a.dng", lambda path: dng(path, compression="jpegxl"), read_raw),
    "linear DNG": ("a.dng", linear, read_linear_dng),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_claims_much_takes_little(kind: str, tmp_path: Path) -> None:
    name, write, read = KINDS[kind]
    write(tmp_path / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=name):
        read(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


def test_many_samples_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.zeros((16, 16, 40), np.uint8), photometric="rgb", planarconfig="contig")
    (tmp_path / "a.tif").write_bytes(out.getvalue())
    with pytest.raises(ImageError, match=r"a\.tif: 40 samples a pixel, at most 5"):
        read_photo(tmp_path / "a.tif")


def test_a_packed_box_cannot_fill_the_memory(tmp_path: Path) -> None:
    photo = bytes(imagecodecs.jpegxl_encode(np.zeros((32, 48, 3), np.uint8), lossless=True, usecontainer=True))
    bomb = writers.box(b"brob", b"Exif" + bytes(imagecodecs.brotli_encode(bytes(1 << 29))))
    (tmp_path / "a.jxl").write_bytes(photo + bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_metadata(tmp_path / "a.jxl").make is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST


def test_the_limit_is_raised_and_lowered_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (1200, 1000)).save(tmp_path / "a.png")
    monkeypatch.setenv("REVISP_MAX_MEGAPIXELS", "1")
    with pytest.raises(ImageError, match=r"1200x1000, more than the 1 megapixels.*set REVISP_MAX_MEGAPIXELS"):
        read_photo(tmp_path / "a.png")
    monkeypatch.setenv("REVISP_MAX_MEGAPIXELS", "2")
    assert read_photo(tmp_path / "a.png").srgb.shape == (3, 1000, 1200)
    for wrong in ("", "0", "-1", "1e3", "ten", "9" * 5000):
        monkeypatch.setenv("REVISP_MAX_MEGAPIXELS", wrong)
        with pytest.raises(ConfigError, match="REVISP_MAX_MEGAPIXELS must be a whole number of millions"):
            max_pixels()
        with pytest.raises(RevispError):
            read_photo(tmp_path / "a.png")
