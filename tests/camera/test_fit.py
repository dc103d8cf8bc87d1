"""The fitted camera: a known camera is found again, whatever disturbs the pairs; curve and inverse agree."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.fitted import FittedCamera, clipping, decode, encode, plain_curve
from revisp.camera.isp import ISPSettings, apply_isp
from revisp.camera.place import Place
from revisp.camera.shading import correct_shading
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, DataError, ShapeError

PROFILE = SIMULATED.profile
RENDERING = ISPSettings(exposure=0.8, contrast=0.4)
TRUE_MATRIX = 2**0.8 * PROFILE.camera_to_srgb @ np.diag(PROFILE.gains)


def scene(seed: int = 0, size: int = 256, detail: int = 8) -> Tensor:
    """Demosaiced RAW ``[3, size, size]``: random colours every ``detail`` pixels, dark to clipped, and between."""
    generator = torch.Generator().manual_seed(seed)
    light = 0.6 * torch.rand(1, size // detail, size // detail, generator=generator) ** 1.5
    colour = 1 + 0.5 * (torch.rand(3, size // detail, size // detail, generator=generator) - 0.5)
    white = torch.tensor(PROFILE.as_shot_neutral).view(3, 1, 1)
    return F.interpolate((light * colour * white)[None], size=(size, size), mode="bilinear")[0]


def photograph(raw: Tensor) -> Tensor:
    return (apply_isp(raw, PROFILE, RENDERING) * 255).round() / 255


def unclipped_psnr(camera: FittedCamera, srgb: Tensor, raw: Tensor) -> float:
    inside = ((srgb > 0.02) & (srgb < 0.95)).all(dim=0)
    assert inside.float().mean() > 0.5
    return -10 * math.log10((camera.unprocess(srgb) - raw)[:, inside].square().mean().item())


def to_scale(camera: FittedCamera) -> tuple[np.ndarray, float]:
    """The matrix, brought to the size of the true one, and its own size; the curve's last stretch hides it."""
    factor = np.trace(camera.matrix) / np.trace(TRUE_MATRIX)
    return np.array(camera.matrix) / factor, factor


@pytest.fixture(scope="module")
def fitted() -> FittedCamera:
    raw = scene()
    return fit_camera([FitPair(photograph(raw), raw)])


def test_a_known_camera_is_found_again(fitted: FittedCamera) -> None:
    matrix, factor = to_scale(fitted)
    np.testing.assert_allclose(matrix, TRUE_MATRIX, atol=0.01 * TRUE_MATRIX.max())
    assert factor == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(fitted.black, 0, atol=5e-4)
    np.testing.assert_allclose(fitted.shading, 0, atol=0.01)
    values = torch.linspace(0.05, 0.95, 19)
    light = torch.diag(values).new_zeros(3, 1, 19) + values  # greys: apply_isp with unit gains is the curve alone
    plain = PROFILE.replace(as_shot_neutral=(1.0, 1.0, 1.0))
    expected = apply_isp(light, plain, ISPSettings(contrast=0.4))[0, 0]
    ours = encode(values, torch.tensor(fitted.curve).float())
    torch.testing.assert_close(ours, expected, atol=0.01, rtol=0)
    assert fitted.samples > 200
    assert fitted.psnr > 40
    assert fitted.rms < 2e-3


def test_the_inverse_holds_on_another_scene(fitted: FittedCamera) -> None:
    raw = scene(seed=1)
    assert unclipped_psnr(fitted, photograph(raw), raw) > 50


def test_outliers_noise_and_a_shift_are_forgiven() -> None:
    raw = scene(seed=2, size=512, detail=32)
    generator = torch.Generator().manual_seed(0)
    srgb = photograph(raw)
    strange = F.interpolate((torch.rand(1, 1, 64, 64, generator=generator) < 0.05).float(), size=(512, 512))[0]
    toned = torch.where(strange > 0, srgb**0.5, srgb).roll((1, 1), dims=(1, 2))
    noisy = raw + 0.005 * torch.randn(raw.shape, generator=generator)
    camera = fit_camera([FitPair(toned, noisy)])
    np.testing.assert_allclose(to_scale(camera)[0], TRUE_MATRIX, atol=0.02 * TRUE_MATRIX.max())
    assert unclipped_psnr(camera, srgb, raw) > 45


def test_what_is_not_valid_does_not_count(fitted: FittedCamera) -> None:
    raw = scene()
    srgb = photograph(raw)
    twice, wrong = torch.cat([srgb, srgb], dim=2), torch.cat([raw, raw.flip(0)], dim=2)
    valid = torch.cat([torch.ones(1, 256, 256), torch.zeros(1, 256, 256)], dim=2)
    camera = fit_camera([FitPair(twice, wrong, valid)], shading=False)
    np.testing.assert_allclose(camera.matrix, fitted.matrix, rtol=0.02, atol=0.02)
    assert camera.psnr == pytest.approx(fitted.psnr, abs=0.5)


def test_shading_that_the_camera_corrected_is_found() -> None:
    raw = scene(seed=3)
    srgb = photograph(correct_shading(raw, (0.3, 0.2)))
    camera = fit_camera([FitPair(srgb, raw)])
    at = np.array([0.25, 0.5, 0.9])
    np.testing.assert_allclose(
        1 + camera.shading[0] * at + camera.shading[1] * at**2, 1 + 0.3 * at + 0.2 * at**2, rtol=0.01
    )
    assert unclipped_psnr(camera, srgb, raw) > 45
    flat = fit_camera([FitPair(srgb, raw)], shading=False)
    assert flat.shading == (0.0, 0.0)
    assert flat.rms > 3 * camera.rms


def test_clipped_pixels_get_what_the_raw_mostly_holds_there() -> None:
    raw = scene(seed=4)
    raw[:, :64] = torch.tensor([0.36, 0.75, 0.42]).view(3, 1, 1)  # beyond display white in every channel
    raw[:, 60:64, :30] = 0.99  # few among them are brighter still
    srgb = photograph(raw)
    assert (srgb[:, :60] == 1).all()
    camera = fit_camera([FitPair(srgb, raw)])
    white = camera.unprocess(torch.ones(3, 1, 1)).flatten()
    torch.testing.assert_close(white, torch.tensor([0.36, 0.75, 0.42]), atol=0.01, rtol=0)
    without = fit_camera([FitPair(srgb[:, 64:], raw[:, 64:])]).unprocess(torch.ones(3, 1, 1)).flatten()
    assert (white - without > 0.05).all()


def test_the_profile_is_that_of_the_camera(fitted: FittedCamera) -> None:
    base = PROFILE.replace(as_shot_neutral=(1.0, 1.0, 1.0), bits=12)
    profile = fitted.profile(base)
    np.testing.assert_allclose(profile.as_shot_neutral, PROFILE.as_shot_neutral, rtol=0.01)
    np.testing.assert_allclose(profile.color_matrix, PROFILE.color_matrix, atol=0.015)
    assert (profile.cfa, profile.bits, profile.white_level) == (base.cfa, 12, base.white_level)
    magenta = FittedCamera(fitted.curve, ((1.0, 2.0, 0.0), (2.0, 1.0, 0.0), (0.0, -8.0, 1.0)))
    assert magenta.profile(base).gains[0] == pytest.approx(1)
    with pytest.raises(ConfigError, match="not a valid neutral"):
        FittedCamera(fitted.curve, ((1.0, 4.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))).profile(base)


steps = st.lists(st.floats(1e-3, 1.0), min_size=2, max_size=64)


@settings(max_examples=50, deadline=None)
@given(steps, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_curves_rise_and_their_inverse_undoes_them(increments: list[float], values: list[float]) -> None:
    curve = np.concatenate([[0], np.cumsum(increments) / np.sum(increments)])
    knots, table, srgb = np.linspace(0, 1, len(curve)), torch.from_numpy(curve), torch.tensor(values).double()
    linear = decode(srgb, table)
    np.testing.assert_allclose(linear, np.interp(srgb, knots, curve), atol=1e-12)
    np.testing.assert_allclose(encode(srgb, table), np.interp(srgb, curve, knots), atol=1e-12)
    torch.testing.assert_close(encode(linear, table), srgb, atol=1e-9, rtol=0)
    ordered = torch.sort(srgb).values
    assert (decode(ordered, table).diff() >= 0).all()
    assert (encode(ordered, table).diff() >= 0).all()
    assert encode(torch.tensor([-0.2, 1.7]).double(), table).tolist() == pytest.approx([0, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_developing_what_was_unprocessed_gives_the_photo(fitted: FittedCamera, seed: int) -> None:
    rng = np.random.default_rng(seed)
    srgb = torch.from_numpy(rng.uniform(0.3, 0.95, (2, 3, 1, 1)) + rng.uniform(-0.05, 0, (2, 3, 5, 6)))
    raw = fitted.unprocess(srgb)
    inside = ((raw > 0) & (raw < 1)).all(dim=1, keepdim=True).expand_as(raw)
    torch.testing.assert_close(fitted.develop(raw)[inside], srgb[inside], atol=1e-6, rtol=0)


def test_it_is_differentiable_and_knows_a_crops_place() -> None:
    shaded = FittedCamera(tuple(plain_curve(16).tolist()), TRUE_MATRIX, shading=(0.3, 0.1))
    srgb = 0.2 + 0.6 * torch.rand(3, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(shaded.unprocess, (srgb.clone().requires_grad_(),))
    raw = shaded.unprocess(srgb)
    assert torch.autograd.gradcheck(shaded.develop, (0.9 * raw.clone().requires_grad_(),))
    crop, place = (..., slice(2, 5), slice(3, 8)), Place(2, 3, 6, 8)
    torch.testing.assert_close(shaded.unprocess(srgb[crop], place), raw[crop])
    assert not torch.allclose(shaded.unprocess(srgb[crop]), raw[crop])
    torch.testing.assert_close(shaded.develop(raw[crop], place), srgb[crop])


def test_clipping_is_told_by_channel_and_for_all_together() -> None:
    pixel = torch.tensor([1.0, 0.98, 0.5]).view(3, 1, 1)
    torch.testing.assert_close(clipping(pixel).flatten(), torch.tensor([1.0, 0.5, 0.0, 0.0]))
    assert clipping(torch.ones(2, 3, 4, 4)).eq(1).all()


def test_json_keeps_everything(fitted: FittedCamera) -> None:
    assert FittedCamera.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
    bare = FittedCamera((0.0, 0.2, 1.0), np.eye(3))
    again = FittedCamera.from_dict(json.loads(json.dumps(bare.to_dict())))
    assert math.isnan(again.psnr)
    assert (again.curve, again.matrix) == (bare.curve, bare.matrix)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curve": [0, 0.5, 0.5, 1]}, "rise strictly"),
        ({"curve": [0, 0.5, 0.9]}, "rise strictly"),
        ({"curve": 3}, "fitted camera"),
        ({"matrix": [[1, 1, 1]] * 3}, "invertible"),
        ({"matrix": [[1, 0], [0, 1]]}, r"matrix\[0\]\[2\] is incomplete"),
        ({"black": [0, math.nan, 0]}, "black"),
        ({"headroom": "none"}, "fitted camera"),
        ({"shading": [-1.5, 0]}, "not positive everywhere"),
        ({"psnr": "high"}, "fitted camera"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_values_that_no_fit_gives_are_refused(fitted: FittedCamera, change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        FittedCamera.from_dict(fitted.to_dict() | change)
    assert "\n" not in str(caught.value)


def test_pairs_that_tell_nothing_are_refused() -> None:
    raw = scene(size=64)
    srgb = photograph(raw)
    with pytest.raises(DataError, match="no pairs"):
        fit_camera([])
    with pytest.raises(DataError, match="only 0 blocks"):
        fit_camera([FitPair(torch.ones(3, 64, 64), raw)])
    with pytest.raises(DataError, match="only 0 blocks"):
        fit_camera([FitPair(srgb, raw, torch.zeros(1, 64, 64))])
    with pytest.raises(DataError, match="only 0 blocks"):
        fit_camera([FitPair(srgb, torch.full_like(raw, math.nan))])
    with pytest.raises(DataError, match="black"):
        fit_camera([FitPair(srgb, torch.zeros_like(raw))])
    with pytest.raises(ShapeError, match="differ in size"):
        fit_camera([FitPair(srgb, raw[..., :-2])])
    with pytest.raises(ShapeError, match="single image"):
        fit_camera([FitPair(srgb[None], raw[None])])
    with pytest.raises(ShapeError, match="floating point"):
        fit_camera([FitPair(srgb.mul(255).byte(), raw)])


def test_a_grey_raw_of_a_coloured_photo_determines_no_camera() -> None:
    photo = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
    photo = photo.repeat_interleave(16, 1).repeat_interleave(16, 2)
    grey = 0.3 * (photo**2.2).mean(0, keepdim=True).expand(3, -1, -1).contiguous()
    with pytest.raises(DataError, match="photos and RAW do not determine a camera"):
        fit_camera([FitPair(photo, grey)], shading=False)


def test_grey_pairs_still_give_an_invertible_camera() -> None:
    grey = scene(seed=5).mean(dim=0, keepdim=True).expand(3, -1, -1)
    srgb = apply_isp(grey, PROFILE.replace(as_shot_neutral=(1.0, 1.0, 1.0)), RENDERING)
    camera = fit_camera([FitPair(srgb, grey)])
    assert unclipped_psnr(camera, srgb, grey) > 50


def test_a_real_cameras_inverse_carries_over_to_its_next_photo(sample_data) -> None:
    """GoPro HERO7: fitted to a crop of one photo, scored on the RAW mosaic of another."""
    from revisp.cfa import CFA, pack
    from revisp.demosaic import demosaic
    from revisp.io.mosaic_file import read_mosaic
    from revisp.io.photo import read_srgb
    from revisp.metrics import aim_psnr
    from revisp.mosaic import mosaic

    gains = (1 / 0.576577, 1.0, 1 / 0.486692)
    pairs = []
    for name in ("GOPR8508_y1300_x1000", "GOPR8514_y600_x1500"):
        path = sample_data / "raw_samples" / "pairs_ready" / f"hero7_{name}"
        bayer = torch.from_numpy(read_mosaic(f"{path}_raw_grbg14.png").astype(np.float32) / 16383)[None]
        pairs.append((read_srgb(f"{path}_rgb.png"), demosaic(bayer, CFA.GRBG, "malvar", gains=gains), bayer))
    camera = fit_camera([FitPair(*pairs[0][:2])], shading=False)
    scores = [
        aim_psnr(*(pack(x[None], CFA.GRBG) for x in (mosaic(camera.unprocess(srgb), CFA.GRBG), bayer))).item()
        for srgb, _, bayer in pairs
    ]
    assert camera.psnr > 27
    assert scores[0] > 44
    assert scores[1] > 43  # UPI with the camera's white balance and a fitted gain: 41.9


def test_clipped_highlights_develop_without_a_colour():
    camera = FittedCamera(plain_curve(), ((1.4, -0.3, -0.1), (-0.35, 0.75, -0.2), (0.0, -0.4, 1.2)))
    neutral = camera.inverse_matrix.sum(axis=1)
    assert neutral.min() > 0
    white = camera.develop(torch.ones(3, 2, 2))
    assert torch.allclose(white, white[:1].expand_as(white), atol=1e-5)


def test_a_few_clipped_pixels_tell_no_headroom():
    generator = torch.Generator().manual_seed(0)
    raw = F.interpolate(0.4 * torch.rand(1, 3, 24, 24, generator=generator), scale_factor=8)[0]
    camera = FittedCamera(plain_curve(), ((2.0, 0, 0), (0, 1.5, 0), (0, 0, 1.8)))
    photo = camera.develop(raw)
    photo[0, :2, :3] = 1.0  # six pixels of a hot red, whose RAW is dark
    raw[:, :2, :3] = 0.01
    fitted = fit_camera([FitPair(photo, raw)], shading=False)
    assert np.min(fitted.headroom) >= 0
    for grey in (0.9, 0.95, 1.0):
        again = fitted.develop(fitted.unprocess(torch.full((3, 8, 8), grey)))
        assert again.mean() > 0.85


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999))
def test_headroom_is_never_negative(seed):
    generator = torch.Generator().manual_seed(seed)
    raw = F.interpolate(torch.rand(1, 3, 24, 24, generator=generator), scale_factor=8)[0]
    camera = FittedCamera(plain_curve(), ((2.0, -0.4, 0), (-0.2, 1.6, 0), (0, -0.3, 1.8)))
    fitted = fit_camera([FitPair(camera.develop(raw), raw)], shading=False)
    assert np.min(fitted.headroom) >= 0
