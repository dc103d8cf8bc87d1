"""What is a photo and what is not, its depth, and which picture of a file is read."""

import io
import struct
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import photo_writers as writers
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageOps

from revisp.errors import ImageError
from revisp.io import read_srgb
from revisp.io.header import photo_size


def _smooth(height: int = 48, width: int = 64) -> np.ndarray:
    """Values in [0, 1] whose corners differ."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x / (width - 1), y / (height - 1), (x + y) / (width + height - 2)], axis=-1)


def _stored(bits: int) -> np.ndarray:
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return np.rint(_smooth() * (2**bits - 1)).astype(kind)


def _read(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_srgb(path).permute(1, 2, 0).numpy()


# --- depth -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 32])
def test_a_tiff_is_scaled_by_its_own_bits(tmp_path: Path, bits: int, grey: bool):
    stored = _stored(bits)[..., 0] if grey else _stored(bits)
    options = {} if bits in (8, 16, 32) else {"bitspersample": bits}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack" if grey else "rgb", **options)
    wanted = stored / (2**bits - 1)
    assert np.abs(_read(tmp_path / "a.tif") - (wanted[..., None] if grey else wanted)).max() < 1e-6


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("big", [False, True])
def test_packed_bits_written_by_hand_are_read(tmp_path: Path, bits: int, big: bool):
    """TIFF 6.0: bits fill bytes from the highest on, rows begin at a byte; in both byte orders."""
    stored = _stored(bits)
    rows = [int("".join(f"{value:0{bits}b}" for value in row.ravel()), 2) for row in stored]
    size = -(-64 * 3 * bits // 8)
    pixels = b"".join((row << (size * 8 - 64 * 3 * bits)).to_bytes(size, "big") for row in rows)
    order = ">" if big else "<"
    short = 3
    entries = [
        (256, short, 1, 64), (257, short, 1, 48), (258, short, 3, 8 + 2 + 12 * 9 + 4), (259, short, 1, 1),
        (262, short, 1, 2), (273, 4, 1, 8 + 2 + 12 * 9 + 4 + 6), (277, short, 1, 3), (278, short, 1, 48),
        (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    data = (b"MM\0*" if big else b"II*\0") + struct.pack(f"{order}IH", 8, 9)
    for tag, kind, count, value in entries:
        inline = (
            struct.pack(f"{order}HH", value, 0) if (kind, count) == (short, 1) else struct.pack(f"{order}I", value)
        )
        data += struct.pack(f"{order}HHI", tag, kind, count) + inline
    data += bytes(4) + struct.pack(f"{order}3H", bits, bits, bits) + pixels
    (tmp_path / "a.tif").write_bytes(data)
    assert np.abs(_read(tmp_path / "a.tif") - stored / (2**bits - 1)).max() < 1e-6


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_of_each_depth_is_read(tmp_path: Path, bits: int):
    data = imagecodecs.avif_encode(_stored(bits), level=100, bitspersample=bits)
    (tmp_path / "a.avif").write_bytes(data)
    assert np.abs(_read(tmp_path / "a.avif") - _smooth()).max() < 0.004


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_heif_of_each_depth_is_read(tmp_path: Path, bits: int):
    deep = bits > 8
    stored = np.rint(_smooth() * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    mode = "RGB;16" if deep else "RGB"
    file = pillow_heif.from_bytes(mode=mode, size=(64, 48), data=stored.tobytes())
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        file.save(tmp_path / "a.heic", quality=-1, chroma=444)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    found = _read(tmp_path / "a.heic")
    assert np.abs(found - _smooth()).max() < 0.012
    assert len(np.unique(found)) > (300 if deep else 0)


def test_jpeg_of_12_bits_is_read(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg8_encode(_stored(12), level=98, bitspersample=12))
    found = _read(tmp_path / "a.jpg")
    assert np.abs(found - _smooth()).max() < 0.02
    assert len(np.unique(found)) > 1000


@pytest.mark.parametrize("bits", [4, 8, 10, 12])
def test_jpeg_xl_of_each_depth_is_read(tmp_path: Path, bits: int):
    """Samples of more than 8 bits are declared linear by imagecodecs."""
    data = imagecodecs.jpegxl_encode(_stored(bits), lossless=True, bitspersample=bits)
    (tmp_path / "a.jxl").write_bytes(data)
    wanted = _stored(bits) / (2**bits - 1)
    if bits > 8:
        wanted = np.where(wanted <= 0.0031308, 12.92 * wanted, 1.055 * wanted ** (1 / 2.4) - 0.055)
    assert np.abs(_read(tmp_path / "a.jxl") - wanted).max() < 1e-5


# --- orientation and size --------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "JXL"])
def test_orientation_is_applied_once(tmp_path: Path, kind: str, orientation: int):
    """AVIF stores it as rotation and mirror, and repeats it in the EXIF."""
    pixels = np.rint(_smooth() * 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(image)) / 255
    path = tmp_path / "a"
    if kind == "JXL":
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0, exif=exif)
        path.write_bytes(imagecodecs.jpegxl_encode_jpeg(file.getvalue(), usecontainer=True))
    else:
        Image.fromarray(pixels).save(path, kind, exif=exif, quality=100)
    found = _read(path)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 0.06


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirror", [None, 0, 1])
def test_rotation_and_mirror_of_items_are_applied(tmp_path: Path, kind: str, turn: int, mirror):
    """ISO/IEC 23008-12, 6.5.10 and 6.5.12: quarter turns counterclockwise; 0 exchanges top and bottom."""
    pixels = np.rint(_smooth(64, 128) * 255).astype(np.uint8)
    wanted = np.rot90(_smooth(64, 128), turn)
    properties = [(b"irot", bytes([turn]))]
    if mirror is not None:
        properties.append((b"imir", bytes([mirror])))
        wanted = np.flip(wanted, mirror)
    if kind == "AVIF":
        item = writers.av1_item(pixels)
        item = item._replace(properties=[*item.properties, *properties])
    else:
        item = writers.hevc_item(pixels, *properties)
    brands = {"AVIF": b"avifmif1miaf", "HEIF": b"heicmif1miaf"}[kind]
    exif = Image.Exif()
    exif[0x0112] = 6
    described = writers.Item(b"Exif", bytes(4) + exif.tobytes()[6:], references=[(b"cdsc", [1])])
    (tmp_path / "a").write_bytes(writers.item_file([item, described], brands=brands))
    found = _read(tmp_path / "a")
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 0.03


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_the_clean_aperture_is_cut_out(tmp_path: Path, kind: str):
    pixels = np.rint(_smooth(64, 128) * 255).astype(np.uint8)
    aperture = struct.pack(">iIiIiIiI", 100, 1, 40, 1, 4, 2, -6, 2)  # 100x40, 2 right and 3 above the middle
    crop = (b"clap", aperture)
    if kind == "AVIF":
        item = writers.av1_item(pixels)
        item = item._replace(properties=[*item.properties, crop])
    else:
        item = writers.hevc_item(pixels, crop)
    brands = {"AVIF": b"avifmif1miaf", "HEIF": b"heicmif1miaf"}[kind]
    (tmp_path / "a").write_bytes(writers.item_file([item], brands=brands))
    wanted = _smooth(64, 128)[9:49, 16:116]
    assert np.abs(_read(tmp_path / "a") - wanted).max() < 0.03
    assert photo_size(tmp_path / "a") == (40, 100)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "JXL"])
def test_the_size_of_a_photo_is_known_before_it_is_decoded(tmp_path: Path, kind: str):
    image = Image.fromarray(np.rint(_smooth() * 255).astype(np.uint8))
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(tmp_path / "a")
    elif kind == "AVIF":
        image.save(tmp_path / "a", "AVIF")
    else:
        (tmp_path / "a").write_bytes(imagecodecs.jpegxl_encode(np.asarray(image)))
    assert photo_size(tmp_path / "a") == (48, 64)


def test_the_size_of_a_tiff_is_that_of_the_full_picture(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(_stored(8)[::2, ::2].copy(), photometric="rgb", subfiletype=1)
        tiff.write(_stored(8), photometric="rgb")
    assert photo_size(tmp_path / "a.tif") == (48, 64)


# --- pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("layout", ["reduced first", "reduced last", "below the reduced", "two reduced"])
def test_the_full_picture_is_read_not_a_small_copy(tmp_path: Path, layout: str, deep: bool):
    full = _stored(16 if deep else 8)
    small = np.ascontiguousarray(full[::4, ::4])
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        if layout == "below the reduced":
            tiff.write(small, photometric="rgb", subfiletype=1, subifds=1)
            tiff.write(full, photometric="rgb", subfiletype=0)
        else:
            order = {
                "reduced first": (1, 0),
                "reduced last": (0, 1),
                "two reduced": (1, 1, 0),
                "mask first": (4, 0),
            }
            for kind in order[layout]:
                tiff.write(small if kind else full, photometric="rgb", subfiletype=kind)
    assert np.abs(_read(path) - full / full.max()).max() < 1e-6


def test_a_small_copy_that_does_not_say_so_is_passed_over(tmp_path: Path):
    full = _stored(8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.ascontiguousarray(full[::2, ::2]), photometric="rgb")
        tiff.write(full, photometric="rgb")
    assert _read(tmp_path / "a.tif").shape == full.shape


@pytest.mark.parametrize("mode", ["RGB", "L", "YCbCr", "P", "1"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_later_page_is_read_as_if_it_stood_alone(tmp_path: Path, mode: str, orientation: int):
    full = Image.fromarray(_stored(8)).convert(mode)
    small, alone = Image.new("RGB", (full.width // 2, full.height // 2)), Image.Exif()
    alone[0x0112] = orientation
    full.save(tmp_path / "alone.tif", exif=alone)
    full.encoderinfo = {"tiffinfo": {0x0112: orientation}}
    small.save(tmp_path / "later.tif", save_all=True, append_images=[full])
    found = _read(tmp_path / "later.tif")
    assert np.array_equal(found, _read(tmp_path / "alone.tif"))
    assert found.std() > 0.05


@pytest.mark.parametrize(("extra", "opaque"), [(["unspecified"], True), (["unassalpha"], False), ([0, 0], True)])
@pytest.mark.parametrize("grey", [False, True])
def test_only_samples_that_say_so_are_alpha(tmp_path: Path, extra: list[str | int], opaque: bool, grey: bool):
    full = _stored(16)
    full = full[..., :1] if grey else full
    pixels = np.dstack([full, np.zeros((*full.shape[:2], len(extra)), np.uint16)])
    photometric = "minisblack" if grey else "rgb"
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric=photometric, planarconfig="contig", extrasamples=extra
    )
    if opaque:
        assert np.abs(_read(tmp_path / "a.tif") - full / 65535).max() < 1e-6
    else:
        with pytest.raises(ImageError, match="transparent"):
            _read(tmp_path / "a.tif")


def test_where_white_is_zero_opaque_is_not(tmp_path: Path):
    grey = _stored(16)[..., :1]
    pixels = np.dstack([65535 - grey, np.full_like(grey, 65535)])
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="miniswhite", planarconfig="contig", extrasamples=["unassalpha"]
    )
    assert np.abs(_read(tmp_path / "a.tif") - grey / 65535).max() < 1e-6


@pytest.mark.parametrize("compression", ["webp", "jpegxl", "jpeg2000", "png", "zstd", "lzma", "lerc", "packbits"])
def test_compressions_of_8_bits_are_read(tmp_path: Path, compression: str):
    tifffile.imwrite(tmp_path / "a.tif", _stored(8), photometric="rgb", compression=compression)
    assert np.abs(_read(tmp_path / "a.tif") - _smooth()).max() < 1 / 250


def test_deep_luminance_and_chroma_are_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", _stored(16), photometric="ycbcr")
    with pytest.raises(ImageError, match="a TIFF of this kind"):
        _read(tmp_path / "a.tif")


# --- damage ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JXL"])
def test_any_damage_of_a_container_is_an_image_error(tmp_path: Path, kind: str):
    """Seeded: single bytes, cuts and repeats in the first kilobyte, where structure stands."""
    file = io.BytesIO()
    image = Image.fromarray(np.rint(_smooth() * 255).astype(np.uint8))
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(file)
    elif kind == "JXL":
        file.write(imagecodecs.jpegxl_encode(np.asarray(image), usecontainer=True))
    else:
        image.save(file, kind)
    whole, rng = file.getvalue(), np.random.default_rng(0)
    read = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, min(len(data), 1024)))
            change = rng.integers(3)
            if change == 0:
                data[at] = int(rng.integers(256))
            elif change == 1:
                del data[at : at + int(rng.integers(1, 9))]
            else:
                data[at:at] = data[at : at + 8]
        (tmp_path / "a").write_bytes(bytes(data))
        try:
            assert read_srgb(tmp_path / "a").shape[0] == 3
            read += 1
        except ImageError:
            continue
    assert read < 150
