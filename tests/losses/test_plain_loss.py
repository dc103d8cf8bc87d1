"""The loss of a network alone, and what losses need beside prediction and target."""

import numpy as np
import pytest
import torch

from revisp.errors import ConfigError, ShapeError
from revisp.losses import (
    BranchLoss,
    FusionLoss,
    PlainLoss,
    WeightedSum,
    log_gamma_loss,
    soft_supervision_loss,
)
from revisp.losses.domain import TOE_END


def planes(seed=0):
    """Prediction and target above the gamma's toe, and which pixels are valid: some, none, all of a sample."""
    generator = torch.Generator().manual_seed(seed)
    x, y = TOE_END + (1 - TOE_END) * torch.rand(2, 3, 4, 12, 10, generator=generator)
    valid = (torch.rand(3, 1, 12, 10, generator=generator) > 0.4).float()
    valid[1], valid[2] = 0, 1
    return x, y, valid


def branches(seed=0):
    """Prediction, target, and a mask that leaves one sample without overexposed pixels."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 2, 3, 16, 16, generator=generator)
    mask = torch.zeros(2, 1, 16, 16)
    mask[0, :, 2:7, 3:11] = 1
    return x, y, mask


@pytest.mark.parametrize(("domain", "exponent"), [("linear", 1.0), ("gamma", 1 / 1.8)])
def test_plain_loss_is_the_mean_over_the_valid_pixels(domain, exponent):
    x, y, valid = planes()
    total, terms = PlainLoss({"l1": 2.0, "l2": 0.5}, domain=domain, gamma=1.8)(x, y, valid)
    error = x.numpy().astype(float) ** exponent - y.numpy().astype(float) ** exponent
    inside = np.broadcast_to(valid.numpy() > 0, error.shape)
    samples = [error[i][inside[i]] for i in (0, 2)]  # the second has no valid pixel and does not count
    l1 = np.mean([np.abs(sample).mean() for sample in samples])
    l2 = np.mean([np.square(sample).mean() for sample in samples])
    assert {name: value.item() for name, value in terms.items()} == pytest.approx({"l1": l1, "l2": l2}, rel=1e-4)
    assert total.item() == pytest.approx(2 * l1 + 0.5 * l2, rel=1e-4)
    assert not any(value.requires_grad for value in terms.values())


@pytest.mark.parametrize("target", ["bayer", "raw_rgb"])
def test_plain_loss_takes_all_pixels_and_defaults_to_gamma(target):
    x, y, valid = planes()
    if target == "raw_rgb":
        x, y = x[:, :3], y[:, :3]
    loss = PlainLoss({"l1": 1.0}, target=target)
    wanted = np.abs(x.numpy().astype(float) ** (1 / 2.2) - y.numpy().astype(float) ** (1 / 2.2)).mean()
    assert loss(x, y).total.item() == pytest.approx(wanted, rel=1e-4)
    assert loss(x, y, torch.ones_like(valid)).total.item() == loss(x, y).total.item()
    assert target in repr(loss)


def test_plain_loss_ignores_invalid_pixels():
    x, y, valid = planes()
    loss = PlainLoss({"l1": 1.0, "ssim": 0.5, "charbonnier": 0.1})
    spoilt = torch.where(valid > 0, x, 7.0).requires_grad_()
    total = loss(spoilt, torch.where(valid > 0, y, -3.0), valid).total
    total.backward()
    torch.testing.assert_close(total, loss(x, y, valid).total)
    assert (spoilt.grad[valid.expand_as(x) == 0] == 0).all()
    assert loss(x, y, torch.zeros_like(valid)).total.item() == 0


def test_wrong_settings_of_the_plain_loss_are_refused():
    x, y, valid = planes()
    with pytest.raises(ConfigError, match="unknown target 'packed' of the plain loss: use 'bayer' or 'raw_rgb'"):
        PlainLoss({"l1": 1}, target="packed")
    with pytest.raises(ConfigError, match="domain 'log'"):
        PlainLoss({"l1": 1}, domain="log")
    with pytest.raises(ConfigError, match="gamma"):
        PlainLoss({"l1": 1}, gamma=0.9)
    with pytest.raises(ShapeError, match="share one shape"):
        PlainLoss({"l1": 1})(x, y[:, :3])
    with pytest.raises(ShapeError, match="valid"):
        PlainLoss({"l1": 1})(x, y, valid.expand(-1, 4, -1, -1))
    with pytest.raises(ShapeError, match="weight"):
        PlainLoss({"l1": 1})(x, y, valid[..., :5])


# What losses need beside prediction and target -------------------------------------------------------------------

SOFT = {"soft_supervision": {"weight": 2.0, "error_weight": 0.5, "resample": False}}
LOG = {"log_gamma": {"gammas": [1.0, 0.5]}}


def test_a_composed_loss_says_what_its_losses_need():
    linear = BranchLoss({"l1": 1.0, **SOFT}, domain="linear")
    candidates = BranchLoss(LOG, domain="linear")
    assert WeightedSum({"l1": 1.0}).needs == frozenset()
    assert WeightedSum({**SOFT, **LOG}).needs == {"error", "gamma_heads"}
    assert PlainLoss(SOFT, domain="linear").needs == {"error"}
    assert FusionLoss(linear, candidates).needs == {"error", "gamma_heads"}
    assert FusionLoss(linear, linear).needs == {"error"}
    assert PlainLoss({"l1": 1.0, "soft_supervision": 0}).needs == frozenset()  # left out


def test_the_plain_loss_hands_on_what_is_needed():
    x, y, valid = planes()
    error, heads = planes(1)[0], torch.cat(planes(2)[:2], dim=1)
    context = {"error": error, "gamma_heads": heads, "srgb": torch.zeros(3, 3, 24, 20)}
    total, terms = PlainLoss({**SOFT, **LOG}, domain="linear")(x, y, valid, context)
    soft = soft_supervision_loss(x, y, valid, error=error, error_weight=0.5, resample=False)
    log = log_gamma_loss(x, y, valid, gamma_heads=heads, gammas=[1.0, 0.5])
    assert terms == {"soft_supervision": soft, "log_gamma": log}
    torch.testing.assert_close(total, 2 * soft + log)


def test_each_branch_gets_its_own_of_what_is_needed():
    x, y, mask = branches()
    noe, error_oe, error_noe = branches(1)[0], branches(2)[0], branches(3)[0]
    branch = BranchLoss(SOFT, domain="linear", full_image=0.25)
    context = {"oe": {"error": error_oe}, "noe": {"error": error_noe}}
    _, terms = FusionLoss(branch, branch)(x, noe, y, mask, context=context)
    expected = {
        "oe/soft_supervision": (x, mask, error_oe),
        "oe/full/soft_supervision": (x, None, error_oe),
        "noe/soft_supervision": (noe, 1 - mask, error_noe),
        "noe/full/soft_supervision": (noe, None, error_noe),
    }
    assert set(terms) == set(expected)
    for name, (image, weight, error) in expected.items():
        wanted = soft_supervision_loss(image, y, weight, error=error, error_weight=0.5, resample=False)
        torch.testing.assert_close(terms[name], wanted)


def test_what_is_needed_and_missing_is_named():
    x, y, mask = branches()
    missing = "the loss 'soft_supervision' needs 'error'"
    branch = BranchLoss(SOFT, domain="linear")
    for context in (None, {}, {"srgb": x}):
        with pytest.raises(ConfigError, match=missing):
            PlainLoss(SOFT, domain="linear")(x, y, None, context)
        with pytest.raises(ConfigError, match=missing):
            branch(x, y, mask, None, context)
    with pytest.raises(ConfigError, match=missing):
        FusionLoss(branch, branch)(x, x, y, mask, context={"oe": {"error": x}})
    with pytest.raises(ConfigError, match="the loss 'log_gamma' needs 'gamma_heads'"):
        WeightedSum(LOG)(x, y)


@pytest.mark.parametrize("compose", [PlainLoss, BranchLoss])
def test_losses_on_linear_raw_refuse_the_gamma_domain(compose):
    message = "the loss 'soft_supervision' is defined on linear RAW: set the domain to 'linear'"
    with pytest.raises(ConfigError, match=message):
        compose({"l1": 1.0, **SOFT})
    with pytest.raises(ConfigError, match=message):
        compose(SOFT, domain="gamma", gamma=1.0)
    assert compose({"l1": 1.0, **SOFT}, domain="linear").terms.weights == {"l1": 1.0, "soft_supervision": 2.0}
    assert compose({"l1": 1.0, "soft_supervision": None}).domain == "gamma"
