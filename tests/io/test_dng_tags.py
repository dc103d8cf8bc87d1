"""The tags of DNG files mean what the DNG specification 1.7.1 says, plane by plane."""

import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dng_files import CAMERA, D50, TUNGSTEN, adaptation, random_dng, write_dng_file

from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.camera.temperature import correlated_temperature
from revisp.cfa import pack
from revisp.errors import ImageError
from revisp.io import Rectangle, read_raw, write_dng

D65_MATRIX, TUNGSTEN_MATRIX = np.reshape(CAMERA, (3, 3)), np.reshape(TUNGSTEN, (3, 3))
TWO_LIGHTS = {
    "ColorMatrix1": TUNGSTEN,
    "CalibrationIlluminant1": (17,),
    "ColorMatrix2": CAMERA,
    "CalibrationIlluminant2": (21,),
}
WHITE = tuple(SRGB_TO_XYZ.sum(axis=1)[:2] / SRGB_TO_XYZ.sum())


def xyz(xy):
    return np.array([xy[0] / xy[1], 1, (1 - xy[0] - xy[1]) / xy[1]])


def grey(value=500, shape=(40, 48), dtype=np.uint16):
    return np.full(shape, value, dtype)


def read(path: Path, samples, tags, **options):
    write_dng_file(path / "a.dng", samples, tags, **options)
    return read_raw(path / "a.dng")


@pytest.mark.parametrize("seed", range(60))
def test_random_dngs_are_read_plane_by_plane_as_written(tmp_path: Path, seed: int):
    written = random_dng(tmp_path / "a.dng", seed)
    raw = read_raw(tmp_path / "a.dng")
    floating = written.storage["kind"] == "floating"
    assert written.difference(raw) <= 0.51 * (written.white / 65535 if floating else 1), written.storage
    assert np.allclose(raw.profile.color_matrix, written.matrix, atol=1e-3)
    assert np.allclose(raw.profile.as_shot_neutral, written.neutral, atol=1e-5)


def test_a_dng_of_ours_gives_its_own_profile_back(tmp_path: Path, profile: CameraProfile):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        ours = profile.replace(
            black_level=tuple(rng.uniform(50, 70, 4).round(2)),
            as_shot_neutral=(float(rng.uniform(0.3, 1)), 1.0, float(rng.uniform(0.3, 1))),
            color_matrix=(np.array(profile.color_matrix) + rng.uniform(-0.1, 0.1, (3, 3))).tolist(),
        )
        write_dng(tmp_path / "a.dng", rng.integers(0, 1000, (34, 50)).astype(np.uint16), ours)
        back = read_raw(tmp_path / "a.dng").profile
        assert back.black_level == ours.black_level
        assert np.allclose(back.as_shot_neutral, ours.as_shot_neutral, atol=1e-9)
        assert np.allclose(back.color_matrix, ours.color_matrix, atol=1e-9)
        assert back.replace(as_shot_neutral=ours.as_shot_neutral, color_matrix=ours.color_matrix) == ours


@pytest.mark.parametrize("white", [(0.3457, 0.3585), (0.4476, 0.4074), (0.28, 0.3)])
def test_a_white_point_gives_the_cameras_neutral(tmp_path: Path, white):
    tags = {"AsShotNeutral": None, "AsShotWhiteXY": white, "AnalogBalance": (2, 1, 1.5)}
    neutral = np.diag((2, 1, 1.5)) @ D65_MATRIX @ xyz(white)
    found = read(tmp_path, grey(), tags).profile.as_shot_neutral
    assert found == pytest.approx(neutral / neutral[1], abs=1e-6)


def test_a_file_without_white_balance_says_so(tmp_path: Path):
    with pytest.warns(UserWarning, match="stores no white balance"):
        raw = read(tmp_path, grey(), {"AsShotNeutral": None})
    assert raw.profile.as_shot_neutral == (1, 1, 1)
    with pytest.warns(UserWarning, match="stores no colour matrix"):
        raw = read(tmp_path, grey(), {"ColorMatrix1": None})
    assert np.allclose(raw.profile.srgb_to_camera, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("kelvin", [2600, 2850, 3500, 4600, 6000, 6500, 9000])
def test_two_lights_are_interpolated_for_that_of_the_shot(tmp_path: Path, kelvin: int):
    """A white object of a light has the neutral of that light's matrix, and its colours are adapted to D65."""
    colour = pytest.importorskip("colour.temperature")
    white = tuple(float(v) for v in colour.CCT_to_xy_Kang2002(kelvin))
    u, v = (2 * white[0] / (1.5 - white[0] + 6 * white[1]), 3 * white[1] / (1.5 - white[0] + 6 * white[1]))
    found = float(colour.uv_to_CCT_Robertson1968((u, v))[0])
    share = np.clip((1 / found - 1 / 6500) / (1 / 2850 - 1 / 6500), 0, 1)
    matrix = share * TUNGSTEN_MATRIX + (1 - share) * D65_MATRIX
    neutral = matrix @ xyz(white)
    by_white = read(tmp_path, grey(), TWO_LIGHTS | {"AsShotNeutral": None, "AsShotWhiteXY": white}).profile
    by_neutral = read(tmp_path, grey(), TWO_LIGHTS | {"AsShotNeutral": neutral / neutral.max()}).profile
    assert np.allclose(by_white.as_shot_neutral, neutral / neutral[1], atol=2e-3)
    assert np.allclose(by_neutral.as_shot_neutral, neutral / neutral[1], atol=1e-5)
    to_d65 = adaptation(white, WHITE) @ np.linalg.inv(matrix)
    camera_to_srgb = np.linalg.inv(SRGB_TO_XYZ) @ to_d65 @ np.diag(neutral)
    for profile in (by_white, by_neutral):
        assert np.allclose(profile.camera_to_srgb, camera_to_srgb, atol=4e-3)


def test_the_light_of_a_neutral_is_found_by_the_specifications_iteration():
    from revisp.io.raw.dng_colour import CameraColours

    eye = np.eye(3)
    colours = CameraColours((2850.0, 6500.0), (TUNGSTEN_MATRIX, D65_MATRIX), (eye, eye), np.diag([1.5, 1, 2]))
    for white in ((0.33, 0.34), (0.38, 0.38), (0.45, 0.41), (0.3457, 0.3585)):
        assert colours.white(colours.neutral(white)) == pytest.approx(white, abs=1e-5)
        kelvin = correlated_temperature(*white)
        share = np.clip((1 / kelvin - 1 / 6500) / (1 / 2850 - 1 / 6500), 0, 1)
        expected = np.diag([1.5, 1, 2]) @ (share * TUNGSTEN_MATRIX + (1 - share) * D65_MATRIX)
        assert np.allclose(colours.xyz_to_camera(white), expected)
    assert colours.white(np.array([1e-4, 1, 1e-4])) == pytest.approx((0.3457, 0.3585), abs=0.5)  # no real light


@pytest.mark.parametrize("two", [False, True])
def test_a_forward_matrix_gives_the_colours(tmp_path: Path, two: bool):
    """CameraToXYZ_D50 = ForwardMatrix x D x inverse(AnalogBalance x CameraCalibration) (chapter 6)."""
    forward = np.array([[0.6, 0.25, 0.1143], [0.25, 0.7, 0.05], [0.02, 0.1, 0.7051]])
    warm = np.array([[0.55, 0.3, 0.1143], [0.2, 0.75, 0.05], [0.02, 0.15, 0.6551]])
    body, gains, neutral = np.diag([1.05, 1, 0.9]), np.diag([1.5, 1, 1.2]), np.array([0.6, 1, 0.5])
    tags = {
        "AsShotNeutral": neutral,
        "AnalogBalance": np.diag(gains),
        "CameraCalibration1": body.ravel(),
        "ForwardMatrix1": forward.ravel(),
    }
    expected = forward
    if two:  # both lights are those of the shot, so that their share is known without a temperature
        tags |= TWO_LIGHTS | {"ForwardMatrix1": warm.ravel(), "ForwardMatrix2": warm.ravel()}
        tags |= {"CameraCalibration2": body.ravel()}
        expected = warm
    reference = np.linalg.inv(gains @ body) @ neutral
    to_xyz = expected @ np.diag(1 / reference) @ np.linalg.inv(gains @ body)
    to_srgb = np.linalg.inv(SRGB_TO_XYZ) @ adaptation(D50, WHITE) @ to_xyz
    profile = read(tmp_path, grey(), tags).profile
    assert np.allclose(profile.camera_to_srgb @ np.diag(profile.gains), to_srgb, atol=2e-3)
    assert np.allclose(np.array(profile.color_matrix) @ SRGB_TO_XYZ.sum(axis=1), neutral, atol=2e-3)


def test_black_levels_may_be_fractions(tmp_path: Path):
    levels = (Fraction("60.9"), Fraction("61.25"), Fraction("62.5"), Fraction("63.75"))
    tags = {"BlackLevelRepeatDim": (2, 2), "BlackLevel": levels, "CFAPattern": (1, 2, 0, 1)}
    profile = read(tmp_path, grey(), tags).profile
    assert profile.black_level == (62.5, 63.75, 60.9, 61.25)  # R, Gr, Gb, B of GBRG


@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 1), (1, 0), (1, 1), (3, 5), (2, 3)])
def test_patterns_count_from_the_active_area(tmp_path: Path, top: int, left: int):
    stored = np.zeros((46, 58), np.uint16)
    stored[top : top + 40, left : left + 48] = np.tile([[160, 264], [368, 472]], (20, 24))
    area = (top, left, top + 40, left + 48)
    tags = {"ActiveArea": area, "BlackLevelRepeatDim": (2, 2), "BlackLevel": (60, 64, 68, 72)}
    raw = read(tmp_path, stored, tags)
    above = pack(raw.mosaic[None].astype(float), raw.profile.cfa) - np.reshape(raw.profile.black_level, (4, 1, 1))
    assert raw.profile.black_level == (60, 64, 68, 72)
    assert [np.unique(plane).tolist() for plane in above] == [[100], [200], [300], [400]]


@pytest.mark.parametrize("fraction", [0, 0.25])
def test_black_differs_by_row_and_column(tmp_path: Path, fraction: float):
    rows = [Fraction(5 * (row % 7) + fraction) for row in range(40)]
    columns = [Fraction(-3 * (column % 5) + fraction) for column in range(48)]
    black = 64 + np.array(rows, float)[:, None] + np.array(columns, float)
    stored = np.rint(1000 + black).astype(np.uint16)
    stored[10:12, 10:12] = 4095
    raw = read(tmp_path, stored, {"BlackLevel": (64,), "BlackLevelDeltaV": rows, "BlackLevelDeltaH": columns})
    planes = pack(raw.mosaic[None].astype(float), raw.profile.cfa)
    expected = pack((stored - black)[None], raw.profile.cfa)
    unit = 1 if fraction == 0 else 16  # of a sixteenth, where levels are fractions
    assert raw.profile.white_level == 4095 * unit
    for plane, above, level in zip(planes, expected, raw.profile.black_level, strict=True):
        saturated = plane >= raw.profile.white_level
        assert saturated.sum() == 1
        assert np.abs((plane - level) / unit - above)[~saturated].max() <= (0 if fraction == 0 else 0.5 / 16)


def test_row_and_column_levels_of_another_length_are_left_out_with_a_warning(tmp_path: Path):
    with pytest.warns(UserWarning, match=r"a\.dng: BlackLevelDeltaH has 47 numbers for 48 lines"):
        raw = read(tmp_path, grey(), {"BlackLevel": (64,), "BlackLevelDeltaH": [1] * 47})
    assert raw.profile.black_level == (64,) * 4


def test_levels_below_zero_lose_nothing(tmp_path: Path):
    raw = read(tmp_path, np.tile(np.array([0, 4095], np.uint16), (40, 24)), {"BlackLevelDeltaV": [-8] * 40})
    assert np.unique(raw.normalised()).tolist() == pytest.approx([8 / 4103, 1])


def test_a_linearization_table_is_applied_before_the_levels(tmp_path: Path):
    table = (np.arange(256) ** 2 // 16).tolist()
    stored = np.random.default_rng(0).integers(0, 256, (40, 48)).astype(np.uint8)
    raw = read(tmp_path, stored, {"LinearizationTable": table, "WhiteLevel": (4064,), "BlackLevel": (16,)})
    assert np.array_equal(raw.mosaic, np.array(table)[stored])
    assert (raw.profile.white_level, raw.profile.black_level[0]) == (4064, 16)
    raw = read(tmp_path, stored, {"LinearizationTable": table, "WhiteLevel": None})
    assert raw.profile.white_level == 4064  # 255, the default, is less than the table gives


def _masked(left_value=100.0):
    rng = np.random.default_rng(0)
    sensor = rng.integers(600, 700, (64, 96)).astype(np.uint16)
    sensor[:, :16] = np.rint(rng.normal(left_value, 2, (64, 16)))
    return sensor


def test_masked_areas_give_a_black_level_that_is_not_stated(tmp_path: Path):
    area = {"ActiveArea": (0, 16, 64, 96), "MaskedAreas": (0, 0, 64, 16)}
    raw = read(tmp_path, _masked(), area)
    assert raw.profile.black_level == pytest.approx((100,) * 4, abs=0.5)
    assert raw.optical_black == raw.profile.black_level
    stated = read(tmp_path, _masked(), area | {"BlackLevel": (64,)})
    assert stated.profile.black_level == (64,) * 4
    assert stated.optical_black == raw.optical_black


def test_a_stated_level_far_from_the_masked_area_is_told(tmp_path: Path):
    area = {"ActiveArea": (0, 16, 64, 96), "MaskedAreas": (0, 0, 64, 16), "BlackLevel": (64,)}
    with pytest.warns(UserWarning, match=r"a black level of 64, .*used, but its masked border reads 299"):
        assert read(tmp_path, _masked(300), area).profile.black_level == (64,) * 4


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_white_is_the_largest_number_if_not_stated(tmp_path: Path, dtype, white: int):
    raw = read(tmp_path, grey(200, dtype=dtype), {"WhiteLevel": None})
    assert (raw.profile.white_level, raw.profile.bits) == (white, white.bit_length())


def test_an_odd_crop_stays_odd(tmp_path: Path):
    tags = {"DefaultCropOrigin": (3, 5), "DefaultCropSize": (41, 33), "ActiveArea": (1, 1, 40, 48)}
    assert read(tmp_path, grey(), tags).crop == Rectangle(5, 3, 33, 41)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True, "tile": (16, 16)}])
def test_floating_point_samples_are_scaled_by_white_alone(tmp_path: Path, dtype: str, options):
    samples = np.random.default_rng(0).uniform(0.01, 0.6, (40, 48)).astype(dtype)
    raw = read(tmp_path, samples, {"WhiteLevel": None, "BlackLevel": (Fraction(1, 100),)}, **options)
    expected = (samples.astype(float) - 0.01) / 0.99
    assert np.abs(raw.normalised() - expected).max() < 0.6 / 65535
    assert raw.profile.bits == 16


def test_floating_point_samples_below_zero_and_above_white(tmp_path: Path):
    samples = np.full((40, 48), 0.5, np.float32)
    samples[0, 0], samples[1, 1] = -0.1, 3
    normal = read(tmp_path, samples, {"WhiteLevel": (1,)}).normalised()
    assert normal[0, 0] == pytest.approx(-0.1, abs=1e-4)
    assert (normal[1, 1], normal[5, 5]) == pytest.approx((1, 0.5), abs=1e-4)
    samples[3, 3] = np.nan
    with pytest.raises(ImageError, match=r"a\.dng: holds samples that are not numbers"):
        read(tmp_path, samples, {"WhiteLevel": (1,)})


@pytest.mark.parametrize("fields", [(2, 2), (2, 1), (3, 2)])
def test_samples_parted_into_fields_are_joined(tmp_path: Path, fields):
    mosaic = np.random.default_rng(0).integers(0, 4095, (40, 48)).astype(np.uint16)
    rows, columns = (
        sorted(range(n), key=lambda at, m=m: at % m) for n, m in zip(mosaic.shape, fields, strict=True)
    )
    tags = {"RowInterleaveFactor": (fields[0],), "ColumnInterleaveFactor": (fields[1],)}
    assert np.array_equal(read(tmp_path, mosaic[rows][:, columns], tags).mosaic, mosaic)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"ActiveArea": (0, 9, 40, 9)}, "its active area .* is not within 48x40"),
        ({"BlackLevelRepeatDim": (2, 2), "BlackLevel": (64,)}, "its BlackLevel has 1 numbers for a repeat of"),
        ({"BlackLevel": (5000,)}, "need 0 <= black_level < white_level"),
        ({"ColorMatrix1": (1, 1, 1, 1, 1, 1, 1, 1, 1)}, "color_matrix must be an invertible"),
        ({"CFAPattern": (0, 1, 2, 1)}, "holds no 2x2 Bayer mosaic"),
        ({"CFAPattern": (0, 1, 1)}, "its pattern has 3 colours"),
        ({"CFAPattern": (0, 1, 1, 6)}, "the sensor's colours are RGW"),
    ],
)
def test_tags_that_make_no_sense_are_one_line(tmp_path: Path, tags, reason: str):
    with pytest.raises(ImageError, match=rf"a\.dng: .*{reason}") as caught:
        read(tmp_path, grey(), tags)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_same_tags(tmp_path: Path):
    """The helper writes what it says, and both read it alike."""
    tags = {
        "BlackLevelRepeatDim": (2, 2),
        "BlackLevel": (Fraction("60.9"), 61, 62, 63),
        "ActiveArea": (1, 3, 39, 47),
        "AsShotNeutral": (0.4321, 1, 0.6543),
    }
    raw = read(tmp_path, grey(), tags, below=True)
    names = ["-BlackLevel", "-WhiteLevel", "-AsShotNeutral", "-ActiveArea", "-ColorMatrix1"]
    command = ["exiftool", "-s3", *names, str(tmp_path / "a.dng")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    black, white, neutral, area, matrix = ([float(n) for n in line.split()] for line in told)
    assert raw.profile.black_level == tuple(black)  # RGGB: R, Gr, Gb, B by rows
    assert (raw.profile.white_level,) == tuple(white)
    assert raw.profile.as_shot_neutral == pytest.approx(neutral, abs=1e-6)
    assert raw.mosaic.shape == (area[2] - area[0], area[3] - area[1])
    assert np.allclose(np.ravel(raw.profile.color_matrix), matrix)


@pytest.mark.skipif(shutil.which("dcraw") is None, reason="dcraw is not installed")
def test_dcraw_finds_the_same_samples(tmp_path: Path):
    """dcraw -D writes the undeveloped samples of the active area."""
    stored = np.random.default_rng(0).integers(0, 4095, (40, 48)).astype(np.uint16)
    raw = read(tmp_path, stored, {"ActiveArea": (1, 3, 39, 47)})
    command = ["dcraw", "-D", "-4", "-c", str(tmp_path / "a.dng")]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    assert data.startswith(b"P5\n44 38\n65535\n")
    assert np.array_equal(np.frombuffer(data[-2 * 38 * 44 :], ">u2").reshape(38, 44), raw.mosaic)


def test_a_forged_size_is_refused_before_it_takes_memory(tmp_path: Path):
    write_dng_file(tmp_path / "a.dng", np.zeros((40, 48), np.float32), {}, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.dng", mode="r+b") as tiff:
        tiff.pages[0].tags[257].overwrite(60_000)
        tiff.pages[0].tags[256].overwrite(60_000)
    with pytest.raises(ImageError, match=r"a\.dng: 60000x60000, more than the 300 megapixels"):
        read_raw(tmp_path / "a.dng")


def _opcodes(*maps, area=(0, 0, 40, 48), pitch=(1, 1), spacing=(1.0, 1.0), origin=(0.0, 0.0)) -> bytes:
    """An OpcodeList with another opcode (4, FixBadPixelsConstant) before GainMaps, by chapter 7."""
    parts = [struct.pack(">I", 1 + len(maps)), struct.pack(">IIIIII", 4, 0x01030000, 0, 8, 0, 0)]
    for number, gains in enumerate(maps):
        gains = np.asarray(gains, ">f4")
        corner = (area[0] + number // 2, area[1] + number % 2, *area[2:]) if pitch == (2, 2) else area
        data = struct.pack(">8I", *corner, 0, 1, *pitch) + struct.pack(">II", *gains.shape)
        data += struct.pack(">4dI", *spacing, *origin, 1) + gains.tobytes()
        parts.append(struct.pack(">IIII", 9, 0x01030000, 0, len(data)) + data)
    return b"".join(parts)


def _read_with_gain(path: Path, samples, opcodes: bytes, tags=None):
    write_dng_file(path / "a.dng", samples, {"OpcodeList2": opcodes, "BlackLevel": (64,), **(tags or {})})
    return read_raw(path / "a.dng", gain_maps=True)


def test_gain_maps_are_applied_on_request_only(tmp_path: Path):
    """Bilinear between points at shares of the height and width; black stays black."""
    gains = [[1, 2, 4], [2, 3, 5]]
    raw = _read_with_gain(tmp_path, grey(164), _opcodes(gains, spacing=(1.0, 0.5)))
    y, x = (np.arange(40) + 0.5) / 40, (np.arange(48) + 0.5) / 48
    across = [np.interp(x, [0, 0.5, 1], row) for row in gains]
    expected = (1 - y)[:, None] * across[0] + y[:, None] * across[1]
    assert np.abs(raw.mosaic - (64 + 100 * expected)).max() <= 0.51
    assert np.unique(read_raw(tmp_path / "a.dng").mosaic).tolist() == [164]
    assert np.unique(_read_with_gain(tmp_path, grey(64), _opcodes(gains)).mosaic).tolist() == [64]
    assert np.unique(_read_with_gain(tmp_path, grey(4000), _opcodes([[2.0]])).mosaic).tolist() == [4095]


def test_each_colour_may_have_its_gain_map_from_an_odd_active_area(tmp_path: Path):
    maps = [[[gain]] for gain in (1.0, 1.5, 2.0, 3.0)]
    opcodes = _opcodes(*maps, area=(0, 0, 39, 45), pitch=(2, 2))
    raw = _read_with_gain(tmp_path, grey(164), opcodes, {"ActiveArea": (1, 3, 40, 48)})
    letters = {"R": 164, "Gr": 214, "Gb": 264, "B": 364}
    found = [np.unique(plane).tolist() for plane in pack(raw.mosaic[None, :38, :44], raw.profile.cfa)]
    assert found == [[value] for value in letters.values()]


@pytest.mark.parametrize("cut", [50, 110])
def test_a_damaged_gain_map_is_named(tmp_path: Path, cut: int):
    opcodes = _opcodes([[1.0, 2.0], [1.0, 2.0]])
    with pytest.raises(ImageError, match=r"a\.dng: its GainMap is damaged"):
        _read_with_gain(tmp_path, grey(164), opcodes[:cut])
    with pytest.raises(ImageError, match=r"a\.dng: its GainMap is damaged"):
        _read_with_gain(tmp_path, grey(164), _opcodes([[np.nan]]))


def test_a_gopros_gain_maps_even_out_its_shading(sample_data: Path):
    pytest.importorskip("flashraw")
    path = sample_data / "raw_samples" / "gopro_hero7" / "GOPR8514.GPR"
    plain, evened = read_raw(path), read_raw(path, gain_maps=True)
    assert evened.profile == plain.profile
    gain = evened.normalised()[plain.mosaic > 500] / plain.normalised()[plain.mosaic > 500]
    assert gain.min() > 0.99
    assert gain.max() == pytest.approx(1.93, abs=0.02)
