"""How far the pipeline and its steps look, proved by changing single pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from revisp.fusion import Fusion
from revisp.mask import OverexposureMask
from revisp.pipeline import Reach, ReverseISP
from revisp.refine import BayerRefiner

SIDE = 96
UNET = {"width": 4, "depth": 2, "norm": "none"}
ZERO = {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4, "head": "raw_rgb"}}  # looks 5 pixels far
MODELS = {
    "two networks": (ZERO, 5),
    "dilated": ({**ZERO, "mask": {"dilation": 3}}, 8),
    "feathered farther than networks": ({**ZERO, "fusion": {"kind": "feathered", "feather": 2.5}}, 8),
    "feathered, dilated": ({**ZERO, "fusion": {"kind": "feathered", "feather": 2.5}, "mask": {"dilation": 2}}, 10),
    "one trunk": ({"backbone_kwargs": UNET, "branches": "shared"}, 10),
    "planes": ({"backbone": "zeronoise", "backbone_kwargs": {"channels": 4}, "branches": "plain"}, 6),
    "a feather that nobody uses": ({**ZERO, "branches": "plain", "fusion": {"kind": "feathered"}}, 5),
    "refined": ({**ZERO, "refine": UNET}, 5 + 21),
}


def farthest(function: Callable[[Tensor], Tensor], x: Tensor, value: float) -> int:
    """Return the farthest distance, in rows or columns, at which a changed pixel changes the result.

    The pixel takes all positions of a square of eight, so that whatever grid the function has meets them all.
    """
    before, distance = function(x), 0
    for step in range(8):
        row, column = SIDE // 2 + step, SIDE // 2 + (3 * step) % 8
        changed = x.clone()
        changed[..., row, column] = value
        rows, columns = (function(changed) != before).any(dim=1)[0].nonzero(as_tuple=True)
        if len(rows):
            distance = max(distance, int((rows - row).abs().max()), int((columns - column).abs().max()))
    return distance


def noise(channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, channels, SIDE, SIDE, generator=generator, dtype=torch.float64) * 0.9


@functools.cache
def build(name: str) -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(**MODELS[name][0]).double().eval()
    for key, value in model.named_parameters():
        if key.endswith("head.bias"):
            torch.nn.init.constant_(value, 0.5)  # else clipped to black
    if model.refine is not None:
        torch.nn.init.normal_(model.refine.network.head.weight, std=0.01)  # else it refines nothing yet
    return model


@pytest.mark.parametrize("name", MODELS)
def test_a_pixel_changes_the_mosaic_as_far_as_the_pipeline_says(name: str) -> None:
    model, (_, expected) = build(name), MODELS[name]
    assert model.reach.pixels == expected
    with torch.inference_mode():
        found = farthest(lambda srgb: model(srgb).bayer, noise(3), 1.0)  # white, so that the mask changes, too
    assert found == expected


@pytest.mark.parametrize("name", ["two networks", "dilated", "planes"])
def test_the_networks_look_as_far_as_they_say(name: str) -> None:
    model, mask = build(name), torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)
    with torch.inference_mode():
        found = farthest(lambda srgb: torch.cat([*model.run_branches(srgb, mask)[0].values()], 1), noise(3), 0.95)
    assert found == model.networks_reach.pixels


@pytest.mark.parametrize(
    ("fusion", "reach"),
    [(Fusion("hard"), 0), (Fusion("soft"), 0), (Fusion("feathered", 1.1), 4), (Fusion("feathered", 2.0), 6)],
)
def test_the_fusion_looks_as_far_as_its_feather(fusion: Fusion, reach: int) -> None:
    assert fusion.reach == reach
    assert farthest(fusion.weight, torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64), 1.0) == reach


@pytest.mark.parametrize("dilation", [0, 3])
def test_the_mask_looks_as_far_as_it_grows(dilation: int) -> None:
    mask = OverexposureMask(dilation=dilation)
    assert farthest(mask, noise(3), 1.0) == mask.reach == dilation


@pytest.mark.parametrize("side", [1, 3, 5])
def test_the_refinement_looks_twice_as_far_as_its_network_and_one_pixel(side: int) -> None:
    network = torch.nn.Conv2d(4, 4, side, padding=side // 2, dtype=torch.float64)
    network.receptive_field = side
    refine = BayerRefiner(network)
    with torch.no_grad():
        assert farthest(refine, noise(1), 1.0) == refine.reach == side


def test_of_an_unknown_network_the_reach_is_unknown() -> None:
    assert BayerRefiner(torch.nn.Identity()).reach is None
    model = ReverseISP("mialgo", backbone_kwargs={"width": 8, "blocks": 1}, refine=UNET)
    assert model.reach == Reach(align=16, pixels=None, least=16)
    assert model.networks_reach.pixels is None
    assert model.refinement_reach == Reach(align=4, pixels=21)


def test_tiles_fit_networks_and_refinement() -> None:
    model = ReverseISP("zeronoise", backbone_kwargs={"channels": 4, "head": "raw_rgb"}, refine=UNET)
    assert (model.networks_reach.align, model.refinement_reach.align, model.reach.align) == (2, 4, 4)
    assert Reach(4, 3, 8).then(Reach(6, 2)) == Reach(12, 5, 8)
    assert Reach(4, None).beside(3).after(5).pixels is None
