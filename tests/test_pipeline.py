"""The composed pipeline: sizes, masks, branches, padding, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA, pack
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP
from revisp.refine import yuv_loss

TINY = {"width": 4, "depth": 3, "norm": "none"}


def photo(height: int = 40, width: int = 48, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    srgb = torch.rand(1, 3, height, width, generator=generator) * 0.9
    srgb[..., 4:12, 6:20] = 1.0
    return srgb


@settings(max_examples=12, deadline=None)
@given(height=st.integers(16, 41), width=st.integers(16, 41), branches=st.sampled_from(["separate", "shared"]))
def test_any_size_comes_back_whole(height: int, width: int, branches: str) -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY, branches=branches).eval()
    out = model(torch.rand(2, 3, height, width))
    assert out.raw_rgb.shape == (2, 3, height, width)
    assert out.bayer.shape == (2, 1, height, width)
    assert out.mask.shape == (2, 1, height, width)


@pytest.mark.parametrize("cfa", list(CFA))
def test_bayer_is_the_mosaic_of_the_branches_chosen_by_the_mask(cfa: CFA) -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY, cfa=cfa).eval()
    out = model(photo())
    assert out.mask.sum() == 8 * 14
    chosen = torch.where(out.mask.bool(), out.oe, out.noe)
    assert torch.equal(out.raw_rgb, chosen)
    assert torch.equal(out.bayer, mosaic(chosen, cfa))
    assert not torch.equal(out.oe, out.noe)


@pytest.mark.parametrize(
    "arguments",
    [
        {"backbone": "unet", "backbone_kwargs": TINY},
        {"backbone": "unet", "backbone_kwargs": TINY, "padding": "ones4"},
        {"backbone": "unet", "backbone_kwargs": {**TINY, "block": 2}, "base": "classical", "branches": "shared"},
        {"backbone": "unet_aim", "backbone_kwargs": {"width": 4}, "branches": "plain"},
        {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4, "head": "raw_rgb"}},
    ],
    ids=["separate", "ones", "on a base", "packed", "without parts"],
)
def test_a_part_of_a_branch_is_that_of_the_whole(arguments: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = ReverseISP(**arguments).eval()
    for gain in model.gains.parameters():
        torch.nn.init.ones_(gain)
    srgb, rows, columns = photo(37, 49), slice(5, 18), slice(30, 49)
    mask = model.overexposure_mask(srgb)
    for name in model.branches:
        whole = model.run_branch(name, srgb, mask)
        part = model.run_branch(name, srgb, mask, part=(rows, columns))
        assert tuple(whole) == tuple(part) == model.heads[name]
        for key, value in whole.items():
            assert value.shape == (1, model.raw_channels, *srgb.shape[-2:])
            torch.testing.assert_close(part[key], value[..., rows, columns], rtol=0, atol=1e-5)


def test_evaluation_clamps_and_training_does_not() -> None:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs=TINY)
    assert model.train()(photo()).raw_rgb.min() < 0
    out = model.eval()(photo())
    assert out.raw_rgb.min() >= 0
    assert out.raw_rgb.max() <= 1


def test_each_branch_learns_from_its_own_region_only() -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY)
    out = model(photo())
    (out.raw_rgb * out.mask).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.branches["noe"].parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.branches["oe"].parameters())


def test_mask_is_the_fourth_input_and_can_be_left_out() -> None:
    with_mask = ReverseISP("unet", backbone_kwargs=TINY)
    without = ReverseISP("unet", backbone_kwargs=TINY, mask_channel=False)
    weights = [next(m.branches["oe"].parameters()).shape[1] for m in (with_mask, without)]
    assert weights == [4, 3]


def test_refinement_starts_from_the_mosaic_and_clamps() -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY, refine={"width": 4, "depth": 2, "norm": "none"}).eval()
    torch.nn.init.normal_(model.refine.network.head.weight)
    out = model(photo(33, 35))
    assert out.bayer.shape == out.mosaiced.shape == (1, 1, 33, 35)
    assert not torch.equal(out.bayer, out.mosaiced)
    assert out.bayer.min() >= 0


def test_ones_padding_follows_the_released_code() -> None:
    """Padding by four pixels of one on each side is what the network sees at the border."""
    model = ReverseISP("unet", backbone_kwargs=TINY, padding="ones4").eval()
    srgb = photo(40, 48)
    x = torch.cat([srgb, model.overexposure_mask(srgb)], 1)
    framed = torch.ones(1, 4, 48, 56)
    framed[..., 4:44, 4:52] = x
    expected = model.branches["noe"](framed)[..., 4:44, 4:52].clamp(0, 1)
    assert torch.equal(model(srgb).noe, expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"branches": "three"}, "branches"),
        ({"padding": "zeros"}, "padding"),
        ({"backbone": "unett"}, "'unet'"),
        ({"backbone_kwargs": {"widht": 3}}, "widht"),
        ({"cfa": "RGBW"}, "RGBW"),
        ({"base": "unet"}, "base must be null, 'classical', 'fitted' or 'estimated'"),
        ({"backbone": "mialgo", "branches": "plain", "base": "classical"}, "predicts Bayer planes"),
    ],
)
def test_wrong_choices_are_named(arguments: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ReverseISP(**{"backbone": "unet", **arguments})


@pytest.mark.parametrize(
    ("srgb", "words"),
    [
        (torch.zeros(1, 3, 8, 40), "16"),
        (torch.zeros(3, 40, 40), r"\[B, 3, H, W\]"),
        (torch.zeros(1, 4, 40, 40), "3, H, W"),
        (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "floating"),
    ],
)
def test_wrong_photos_are_refused(srgb: torch.Tensor, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        ReverseISP("unet", backbone_kwargs=TINY)(srgb)


def test_refinement_begins_by_changing_nothing_and_keeps_the_greens_alike() -> None:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs=TINY, refine={"width": 4, "depth": 2, "norm": "none"})
    out = model(torch.rand(1, 3, 32, 32))
    assert torch.equal(out.bayer, out.mosaiced)
    optimizer = torch.optim.Adam(model.refine.parameters(), lr=0.01)
    bayer, truth = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32)
    first = yuv_loss(bayer, truth, model.cfa)
    for _ in range(20):
        loss = yuv_loss(model.refine(bayer), truth, model.cfa)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < first
    change = pack(model.refine(bayer) - bayer, model.cfa)
    assert change.abs().max() > 0.01
    assert torch.allclose(change[:, 1], change[:, 2], atol=1e-6)


@pytest.mark.parametrize("branches", ["separate", "shared", "plain"])
def test_on_a_base_the_networks_begin_with_its_raw_and_add_by_their_gains(branches: str) -> None:
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs=TINY, branches=branches, base="classical").eval()
    srgb = photo()
    mask = model.overexposure_mask(srgb)
    raw = model.base(torch.cat([srgb, mask, model.place_of(srgb)], dim=1))
    assert torch.equal(model(srgb).raw_rgb, raw.clamp(0, 1))
    for gain in model.gains.parameters():
        torch.nn.init.constant_(gain, 0.5)
    name = next(iter(model.branches))
    added = model.branches[name](torch.cat([srgb, mask], dim=1))
    heads = added.shape[1] // 3
    expected = (raw.repeat(1, heads, 1, 1) + 0.5 * added).clamp(0, 1)
    for parts in (model.run_branch(name, srgb, mask), model.run_branches(srgb, mask)[0]):
        torch.testing.assert_close(torch.cat([parts[head] for head in model.heads[name]], dim=1), expected)


def test_the_base_stays_exact_where_networks_are_rounded() -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY, base="classical").eval()
    exact = model(photo()).raw_rgb
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(photo()).raw_rgb, exact)


def test_shapes_can_be_had_without_computing() -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY, base="classical").eval().to("meta")
    parts, _ = model.run_branches(
        torch.empty(1, 3, 40, 48, device="meta"), torch.empty(1, 1, 40, 48, device="meta")
    )
    assert [part.shape for part in parts.values()] == [(1, 3, 40, 48)] * 2


def test_base_and_gains_learn() -> None:
    model = ReverseISP("unet", backbone_kwargs=TINY, base="classical")
    model(photo()).raw_rgb.square().mean().backward()
    assert model.base.head.weight.grad.any()
    assert all(gain.grad.any() for gain in model.gains.values())


def test_a_base_and_a_loss_on_the_networks_own_words_exclude_each_other() -> None:
    model = ReverseISP("ssdnet", branches="plain", base="classical", backbone_kwargs={"head": "raw_rgb"})
    with pytest.raises(ConfigError, match=r"pipeline\.base=null"):
        model.check_auxiliary({"error"})
