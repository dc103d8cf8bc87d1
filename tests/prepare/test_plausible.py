"""Pairs are taken or refused by what is measured, with the figure."""

import json
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.simulate import SIMULATED, simulate
from revisp.cfa import CFA, pack, unpack
from revisp.errors import DataError
from revisp.io import RawImage, write_dng, write_png
from revisp.io.exif import PhotoMetadata
from revisp.prepare import PrepareOptions, prepare
from revisp.prepare.plausible import require_bayer, require_explained, warn_of_levels

PROFILE = SIMULATED.profile.replace(cfa=CFA.RGGB)
FAST = PrepareOptions(demosaic="bilinear", styles=("neutral",), workers=1)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, torch.Tensor]:
    """A mosaic in stored units, and its photo, of many colours."""
    generator, scene = torch.Generator().manual_seed(3), torch.zeros(3, 160, 208)
    for cells in (4, 16, 40, 80):
        noise = torch.rand(1, 3, cells, cells, generator=generator)
        scene += torch.nn.functional.interpolate(noise, size=(160, 208), mode="nearest")[0] / 4
    shot = simulate(scene**2, SIMULATED, generator=generator)
    return SIMULATED.profile.quantise(shot.bayer[0].numpy()), shot.srgb


def _judge(mosaic, srgb, profile):
    """Fit as the store does, at half the size, and judge."""
    red, green_red, green_blue, blue = torch.from_numpy(pack(profile.normalise(mosaic)[None], profile.cfa))
    raw_rgb = torch.stack((red, (green_red + green_blue) / 2, blue))
    fitted = fit_camera([FitPair(torch.nn.functional.avg_pool2d(srgb, 2), raw_rgb)], shading=False)
    require_explained(fitted, profile, mosaic, srgb, None, "a.dng")
    return fitted


def test_a_right_pair_is_taken_silently(pair):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _judge(*pair, SIMULATED.profile).psnr > 22


@pytest.mark.parametrize("wrong", [cfa for cfa in CFA if cfa is not SIMULATED.profile.cfa])
def test_a_wrong_bayer_phase_is_refused_and_the_right_one_named(pair, wrong: CFA):
    right = SIMULATED.profile.cfa.value
    with pytest.raises(DataError, match=rf"a\.dng: .*phase {right} \(.* dB.*not the file's {wrong.value} \("):
        _judge(*pair, SIMULATED.profile.replace(cfa=wrong))


def test_a_photo_that_nothing_explains_is_refused_with_the_figure(pair):
    mosaic, srgb = pair
    with pytest.raises(
        DataError, match=r"a\.dng: no camera model makes this photo of this RAW \(\d+\.\d dB, 30 to"
    ):
        _judge(mosaic, srgb.flip(-1).flip(-2), SIMULATED.profile)


def test_a_matrix_of_another_camera_is_told(pair):
    swapped = np.array(SIMULATED.profile.color_matrix)[[1, 2, 0]]
    with pytest.warns(UserWarning, match=r"differ from the file's colour matrix by \d\.\d\d, where 0.3"):
        _judge(*pair, SIMULATED.profile.replace(color_matrix=swapped.tolist()))


def _quad(planes: np.ndarray, cfa: CFA, offset: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Lay each sample of a Bayer mosaic out as a block of 2x2 with its own noise."""
    bayer = np.kron(unpack(planes, cfa)[0], np.ones((2, 2)))
    noisy = bayer + np.random.default_rng(0).normal(0, 0.02 * bayer.mean(), bayer.shape)
    return np.rint(noisy[offset[0] :, offset[1] :]).clip(0, 1023).astype(np.uint16)


@pytest.mark.parametrize("offset", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("cfa", CFA)
def test_blocks_of_one_colour_are_no_bayer_mosaic(cfa: CFA, offset):
    scene = 200 + 100 * np.random.default_rng(1).random((1, 40, 50))
    planes = scene * np.reshape([0.6, 1, 1, 0.7], (4, 1, 1)) + 64
    raw = RawImage(_quad(planes, cfa, offset), PROFILE, PhotoMetadata(), 1)
    with pytest.raises(DataError, match=r"a\.dng: its samples lie in 2x2 blocks of one colour .* labelled as 2x2"):
        require_bayer(raw, Path("a.dng"))
    bayer = np.rint(unpack(planes, cfa)[0]).astype(np.uint16)
    require_bayer(RawImage(bayer, PROFILE, PhotoMetadata(), 1), Path("a.dng"))


def test_edges_of_a_grey_scene_are_no_blocks_of_colour():
    stripes = np.kron(np.random.default_rng(0).integers(100, 900, (40, 50)), np.ones((2, 2), int))
    require_bayer(RawImage(stripes.astype(np.uint16), PROFILE, PhotoMetadata(), 1), Path("a.dng"))


def test_few_levels_and_another_ceiling_are_told():
    light = np.random.default_rng(0).integers(20, 800, (100, 140))
    profile = PROFILE.replace(black_level=0, white_level=255, bits=8)
    with pytest.warns(UserWarning, match=r"a\.dng: its mosaic has only 255 levels"):
        warn_of_levels(RawImage(light.clip(max=255).astype(np.uint16), profile, PhotoMetadata(), 1), Path("a.dng"))
    with pytest.warns(
        UserWarning, match=r"a\.dng: saturates elsewhere .* level 1023: R at 700 \(\d+ samples\), Gr"
    ):
        warn_of_levels(RawImage(light.clip(max=700).astype(np.uint16), PROFILE, PhotoMetadata(), 1), Path("a.dng"))


def test_a_file_whose_phase_is_wrong_is_rejected(pair, tmp_path: Path):
    mosaic, srgb = pair
    write_dng(
        tmp_path / "a.dng", mosaic, SIMULATED.profile.replace(cfa=SIMULATED.profile.cfa.hflip(208).vflip(160))
    )
    Image.fromarray((srgb * 255).round().byte().permute(1, 2, 0).numpy()).save(tmp_path / "a.jpg", quality=95)
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    write_dng(tmp_path / "b.dng", mosaic, SIMULATED.profile)
    result = prepare([tmp_path / "a.dng", tmp_path / "b.dng"], tmp_path / "set", FAST)
    assert result.made == ("b",)
    assert re.search(
        rf"a\.dng: the photo fits the Bayer phase {SIMULATED.profile.cfa.value}", result.refused[0].reason
    )


def test_a_pairs_folder_of_the_wrong_phase_or_of_blocks_is_rejected(pair, tmp_path: Path):
    mosaic, srgb = pair
    (tmp_path / "pairs" / "raw").mkdir(parents=True)
    (tmp_path / "pairs" / "srgb").mkdir()
    wrong = SIMULATED.profile.replace(cfa=SIMULATED.profile.cfa.hflip(208))
    (tmp_path / "pairs" / "profile.json").write_text(json.dumps(wrong.to_dict()))
    blocks = np.kron(mosaic[:80, :104], np.ones((2, 2), np.uint16))
    for name, stored in (("phase", mosaic), ("blocks", blocks)):
        np.save(tmp_path / "pairs" / "raw" / f"{name}.npy", stored)
        write_png(tmp_path / "pairs" / "srgb" / f"{name}.png", srgb)
    refused = {
        reject.name: reject.reason for reject in prepare([tmp_path / "pairs"], tmp_path / "set", FAST).refused
    }
    assert re.search(r"phase\.npy: the photo fits the Bayer phase", refused["phase"])
    assert re.search(r"blocks\.npy: its samples lie in 2x2 blocks", refused["blocks"])
