import io
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from revisp.camera.develop import develop
from revisp.camera.isp import apply_ccm, apply_gains, srgb_to_linear
from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, OutputError, ShapeError
from revisp.io import PhotoMetadata, read_metadata, read_raw, write_dng
from revisp.io.dng import Provenance, read_provenance
from revisp.io.ifd import Tag, directory_size, encode_directory
from revisp.io.photo_record import PhotoRecord
from revisp.mosaic import mosaic

METADATA = PhotoMetadata(
    lens="Acme 50mm F1.8",
    date="2021:04:08 14:51:29",
    exposure_time=Fraction(1, 100),
    f_number=Fraction(14, 5),
    iso=400,
    focal_length=Fraction(227, 32),
)


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """A natural photo ``[1, 3, 300, 451]`` in sRGB."""
    return torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None].float() / 255


def _noise(profile: CameraProfile, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**profile.bits, (height, width)).astype(np.uint16)


@pytest.mark.parametrize("cfa", CFA)
@pytest.mark.parametrize("size", [(64, 96), (65, 97)])
def test_libraw_reads_every_bit_and_the_same_camera(tmp_path: Path, profile: CameraProfile, cfa: CFA, size):
    profile = profile.replace(cfa=cfa, black_level=(60, 64, 66, 62))
    stored = _noise(profile, *size)
    write_dng(tmp_path / "a.dng", stored, profile)
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        assert np.array_equal(raw.raw_image_visible, stored)
        letters = [raw.color_desc.decode()[i] for i in raw.raw_pattern.ravel()]
        assert "".join(letters) == cfa
        blacks = [raw.black_level_per_channel[i] for i in raw.raw_pattern.ravel()]
        by_letter = dict(zip(letters, blacks, strict=True))
        assert (by_letter["R"], by_letter["B"]) == (60, 62)
        assert raw.white_level == 1000
        assert np.allclose(raw.camera_whitebalance[:3], profile.gains, atol=1e-5)
    back = read_raw(tmp_path / "a.dng")
    assert np.array_equal(back.mosaic, stored)
    assert back.profile == profile


@pytest.mark.parametrize("cfa", CFA)
def test_libraw_develops_it_as_we_do(tmp_path: Path, profile: CameraProfile, photo: torch.Tensor, cfa: CFA):
    """The issue's bound: LibRaw's picture is within 1 dB of our own, both measured against the photo."""
    profile = profile.replace(cfa=cfa)
    linear = apply_ccm(srgb_to_linear(photo), profile.srgb_to_camera)
    bayer = mosaic(apply_gains(linear, profile.as_shot_neutral).clamp(0, 1), cfa)
    write_dng(tmp_path / "a.dng", bayer, profile)
    with rawpy.imread(str(tmp_path / "a.dng")) as raw:
        picture = raw.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=(2.4, 12.92),
            demosaic_algorithm=rawpy.DemosaicAlgorithm.LINEAR,
            output_bps=16,
        )
    libraw = torch.from_numpy(picture.astype(np.float32) / 65535).permute(2, 0, 1)[None]
    ours = develop(demosaic(bayer, cfa), profile)
    assert _psnr(ours, photo) > 30
    assert abs(_psnr(libraw, photo) - _psnr(ours, photo)) < 1
    assert _psnr(libraw, ours) > 38


def _psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    inner = (..., slice(4, -4), slice(4, -4))  # demosaickers differ at the border
    return float(-10 * torch.log10(((a - b)[inner] ** 2).mean()))


def test_exposure_brightens_by_stops_and_saturation_stays_white(profile: CameraProfile):
    white = torch.tensor(profile.as_shot_neutral).view(3, 1, 1).expand(3, 2, 2)
    assert torch.allclose(develop(white, profile), torch.ones(3, 2, 2), atol=1e-5)
    assert torch.allclose(develop(torch.ones(3, 2, 2), profile), torch.ones(3, 2, 2), atol=1e-5)
    assert torch.allclose(develop(white / 4, profile, exposure=1), develop(white / 2, profile), atol=1e-6)
    with pytest.raises(ShapeError, match="floating point"):
        develop(torch.ones(3, 2, 2, dtype=torch.uint8), profile)


@pytest.mark.parametrize("highlights", ["shoulder", "desaturate"])
def test_bent_highlights_keep_what_a_clip_loses(profile: CameraProfile, highlights):
    greys = torch.tensor([0.05, 0.1, 0.4, 0.6, 0.8, 1.0]) * torch.tensor(profile.as_shot_neutral).view(3, 1, 1)
    clipped, bent = (develop(greys, profile, exposure=1.0, highlights=mode) for mode in ("clip", highlights))
    assert torch.allclose(bent[..., :2], clipped[..., :2], atol=1e-5)
    assert (clipped[..., 3:] > 0.9999).all()
    assert (bent.diff() > 0.01).all()
    assert torch.allclose(bent[..., -1], torch.ones(3, 1), atol=1e-5)


def test_floats_are_stored_in_the_profiles_units(tmp_path: Path, profile: CameraProfile):
    bayer = torch.rand(1, 1, 32, 34)
    write_dng(tmp_path / "a.dng", bayer, profile)
    back = read_raw(tmp_path / "a.dng")
    assert back.metadata.date is None
    step = 1 / (profile.white_level - max(profile.black_level))
    assert np.abs(profile.normalise(back.mosaic) - bayer[0, 0].numpy()).max() <= step / 2 + 1e-6


def test_source_metadata_and_camera_are_recorded(tmp_path: Path, profile: CameraProfile):
    write_dng(tmp_path / "a.dng", _noise(profile, 32, 32), profile, metadata=METADATA, orientation=6)
    found = read_metadata(tmp_path / "a.dng")
    assert (found.make, found.model) == ("Acme", "One")
    for name in ("lens", "date", "exposure_time", "f_number", "iso", "focal_length"):
        assert getattr(found, name) == getattr(METADATA, name), name
    assert read_raw(tmp_path / "a.dng").orientation == 6
    with tifffile.TiffFile(tmp_path / "a.dng") as tiff:
        assert tiff.pages.first.tags["UniqueCameraModel"].value == "Acme One"
        assert tiff.pages.first.pages[0].tags["BlackLevel"].value == (60, 1, 64, 1, 133, 2, 62, 1)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("metadata", [METADATA, None])
@pytest.mark.parametrize("plain", [True, False])
def test_exiftool_has_nothing_to_complain_of(tmp_path: Path, profile: CameraProfile, metadata, plain: bool):
    write_dng(tmp_path / "a.dng", _noise(profile, 33, 47), profile, metadata=metadata, plain=plain)
    command = ["exiftool", "-validate", "-warning", "-error", "-a", "-s3", str(tmp_path / "a.dng")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["OK"]


def test_nonsense_is_refused_before_a_file_exists(tmp_path: Path, profile: CameraProfile):
    path = tmp_path / "a.dng"
    good = _noise(profile, 16, 16)
    for bad, reason in (
        (good[None].repeat(2, 0), "one mosaic"),
        (good.astype(np.int64), "int64"),
        (np.full((16, 16), np.nan, np.float32), "not finite"),
        (good + np.uint16(1024), "10 bits"),
    ):
        with pytest.raises(ShapeError, match=reason):
            write_dng(path, bad, profile)
    with pytest.raises(ShapeError, match="plain=True"):
        write_dng(path, good[:15], profile)
    with pytest.raises(ConfigError, match="did you mean 'jpeg'"):
        write_dng(path, good, profile, compression="jpg")
    for make in ("Ac\0me", "Acme \ud800"):
        with pytest.raises(ConfigError, match="tag 271"):
            write_dng(path, good, profile.replace(make=make))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"orientation": 9}, "orientation must be an EXIF orientation, 1 to 8, got 9"),
        ({"exposure": float("nan")}, "exposure must lie within 32 EV of 0, got nan"),
        ({"exposure": 1e9}, "exposure must lie within 32 EV of 0"),
        ({"noise": NoiseLevels(float("inf"), 0)}, "noise must be variances"),
        ({"noise": NoiseLevels(1e-3, -1e-5)}, "noise must be variances"),
        ({"metadata": PhotoMetadata(iso=-5)}, "tag 34855: -5 cannot be stored as short"),
        ({"metadata": PhotoMetadata(exposure_time=Fraction(10**12))}, "tag 33434: 1000000000000 cannot be stored"),
        ({"metadata": PhotoMetadata(date="2021\0")}, "tag 306: the text '2021.x00' holds a character"),
        ({"metadata": PhotoMetadata(lens="caf\udce9")}, "tag 42036: the text"),
        ({"record": PhotoRecord(descriptions={270: Tag("ascii", "a\0b")})}, "tag 270: the text"),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_what_cannot_be_told_is_one_line(tmp_path: Path, profile: CameraProfile, told, reason: str, plain: bool):
    with pytest.raises(ConfigError, match=reason) as caught:
        write_dng(tmp_path / "a.dng", _noise(profile, 32, 32), profile, plain=plain, **told)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_note_of_any_text_is_valid_xmp(tmp_path: Path, profile: CameraProfile):
    """Names of files may hold what XML does not allow."""
    note = Provenance(model="<&\x01>", source="caf\udce9 \uffff'\".jpg")
    write_dng(tmp_path / "a.dng", _noise(profile, 32, 32), profile, provenance=note)
    found = read_provenance(tmp_path / "a.dng")
    assert (found.model, found.source) == ("<&>", "caf '\".jpg")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_disk_that_fills_up_leaves_what_was_there(
    tmp_path: Path, profile: CameraProfile, monkeypatch, share: float
):
    """At the first byte, within the directories, in the middle of the RAW, and near the end."""
    path, stored = tmp_path / "a.dng", _noise(profile, 300, 400)
    write_dng(path, stored, profile)
    before = path.read_bytes()
    room = int(share * len(before))

    class Full(io.FileIO):
        def write(self, data):
            if self.tell() + len(data) > room:
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda path, mode: Full(path, "xb+"))
    with pytest.raises(OutputError, match=r"cannot write .*a\.dng: No space left") as caught:
        write_dng(path, stored, profile)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.dng"]
    with io.FileIO(path) as file:
        assert file.read() == before


def test_a_profile_at_the_16_bit_limit_is_written(tmp_path: Path, profile: CameraProfile):
    full = profile.replace(bits=16, white_level=65535, black_level=(0, 0, 0, 0))
    write_dng(tmp_path / "a.dng", np.full((32, 32), 65535, np.uint16), full)
    assert read_raw(tmp_path / "a.dng").profile.white_level == 65535


@settings(max_examples=30, deadline=None)
@given(
    text=st.text("abc XYZ", max_size=12),
    ratio=st.fractions(-1000, 1000, max_denominator=999),
    words=st.lists(st.integers(0, 65535), min_size=1, max_size=5),
    at=st.integers(4, 40).map(lambda n: 2 * n),
)
def test_directories_read_back_by_tifffile(text: str, ratio: Fraction, words: list[int], at: int):
    pixel = {256: [1], 257: [1], 258: [8], 262: [1], 273: [0], 277: [1], 278: [1], 279: [1]}
    entries = {tag: Tag("short", values) for tag, values in pixel.items()}
    entries |= {270: Tag("ascii", text), 60000: Tag("srational", [ratio]), 60001: Tag("short", words)}
    entries[60002] = Tag("undefined", bytes(words[0] % 7))
    assert directory_size(entries) == len(encode_directory(entries, at))
    blob = struct.pack("<2sHI", b"II", 42, at).ljust(at, b"\0") + encode_directory(entries, at)
    with tifffile.TiffFile(io.BytesIO(blob)) as tiff:
        tags = tiff.pages.first.tags
        assert tags[270].value == text.strip()
        assert Fraction(*tags[60000].value) == ratio
        assert np.ravel(tags[60001].value).tolist() == words
