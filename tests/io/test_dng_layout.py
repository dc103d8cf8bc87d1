"""The directories, compressions and previews of a DNG, seen by tifffile, LibRaw, dcraw and exiftool."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
import torch
from PIL import Image
from skimage import data

from revisp.camera.cameras import known_profile
from revisp.camera.develop import develop
from revisp.camera.isp import apply_ccm, apply_gains, srgb_to_linear
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.demosaic import demosaic
from revisp.errors import ImageError, ShapeError
from revisp.io import read_preview, read_raw, write_dng
from revisp.io.dng import COMPRESSIONS, read_linear_dng, write_linear_dng
from revisp.mosaic import mosaic

KINDS = [{"plain": True}, *({"compression": name} for name in COMPRESSIONS)]
KIND_NAMES = ["plain", *COMPRESSIONS]
SIZES = [(16, 16), (31, 40), (255, 257), (256, 512), (301, 768)]
"""Height and width: odd, smaller than a tile, larger, whole numbers of tiles, and a width of two."""


def _photo_mosaic(profile: CameraProfile, height: int, width: int) -> np.ndarray:
    """A natural photo, scaled to a size, as stored values."""
    photo = Image.fromarray(data.chelsea()).resize((width, height))
    srgb = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 255
    linear = apply_ccm(srgb_to_linear(srgb), profile.srgb_to_camera)
    return profile.quantise(
        mosaic(apply_gains(linear, profile.as_shot_neutral).clamp(0, 1), profile.cfa)[0].numpy()
    )


def _full_range(profile: CameraProfile, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**profile.bits, (height, width)).astype(np.uint16)


@pytest.fixture(params=[10, 12, 14, 16])
def deep(request, profile: CameraProfile) -> CameraProfile:
    """The camera with other bits."""
    white = 2**request.param - 1
    return profile.replace(bits=request.param, white_level=white)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_tifffile_finds_the_same_integers(tmp_path: Path, deep: CameraProfile, kind, size):
    stored = _full_range(deep, *size)
    write_dng(tmp_path / "a.dng", stored, deep, **kind)
    with tifffile.TiffFile(tmp_path / "a.dng") as tiff:
        page = tiff.pages.first if kind.get("plain") else tiff.pages.first.pages[0]
        values = page.asarray()
        if page.tags.valueof("ColumnInterleaveFactor") == 2 or page.tags.valueof(52547) == 2:
            rows, columns = (np.argsort(np.arange(n) % 2, kind="stable") for n in size)
            back = np.empty_like(values)
            back[np.ix_(rows, columns)] = values
            values = back
        assert np.array_equal(values, stored)
        assert ("TileWidth" in page.tags) != ("StripOffsets" in page.tags)
        assert ("TileWidth" in page.tags) != ("RowsPerStrip" in page.tags)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.get("compression") != "jpegxl"])
@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("size", SIZES[1:])
def test_libraw_finds_the_same_integers(tmp_path: Path, deep: CameraProfile, kind, cfa: CFA, size):
    deep = deep.replace(cfa=cfa)
    stored = _full_range(deep, *size)
    write_dng(tmp_path / "a.dng", stored, deep, **kind)
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        assert np.array_equal(raw.raw_image_visible, stored)
        assert raw.color_desc.decode()[raw.raw_pattern[0, 0]] == cfa[0]
        assert raw.white_level == deep.white_level


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("size", SIZES[1:])
def test_we_read_back_the_same_camera_and_integers(tmp_path: Path, profile: CameraProfile, kind, cfa: CFA, size):
    profile = profile.replace(cfa=cfa, black_level=(60, 64, 66, 62))
    stored = _full_range(profile, *size)
    write_dng(tmp_path / "a.dng", stored, profile, orientation=8, **kind)
    back = read_raw(tmp_path / "a.dng")
    assert np.array_equal(back.mosaic, stored)
    assert back.profile == profile
    assert back.orientation == 8


def test_a_cut_jpeg_xl_dng_is_one_line(tmp_path: Path, profile: CameraProfile):
    write_dng(tmp_path / "a.dng", _full_range(profile, 300, 400), profile, compression="jpegxl")
    whole = (tmp_path / "a.dng").read_bytes()
    for length in (len(whole) - 200, len(whole) // 2, 3000, 300):
        (tmp_path / "a.dng").write_bytes(whole[:length])
        with pytest.raises(ImageError, match=r"a\.dng: ") as caught:
            read_raw(tmp_path / "a.dng")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(shutil.which("dcraw") is None, reason="dcraw is not installed")
@pytest.mark.parametrize("size", SIZES[1:])
def test_dcraw_finds_the_same_integers(tmp_path: Path, profile: CameraProfile, size):
    stored = _full_range(profile, *size)
    write_dng(tmp_path / "a.dng", stored, profile)
    command = ["dcraw", "-E", "-4", "-t", "0", "-c", str(tmp_path / "a.dng")]
    picture = subprocess.run(command, capture_output=True, check=True).stdout
    values = np.frombuffer(picture[-2 * stored.size :], ">u2").reshape(size)
    assert np.array_equal(values, stored)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("size", SIZES)
def test_linear_dngs_keep_every_integer(tmp_path: Path, profile: CameraProfile, compression: str, size):
    stored = np.random.default_rng(0).integers(0, 65536, (3, *size)).astype(np.uint16)
    write_linear_dng(tmp_path / "a.dng", stored, profile, compression=compression)
    assert np.array_equal(read_linear_dng(tmp_path / "a.dng"), stored)
    if compression != "jpegxl" and min(size) > 22:  # LibRaw's least
        with rawpy.imread(str(tmp_path / "a.dng")) as raw:
            assert np.array_equal(raw.raw_image_visible[..., :3], stored.transpose(1, 2, 0))
            assert raw.white_level == 65535


def test_what_is_no_linear_raw_is_refused(tmp_path: Path, profile: CameraProfile):
    for bad, reason in (
        (np.zeros((32, 32), np.float32), r"\[3, H, W\]"),
        (np.zeros((3, 32, 32), np.int64), "int64"),
        (np.full((3, 32, 32), np.inf, np.float32), "not finite"),
        (np.zeros((3, 8, 32), np.float32), "no room for tiles"),
    ):
        with pytest.raises(ShapeError, match=reason):
            write_linear_dng(tmp_path / "a.dng", bad, profile)
    assert not list(tmp_path.iterdir())
    write_dng(tmp_path / "a.dng", _full_range(profile, 32, 32), profile)
    noise = np.random.default_rng(0).random((3, 64, 64))
    write_linear_dng(tmp_path / "b.dng", noise, profile)
    (tmp_path / "c.dng").write_bytes((tmp_path / "b.dng").read_bytes()[:-40])
    for name, reason in (("a.dng", "not a linear DNG"), ("c.dng", "cut off"), ("d.dng", "no such file")):
        with pytest.raises(ImageError, match=reason):
            read_linear_dng(tmp_path / name)


def test_a_thumbnail_comes_first_and_raw_and_preview_below(tmp_path: Path, profile: CameraProfile):
    write_dng(tmp_path / "a.dng", _photo_mosaic(profile, 300, 451), profile, orientation=6)
    with tifffile.TiffFile(tmp_path / "a.dng") as tiff:
        (first,) = tiff.pages
        raw, preview = first.pages
        assert [int(page.tags["NewSubfileType"].value) for page in (first, raw, preview)] == [1, 0, 1]
        assert [page.photometric.name for page in (first, raw, preview)] == ["RGB", "CFA", "YCBCR"]
        assert (first.compression, first.shape) == (1, (170, 256, 3))
        assert first.tags["Orientation"].value == 6
        for page in (first, raw, preview):
            assert [tag.code for tag in page.tags] == sorted(tag.code for tag in page.tags)
            assert all(offset % 2 == 0 for offset in page.dataoffsets)
            assert "DefaultCropOrigin" not in page.tags


@pytest.mark.parametrize("size", [(300, 451), (1030, 2051)])
def test_the_preview_shows_the_mosaic_itself(tmp_path: Path, profile: CameraProfile, size):
    stored = _photo_mosaic(profile, *size)
    write_dng(tmp_path / "a.dng", stored, profile, exposure=0.5)
    preview = read_preview(tmp_path / "a.dng")
    raw_rgb = demosaic(torch.from_numpy(profile.normalise(stored))[None], profile.cfa)
    whole = develop(raw_rgb, profile, exposure=0.5, highlights="shoulder")
    factor = round(size[0] / preview.shape[-2])
    assert preview.shape[-2:] == tuple(n // factor for n in size)
    small = torch.nn.functional.avg_pool2d(whole, factor)
    assert (preview - small).abs().mean() < 0.02


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_extracts_the_preview(tmp_path: Path, profile: CameraProfile):
    write_dng(tmp_path / "a.dng", _photo_mosaic(profile, 300, 451), profile)
    command = ["exiftool", "-b", "-PreviewImage", str(tmp_path / "a.dng")]
    jpeg = subprocess.run(command, capture_output=True, check=True).stdout
    with Image.open(io.BytesIO(jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (451, 300))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_preview_and_raw_turn_alike(tmp_path: Path, profile: CameraProfile, orientation: int):
    write_dng(tmp_path / "a.dng", _photo_mosaic(profile, 64, 96), profile, orientation=orientation)
    raw = read_raw(tmp_path / "a.dng").upright()
    picture = develop(demosaic(torch.from_numpy(raw.normalised())[None], raw.profile.cfa), raw.profile)
    assert (read_preview(tmp_path / "a.dng") - picture).abs().mean() < 0.02


@pytest.mark.parametrize("temperature", [2850, 5500, 7500])
def test_the_forward_matrix_gives_the_colours_of_our_development(tmp_path: Path, temperature: int):
    """By DNG 1.7.1, chapter 6, it leads from balanced camera RGB to XYZ under D50: here to that of sRGB."""
    profile = known_profile("Nikon D750", temperature=temperature)
    write_dng(tmp_path / "a.dng", _full_range(profile, 32, 48), profile)
    with tifffile.TiffFile(tmp_path / "a.dng") as tiff:
        halves = np.reshape(tiff.pages.first.tags["ForwardMatrix1"].value, (3, 3, 2))
    forward = halves[..., 0] / halves[..., 1]
    assert forward.sum(axis=1) == pytest.approx([0.9642, 1, 0.8249], abs=1e-3)  # white becomes D50
    srgb_to_xyz_d50 = np.array(  # Bruce Lindbloom, "RGB/XYZ Matrices", brucelindbloom.com
        [
            [0.4360747, 0.3850649, 0.1430804],
            [0.2225045, 0.7168786, 0.0606169],
            [0.0139322, 0.0971045, 0.7141733],
        ]
    )
    balanced = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    light = srgb_to_linear(develop(apply_gains(balanced, profile.as_shot_neutral), profile)).numpy()
    inside = ((light > 0) & (light < 1)).all(axis=0)
    assert inside.sum() > 50
    assert np.allclose(forward @ balanced.numpy()[:, inside], srgb_to_xyz_d50 @ light[:, inside], atol=1e-3)


def test_lossless_jpeg_saves_space(tmp_path: Path, profile: CameraProfile, sample_data: Path):
    with Image.open(sample_data / "gain_maps" / "android_lamps.jpg") as image:
        part = np.array(image.convert("RGB").crop((0, 1024, 2048, 2048)))
    photo = torch.from_numpy(part).permute(2, 0, 1).float() / 255
    deep = profile.replace(bits=14, white_level=16383, black_level=(512,) * 4)
    bayer = mosaic(apply_gains(srgb_to_linear(photo), deep.as_shot_neutral), deep.cfa)
    sizes = {}
    for name in ("jpeg", "none", "jpegxl"):
        write_dng(tmp_path / f"{name}.dng", bayer, deep, compression=name)
        sizes[name] = (tmp_path / f"{name}.dng").stat().st_size
    assert sizes["jpegxl"] < sizes["jpeg"] < 0.6 * sizes["none"]
