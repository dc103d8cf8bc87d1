"""With a gain map no overexposed pixel is darker than unclipped ones beside it, however a photo is predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from revisp import predict
from revisp.export.graph import PhotoToBayer
from revisp.inference.predict import predict_bayer
from revisp.pipeline import Reconstruction, ReverseISP
from revisp.pipeline.least_level import least_level

NEUTRAL = (0.45, 1.0, 0.6)
UNET = {"backbone": "unet", "backbone_kwargs": {"width": 4, "depth": 2, "norm": "none"}}
PLANES = {"backbone": "zeronoise", "backbone_kwargs": {"channels": 4}, "branches": "plain"}
MODELS = {
    "two networks": UNET,
    "one network": UNET | {"branches": "plain"},
    "feathered": UNET | {"fusion": {"kind": "feathered"}, "mask": {"ramp": 0.3}},
    "on an estimate": UNET | {"base": "estimated"},
    "planes": PLANES | {"cfa": "GBRG"},
    "refined": UNET | {"refine": {"width": 4, "depth": 2, "norm": "none"}},
    "of the whole picture": {"backbone": "cvip", "backbone_kwargs": {"channels": 4}},
}  # fmt: skip


def build(name: str) -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(**MODELS[name], gain_channel=True).eval()  # type: ignore[arg-type]
    for factor in model.gains.values():
        torch.nn.init.constant_(factor, 0.5)
    return model


@pytest.fixture
def photo() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    srgb = torch.rand(3, 86, 98, generator=generator) * 0.9
    for _ in range(12):
        y, x = (int(torch.randint(extent, (), generator=generator)) for extent in srgb.shape[-2:])
        srgb[:, y : y + 9, x : x + 6] = 1
    return srgb


@pytest.fixture
def gain(photo: torch.Tensor) -> torch.Tensor:
    """A map that sees no light in what is clipped, and has no value on the right."""
    told = torch.where(photo.amin(0, keepdim=True) == 1, -2.0, 1.0)
    told[..., 80:] = torch.nan
    return told


def shortfall(
    raw_rgb: torch.Tensor, mask: torch.Tensor, neutral: tuple[float, ...], *, known: np.ndarray | bool = True
) -> float:
    """By how much the darkest overexposed pixel is below its brightest unclipped neighbour."""
    level = (raw_rgb.double().numpy() / np.array(neutral)[:, None, None]).mean(axis=0)
    clipped = mask[0].numpy() > 0.5
    beside = maximum_filter(np.where(clipped, 0, level), 3, mode="constant")
    return float(np.where(clipped & known, beside - level, 0).max())


@settings(max_examples=30, deadline=None)
@given(
    neutral=st.tuples(*[st.floats(0.2, 1)] * 3),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    bright=st.floats(0.01, 4),
    seed=st.integers(0, 99),
)
def test_pixels_are_raised_in_their_colour(
    neutral: tuple[float, float, float], height: int, width: int, bright: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    raw = (torch.rand(3, height, width, generator=generator) * bright).clamp(0, 1)
    mask = (torch.rand(1, height, width, generator=generator) > 0.6).float()
    raised = least_level(raw, mask, neutral).raised(raw)
    assert raised.min() >= 0
    assert raised.max() <= 1
    assert shortfall(raised, mask, neutral) <= 1e-5
    unchanged = (mask == 0)[0]
    assert torch.equal(raised[:, unchanged], raw[:, unchanged])
    assert (raised >= raw - 1e-6).all()
    free = (raised < 0.999).all(0) & (raw > 1e-3).all(0)
    share = raised / raw
    torch.testing.assert_close(share.amax(0)[free], share.amin(0)[free], rtol=1e-3, atol=1e-3)


def test_only_what_is_darker_changes() -> None:
    raw = torch.tensor([0.1, 0.2, 0.3, 0.2, 0.1]).expand(3, 1, 5)
    mask = torch.tensor([[[0.0, 1.0, 0.0, 1.0, 1.0]]])
    known = torch.tensor([[[True, True, True, False, True]]])
    raised = least_level(raw, mask, (1, 1, 1), known).raised(raw)
    torch.testing.assert_close(raised[0, 0], torch.tensor([0.1, 0.3, 0.3, 0.2, 0.1]))


@pytest.mark.parametrize("name", MODELS)
def test_every_way_of_predicting_raises_them(name: str, photo: torch.Tensor, gain: torch.Tensor) -> None:
    model, known = build(name), ~gain[0].isnan().numpy()
    blended = model.reach.pixels is None
    with torch.no_grad():
        whole = Reconstruction(*(None if x is None else x[0] for x in model(photo[None], gain=gain[None])))
    for out in (whole, predict(model, photo, gain=gain), predict(model, photo, gain=gain, tile=64)):
        assert shortfall(out.raw_rgb, out.mask, (1, 1, 1), known=known) <= 1e-5
        if not blended or out is whole:
            torch.testing.assert_close(out.raw_rgb, whole.raw_rgb, rtol=0, atol=1e-5)
            torch.testing.assert_close(out.bayer, whole.bayer, rtol=0, atol=1e-5)
    mosaic = predict_bayer(model, photo, gain=gain, tile=64)
    torch.testing.assert_close(mosaic, out.bayer, rtol=0, atol=1e-5)


def test_nothing_else_changes(photo: torch.Tensor, gain: torch.Tensor) -> None:
    """Pixels without a map and unclipped ones are those of the networks."""
    model = build("on an estimate")
    mask = model.overexposure_mask(photo[None])
    with torch.no_grad():
        parts, _ = model.run_branches(photo[None], mask, gain=gain[None])
    raw = model.mix(parts, model.shares(mask))[0]
    out = predict(model, photo, gain=gain, tile=64)
    assert shortfall(raw, out.mask, (1, 1, 1), known=~gain[0].isnan().numpy()) > 0.05
    changed = ((out.raw_rgb - raw).abs() > 1e-5).any(0)
    assert changed.any()
    assert not changed[..., 80:].any()
    assert not changed[(out.mask <= 0.5)[0]].any()


@pytest.mark.parametrize("name", ["two networks", "planes"])
def test_the_graph_to_export_raises_them(name: str, photo: torch.Tensor, gain: torch.Tensor) -> None:
    model = build(name)
    with torch.no_grad():
        found = PhotoToBayer(model, gain=True).eval()(photo[None], gain=gain[None])
    expected = predict(model, photo, gain=gain, tile=64).bayer
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-5)
