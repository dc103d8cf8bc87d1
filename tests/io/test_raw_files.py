from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, pack, unpack
from revisp.errors import ImageError
from revisp.io import dng, read_raw, write_dng
from revisp.io.ifd import Entry


def test_a_real_canon_raw_is_understood(sample_data: Path):
    path = sample_data / "raw_samples" / "canon_s40" / "CRW_0119.CRW"
    raw = read_raw(path)
    assert raw.mosaic.shape == (1720, 2312)
    assert raw.mosaic.dtype == np.uint16
    assert raw.profile.cfa is CFA.RGGB
    assert raw.profile.black_level == (32, 32, 32, 32)
    assert (raw.profile.white_level, raw.profile.bits) == (1023, 10)
    # the sample notes' white balance: R/G 2.285, B/G 1.126
    assert np.allclose(raw.profile.gains, (2.285, 1, 1.126), atol=1e-3)
    assert 0.010 < (raw.mosaic >= 1023).mean() < 0.012  # and share of clipped samples: 1.07 %
    assert raw.metadata.iso == 50
    assert raw.metadata.focal_length == pytest.approx(7.09375)
    assert datetime.strptime(raw.metadata.date or "", "%Y:%m:%d %H:%M:%S").year == 2021
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
    """A DNG's CFA counts from its ActiveArea, and odd borders shift it; LibRaw rounds them up to even ones."""
    profile = profile.replace(cfa="GBRG", black_level=(60, 64, 66, 62))
    top, left = margins
    colours = np.broadcast_to(np.array([100, 200, 300, 400], np.uint16)[:, None, None], (4, 20, 30))
    stored = np.roll(unpack(colours, profile.cfa)[0], margins, axis=(0, 1))
    camera = dng._camera
    area = {50829: Entry("long", [top, left, 40, 60])}  # ActiveArea
    monkeypatch.setattr(dng, "_camera", lambda profile: camera(profile) | area)
    write_dng(tmp_path / "a.dng", stored, profile)
    back = read_raw(tmp_path / "a.dng")
    assert min(back.mosaic.shape) >= 36
    planes = pack(back.mosaic[None], back.profile.cfa)
    assert [np.unique(plane).tolist() for plane in planes] == [[100], [200], [300], [400]]
    if top % 2 == left % 2 == 0:
        assert back.profile.cfa is CFA.GBRG
        assert back.profile.black_level == profile.black_level


@pytest.mark.filterwarnings("ignore:.*no white balance")
def test_cameras_without_colour_are_read_with_a_warning(sample_data: Path):
    with pytest.warns(UserWarning, match="no colour matrix"):
        raw = read_raw(sample_data / "raw_samples" / "kodak_old" / "P003909.KDC")
    assert raw.profile.cfa is CFA.GRBG
    assert raw.profile.as_shot_neutral == (1, 1, 1)


def test_what_is_no_raw_is_one_line(sample_data: Path, tmp_path: Path):
    (tmp_path / "text.dng").write_text("no RAW")
    (tmp_path / "empty.dng").write_bytes(b"")
    for path, reason in (
        (tmp_path / "none.dng", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.dng", "LibRaw cannot read it"),
        (tmp_path / "empty.dng", "LibRaw cannot read it"),
        (sample_data / "raw_samples" / "gopro_hero7" / "GOPR8508.JPG", "LibRaw cannot read it"),
    ):
        with pytest.raises(ImageError, match=reason) as caught:
            read_raw(path)
        assert "\n" not in str(caught.value)


def test_a_full_colour_dng_is_refused(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.dng",
        np.zeros((32, 32, 3), np.uint16),
        photometric=34892,
        extratags=[(50706, "B", 4, (1, 4, 0, 0), True), (50708, "s", 0, "x", True)],
        metadata=None,
    )
    with pytest.raises(ImageError, match=r"a\.dng"):
        read_raw(tmp_path / "a.dng")
