"""Networks that see gain maps: what they see, tiles, and models that see none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from revisp import predict
from revisp.errors import ConfigError, ShapeError
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP
from revisp.pipeline.gain_channel import gain_channel


def build(branches: str = "separate", *, gain_channel: bool = True, **kwargs: object) -> ReverseISP:
    torch.manual_seed(0)
    network = {"width": 4, "depth": 2, "norm": "none"}
    return ReverseISP(
        "unet", backbone_kwargs=network, branches=branches, gain_channel=gain_channel, **kwargs
    ).eval()  # type: ignore[arg-type]


@pytest.fixture
def photo() -> torch.Tensor:
    noise = torch.rand(3, 80, 112, generator=torch.Generator().manual_seed(0))
    return (0.3 * noise + torch.linspace(0, 1, 112)).clamp(0, 1)


@pytest.fixture
def gain(photo: torch.Tensor) -> torch.Tensor:
    return (4 * photo.mean(0, keepdim=True) - 1.5).contiguous()


def test_no_map_lies_below_all_that_a_map_can_say() -> None:
    photo = torch.rand(1, 3, 4, 4)
    seen = [
        gain_channel(torch.full((1, 1, 4, 4), ev), photo).unique().item()
        for ev in (-50.0, -2.0, 0.0, 1.0, 8.0, 50.0)
    ]
    assert seen == [-0.5, -0.5, 0.0, 0.25, 2.0, 2.0]
    assert gain_channel(None, photo).unique().item() < min(seen)
    assert torch.equal(gain_channel(torch.full((1, 1, 4, 4), torch.nan), photo), gain_channel(None, photo))


@pytest.mark.parametrize("branches", ["separate", "shared", "plain"])
@pytest.mark.parametrize("base", [None, "classical", "estimated"])
def test_tiles_see_their_part_of_the_map(
    branches: str, base: str | None, photo: torch.Tensor, gain: torch.Tensor
) -> None:
    model = build(branches, base=base)
    for factor in model.gains.values():
        torch.nn.init.constant_(factor, 0.3)
    whole = model(photo[None], gain=gain[None])
    tiled = predict(model, photo, gain=gain, tile=48)
    torch.testing.assert_close(tiled.raw_rgb, whole.raw_rgb[0], rtol=1e-3, atol=1e-5)
    assert (whole.raw_rgb - model(photo[None]).raw_rgb).abs().max() > 1e-3  # the map matters


def test_a_photo_without_a_map_is_one_whose_map_is_unknown(photo: torch.Tensor, gain: torch.Tensor) -> None:
    model = build()
    alone, unknown = predict(model, photo), predict(model, photo, gain=torch.full_like(gain, torch.nan))
    assert torch.equal(alone.bayer, unknown.bayer)
    both = predict(model, torch.stack([photo, photo]), gain=torch.stack([gain, torch.full_like(gain, torch.nan)]))
    torch.testing.assert_close(both.bayer[0], predict(model, photo, gain=gain).bayer)
    torch.testing.assert_close(both.bayer[1], alone.bayer)


def test_a_model_folder_keeps_the_channel(photo: torch.Tensor, gain: torch.Tensor, tmp_path: Path) -> None:
    model = build()
    save_pretrained(model, tmp_path / "model")
    again = from_pretrained(tmp_path / "model")
    assert again.config["gain_channel"] is True
    assert torch.equal(predict(again, photo, gain=gain).bayer, predict(model, photo, gain=gain).bayer)


def test_wrong_maps_are_refused(photo: torch.Tensor, gain: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="do not see gain maps"):
        predict(build(gain_channel=False), photo, gain=gain)
    with pytest.raises(ConfigError, match="do not see gain maps"):
        build(gain_channel=False)(photo[None], gain=gain[None])
    for wrong in (gain[:, :-1], torch.cat([gain, gain]), gain[None]):
        with pytest.raises(ShapeError, match="gain"):
            predict(build(), photo, gain=wrong)
