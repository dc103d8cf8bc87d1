"""Models that see the gain map and the place in the photo: in tiles, and as exported programs."""

from __future__ import annotations

import pytest
import torch

from revisp import predict
from revisp.backbones.classical import Classical
from revisp.camera.canonical import canonical_profile
from revisp.camera.place import place_map
from revisp.export.graph import PhotoToBayer
from revisp.export.program import trace
from revisp.pipeline import ReverseISP

HEIGHT, WIDTH = 97, 131


def build(base: str | None) -> ReverseISP:
    torch.manual_seed(0)
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    model = ReverseISP(
        "unet",
        backbone_kwargs=kwargs,
        branches="separate",
        base=base,  # type: ignore[arg-type]
        gain_channel=True,
        place=True,
        profile=canonical_profile(),
    ).eval()
    if isinstance(model.base, Classical):
        model.base.shading.copy_(torch.tensor([0.4, 0.2]))
    for factor in model.gains.values():
        torch.nn.init.constant_(factor, 0.3)
    return model


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    noise = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    return (0.3 * noise + torch.linspace(0, 1, WIDTH)).clamp(0, 1)


@pytest.fixture(scope="module")
def gain(photo: torch.Tensor) -> torch.Tensor:
    return 4 * photo.mean(0, keepdim=True) - 1.5


@pytest.mark.parametrize("base", [None, "classical", "fitted", "estimated"])
def test_tiles_are_those_of_the_photo(base: str | None, photo: torch.Tensor, gain: torch.Tensor) -> None:
    model = build(base)
    with torch.no_grad():
        whole = model(photo[None], gain=gain[None]).bayer[0]
        without_map = model(photo[None]).bayer[0]
        elsewhere = model(photo[None], gain=gain[None], place=place_map(HEIGHT, WIDTH).flip(-1)[None]).bayer[0]
    torch.testing.assert_close(predict(model, photo, gain=gain, tile=48).bayer, whole, atol=1e-5, rtol=0)
    assert (without_map - whole).abs().max() > 1e-3
    assert (elsewhere - whole).abs().max() > 1e-3


def test_a_program_of_bytes_takes_both_as_keywords(photo: torch.Tensor, gain: torch.Tensor) -> None:
    graph = PhotoToBayer(build("fitted"), uint8=True, gain=True).eval()
    pixels = (photo * 255).byte().permute(1, 2, 0)[None].contiguous()
    whole = torch.tensor([[0, 0, HEIGHT, WIDTH]])
    found = trace(graph).module()(pixels, gain=gain[None], place=whole)
    with torch.no_grad():
        expected = graph.model(pixels.permute(0, 3, 1, 2) / 255, gain=gain[None]).bayer[0, 0]
    stored = torch.from_numpy(canonical_profile().quantise(expected.numpy()).astype("int64"))
    assert (found[0].long() - stored).abs().max() <= 1
