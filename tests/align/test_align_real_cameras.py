"""Registration of real photos to their RAW, against measurements made independently of this code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from revisp.align import align
from revisp.camera.develop import develop
from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.cfa import CFA
from revisp.demosaic import demosaic
from revisp.errors import AlignmentError
from revisp.io.photo import read_srgb
from revisp.io.raw.read import read_raw
from revisp.symmetry import Symmetry


@pytest.fixture(scope="session")
def hero7(sample_data):
    """GoPro HERO7: the RAW developed, not flipped although its EXIF says so, and the camera's JPEG."""
    flashraw = pytest.importorskip("flashraw", reason="flashraw (extra gpr) reads GPR")
    folder = sample_data / "raw_samples" / "gopro_hero7"
    mosaic = np.asarray(flashraw.open(str(folder / "GOPR8508.GPR")).decode()).astype(np.float32) / 16383
    profile = CameraProfile(
        make="GoPro",
        model="HERO7 Black",
        cfa=CFA.RGGB,
        black_level=(0.0, 0.0, 0.0, 0.0),
        white_level=16383.0,
        bits=14,
        color_matrix=np.linalg.inv(SRGB_TO_XYZ).tolist(),
        as_shot_neutral=(1 / 1.734, 1.0, 1 / 2.055),
    )
    developed = develop(demosaic(torch.from_numpy(mosaic)[None, None], profile.cfa)[0], profile)
    return developed, read_srgb(folder / "GOPR8508.JPG")


def band(x):
    fine, coarse = (ndimage.gaussian_filter(x.numpy(), sigma) for sigma in (1, 3))
    return fine - coarse


def canon(folder, name):
    raw = read_raw(folder / name)
    return develop(demosaic(torch.from_numpy(raw.normalised())[None, None], raw.profile.cfa)[0], raw.profile)


class TestRealCameras:
    """Against measurements made independently of this code, see the README of the samples."""

    def test_hero7_at_full_size(self, hero7):
        developed, photo = hero7
        found = align(photo, developed)
        assert found.symmetry == Symmetry(hflip=True)
        np.testing.assert_allclose(found.offset, (-4, 8), atol=0.3)
        assert 1.0004 < found.scale < 1.001
        assert abs(found.rotation) < 0.01
        assert found.residual_p95 < 0.5
        assert found.residual_edge < 1.5
        assert found.same_exposure is True
        assert found.valid(3000, 4000).mean() > 0.98
        # And by another method: phase correlation of the laid photo, in the middle and towards two corners.
        laid, upright = found.warp(photo, 3000, 4000), developed.flip(-1)
        for top, left in ((1244, 1488), (100, 100), (2300, 2900)):
            pair = [band(x[:, top : top + 512, left : left + 1024].mean(0)) for x in (upright, laid)]
            shift, _, _ = phase_cross_correlation(*pair, upsample_factor=50, normalization=None)
            assert np.abs(shift).max() < 0.25

    def test_another_shot_of_the_same_chart_is_refused(self, hero7, sample_data):
        developed, _ = hero7
        other = read_srgb(sample_data / "raw_samples" / "gopro_hero7" / "GOPR8514.JPG")
        with pytest.raises(AlignmentError, match="does not show what the RAW shows"):
            align(other, developed.flip(-1))

    @pytest.mark.parametrize("name", ["0101", "0105", "0118"])
    def test_canon_preview(self, sample_data, name):
        folder = sample_data / "raw_samples" / "canon_s40"
        photo = read_srgb(folder / f"CRW_{name}_camera640.jpg")
        found = align(photo, canon(folder, f"CRW_{name}.CRW"))
        assert found.symmetry == Symmetry()
        assert found.is_reduced
        assert found.scale == pytest.approx(1 / 3.55, rel=0.001)
        # The window in the README, moved by its measured 0.1 and 0.2 pixels of the preview.
        expected = np.array([8, 20, 1712, 2292]) - 3.55 * np.array([0.1, 0.2, 0.1, 0.2])
        np.testing.assert_allclose(found.window, expected, atol=1.0)
        centre = (np.array(found.window[:2]) + found.window[2:]) / 2
        np.testing.assert_allclose(centre, (expected[:2] + expected[2:]) / 2, atol=0.3)
        assert found.same_exposure is None  # too little noise is left of 640 x 480 pixels in 25 kB

    @pytest.mark.parametrize(
        ("raw", "jpeg", "offset", "rotation"),
        [("0101", "0102", (-8.9, -19.8), 0.05), ("0105", "0107", (-8.7, -19.9), 0.0)],
    )
    def test_canon_another_exposure_from_a_tripod(self, sample_data, raw, jpeg, offset, rotation):
        folder = sample_data / "raw_samples" / "canon_s40"
        found = align(read_srgb(folder / f"IMG_{jpeg}.JPG"), canon(folder, f"CRW_{raw}.CRW"))
        np.testing.assert_allclose(found.offset, offset, atol=0.3)
        assert abs(found.rotation) == pytest.approx(rotation, abs=0.01)
        assert found.same_exposure is False
        assert found.noise_correlation < 0.15
