"""Files whose parts are missing although their structure is whole: refused, not filled with grey or black."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from revisp.camera.simulate import SIMULATED
from revisp.convert import convert_photos, plan_conversions
from revisp.convert.formats import Choice
from revisp.errors import ConfigError, ImageError
from revisp.io import read_mosaic, read_photo, read_raw, write_dng
from revisp.io.dng import read_linear_dng, write_linear_dng
from revisp.pipeline import ReverseISP
from revisp.prepare import PrepareOptions, prepare

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


def smooth(rng: np.random.Generator, height: int = 300, width: int = 500) -> np.ndarray:
    """A mosaic of 10 bits with noise, and a clipped area up to its end."""
    light = 500 + 300 * np.sin(np.arange(width) / 50)[None] * np.cos(np.arange(height) / 40)[:, None]
    mosaic = (light + rng.normal(0, 8, light.shape)).clip(64, 1023)
    mosaic[-40:, -200:] = 1023
    return mosaic.astype(np.uint16)


def damaged_tile(path: Path, change: str, share: float) -> bytes:
    """Return a DNG in one tile of which a sector is empty, another one's, or gone."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as held:
        pages = [page for top in held.pages for page in (top, *(top.pages or ()))]
        page = max(pages, key=lambda page: page.imagewidth * page.imagelength)
        place, size = page.dataoffsets[0], page.databytecounts[0]
    at = place + 300 + int(share * (size - 1500))
    if change == "empty":
        data[at : at + 512] = bytes(512)
    elif change == "another":
        data[at : at + 512] = np.random.default_rng(int(100 * share)).integers(0, 255, 512, np.uint8).tobytes()
    else:
        left = data[at + 512 : place + size]
        data[at : at + len(left)] = left
    return bytes(data)


@pytest.mark.parametrize("share", [0.02, 0.4, 0.97])
@pytest.mark.parametrize("change", ["empty", "another", "gone"])
def test_a_damaged_sector_in_a_lossless_tile_is_refused(tmp_path: Path, change: str, share: float) -> None:
    path = tmp_path / "a.dng"
    write_dng(path, smooth(np.random.default_rng(0)), SIMULATED.profile.replace(white_level=1023, bits=10))
    path.write_bytes(damaged_tile(path, change, share))
    with pytest.raises(ImageError, match=r"a\.dng: (damaged, 1 of 4 strips or tiles|LibRaw cannot read it)"):
        read_raw(path)


def test_lossless_tiles_of_any_content_are_whole(tmp_path: Path) -> None:
    """Flat, clipped, noisy, of few and of all bits: none is taken for damaged."""
    rng = np.random.default_rng(1)
    profile = SIMULATED.profile.replace(white_level=65535, bits=16, black_level=(0.0,) * 4)
    noise = rng.integers(0, 65536, (96, 160))
    for mosaic in (noise, noise // 8192, noise * 0, noise * 0 + 65535, np.where(noise > 60000, 65535, 0)):
        for half in (mosaic, np.where(np.arange(96)[:, None] > 40, 65535, mosaic)):
            write_dng(tmp_path / "a.dng", half.astype(np.uint16), profile)
            assert np.array_equal(read_raw(tmp_path / "a.dng").mosaic, half)
    for planes in (
        np.full((3, 32, 48), 0.5),
        np.stack([noise / 65535] * 2 + [noise * 0]),
        noise[None] * 0 + [[[1]]] * 3,
    ):
        write_linear_dng(tmp_path / "l.dng", planes.astype(np.float32), profile)
        assert read_linear_dng(tmp_path / "l.dng").shape == planes.shape


@pytest.mark.parametrize("options", [{"progressive": True}, {"progressive": True, "subsampling": 0}])
def test_a_progressive_jpeg_without_its_last_scans_is_refused(tmp_path: Path, options: dict) -> None:
    data = jpeg(photo(160, 200), **options)
    last = data.rindex(b"\xff\xda")
    (tmp_path / "a.jpg").write_bytes(data[:last] + END)
    with pytest.raises(ImageError, match=r"a\.jpg: ends early, its fine detail is missing"):
        read_photo(tmp_path / "a.jpg")
    with pytest.warns(UserWarning, match="fine detail is missing: read all the same"):
        assert read_photo(tmp_path / "a.jpg", damaged="warn").srgb.shape == (3, 160, 200)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strips_that_are_too_short_are_refused(tmp_path: Path, dtype: type) -> None:
    data = bytearray(tiff(dtype, rowsperstrip=16))
    with tifffile.TiffFile(io.BytesIO(data)) as held:
        tag = held.pages[0].tags["StripByteCounts"]
        size = {3: 2, 4: 4, 16: 8}[tag.dtype]
        short = held.pages[0].databytecounts[0] // 2
        data[tag.valueoffset : tag.valueoffset + size] = short.to_bytes(size, "little")
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif: damaged, strips of its picture are too short"):
        read_photo(tmp_path / "a.tif")


def test_damaged_files_are_read_with_a_warning_on_request(tmp_path: Path) -> None:
    """What is there is as it was; a file that no decoder takes stays refused."""
    folder = tmp_path / "in"
    folder.mkdir()
    data = jpeg(photo(160, 200))
    whole = np.asarray(Image.open(io.BytesIO(data)))
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    for name, left in (("cut", data[:middle]), ("ended", data[:middle].rstrip(b"\xff") + END)):
        (folder / f"{name}.jpg").write_bytes(left)
        with pytest.warns(UserWarning, match=rf"{name}\.jpg: ends early, its last rows are missing: read all the"):
            read = (read_photo(folder / f"{name}.jpg", damaged="warn").srgb * 255).round().byte()
        assert np.array_equal(read[:, :64].permute(1, 2, 0), whole[:64])
    (folder / "strips.tif").write_bytes(without(tiff(np.uint16, rowsperstrip=16), "StripByteCounts"))
    with pytest.warns(UserWarning, match="absent: read all the same"):
        assert read_photo(folder / "strips.tif", damaged="warn").srgb[:, :16].any()
    (folder / "none.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(ImageError):
        read_photo(folder / "none.jpg", damaged="warn")

    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    jobs = plan_conversions([folder], tmp_path / "out")
    assert all(done.error for done in convert_photos(model, jobs, workers=0))
    with pytest.warns(UserWarning, match="read all the same"):
        done = list(convert_photos(model, jobs, Choice(damaged="warn"), workers=0))
    assert [each.job.photo.stem for each in done if each.files] == ["cut", "ended", "strips"]
    options = PrepareOptions(demosaic="bilinear", workers=1)
    assert not prepare([folder], tmp_path / "set", options).made
    with pytest.warns(UserWarning, match="read all the same"):
        made = prepare([folder], tmp_path / "set", PrepareOptions(demosaic="bilinear", workers=1, damaged="warn"))
    assert made.made == ("cut", "ended", "strips")
    again = prepare([folder], tmp_path / "set", options)
    assert not again.kept  # made of damaged photos, which are refused again


def test_an_unknown_word_for_damaged_is_refused() -> None:
    for options in (Choice, PrepareOptions):
        with pytest.raises(ConfigError, match="unknown damaged 'ignore'"):
            options(damaged="ignore")


def test_a_damaged_raw_is_read_with_a_warning_on_request(tmp_path: Path) -> None:
    path, mosaic = tmp_path / "a.dng", smooth(np.random.default_rng(0))
    write_dng(path, mosaic, SIMULATED.profile.replace(white_level=1023, bits=10))
    path.write_bytes(damaged_tile(path, "empty", 0.4))
    with pytest.warns(UserWarning, match="do not end well: read all the same"):
        read = read_raw(path, damaged="warn").mosaic
    assert np.array_equal(read[:, 256:], mosaic[:, 256:])  # the other tiles
    assert not np.array_equal(read[:, :256], mosaic[:, :256])
    out = io.BytesIO()
    tifffile.imwrite(out, np.ones((64, 96), np.uint16), rowsperstrip=16)
    (tmp_path / "m.tif").write_bytes(without(out.getvalue(), "StripByteCounts"))
    with pytest.warns(UserWarning, match="absent: read all the same"):
        assert read_mosaic(tmp_path / "m.tif", damaged="warn")[:32].all()
