import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps

from revisp.errors import ImageError, OutputError, ShapeError
from revisp.io import read_photo, read_srgb, write_png
from revisp.io.header import photo_size


def _corners(height: int = 24, width: int = 40, top: int = 255) -> np.ndarray:
    """A picture whose four corners differ, so that no flip or turn leaves it the same."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, top, (height, width, 3), endpoint=True)
    return picture.astype(np.uint8 if top == 255 else np.uint16)


def _expected(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32) / np.iinfo(picture.dtype).max).permute(2, 0, 1)


@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
def test_lossless_8_bit_formats_are_exact(tmp_path: Path, ending: str):
    picture = _corners()
    path = tmp_path / f"a.{ending}"
    Image.fromarray(picture).save(path, **({"lossless": True} if ending == "webp" else {}))
    assert torch.equal(read_srgb(path), _expected(picture))
    assert read_srgb(path).dtype == torch.float32


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_16_bit_tiff_keeps_all_bits(tmp_path: Path, compression, planar):
    picture = _corners(top=65535)
    data = picture if planar == "contig" else picture.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar, compression=compression)
    assert torch.equal(read_srgb(tmp_path / "a.tif"), _expected(picture))


def test_16_bit_png_keeps_all_bits(tmp_path: Path):
    picture = _corners(top=65535)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(picture))
    assert torch.equal(read_srgb(tmp_path / "a.png"), _expected(picture))


def test_a_jpeg_is_near_and_its_content_counts_not_its_name(tmp_path: Path):
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png", format="JPEG", quality=95)
    assert (read_srgb(tmp_path / "a.png") - _expected(picture)).abs().max() < 3 / 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png8", "tiff8", "png16", "tiff16"])
def test_every_orientation_comes_out_upright(tmp_path: Path, orientation: int, kind: str):
    picture = _corners(top=255 if kind.endswith("8") else 65535)
    path = tmp_path / f"a.{kind[:-2] if kind.endswith('16') else kind[:-1]}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind.endswith("8"):
        Image.fromarray(picture).save(path, exif=exif)
    elif kind == "tiff16":
        tifffile.imwrite(path, picture, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        data = imagecodecs.png_encode(picture)
        path.write_bytes(data[:33] + _png_chunk(b"eXIf", exif.tobytes()[6:]) + data[33:])
    reference = Image.fromarray((picture >> (0 if kind.endswith("8") else 8)).astype(np.uint8))
    reference.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(reference)).astype(np.float32)
    found = read_srgb(path).permute(1, 2, 0).numpy()
    assert found.shape == upright.shape
    assert np.abs(found * 255 - upright).max() < 1.0


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("deep", [False, True])
def test_grey_becomes_three_equal_channels(tmp_path: Path, deep: bool):
    grey = np.ascontiguousarray(_corners(top=65535 if deep else 255)[..., 0])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(grey))
    srgb = read_srgb(tmp_path / "a.png")
    assert srgb.shape == (3, 24, 40)
    assert torch.equal(srgb, _expected(np.stack([grey] * 3, -1)))


def test_palette_and_bilevel_are_looked_up(tmp_path: Path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:8] = (255, 0, 0)
    Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    assert torch.equal(read_srgb(tmp_path / "p.png"), _expected(picture))
    Image.fromarray(picture[..., 0]).convert("1").save(tmp_path / "b.png")
    assert torch.equal(read_srgb(tmp_path / "b.png"), _expected(picture[..., [0, 0, 0]]))


@pytest.mark.parametrize("deep", [False, True])
def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path: Path, deep: bool):
    picture = _corners(top=65535 if deep else 255)
    alpha = np.full((24, 40, 1), np.iinfo(picture.dtype).max, picture.dtype)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.concatenate([picture, alpha], -1)))
    assert torch.equal(read_srgb(tmp_path / "a.png"), _expected(picture))
    alpha[3, 3] -= 1
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.concatenate([picture, alpha], -1)))
    with pytest.raises(ImageError, match="transparent"):
        read_srgb(tmp_path / "a.png")


def _adobe_rgb() -> bytes:
    return imagecodecs.cms_profile("adobergb")


@pytest.mark.parametrize("kind", ["png8", "tiff8", "png16", "tiff16"])
def test_another_profile_is_converted_to_srgb(tmp_path: Path, kind: str):
    """Adobe RGB (1998): (0.6, 0.5, 0.3) computed from its published primaries and gamma 563/256."""
    adobe = np.array([0.6, 0.5, 0.3])
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_linear = np.array(
        [[3.24096, -1.53738, -0.49861], [-0.96924, 1.87597, 0.04156], [0.05563, -0.20398, 1.05697]]
    )
    linear = to_linear @ to_xyz @ adobe ** (563 / 256)
    assert linear.min() > 0.0031308
    expected = 1.055 * linear ** (1 / 2.4) - 0.055
    deep = kind.endswith("16")
    top = 65535 if deep else 255
    picture = np.tile(np.rint(adobe * top), (16, 16, 1)).astype(np.uint16 if deep else np.uint8)
    path = tmp_path / f"a.{'png' if 'png' in kind else 'tiff'}"
    if kind == "tiff16":
        tifffile.imwrite(path, picture, photometric="rgb", iccprofile=_adobe_rgb())
    elif kind == "png16":
        data = imagecodecs.png_encode(picture)
        chunk = _png_chunk(b"iCCP", b"x\0\0" + zlib.compress(_adobe_rgb()))
        path.write_bytes(data[:33] + chunk + data[33:])
    else:
        Image.fromarray(picture).save(path, icc_profile=_adobe_rgb())
    found = read_srgb(path)[:, 8, 8].numpy()
    assert np.abs(found - expected).max() < (0.001 if deep else 0.006)
    assert np.abs(found - adobe).max() > 0.03  # so the conversion matters


def test_an_srgb_profile_changes_nothing(tmp_path: Path):
    picture = _corners()
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(picture).save(tmp_path / "a.png", icc_profile=icc)
    assert torch.equal(read_srgb(tmp_path / "a.png"), _expected(picture))


def test_cmyk_without_a_profile_is_refused(tmp_path: Path):
    Image.new("CMYK", (20, 20), (0, 128, 255, 0)).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="CMYK without a colour profile: convert it to sRGB first"):
        read_srgb(tmp_path / "a.jpg")


def _cmyk_profile() -> bytes:
    """A minimal ICC v2 printer profile (lut8, two grid points an axis): RGB-like Lab of ideal inks."""

    def tag(data: bytes) -> bytes:
        return data + b"\0" * (-len(data) % 4)

    corners = []
    for c in (0, 1):
        for m in (0, 1):
            for y in (0, 1):
                for k in (0, 1):
                    ink = (c + m + y) / 3
                    lightness = 0.0 if k else 1 - 0.9 * ink
                    tint = 0 if k else 1
                    corners += [
                        round(255 * lightness),
                        round(128 + tint * 60 * (m - c)),
                        round(128 + tint * 60 * (y - (c + m) / 2)),
                    ]
    curve = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    lut += b"".join(struct.pack(">i", 65536 if i in (0, 4, 8) else 0) for i in range(9))
    lut += curve * 4 + bytes(corners) + curve * 3
    text = b"text" + bytes(4) + b"none\0"
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(8 + 3 + 67)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    tags = {b"desc": tag(description), b"cprt": tag(text), b"wtpt": tag(white), b"A2B0": tag(lut)}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize("kind", ["jpg", "tiff"])
def test_cmyk_is_converted_by_its_profile(tmp_path: Path, kind: str):
    icc = _cmyk_profile()
    inks = Image.new("CMYK", (20, 20), (20, 150, 230, 10))
    inks.save(tmp_path / f"a.{kind}", icc_profile=icc, quality=100)
    reference = ImageCms.profileToProfile(
        inks,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    expected = np.asarray(reference)[10, 10] / 255
    assert expected[0] > expected[1] > expected[2]
    assert np.abs(read_srgb(tmp_path / f"a.{kind}")[:, 10, 10].numpy() - expected).max() < 0.02


def test_only_the_first_frame_is_read_and_said(tmp_path: Path):
    first, second = Image.fromarray(_corners()), Image.new("RGB", (40, 24))
    for name in ("a.webp", "a.tiff"):
        options = {"lossless": True} if name.endswith("webp") else {}
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
        with pytest.warns(UserWarning, match="has 2 frames, only the first"):
            assert torch.equal(read_srgb(tmp_path / name), _expected(_corners()))


@pytest.mark.parametrize("brand", [b"avis", b"avif"])
def test_the_still_picture_of_an_avif_sequence_is_read(tmp_path: Path, brand: bytes):
    """libavif would give its frames, and imagecodecs 2026.3 writes all of them to the memory of one."""
    first, second = Image.fromarray(_corners()), Image.new("RGB", (40, 24))
    file = io.BytesIO()
    first.save(file, "AVIF", save_all=True, append_images=[second] * 3, quality=100, subsampling="4:4:4")
    data = file.getvalue()
    assert data[8:12] == b"avis"
    (tmp_path / "a.avif").write_bytes(data[:8] + brand + data[12:])
    with pytest.warns(UserWarning, match="an image sequence, only its still picture"):
        found = read_srgb(tmp_path / "a.avif")
    assert (found - _expected(_corners())).abs().mean() < 0.02


def _bad_files(folder: Path) -> dict[str, str]:
    """File name to what its error must say."""
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("This is no picture.\n" * 20)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8))
    noise.save(folder / "whole.jpg")
    data = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    noise.save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:9000])
    (folder / "deep.png").write_bytes(imagecodecs.png_encode(np.asarray(noise).astype(np.uint16) * 257)[:9000])
    tifffile.imwrite(folder / "whole.tif", np.asarray(noise).astype(np.uint16), photometric="rgb")
    (folder / "cut.tif").write_bytes((folder / "whole.tif").read_bytes()[:9000])
    tifffile.imwrite(folder / "float.tif", np.zeros((32, 32, 3), np.float32), photometric="rgb")
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.new("RGB", (400, 15)).save(folder / "flat.png")
    Image.new("RGB", (32, 32)).save(folder / "a.gif")
    (folder / "folder.jpg").mkdir()
    return {
        "missing.jpg": "No such file",
        "folder.jpg": "Is a directory",
        "empty.jpg": "the file is empty",
        "text.jpg": "not a JPEG, PNG, TIFF or WebP photo",
        "a.gif": "not a JPEG, PNG, TIFF or WebP photo",
        "cut.jpg": "damaged",
        "cut.png": "damaged",
        "deep.png": "damaged",
        "cut.tif": "damaged",
        "float.tif": "float32.*convert it to 8- or 16-bit RGB",
        "one.png": "1x1 pixels, the least is 16x16",
        "flat.png": "400x15 pixels",
    }


def test_bad_files_are_one_line_that_names_them(tmp_path: Path):
    for name, reason in _bad_files(tmp_path).items():
        with pytest.raises(ImageError, match=reason) as caught:
            read_srgb(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name)), name
        assert "\n" not in str(caught.value), name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("size", "reason", "known"),
    [
        ((40_000, 40_000), "more than the 300 megapixels|larger than 300 megapixels", None),
        (
            (16_400, 12_200),
            "damaged",
            (12_200, 16_400),
        ),  # Pillow alone warns of 89 megapixels and refuses 179; phones make 200
    ],
)
def test_only_a_header_beyond_300_megapixels_is_refused_for_its_size(tmp_path: Path, size, reason: str, known):
    Image.new("1", (16, 16)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    header = struct.pack(">II", *size) + bytes(data[24:29])
    (tmp_path / "a.png").write_bytes(data[:8] + _png_chunk(b"IHDR", header) + data[33:])
    with pytest.raises(ImageError, match=reason):
        read_srgb(tmp_path / "a.png")
    assert photo_size(tmp_path / "a.png") == known


def test_exif_is_read(sample_data: Path):
    metadata = read_photo(sample_data / "raw_samples" / "canon_s40" / "IMG_0102.JPG").metadata
    assert (metadata.make, metadata.model, metadata.date) == (
        "Canon",
        "Canon PowerShot S40",
        "2021:04:08 14:51:29",
    )
    assert metadata.exposure_time == Fraction(1, 100)
    assert metadata.f_number == Fraction(14, 5)
    assert metadata.focal_length == Fraction(227, 32)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_absent_and_damaged_exif_is_no_error(tmp_path: Path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jpg")
    assert read_photo(tmp_path / "a.jpg").metadata.exposure_time is None
    Image.new("RGB", (16, 16)).save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(50))
    assert read_photo(tmp_path / "b.jpg").metadata.date is None


def test_written_previews_read_back(tmp_path: Path):
    srgb = _expected(_corners())
    write_png(tmp_path / "a.png", srgb[None])
    assert torch.equal(read_srgb(tmp_path / "a.png"), srgb)
    with pytest.raises(ShapeError, match="one picture"):
        write_png(tmp_path / "b.png", srgb.expand(2, -1, -1, -1))
    with pytest.raises(OutputError, match="No such file or directory"):
        write_png(tmp_path / "none" / "a.png", srgb)
