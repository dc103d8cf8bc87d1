"""Fusion, against cases worked out by hand, and who gets the gradient."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter

from revisp.errors import ConfigError, ShapeError
from revisp.fusion import Fusion, feather_mask, fuse

MASK = torch.tensor([[[[0.0, 0.4, 0.5, 1.0]]]])


def branches() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((1, 3, 1, 4), 2.0, requires_grad=True), torch.full((1, 3, 1, 4), -1.0, requires_grad=True)


def half_plane(size: int = 40, border: int = 20) -> torch.Tensor:
    """A mask of ones from column ``border`` on."""
    mask = torch.zeros(1, 1, size, size)
    mask[..., border:] = 1
    return mask


def test_hard_selects():
    oe, noe = branches()
    assert fuse(oe, noe, MASK)[0, 1, 0].tolist() == [-1, -1, 2, 2]


def test_soft_blends():
    oe, noe = branches()
    torch.testing.assert_close(fuse(oe, noe, MASK, kind="soft")[0, 1, 0], torch.tensor([-1.0, 0.2, 0.5, 2.0]))


@pytest.mark.parametrize(("kind", "weight"), [("hard", [0.0, 0.0, 1.0, 1.0]), ("soft", [0.0, 0.4, 0.5, 1.0])])
def test_gradient_goes_to_the_branch_that_is_responsible(kind, weight):
    oe, noe = branches()
    fuse(oe, noe, MASK, kind=kind).sum().backward()
    torch.testing.assert_close(oe.grad[0, 0, 0], torch.tensor(weight))
    torch.testing.assert_close(noe.grad[0, 2, 0], 1 - torch.tensor(weight))


def test_hard_ignores_the_other_branch_even_if_it_is_not_finite():
    oe, noe = torch.full((1, 3, 1, 4), float("nan")), torch.zeros(1, 3, 1, 4)
    assert fuse(oe, noe, MASK)[..., :2].abs().sum() == 0


def test_feather_is_a_gaussian_blur():
    """Against SciPy, whose mirror border and truncation at three sigma are set alike."""
    mask = torch.zeros(1, 1, 30, 34)
    mask[..., 5:14, 9:30] = 1
    expected = gaussian_filter(mask[0, 0].double().numpy(), 2.0, mode="mirror", radius=6)
    torch.testing.assert_close(
        feather_mask(mask, 2.0)[0, 0], torch.from_numpy(expected).float(), atol=2e-6, rtol=0
    )


@pytest.mark.parametrize("feather", [0.5, 1.0, 2.7, 5.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_feather_is_exact_away_from_the_border(feather, dtype):
    weight = feather_mask(half_plane().to(dtype), feather)
    reach = -int(-3 * feather // 1)
    assert (weight[..., 20 + reach :] == 1).all()
    assert (weight[..., : 20 - reach] == 0).all()
    steps = weight[..., 20 - reach : 20 + reach].diff()
    assert (steps >= 0).all()
    assert (steps > 0).any()


def test_feathered_fusion_is_the_branch_itself_away_from_the_border():
    generator = torch.Generator().manual_seed(0)
    oe, noe = torch.rand(2, 3, 40, 40, generator=generator), torch.rand(2, 3, 40, 40, generator=generator)
    mask = half_plane()
    fused = fuse(oe, noe, mask, kind="feathered", feather=2.0)
    assert torch.equal(fused[..., 26:], oe[..., 26:])
    assert torch.equal(fused[..., :14], noe[..., :14])
    assert not torch.equal(fused, fuse(oe, noe, mask))
    seam = fuse(torch.ones_like(oe), torch.zeros_like(noe), mask, kind="feathered", feather=2.0)
    assert seam[0, 0, 5].diff().abs().max() < 0.21  # a hard seam would be a step of 1


@pytest.mark.parametrize("kind", ["hard", "soft", "feathered"])
def test_the_weight_is_what_fusion_makes_of_white_on_black(kind):
    fusion = Fusion(kind, 1.5)
    mask = torch.rand(2, 1, 24, 30, generator=torch.Generator().manual_seed(0))
    weight = fusion.weight(mask)
    white = torch.ones(2, 3, 24, 30)
    assert torch.equal(weight.expand_as(white), fusion(white, torch.zeros_like(white), mask))
    assert weight.min() >= 0
    assert weight.max() > 0.6
    oe, noe = torch.rand(2, 2, 3, 24, 30, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fusion.mix(oe, noe, weight), fusion(oe, noe, mask))
    torch.testing.assert_close(fusion(oe, noe, mask), noe + weight * (oe - noe))


def test_a_hard_mix_passes_no_gradient_to_the_other_branch_however_large_it_is():
    oe, noe = (torch.full((1, 3, 1, 4), value, requires_grad=True) for value in (float("inf"), 1.0))
    fusion = Fusion("hard")
    (fusion.mix(oe, noe, fusion.weight(MASK)) * 2).sum().backward()
    assert oe.grad[0, 0, 0].tolist() == [0, 0, 2, 2]
    assert noe.grad[0, 0, 0].tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize("kind", ["hard", "soft", "feathered"])
def test_equal_branches_stay_what_they_are(kind):
    x = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(Fusion(kind)(x, x, mask), x)


def test_bad_arguments_are_refused():
    oe, noe = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    with pytest.raises(ConfigError, match=r"unknown fusion kind 'mean'.*feathered"):
        Fusion("mean")
    with pytest.raises(ConfigError, match="feather"):
        Fusion("feathered", feather=0)
    with pytest.raises(ShapeError, match="oe and mask differ in size"):
        fuse(oe, noe, torch.zeros(1, 1, 8, 9))
    with pytest.raises(ShapeError, match="mask must have shape"):
        fuse(oe, noe, torch.zeros(1, 3, 8, 8))
    with pytest.raises(ShapeError, match="mask must have shape"):
        Fusion("hard").weight(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ShapeError, match="needs an image above 30 pixels"):
        fuse(oe, noe, torch.zeros(1, 1, 8, 8), kind="feathered", feather=10)


def test_repr_shows_what_matters():
    assert "feather=3.0" in repr(Fusion("feathered", 3.0))
    assert "feather" not in repr(Fusion("hard"))
