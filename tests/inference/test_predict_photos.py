import numpy as np
import pytest
import torch
from torch import nn

import revisp
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import mosaic
from revisp.pipeline import ReverseISP


@pytest.fixture(scope="module")
def model() -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(
        "unet", backbone_kwargs={"width": 4, "depth": 2}, cfa="GRBG", refine={"width": 4, "depth": 2}
    )
    torch.nn.init.normal_(model.refine.network.head.weight, std=0.1)  # else it refines nothing yet
    return model


def test_a_photo_within_a_tile_equals_the_pipeline(model: ReverseISP):
    srgb = torch.rand(2, 3, 49, 35)
    model.train()
    out = revisp.predict(model, srgb, branches=True)
    assert model.training  # left as it was
    with torch.no_grad():
        expected = model.eval()(srgb)
    for name, found, wanted in zip(out._fields, out, expected, strict=True):
        assert torch.allclose(found, wanted, atol=1e-6), name
        assert not found.requires_grad, name


def test_a_frozen_part_of_a_model_in_training_stays_frozen(model: ReverseISP):
    model.train()
    model.branches["noe"].eval()
    before = {name: module.training for name, module in model.named_modules()}
    revisp.predict(model, torch.rand(3, 16, 24))
    assert {name: module.training for name, module in model.named_modules()} == before
    model.eval()


def test_branches_are_kept_only_if_asked_for(model: ReverseISP):
    out = revisp.predict(model, torch.rand(1, 3, 49, 35))
    assert out.oe is out.noe is None
    assert out.bayer.shape == (1, 1, 49, 35)


def test_tiles_that_overlap_too_little_give_nearly_the_same_and_keep_the_mosaics_phase(model: ReverseISP):
    srgb = torch.rand(3, 131, 150)
    whole = revisp.predict(model, srgb, tile=1000, branches=True)
    tiled = revisp.predict(model, srgb, tile=64, overlap=16, branches=True)
    assert [tuple(part.shape) for part in tiled] == [
        (3, 131, 150), (1, 131, 150), (1, 131, 150), (3, 131, 150), (3, 131, 150), (1, 131, 150)
    ]  # fmt: skip
    assert torch.equal(tiled.mask, whole.mask)
    assert torch.equal(tiled.mosaiced, mosaic(tiled.raw_rgb, "GRBG"))
    assert (tiled.raw_rgb - whole.raw_rgb).abs().mean() < 2e-3
    assert (tiled.bayer - whole.bayer).abs().mean() < 2e-3


class _Local(nn.Module):
    """Each pixel from itself alone, so that tiles must not matter at all."""

    multiple_of = 1

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x):
        return self.mix(x)


def test_with_a_local_network_tiles_are_exact():
    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
    for name in model.branches:
        model.branches[name] = _Local(4, 3)
    srgb = torch.rand(3, 90, 77)
    whole, tiled = (revisp.predict(model, srgb, tile=tile) for tile in (90, 32))
    assert torch.allclose(whole.bayer, tiled.bayer, atol=1e-6)
    assert tiled.bayer.std() > 0.01


def test_progress_reaches_its_total(model: ReverseISP):
    steps = []
    photo = torch.rand(3, 80, 80)
    revisp.predict(model, photo, tile=64, overlap=8, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (4, 4)
    assert len(steps) == 8  # branches, then refinement


def test_what_is_no_photo_is_refused(model: ReverseISP):
    with pytest.raises(ShapeError, match="floating point"):
        revisp.predict(model, torch.zeros(3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ShapeError, match="16"):
        revisp.predict(model, torch.rand(3, 15, 32))
    with pytest.raises(ShapeError, match=r"\[B, 3, H, W\]"):
        revisp.predict(model, torch.rand(1, 1, 3, 32, 32))
    with pytest.raises(ConfigError, match="tile must be at least 16"):
        revisp.predict(model, torch.rand(3, 32, 32), tile=0)


@pytest.mark.parametrize(
    ("srgb", "reason"),
    [
        (torch.full((3, 32, 32), 255.0), r"srgb must lie in \[0, 1\], got 255 to 255: divide by the maximum"),
        (torch.linspace(-2, 2, 3072).view(3, 32, 32), "give it before it is normalised"),
        (torch.full((3, 32, 32), float("nan")), "not numbers"),
        (torch.full((3, 32, 32), float("inf")), "got inf"),
        (torch.zeros(0, 3, 32, 32), "holds no photo"),
        (np.zeros((3, 32, 32), np.float32), "must be a torch tensor .* got numpy.ndarray"),
        ("photo.jpg", "got str"),
    ],
)
def test_values_that_no_photo_has_are_refused_instead_of_predicted(model: ReverseISP, srgb, reason: str):
    with pytest.raises(ShapeError, match=reason):
        revisp.predict(model, srgb)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_photo_of_any_floating_type_is_predicted(model: ReverseISP, dtype: torch.dtype):
    """numpy computes in float64, a network in float32."""
    srgb = torch.rand(3, 32, 40).to(dtype)
    assert torch.equal(revisp.predict(model, srgb).bayer, revisp.predict(model, srgb.float()).bayer)
