import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, pack, unpack
from revisp.errors import ImageError
from revisp.io import Rectangle, read_raw, write_dng
from revisp.io.dng import write as writer
from revisp.io.ifd import Tag
from revisp.io.raw.matrices import matrix_near_d65

# file: mosaic, orientation, camera's picture, white, gains R and B (the samples' notes), date (exiftool)
CANON = ((1720, 2312), 1, Rectangle(8, 20, 1704, 2272), 1023)
HERO7 = ((3000, 4000), 2, Rectangle(0, 0, 3000, 4000), 16383)
FUSION = ((3000, 3104), 2, Rectangle(0, 0, 3000, 3104), 16383)
SAMPLES = {
    "canon_s40/CRW_0101.CRW": (*CANON, 1.620, 1.555, "2021:04:08 14:51:12"),
    "canon_s40/CRW_0105.CRW": (*CANON, 1.574, 1.593, "2021:04:08 14:52:44"),
    "canon_s40/CRW_0113.CRW": (*CANON, 1.837, 1.812, "2021:03:26 21:14:52"),
    "canon_s40/CRW_0117.CRW": (*CANON, 1.935, 1.521, "2021:03:26 21:16:32"),
    "canon_s40/CRW_0118.CRW": (*CANON, 1.783, 1.780, "2021:03:26 21:16:56"),
    "canon_s40/CRW_0119.CRW": (*CANON, 2.285, 1.126, "2021:03:26 21:18:06"),
    "gopro_fusion/GPBK7066.GPR": (*FUSION, 2.026, 1.648, "2017:09:21 16:40:10"),
    "gopro_fusion/GPFR7066.GPR": (*FUSION, 2.026, 1.648, "2017:09:21 16:40:10"),
    "gopro_hero7/GOPR8508.GPR": (*HERO7, 1.734, 2.055, "2020:10:28 08:54:19"),
    "gopro_hero7/GOPR8514.GPR": (*HERO7, 1.723, 2.047, "2020:10:28 08:55:32"),
    "gopro_hero7/GOPR9231.GPR": (*HERO7, 1.770, 1.895, "2018:09:26 08:25:27"),
    "kodak_old/DC0009L.KDC": ((512, 768), 1, None, 16383, 1, 1, "1994:01:01 14:38:52"),
    "kodak_old/P003909.KDC": ((976, 848), 1, None, 255, 1, 1, "1994:01:02 15:54:19"),
    "kodak_old/P003911.KDC": ((976, 848), 1, None, 510, 1, 1, "1994:01:02 15:56:14"),
}
CAMERAS = {
    "canon_s40": ("Canon", "Canon PowerShot S40", CFA.RGGB, 32),
    "gopro_fusion": ("GoPro", "FUSION", CFA.RGGB, 0),
    "gopro_hero7": ("GoPro", "HERO7 Black", CFA.RGGB, 0),
    "kodak_old": ("Eastman Kodak Company", None, CFA.GRBG, 0),
}
# fmt: off
XTRANS = [
    1, 1, 0, 1, 1, 2,
    1, 1, 2, 1, 1, 0,
    2, 0, 1, 0, 2, 1,
    1, 1, 2, 1, 1, 0,
    1, 1, 0, 1, 1, 2,
    0, 2, 1, 2, 0, 1,
]
QUAD = [  # its corner looks like RGGB
    0, 1, 1, 0,
    1, 2, 2, 1,
    1, 2, 2, 1,
    0, 1, 1, 0,
]
# fmt: on


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.filterwarnings("ignore:.*(no colour matrix|no white balance)")
def test_every_real_camera_is_understood(sample_data: Path, name: str):
    if name.endswith(".GPR"):
        pytest.importorskip("flashraw")
    shape, orientation, crop, white, red, blue, date = SAMPLES[name]
    make, model, cfa, black = CAMERAS[name.split("/")[0]]
    raw = read_raw(sample_data / "raw_samples" / name)
    assert raw.mosaic.shape == shape
    assert raw.mosaic.dtype == np.uint16
    assert (raw.orientation, raw.crop) == (orientation, crop)
    assert raw.profile.cfa is cfa
    assert raw.profile.black_level == (black,) * 4
    assert raw.profile.white_level == white
    assert raw.profile.bits == white.bit_length()
    assert raw.profile.gains == pytest.approx((red, 1, blue), abs=1e-3)
    assert raw.metadata.date == date
    assert raw.metadata.make == raw.profile.make == make
    assert raw.metadata.model == raw.profile.model
    assert model in (None, raw.metadata.model)
    assert raw.mosaic.max() <= white


def test_a_gopro_keeps_its_daylight_matrix(sample_data: Path):
    pytest.importorskip("flashraw")
    path = sample_data / "raw_samples" / "gopro_hero7" / "GOPR9231.GPR"
    matrix = read_raw(path).profile.color_matrix
    assert np.allclose(matrix[0], (1.0344, -0.421, -0.062), atol=1e-4)  # ColorMatrix2, D50; the other is tungsten


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_same_dates_and_cameras(sample_data: Path):
    pytest.importorskip("flashraw")
    for name in ("canon_s40/CRW_0105.CRW", "gopro_hero7/GOPR8514.GPR"):
        path = sample_data / "raw_samples" / name
        command = ["exiftool", "-s3", "-Make", "-Model", "-DateTimeOriginal", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        found = read_raw(path).metadata
        assert [found.make, found.model, found.date] == told


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="no time zones to change here")
def test_a_date_does_not_depend_on_the_computers_time_zone(sample_data: Path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        raw = read_raw(sample_data / "raw_samples" / "canon_s40" / "CRW_0117.CRW")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert raw.metadata.date == "2021:03:26 21:16:32"


def test_a_real_photo_clips_where_the_notes_say(sample_data: Path):
    raw = read_raw(sample_data / "raw_samples" / "canon_s40" / "CRW_0119.CRW")
    assert 0.010 < (raw.mosaic >= 1023).mean() < 0.012  # 1.07 %
    assert raw.metadata.iso == 50
    assert raw.metadata.focal_length == pytest.approx(7.09375)
    normal = raw.normalised()
    assert normal.max() == 1
    assert normal.min() > -0.04


def test_a_real_raw_survives_as_dng(sample_data: Path, tmp_path: Path):
    raw = read_raw(sample_data / "raw_samples" / "canon_s40" / "CRW_0117.CRW")
    write_dng(tmp_path / "a.dng", raw.mosaic, raw.profile, metadata=raw.metadata)
    back = read_raw(tmp_path / "a.dng")
    assert np.array_equal(back.mosaic, raw.mosaic)
    assert np.allclose(back.profile.color_matrix, raw.profile.color_matrix, atol=1e-5)
    assert back.profile.as_shot_neutral == pytest.approx(raw.profile.as_shot_neutral, abs=1e-6)
    assert back.metadata.exposure_time == raw.metadata.exposure_time
    assert back.metadata.date == raw.metadata.date


@pytest.mark.parametrize("margins", [(0, 0), (1, 1), (1, 0), (0, 1), (2, 4)])
def test_masked_borders_do_not_exchange_colours(tmp_path, monkeypatch, profile: CameraProfile, margins):
    """A DNG's CFA counts from its ActiveArea; LibRaw rounds odd borders up to even ones."""
    profile = profile.replace(cfa="GBRG", black_level=(60, 64, 66, 62))
    top, left = margins
    colours = np.broadcast_to(np.array([100, 200, 300, 400], np.uint16)[:, None, None], (4, 20, 30))
    stored = np.pad(unpack(colours, profile.cfa)[0], [(top, 0), (left, 0)])
    levels = writer.level_tags
    area = {50829: Tag("long", [top, left, top + 40, left + 60])}  # ActiveArea
    monkeypatch.setattr(writer, "level_tags", lambda *args, **kind: levels(*args, **kind) | area)
    write_dng(tmp_path / "a.dng", stored, profile)
    back = read_raw(tmp_path / "a.dng")
    assert back.mosaic.shape == (40, 60)
    planes = pack(back.mosaic[None], back.profile.cfa)
    assert [np.unique(plane).tolist() for plane in planes] == [[100], [200], [300], [400]]
    assert back.profile.cfa is CFA.GBRG
    assert back.profile.black_level == profile.black_level


@pytest.mark.filterwarnings("ignore:.*no white balance")
def test_cameras_without_colour_are_read_with_a_warning(sample_data: Path):
    with pytest.warns(UserWarning, match="no colour matrix"):
        raw = read_raw(sample_data / "raw_samples" / "kodak_old" / "P003909.KDC")
    assert raw.profile.cfa is CFA.GRBG
    assert raw.profile.as_shot_neutral == (1, 1, 1)


def _variant(path: Path, monkeypatch, profile: CameraProfile, tags: dict[int, Tag], photometric: int = 32803):
    """Write a DNG with some tags changed."""
    camera, samples = writer.camera_tags, writer.sample_tags
    monkeypatch.setattr(writer, "camera_tags", lambda *args: camera(*args) | tags)
    monkeypatch.setattr(writer, "sample_tags", lambda *args: samples(*args) | {262: Tag("short", [photometric])})
    write_dng(path, np.random.default_rng(0).integers(100, 900, (96, 120)).astype(np.uint16), profile, plain=True)
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("size", "colours", "planes", "reason"),
    [
        (6, XTRANS, [0, 1, 2], "X-Trans"),
        (4, QUAD, [0, 1, 2], "quad Bayer"),
        (2, [3, 4, 1, 5], [3, 4, 1, 5], "colours are GMCY"),
    ],
)
def test_other_sensors_are_refused_by_name(tmp_path, monkeypatch, profile, size, colours, planes, reason):
    path = tmp_path / "a.dng"
    pattern = {33421: Tag("short", [size, size]), 33422: Tag("byte", colours), 50710: Tag("byte", planes)}
    _variant(path, monkeypatch, profile, pattern)
    with pytest.raises(ImageError, match=rf"a\.dng: holds no 2x2 Bayer mosaic.*{reason}"):
        read_raw(path)


def test_a_monochrome_sensor_is_refused(tmp_path, monkeypatch, profile: CameraProfile):
    _variant(tmp_path / "a.dng", monkeypatch, profile, {}, photometric=34892)
    with pytest.raises(ImageError, match="monochrome"):
        read_raw(tmp_path / "a.dng")


@pytest.mark.parametrize(
    ("origin", "size", "crop"),
    [
        ([10, 20], [90, 60], Rectangle(20, 10, 60, 90)),
        ([10, 20], [120, 60], None),  # beyond the picture
        ([10, 20], [20, 20], None),  # hardly the camera's picture
    ],
)
def test_a_dngs_default_crop_is_kept_where_it_makes_sense(tmp_path, monkeypatch, profile, origin, size, crop):
    tags = {50829: Tag("long", [4, 6, 92, 116]), 50719: Tag("long", origin), 50720: Tag("long", size)}
    _variant(tmp_path / "a.dng", monkeypatch, profile, tags)
    raw = read_raw(tmp_path / "a.dng")
    assert raw.mosaic.shape == (88, 110)
    assert raw.crop == crop


@pytest.mark.parametrize("orientation", range(1, 9))
def test_mirrored_orientations_are_read_too(tmp_path: Path, profile: CameraProfile, orientation: int):
    write_dng(tmp_path / "a.dng", np.full((32, 48), 500, np.uint16), profile, orientation=orientation)
    assert read_raw(tmp_path / "a.dng").orientation == orientation


def test_white_is_the_cameras_not_the_brightest_sample(tmp_path: Path, profile: CameraProfile):
    stored = np.full((32, 48), 300, np.uint16)
    for brightest in (300, 1020):
        stored[5, 5] = brightest
        write_dng(tmp_path / "a.dng", stored, profile)
        raw = read_raw(tmp_path / "a.dng")
        assert raw.profile.white_level == 1000
        assert raw.mosaic.max() == brightest
    assert raw.normalised().max() > 1


def test_the_matrix_for_the_light_nearest_to_daylight_is_chosen():
    warm, cold = np.eye(3), 2 * np.eye(3)
    assert matrix_near_d65([(2850, warm), (6500, cold)]) is cold
    assert matrix_near_d65([(7500, cold), (2850, warm)]) is cold
    assert matrix_near_d65([(None, warm), (2850, cold)]) is cold
    assert matrix_near_d65([(6500, np.zeros((3, 3))), (None, np.eye(4))]) is None


def test_what_a_dng_adds_to_its_matrix_is_multiplied_in(tmp_path, monkeypatch, profile: CameraProfile):
    """DNG 1.7.1, chapter 6: XYZ to camera is AnalogBalance x CameraCalibration x ColorMatrix."""
    body = [[1.1, 0.02, 0], [0, 1, 0.01], [0, 0, 0.95]]
    tags = {
        50727: Tag("rational", [1.25, 1.0, 0.5]),  # AnalogBalance
        50723: Tag("srational", [value for row in body for value in row]),  # CameraCalibration1
        50964: Tag("srational", [0] * 9),  # ForwardMatrix1: none, as it would decide
    }
    _variant(tmp_path / "a.dng", monkeypatch, profile, tags)
    whole = np.diag([1.25, 1, 0.5]) @ body @ np.array(profile.color_matrix)
    assert np.allclose(read_raw(tmp_path / "a.dng").profile.color_matrix, whole, atol=1e-5)
    another = {
        50931: Tag("ascii", "com.acme"),
        50932: Tag("ascii", "com.other"),
    }  # the calibration's, the profile's
    _variant(tmp_path / "a.dng", monkeypatch, profile, tags | another)
    whole = np.diag([1.25, 1, 0.5]) @ np.array(profile.color_matrix)
    assert np.allclose(read_raw(tmp_path / "a.dng").profile.color_matrix, whole, atol=1e-5)


def test_what_is_no_raw_is_one_line(sample_data: Path, tmp_path: Path):
    (tmp_path / "text.CR2").write_text("no RAW")
    (tmp_path / "empty.dng").write_bytes(b"")
    for path, reason in (
        (tmp_path / "none.dng", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.CR2", "no camera RAW"),
        (tmp_path / "empty.dng", "the file is empty"),
        (sample_data / "raw_samples" / "gopro_hero7" / "GOPR8508.JPG", "no camera RAW"),
    ):
        with pytest.raises(ImageError, match=reason) as caught:
            read_raw(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["canon_s40/CRW_0117.CRW", "kodak_old/P003911.KDC", "kodak_old/DC0009L.KDC", "gopro_hero7/GOPR8508.GPR"],
)
@pytest.mark.parametrize("part", [0.1, 0.9, 0.999])
def test_a_real_file_that_is_cut_off_is_refused(sample_data: Path, tmp_path: Path, name: str, part: float):
    if name.endswith(".GPR"):
        pytest.importorskip("flashraw")
    data = (sample_data / "raw_samples" / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ImageError, match=r"cut off|no camera RAW"):
        read_raw(path)


def test_a_dng_that_is_cut_off_is_refused(tmp_path: Path, profile: CameraProfile):
    path = tmp_path / "a.dng"
    write_dng(path, np.full((64, 64), 500, np.uint16), profile)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match=r"a\.dng: cut off, 100 bytes are missing"):
        read_raw(path)


def test_a_gpr_needs_flashraw_and_says_so(tmp_path: Path, monkeypatch):
    (tmp_path / "a.GPR").write_text("no RAW")
    monkeypatch.setitem(sys.modules, "flashraw", None)
    with pytest.raises(ImageError, match=r'a\.GPR: .*pip install "revisp\[gpr\]"'):
        read_raw(tmp_path / "a.GPR")


def test_what_is_no_gpr_is_one_line(tmp_path: Path):
    pytest.importorskip("flashraw")
    (tmp_path / "a.gpr").write_text("no RAW")
    with pytest.raises(ImageError, match=r"a\.gpr: cut off, damaged or not a GPR file") as caught:
        read_raw(tmp_path / "a.gpr")
    assert "\n" not in str(caught.value)


def test_flashraw_and_libraw_read_the_same_dng(tmp_path: Path, profile: CameraProfile):
    """GPR is DNG: what flashraw tells us is understood as LibRaw's words are, for every phase and turn."""
    pytest.importorskip("flashraw")
    for cfa, orientation in zip(CFA, (1, 2, 5, 8), strict=True):
        stored = np.random.default_rng(0).integers(0, 1000, (64, 96)).astype(np.uint16)
        write_dng(tmp_path / "a.dng", stored, profile.replace(cfa=cfa), orientation=orientation)
        shutil.copy(tmp_path / "a.dng", tmp_path / "a.gpr")
        libraw, flashraw = read_raw(tmp_path / "a.dng"), read_raw(tmp_path / "a.gpr")
        assert np.array_equal(libraw.mosaic, flashraw.mosaic)
        assert (flashraw.orientation, flashraw.metadata) == (libraw.orientation, libraw.metadata)
        assert flashraw.profile.cfa is cfa
        assert flashraw.profile.black_level == profile.black_level
        assert flashraw.profile.white_level == profile.white_level
        assert np.allclose(flashraw.profile.as_shot_neutral, profile.as_shot_neutral, atol=1e-5)
        assert np.allclose(flashraw.profile.color_matrix, profile.color_matrix, atol=1e-5)


def test_a_full_colour_dng_is_refused(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.dng",
        np.zeros((32, 32, 3), np.uint16),
        photometric=34892,
        extratags=[(50706, "B", 4, (1, 4, 0, 0), True), (50708, "s", 0, "x", True)],
        metadata=None,
    )
    with pytest.raises(ImageError, match=r"a\.dng: .*full colour"):
        read_raw(tmp_path / "a.dng")


@pytest.mark.parametrize("bytes_a_sample", [1, 2])
def test_samples_without_a_header_are_refused(tmp_path, bytes_a_sample):
    path = tmp_path / "samples.raw"
    path.write_bytes(bytes(768 * 1024 * bytes_a_sample))  # LibRaw takes this size for a known camera's
    with pytest.raises(ImageError, match=r"samples\.raw: (has no header|LibRaw cannot read it)"):
        read_raw(path)
