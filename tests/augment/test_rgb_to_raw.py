"""RGB to RAW in a batch: what comes out, against the unbatched camera, its noise, and its own development."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2.functional import gaussian_blur

from revisp.augment import RGBToRAW
from revisp.camera.cameras import random_simulated_camera
from revisp.camera.isp import ISPSettings
from revisp.camera.mosaic_light import MosaicLight
from revisp.camera.noise import NoiseLevels, amplified
from revisp.camera.simulate import SIMULATED, SimulatedCamera, sensor_light, simulate
from revisp.cfa import CFA, pack
from revisp.data.embedded import TRAIN_PHOTOS
from revisp.errors import ShapeError
from revisp.inference import predict
from revisp.io.photo import read_srgb
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _random(height: int = 40, width: int = 56, batch: int = 3) -> torch.Tensor:
    photos = torch.randint(256, (batch, 3, height, width), generator=_generator(), dtype=torch.uint8)
    photos[..., 5:15, 8:24] = 255
    return photos


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """A photograph of a rocket launch pad, uint8: dark sky and bright lamps."""
    pixels = read_srgb(TRAIN_PHOTOS[4].path)[:, 250:427, 40:240]
    return (pixels * 255).round().byte()


@pytest.fixture(scope="module")
def model() -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)


def _cameras(count: int, seed: int = 1) -> list[SimulatedCamera]:
    generator = _generator(seed)
    return [random_simulated_camera(generator, cfa="RGGB") for _ in range(count)]


@pytest.mark.parametrize(
    ("output", "shape"), [("bayer", (3, 1, 40, 56)), ("packed", (3, 4, 20, 28)), ("raw_rgb", (3, 3, 40, 56))]
)
@pytest.mark.parametrize("floating", [False, True])
def test_shape_type_and_range(output, shape, floating):
    photos = _random().float() / 255 if floating else _random()
    raw = RGBToRAW(output=output)(photos)
    assert raw.shape == shape
    assert raw.dtype == torch.float32
    assert raw.is_contiguous()
    assert not raw.requires_grad
    if output != "raw_rgb":  # demosaicing overshoots at edges
        assert raw.max() <= 1
        assert raw.min() >= -0.35
    single = RGBToRAW(output=output)(photos[0])
    assert single.shape == shape[1:]


def _light(photos: torch.Tensor, *shots) -> torch.Tensor:
    """Return the light in parts, as strips of a photo are computed."""
    light = MosaicLight(photos, *shots)
    return torch.cat([light.rows(rows) for rows in (slice(0, 8), slice(8, light.shape[2]))], dim=2)


@pytest.mark.parametrize("invert", [True, False])
@pytest.mark.parametrize("highlights", ["clip", "shoulder", "desaturate"])
def test_light_is_that_of_the_unbatched_simulator_for_every_8_bit_value(invert, highlights):
    """`sensor_light` is what ``data=simulated`` runs, one crop at a time."""
    isp = ISPSettings(gamma=0.9, lift=0.01, highlights=highlights, knee=0.6, rolloff=0.9, shading=(0.3,))
    camera = replace(SIMULATED, isp=isp, invert=invert, contrast=0.6, shading=(0.5, 0.2))
    photos = _random()
    light = _light(photos, [camera] * 3, [-0.5, 0.0, 1.3], CFA.GBRG)
    for photo, exposure, ours in zip(photos, (-0.5, 0.0, 1.3), light, strict=True):
        expected = sensor_light(photo.float() / 255, camera, exposure=exposure)
        torch.testing.assert_close(ours, mosaic(expected, "GBRG"), rtol=1e-5, atol=1e-6)


def test_each_photo_of_a_batch_has_its_own_camera():
    cameras, photos = _cameras(6), _random(batch=6)
    light = _light(photos, cameras, [0.2] * 6, CFA.RGGB)
    for photo, camera, ours in zip(photos, cameras, light, strict=True):
        expected = mosaic(sensor_light(photo.float() / 255, camera, exposure=0.2), "RGGB")
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_floating_photos_between_8_bit_values_agree_within_the_tables_steps():
    cameras = _cameras(12)
    photos = torch.rand(12, 3, 24, 24, generator=_generator())
    light = _light(photos, cameras, [0.0] * 12, CFA.RGGB)
    for photo, camera, ours in zip(photos, cameras, light, strict=True):
        expected = mosaic(sensor_light(photo, camera), "RGGB")
        torch.testing.assert_close(ours, expected, rtol=5e-4, atol=2e-5)


def test_raw_is_what_simulate_stores_but_for_the_noise():
    camera = replace(SIMULATED, shot_noise=1e-12, read_noise=0.0, shading=(0.4,))
    photos = _random()
    raw = RGBToRAW(camera, exposures=(0.5, 0.5), noise=None)(photos)
    for photo, ours in zip(photos, raw, strict=True):
        theirs = simulate(photo.float() / 255, camera, exposure=0.5, generator=_generator()).bayer
        step = 1 / (1023 - 64)  # a value may round to its neighbour
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1.01 * step)
        assert (ours - theirs).abs().gt(0.01 * step).float().mean() < 0.01


def test_any_rendering_can_be_the_camera():
    class Square:
        def develop(self, raw_rgb, place=None):
            return raw_rgb.clamp(0, 1).sqrt()

        def unprocess(self, srgb, place=None):
            return srgb.square()

    camera = SimulatedCamera(SIMULATED.profile, rendering=Square(), expansion=1.0)
    photos = torch.full((2, 3, 17, 20), 0.5)
    raw = RGBToRAW([camera], exposures=(0, 0), noise=None, quantise=False)(photos)
    torch.testing.assert_close(raw, torch.full((2, 1, 17, 20), 0.25))


@given(height=st.integers(5, 40), width=st.integers(5, 40), cfa=st.sampled_from(CFA), batch=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_any_size_and_phase(height, width, cfa, batch):
    """A flat grey photo reads as the profile says at every photosite, odd rows and columns included."""
    photos = torch.full((batch, 3, height, width), 118, dtype=torch.uint8)
    to_raw = RGBToRAW(SIMULATED, cfa=cfa, exposures=(0, 0), noise=None, quantise=False)
    raw = to_raw(photos)
    assert raw.shape == (batch, 1, height, width)
    grey = ((118 / 255 + 0.055) / 1.055) ** 2.4 / SIMULATED.headroom
    flat = mosaic(torch.tensor([1 / 2.1, 1.0, 1 / 1.7]).view(3, 1, 1).expand(3, height, width) * grey, cfa)
    torch.testing.assert_close(raw, flat.expand_as(raw), rtol=1e-4, atol=0)


def test_odd_sizes_are_refused_where_planes_need_pairs():
    with pytest.raises(ShapeError, match=r"even height and width, got \[41, 56\]: crop the photo and its boxes"):
        RGBToRAW(output="packed")(_random(41))


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_noise_has_the_variance_of_the_profile(gain):
    levels = NoiseLevels(2e-3, 1e-4)
    photos = torch.full((2, 3, 256, 256), 0.4)
    options = {"exposures": (0, 0), "quantise": False}
    clean = pack(RGBToRAW(SIMULATED, noise=None, **options)(photos), "RGGB")
    noisy = pack(RGBToRAW(SIMULATED, noise=levels, gain=(gain, gain), **options)(photos), "RGGB")
    expected = clean.mean(dim=(-2, -1)) * 2e-3 * gain + 1e-4 * gain**2
    variance = (noisy - clean).var(dim=(-2, -1))  # of 16384 samples: 1.1 % is one deviation
    torch.testing.assert_close(variance, expected, rtol=0.04, atol=0)
    assert (noisy - clean).mean().abs() < 1e-3
    residual = (noisy - clean)[:, 0].flatten(1)
    assert abs(torch.corrcoef(residual)[0, 1].item()) < 0.03  # each photo has its own


def test_noise_of_the_camera_and_of_a_range_of_gains():
    camera = replace(SIMULATED, shot_noise=1e-3, read_noise=2e-5)
    params = RGBToRAW(camera).make_params([_random()])
    assert [shot.noise for shot in params["shots"]] == [NoiseLevels(1e-3, 2e-5)] * 3
    gains = [
        shot.noise.shot / 1e-3 for shot in RGBToRAW(camera, gain=(1, 16)).make_params([_random(batch=99)])["shots"]
    ]
    assert min(gains) >= 1
    assert max(gains) <= 16
    assert 3 < sorted(gains)[49] < 5.5  # the middle in EV
    assert amplified(NoiseLevels(1.0, 1.0), 3.0) == (3.0, 9.0)
    drawn = RGBToRAW(camera, noise="random").make_params([_random(batch=9)])["shots"]
    assert len({shot.noise for shot in drawn}) == 9


def test_quantised_to_the_bits_of_the_camera():
    raw = RGBToRAW(SIMULATED)(_random())
    stored = raw * (1023 - 64) + 64
    torch.testing.assert_close(stored, stored.round(), atol=1e-3, rtol=0)
    assert stored.min() >= -0.01
    assert stored.max() <= 1023.01
    finer = RGBToRAW(SIMULATED, quantise=False)(_random()) * (1023 - 64)
    assert (finer - finer.round()).abs().mean() > 0.1


def test_saturated_samples_keep_noise_only_at_the_full_well_of_base_iso():
    photos = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    options = {"exposures": (2, 2), "noise": NoiseLevels(0.01, 0.0)}
    assert RGBToRAW(replace(SIMULATED, expansion=8.0), **options)(photos).std() > 0.02
    deep = RGBToRAW(replace(SIMULATED, expansion=8.0, full_well=2.0), **options)(photos)
    assert (deep == 1).float().mean() > 0.98


def _kept(photo: torch.Tensor, raw_rgb: torch.Tensor) -> torch.Tensor:
    """Where neither the photo nor the sensor clips: ``[H, W]``."""
    return ((photo > 0.01) & (photo < 0.99) & (raw_rgb < 0.99)).all(dim=0)


@pytest.mark.parametrize("seed", range(4))
def test_developed_by_the_random_camera_it_is_the_photo_again(photo, seed):
    """Each pixel is doubled to a 2x2 tile, so that the planes hold its colour without demosaicing."""
    drawn = random_simulated_camera(_generator(seed))
    isp = replace(drawn.isp, local_tone=0.0, denoise=0.0, sharpening=0.0, shading=())
    camera = replace(drawn, isp=isp, shading=(), expansion=1.0, contrast=0.4)
    doubled = photo.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    red, green_r, green_b, blue = RGBToRAW(camera, exposures=(0, 0), noise=None, quantise=False, output="packed")(
        doubled
    )
    torch.testing.assert_close(green_r, green_b)
    raw_rgb, expected = torch.stack([red, green_r, blue]), photo.float() / 255
    kept = _kept(expected, raw_rgb) & (raw_rgb > 1e-4).all(dim=0)
    error = (camera.develop(raw_rgb) - expected)[:, kept].abs() * 255
    assert kept.float().mean() > 0.6
    assert error.mean() < 0.1
    assert error.quantile(0.99) < 0.5  # half an 8-bit step


def test_demosaiced_and_developed_it_is_a_smooth_photo_again(photo):
    """What is left is the demosaicing's error: three 8-bit steps in the mean on a blurred photo."""
    blurred = gaussian_blur(photo.float(), [25, 25], [4.0, 4.0]).round().byte()
    camera = replace(SIMULATED, isp=ISPSettings(gamma=0.9, highlights="shoulder"), invert=True, expansion=1.0)
    to_raw = RGBToRAW(camera, exposures=(0, 0), noise=None, quantise=False, output="raw_rgb")
    raw_rgb, expected = to_raw(blurred), blurred.float() / 255
    error = (camera.develop(raw_rgb) - expected)[:, _kept(expected, raw_rgb)].abs() * 255
    assert error.mean() < 3


def test_planes_and_demosaiced_are_the_mosaic():
    photos = _random()
    results = {}
    for output in ("bayer", "packed", "raw_rgb"):
        torch.manual_seed(5)
        results[output] = RGBToRAW(cfa="GRBG", output=output)(photos)
    assert torch.equal(pack(results["bayer"], "GRBG"), results["packed"])
    torch.testing.assert_close(mosaic(results["raw_rgb"], "GRBG"), results["bayer"], rtol=1e-5, atol=1e-6)


def test_seed_decides_and_photos_differ():
    photos = _random(batch=1).expand(4, -1, -1, -1)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(RGBToRAW()(photos))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert not torch.allclose(runs[0][0], runs[0][1], atol=0.01)


def test_pickled_and_copied_it_draws_the_same():
    to_raw = RGBToRAW(_cameras(2), gain=(1, 4), output="packed")
    results = []
    for each in (to_raw, pickle.loads(pickle.dumps(to_raw)), copy.deepcopy(to_raw)):
        torch.manual_seed(3)
        results.append(each(_random()))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_probability_keeps_photos_whole():
    photos = _random(batch=40)
    torch.manual_seed(0)
    mixed = RGBToRAW(output="raw_rgb", p=0.5)(photos)
    kept = (mixed == photos.float() / 255).flatten(1).all(dim=1)
    assert 8 < kept.sum() < 32
    torch.testing.assert_close(RGBToRAW(output="raw_rgb", p=0.0)(photos), photos.float() / 255)


def test_model_predicts_the_raw_in_its_own_mode(model, photo):
    expected = predict(model, photo[None].float() / 255)
    model.train()
    raw = RGBToRAW(model, quantise=False)(photo)
    assert model.training
    torch.testing.assert_close(raw, expected.bayer[0], rtol=1e-5, atol=1e-6)
    stored = RGBToRAW(model)(photo) * (1023 - 64)
    torch.testing.assert_close(stored, stored.round(), atol=1e-3, rtol=0)
    noisy = RGBToRAW(model, noise=NoiseLevels(1e-3, 1e-4), quantise=False)(photo)
    assert 1e-5 < (noisy - raw).var() < 1e-2


@pytest.mark.parametrize("source", ["model", "cameras"])
def test_a_network_learns_from_it_under_autocast(source, model, photo):
    to_raw = RGBToRAW(model if source == "model" else None, output="packed")
    network = torch.nn.Conv2d(4, 8, 3)
    with torch.autocast("cpu", torch.bfloat16):
        raw = to_raw(photo[None, :, :176, :200])
        network(raw).square().mean().backward()
    assert raw.dtype == torch.float32
    assert not raw.is_inference()
    assert network.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_autocast_costs_no_precision():
    photos = _random()
    results = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            results.append(RGBToRAW()(photos))
    assert torch.equal(*results)


def test_moves_with_its_model(model):
    assert len(list(RGBToRAW(model).parameters())) == len(list(model.parameters()))
    assert list(RGBToRAW().parameters()) == []
    half = RGBToRAW()(_random().to(torch.float16) / 255)
    assert half.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_it_stays_there_and_agrees():
    photos = _random()
    to_raw = RGBToRAW(noise=None, quantise=False)
    torch.manual_seed(4)
    expected = to_raw(photos)
    torch.manual_seed(4)
    raw = to_raw(photos.cuda())
    assert raw.is_cuda
    torch.testing.assert_close(raw.cpu(), expected, rtol=2e-3, atol=1e-4)  # its convolutions round to TF32
    assert RGBToRAW(output="raw_rgb")(photos.cuda()).is_cuda


def test_raw_of_a_model_without_camera_clips_at_white():
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
    for network in model.branches.values():
        torch.nn.init.constant_(network.get_submodule("head").bias, 1.0)
    raw = RGBToRAW(model, noise=NoiseLevels(0.1, 0.0))(_random())
    assert raw.max() == 1
    assert raw.std() > 0.05


def test_a_model_reaches_workers_that_start_anew():
    """As on macOS and Windows, where a data loader sends its data set to each worker as bytes."""
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    to_raw = RGBToRAW(model, noise=None)
    sent = pickle.loads(pickle.dumps(to_raw))
    photos = _random()
    assert torch.equal(sent(photos), to_raw(photos))
