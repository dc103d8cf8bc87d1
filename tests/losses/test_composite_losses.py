"""Weighted sums, branch losses and their domain, and the loss of both branches."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisp.errors import ConfigError, ShapeError, UnknownNameError
from revisp.losses import BranchLoss, FusionLoss, WeightedSum, l1_loss, l2_loss, ms_ssim_l1_loss, to_gamma
from revisp.losses.domain import TOE_END
from revisp.losses.pixel import L1Loss


def batch(seed=0, size=16):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 2, 3, size, size, generator=generator)
    mask = torch.zeros(2, 1, size, size)
    mask[0, :, 2:7, 3:11] = 1  # the second sample has no overexposed pixel
    return x, y, mask


def test_weighted_sum_adds_what_a_json_text_says():
    x, y, mask = batch()
    terms = json.loads(
        '{"l1": 1.0, "l2": {"weight": 0.5}, "ms_ssim_l1": {"weight": 0.1, "alpha": 0.5}, "ssim": null}'
    )
    total, values = WeightedSum(terms)(x, y, mask)
    parts = {
        "l1": l1_loss(x, y, mask),
        "l2": l2_loss(x, y, mask),
        "ms_ssim_l1": ms_ssim_l1_loss(x, y, mask, alpha=0.5),
    }
    assert values == parts
    torch.testing.assert_close(total, parts["l1"] + 0.5 * parts["l2"] + 0.1 * parts["ms_ssim_l1"])


def test_terms_are_detached_and_the_total_is_not():
    x, y, mask = batch()
    total, terms = WeightedSum({"l1": 1})(x.requires_grad_(), y, mask)
    assert total.requires_grad
    assert not any(value.requires_grad for value in terms.values())


@pytest.mark.parametrize(
    ("terms", "error", "message"),
    [
        ({}, ConfigError, "at least one term"),
        ({"l1": 0}, ConfigError, "at least one term"),
        ({"l1": -1}, ConfigError, "loss 'l1'"),
        ({"l1": "1"}, ConfigError, "finite number"),
        ({"l1": float("nan")}, ConfigError, "finite number"),
        ({"ms_ssim_l1": {"beta": 1}}, ConfigError, "beta"),
        ({"msssim_l1": 1}, UnknownNameError, "ms_ssim_l1"),
    ],
)
def test_impossible_terms_are_refused(terms, error, message):
    with pytest.raises(error, match=message):
        WeightedSum(terms)


@given(x=st.floats(TOE_END, 2), gamma=st.floats(1, 4))
def test_gamma_is_the_power_above_its_toe(x, gamma):
    value = to_gamma(torch.tensor(x, dtype=torch.float64), gamma)
    assert value.item() == pytest.approx(x ** (1 / gamma), rel=1e-12)


def test_gamma_is_smooth_increasing_and_has_finite_gradients():
    x = torch.tensor(
        [-1.0, -0.01, 0.0, TOE_END - 1e-9, TOE_END + 1e-9, 0.5, 1.5], dtype=torch.float64, requires_grad=True
    )
    value = to_gamma(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert (value.diff() > 0).all()
    assert (slope > 0).all()
    assert (slope < 20).all()
    assert slope[3].item() == pytest.approx(slope[4].item(), rel=1e-5)
    assert value[3].item() == pytest.approx(value[4].item(), rel=1e-5)
    assert torch.equal(to_gamma(torch.tensor([-0.5, 0.0, 0.7]), 1.0), torch.tensor([-0.5, 0.0, 0.7]))


@given(gamma=st.floats(1, 4))
def test_gamma_has_the_gradient_of_its_differences(gamma):
    x = torch.tensor([-0.1, 0.0, 0.5 * TOE_END, 2 * TOE_END, 0.1, 1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: to_gamma(y, gamma), x, eps=1e-7)


def test_branch_loss_compares_in_its_domain_within_its_region():
    x, y, mask = batch()
    linear = BranchLoss({"l1": 1.0}, domain="linear", full_image=0)(x, y, mask)
    gamma = BranchLoss({"l1": 1.0}, domain="gamma", gamma=2.2, full_image=0)(x, y, mask)
    inside = mask.expand_as(x) > 0
    assert linear.total.item() == pytest.approx((x - y)[inside].abs().mean().item(), rel=1e-5)
    assert gamma.total.item() == pytest.approx(
        (x ** (1 / 2.2) - y ** (1 / 2.2))[inside].abs().mean().item(), rel=1e-2
    )


def test_full_image_term_is_added_and_named():
    x, y, mask = batch()
    total, terms = BranchLoss({"l1": 2.0}, domain="linear", full_image=0.25)(x, y, mask)
    assert set(terms) == {"l1", "full/l1"}
    torch.testing.assert_close(terms["full/l1"], (x - y).abs().mean())
    torch.testing.assert_close(total, 2 * terms["l1"] + 0.5 * terms["full/l1"])


@pytest.mark.parametrize("domain", ["linear", "gamma"])
def test_each_branch_learns_from_its_own_pixels_only(domain):
    oe, y, mask = batch()
    noe = batch(1)[0]
    oe.requires_grad_()
    noe.requires_grad_()
    terms = {"l1": 1.0, "l2": 1.0, "charbonnier": 1.0}
    branch = BranchLoss(terms, domain=domain, full_image=0)
    FusionLoss(branch, branch)(oe, noe, y, mask).total.backward()
    overexposed = mask.expand_as(y) > 0
    assert (oe.grad[~overexposed] == 0).all()
    assert (oe.grad[overexposed] != 0).all()
    assert (noe.grad[overexposed] == 0).all()
    assert (noe.grad[~overexposed] != 0).all()


def test_predictions_at_and_below_zero_have_finite_gradients():
    _, y, mask = batch()
    x = torch.zeros_like(y)
    x[:, 0] = -0.3
    x.requires_grad_()
    BranchLoss({"l1": 1.0, "ssim": 1.0, "ms_ssim_l1": 1.0})(x, y, mask).total.backward()
    assert x.grad.isfinite().all()
    assert (x.grad[0, 0] != 0).all()


def test_several_regions_at_once_are_each_alone_and_need_one_error(monkeypatch):
    errors = []
    plain = L1Loss.error
    monkeypatch.setattr(L1Loss, "error", lambda self, *pictures: errors.append(1) or plain(self, *pictures))
    generator = torch.Generator().manual_seed(3)
    prediction, target = torch.rand(2, 2, 3, 16, 16, generator=generator).unbind()
    regions = [(torch.rand(2, 1, 16, 16, generator=generator) > share).float() for share in (0.3, 0.9)] + [None]
    loss = WeightedSum({"l1": 1.0, "charbonnier": 0.5, "ssim": 0.5})
    together = loss.over(prediction, target, regions)
    assert len(errors) == 1
    for region, found in zip(regions, together, strict=True):
        alone = loss(prediction, target, region)
        assert found.terms.keys() == alone.terms.keys()
        torch.testing.assert_close(found.total, alone.total)
        torch.testing.assert_close(
            found.total, sum(loss.weights[key] * value for key, value in found.terms.items())
        )


def test_fusion_loss_weighs_and_names_its_branches():
    x, y, mask = batch()
    branch = BranchLoss({"l1": 1.0}, domain="linear")
    total, terms = FusionLoss(branch, branch, oe_weight=2.0, noe_weight=3.0)(x, x, y, mask)
    assert set(terms) == {"oe/l1", "oe/full/l1", "noe/l1", "noe/full/l1"}
    torch.testing.assert_close(terms["oe/l1"], l1_loss(x, y, mask))
    torch.testing.assert_close(terms["noe/l1"], l1_loss(x, y, 1 - mask))
    full = 0.1 * l1_loss(x, y)
    torch.testing.assert_close(total, 2 * (terms["oe/l1"] + full) + 3 * (terms["noe/l1"] + full))


def test_without_overexposed_pixels_the_oe_branch_costs_nothing():
    x, y, mask = batch()
    x.requires_grad_()
    branch = BranchLoss({"l1": 1.0, "ms_ssim_l1": 0.1}, full_image=0)
    total, terms = FusionLoss(branch, branch, noe_weight=0)(x, x.detach(), y, torch.zeros_like(mask))
    total.backward()
    assert total.item() == 0
    assert terms["oe/l1"].item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("domain", ["linear", "gamma"])
def test_invalid_pixels_neither_cost_nor_learn(domain):
    x, y, mask = batch()
    valid = torch.ones_like(mask)
    valid[:, :, :, 6:9] = 0  # across the overexposed pixels and the others
    terms = {"l1": 1.0, "l2": 1.0, "charbonnier": 1.0, "ssim": 1.0, "ms_ssim_l1": 1.0}
    loss = FusionLoss(BranchLoss(terms, domain=domain), BranchLoss(terms, domain=domain))
    noe = batch(1)[0]
    expected = loss(x, noe, y, mask, valid)
    spoilt = [torch.where(valid > 0, image, 7.0).requires_grad_() for image in (x, noe)]
    total, parts = loss(*spoilt, torch.where(valid > 0, y, -3.0), mask, valid)
    total.backward()
    torch.testing.assert_close(total, expected.total)
    torch.testing.assert_close(parts, expected.terms)
    for image in spoilt:
        assert (image.grad[valid.expand_as(x) == 0] == 0).all()
        assert (image.grad[:, :, :, :6] != 0).any()
    assert expected.total != loss(x, noe, y, mask).total


def test_pixels_of_a_half_valid_picture_are_those_of_its_half():
    x, y, mask = batch()
    valid = torch.zeros_like(mask)
    valid[..., :8] = 1
    branch = BranchLoss({"l1": 1.0}, domain="linear", full_image=0.5)
    half = [image[..., :8].contiguous() for image in (x, y, mask)]
    expected = FusionLoss(branch, branch)(half[0], half[0], half[1], half[2])
    found = FusionLoss(branch, branch)(x, x, y, mask, valid)
    torch.testing.assert_close(found.total, expected.total)
    torch.testing.assert_close(found.terms, expected.terms)


def test_all_valid_is_the_same_to_the_last_bit_and_none_valid_is_nothing():
    x, y, mask = batch()
    x.requires_grad_()
    branch = BranchLoss({"l1": 1.0, "ms_ssim_l1": 1.0, "ssim": 1.0})
    loss = FusionLoss(branch, branch)
    assert loss(x, x, y, mask, torch.ones_like(mask)) == loss(x, x, y, mask)
    nothing = loss(x, x, y, mask, torch.zeros_like(mask)).total
    nothing.backward()
    assert nothing.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))
    with pytest.raises(ShapeError, match="valid"):
        loss(x, x, y, mask, torch.ones_like(x))
    with pytest.raises(ShapeError, match="valid and mask differ in size"):
        loss(x, x, y, mask, torch.ones(2, 1, 8, 8))


def test_wrong_settings_and_shapes_are_refused():
    x, y, mask = batch()
    with pytest.raises(ConfigError, match="domain 'log'"):
        BranchLoss({"l1": 1}, domain="log")
    with pytest.raises(ConfigError, match="gamma"):
        BranchLoss({"l1": 1}, gamma=0.5)
    with pytest.raises(ConfigError, match="full_image"):
        BranchLoss({"l1": 1}, full_image=-1)
    branch = BranchLoss({"l1": 1})
    with pytest.raises(ConfigError, match="oe_weight"):
        FusionLoss(branch, branch, oe_weight=-1)
    with pytest.raises(ShapeError, match="mask"):
        FusionLoss(branch, branch)(x, x, y, mask.expand(-1, 3, -1, -1))
    with pytest.raises(ShapeError, match="floating"):
        branch((255 * x).byte(), (255 * y).byte(), mask)
