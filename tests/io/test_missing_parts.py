"""Files whose parts are missing although their structure is whole: refused, not filled with grey or black."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.errors import ImageError
from revisp.io import read_mosaic, read_photo, read_raw, write_dng
from revisp.io.dng import read_linear_dng, write_linear_dng

END = b"\xff\xd9"


def photo(height: int = 64, width: int = 96) -> np.ndarray:
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90, **options)
    return out.getvalue()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_jpeg_that_ends_early_is_refused(
    tmp_path: Path, share: float, subsampling: int, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(photo(160, 200), subsampling=subsampling, exif=exif)
    start = data.index(b"\xff\xda")
    cut = data[: start + int(share * (len(data) - start))].rstrip(b"\xff") + END
    (tmp_path / "a.jpg").write_bytes(cut)
    with pytest.raises(ImageError, match=r"a\.jpg: ends early, its last rows are missing"):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("size", [(16, 16), (61, 93), (64, 96), (17, 200)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_grey_photo_is_whole(tmp_path: Path, size: tuple[int, int], options: dict) -> None:
    """The grey that is filled in for missing data may be the photo's own."""
    for pixels in (np.full((*size, 3), 128, np.uint8), photo(*size)):
        (tmp_path / "a.jpg").write_bytes(jpeg(pixels, **options) + b"trailing bytes")
        shown = np.asarray(Image.open(io.BytesIO(jpeg(pixels, **options))))
        assert np.array_equal((read_photo(tmp_path / "a.jpg").srgb * 255).round().byte().permute(1, 2, 0), shown)
    out = io.BytesIO()
    Image.fromarray(np.full(size, 128, np.uint8)).save(out, "JPEG")
    (tmp_path / "grey.jpg").write_bytes(out.getvalue())
    assert read_photo(tmp_path / "grey.jpg").srgb.shape == (3, *size)


def without(data: bytes, tag: str, share: int = 2) -> bytes:
    """Set half of the values of a tag of the largest picture to zero."""
    changed = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as held:
        pages = [page for top in held.pages for page in (top, *(top.pages or ()))]
        page = max(pages, key=lambda page: page.imagewidth * page.imagelength)
        found = page.tags[tag]
        size = {3: 2, 4: 4, 16: 8}[found.dtype]
        for at in range(found.count // share, found.count):
            place = found.valueoffset + at * size
            changed[place : place + size] = bytes(size)
    return bytes(changed)


def tiff(dtype: type, **options: object) -> bytes:
    out = io.BytesIO()
    pixels = photo().astype(dtype) * (257 if dtype == np.uint16 else 1)
    tifffile.imwrite(out, pixels, photometric="rgb", **options)
    return out.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("options", "tags"),
    [
        ({"rowsperstrip": 16}, ("StripOffsets", "StripByteCounts")),
        ({"rowsperstrip": 16, "compression": "zlib"}, ("StripOffsets", "StripByteCounts")),
        ({"tile": (16, 16)}, ("TileOffsets", "TileByteCounts")),
        ({"rowsperstrip": 16, "planarconfig": "separate"}, ("StripByteCounts",)),
    ],
)
def test_a_tiff_without_some_strips_is_refused(tmp_path: Path, dtype: type, options: dict, tags: tuple) -> None:
    pixels = photo()
    data = tiff(dtype, **options)
    if options.get("planarconfig"):
        out = io.BytesIO()
        planes = pixels.transpose(2, 0, 1).astype(dtype)
        tifffile.imwrite(out, planes, photometric="rgb", **options)
        data = out.getvalue()
    (tmp_path / "a.tif").write_bytes(data)
    assert read_photo(tmp_path / "a.tif").srgb.shape == (3, 64, 96)
    for tag in tags:
        (tmp_path / "a.tif").write_bytes(without(data, tag))
        with pytest.raises(ImageError, match=r"a\.tif: damaged, strips or tiles of its picture are absent"):
            read_photo(tmp_path / "a.tif")


def test_raw_files_without_some_parts_are_refused(tmp_path: Path) -> None:
    mosaic = np.random.default_rng(0).integers(64, 1000, (600, 800)).astype(np.uint16)
    for compression in ("jpeg", "jpegxl"):
        path = tmp_path / "a.dng"
        write_dng(path, mosaic, SIMULATED.profile.replace(white_level=1023, bits=10), compression=compression)
        assert np.array_equal(read_raw(path).mosaic, mosaic)
        path.write_bytes(without(path.read_bytes(), "TileByteCounts"))
        with pytest.raises(ImageError, match=r"a\.dng: damaged, strips or tiles of its picture are absent"):
            read_raw(path)
    write_linear_dng(tmp_path / "l.dng", np.full((3, 600, 800), 0.5, np.float32), SIMULATED.profile)
    (tmp_path / "l.dng").write_bytes(without((tmp_path / "l.dng").read_bytes(), "TileByteCounts"))
    with pytest.raises(ImageError, match="absent"):
        read_linear_dng(tmp_path / "l.dng")


def test_a_mosaic_without_some_strips_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.ones((64, 96), np.uint16), rowsperstrip=16)
    (tmp_path / "m.tif").write_bytes(without(out.getvalue(), "StripByteCounts"))
    with pytest.raises(ImageError, match="absent"):
        read_mosaic(tmp_path / "m.tif")
