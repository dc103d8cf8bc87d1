"""The pipeline on an estimated base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from revisp import predict
from revisp.backbones.estimated import Estimated
from revisp.camera.canonical import canonical_profile, light_to_raw, raw_to_light
from revisp.camera.fitted import FittedCamera
from revisp.camera.isp import srgb_to_linear
from revisp.camera.noise import NoiseLevels
from revisp.cli import predict as cli
from revisp.convert import TorchEngine
from revisp.errors import ConfigError
from revisp.io import read_raw, read_srgb, write_png
from revisp.io.camera_file import load_curve, save_camera
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP


def build(branches: str = "separate", **kwargs: object) -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(
        "unet",
        backbone_kwargs={"width": 4, "depth": 2, "norm": "none"},
        branches=branches,  # type: ignore[arg-type]
        base="estimated",
        **kwargs,  # type: ignore[arg-type]
    ).eval()
    assert isinstance(model.base, Estimated)
    torch.nn.init.normal_(model.base.judge[-1].weight, std=0.3)
    return model


@pytest.fixture
def photo() -> Tensor:
    """A photo that is dark on the left and overexposed on the right."""
    noise = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    return (0.2 * noise + torch.linspace(0, 1, 160)).clamp(0, 1)


@pytest.mark.parametrize("branches", ["separate", "shared", "plain"])
def test_it_begins_as_the_base(branches: str, photo: Tensor) -> None:
    model = build(branches)
    assert isinstance(model.base, Estimated)
    torch.testing.assert_close(model(photo).raw_rgb, model.base(photo).clamp(0, 1))


def test_tiles_are_judged_by_the_whole_photo(photo: Tensor) -> None:
    model = build()
    tiled = predict(model, photo, tile=64, overlap=16).raw_rgb
    alone = model.reconstruct(photo[..., :64]).raw_rgb
    whole = model(photo).raw_rgb
    torch.testing.assert_close(tiled, whole, rtol=1e-3, atol=1e-5)
    assert (alone - whole[..., :64]).abs().max() > 1e-4  # a tile for itself is judged differently


@pytest.mark.parametrize("tile", [None, 64])
def test_what_is_told_replaces_what_is_estimated(photo: Tensor, tile: int | None) -> None:
    model = build()
    assert isinstance(model.base, Estimated)
    curve = [(level / 64) ** 2 for level in range(65)]
    told = model.base.estimate(photo).told(headroom=2.0, curve=curve)
    expected = light_to_raw(model.base.linearise(photo, told)).clamp(0, 1)  # the gains of the networks are 0
    found = predict(model, photo, tile=tile, headroom=2.0, curve=curve).raw_rgb
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    assert (found - predict(model, photo, tile=tile).raw_rgb).abs().max() > 1e-3


def test_a_stop_of_headroom_doubles_what_is_clipped(photo: Tensor) -> None:
    model = build()
    white = torch.ones(3, 64, 64)
    white[:, :32] = photo[0, :, :32, :64]
    one, two = (predict(model, white, headroom=ev).raw_rgb for ev in (0.5, 1.5))
    bright = (two < 1).all(0) & (white == 1).all(0)
    assert bright.sum() > 1000
    torch.testing.assert_close(two[:, bright], 2 * one[:, bright], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(two[:, white.amin(0) < 0.96], one[:, white.amin(0) < 0.96])


def test_each_photo_of_a_batch_is_judged_for_itself(photo: Tensor) -> None:
    model = build()
    both = torch.cat([photo, photo.square()])
    alone = predict(model, photo.square()[0], tile=64).raw_rgb
    torch.testing.assert_close(predict(model, both, tile=64).raw_rgb[1], alone)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"headroom": 11.0}, r"headroom must lie in \[0, 10\] EV, got 11"),
        ({"headroom": -0.1}, "headroom must lie"),
        ({"curve": [0.0, 0.5, 0.4]}, "must rise strictly from 0"),
    ],
)
def test_what_cannot_be_told_is_refused_before_any_photo_is_read(known: dict, message: str, photo: Tensor) -> None:
    with pytest.raises(ConfigError, match=message):
        predict(build(), photo, **known)
    with pytest.raises(ConfigError, match=message):
        TorchEngine(build(), **known)


def test_a_model_that_estimates_nothing_cannot_be_told(photo: Tensor) -> None:
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, base="classical")
    for known in ({"headroom": 1.0}, {"curve": [0.0, 1.0]}):
        with pytest.raises(ConfigError, match="estimated base only; this one has base classical"):
            predict(model, photo, **known)  # type: ignore[arg-type]


def test_the_command_tells_headroom_and_curve(photo: Tensor, tmp_path: Path) -> None:
    model = build(profile=canonical_profile())
    save_pretrained(model, tmp_path / "model")
    write_png(tmp_path / "photo.png", photo[0])
    curve = [0.0, 0.1, 1.0]
    (tmp_path / "curve.json").write_text(json.dumps(curve))
    words = [tmp_path / "photo.png", "--model", tmp_path / "model", "--device", "cpu", "--precision", "fp32"]
    words += ["--headroom", "1.5", "--curve", tmp_path / "curve.json", "--plain-dng", "-o", tmp_path / "photo.dng"]
    cli.app([str(word) for word in words], standalone_mode=False)
    told = predict(model, read_srgb(tmp_path / "photo.png"), headroom=1.5, curve=curve)
    stored = read_raw(tmp_path / "photo.dng").mosaic
    expected = canonical_profile().quantise(told.bayer[0].numpy())
    assert abs(stored.astype(int) - expected).max() <= 8


def test_a_camera_file_tells_its_curve(tmp_path: Path) -> None:
    fitted = FittedCamera((0.0, 0.2, 1.0), ((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
    save_camera(tmp_path / "camera.json", canonical_profile(), fitted, NoiseLevels(1e-4, 1e-6))
    assert load_curve(tmp_path / "camera.json") == fitted.curve
    (tmp_path / "profile.json").write_text(json.dumps(canonical_profile().to_dict()))
    (tmp_path / "words.json").write_text('["dark", "bright"]')
    for name in ("profile.json", "words.json", "none.json"):
        with pytest.raises(ConfigError, match=rf"{name}: not a c"):
            load_curve(tmp_path / name)


def test_the_overexposed_branch_tells_ev(photo: Tensor) -> None:
    model = build()
    assert isinstance(model.base, Estimated)
    estimate = model.base.estimate(photo)
    light = model.base.linearise(photo, estimate)
    stops = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1)  # of each colour of the light
    raised = model.base.compose("oe", photo, stops.expand_as(photo), estimate)
    torch.testing.assert_close(raw_to_light(raised), 2**stops * light, rtol=1e-3, atol=1e-5)


def test_the_other_branch_corrects_the_photo(photo: Tensor) -> None:
    model = build()
    assert isinstance(model.base, Estimated)
    estimate = model.base.estimate(photo)
    corrected = model.base.compose("noe", photo, torch.full_like(photo, -0.01), estimate)
    torch.testing.assert_close(corrected, light_to_raw(model.base.linearise(photo - 0.01, estimate)))


def test_all_of_it_learns(photo: Tensor) -> None:
    model = build().train()
    for gain in model.gains.values():
        torch.nn.init.constant_(gain, 0.1)
    model(photo).raw_rgb.square().mean().backward()
    without = {name for name, value in model.named_parameters() if value.grad is None}
    assert not without


def test_a_model_folder_keeps_it(photo: Tensor, tmp_path: Path) -> None:
    model = build()
    save_pretrained(model, tmp_path / "model")
    torch.testing.assert_close(from_pretrained(tmp_path / "model")(photo).raw_rgb, model(photo).raw_rgb)


def test_a_gain_map_leads_to_its_hdr_rendition(photo: Tensor) -> None:
    """Before the networks have learnt, overexposed pixels are as far above mid grey as the HDR rendition is."""
    model = build(gain_channel=True)
    gain = (6 * photo.mean(1, keepdim=True) - 3).contiguous()
    gain[..., :40] = torch.nan
    out = model(photo, gain=gain)
    assert out.oe is not None
    light = raw_to_light(out.oe).mean(1, keepdim=True)
    shown = srgb_to_linear(photo).mean(1, keepdim=True)
    hdr = gain + ((shown + 1 / 64) / (0.18 + 1 / 64)).log2()
    seen = (hdr > -3) & (out.oe.amax(1, keepdim=True) < 1) & (out.oe.amin(1, keepdim=True) > 1e-4)
    assert seen.float().mean() > 0.3
    torch.testing.assert_close((light / 0.18).log2()[seen], hdr[seen], rtol=0, atol=0.02)
    torch.testing.assert_close(out.oe[..., :40], model(photo).oe[..., :40])  # type: ignore[index]
    assert out.noe is not None
    torch.testing.assert_close(out.noe, model(photo).noe)
