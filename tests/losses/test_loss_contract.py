"""What every loss promises, whatever it compares: a loss that joins the registry is tested by this file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from revisp.cfa import CFA
from revisp.errors import ShapeError
from revisp.losses import LOSSES, create_loss, find_trunk, list_losses

NAMES = [name for name in list_losses() if LOSSES.plugin(name) is None and not name.startswith("_")]


@pytest.fixture(params=NAMES)
def loss(request: pytest.FixtureRequest) -> nn.Module:
    """A loss by its defaults, its random weights always the same."""
    if request.param == "lpips" and find_trunk() is None:
        pytest.skip("no LPIPS trunk here")
    torch.manual_seed(0)
    return create_loss(request.param)


def images(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction, target and region; the prediction lies off the target everywhere."""
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.rand(2, 2, 3, 64, 72, generator=generator)
    region = (torch.rand(2, 1, 64, 72, generator=generator) > 0.5).float()
    return 0.9 * x + 0.05, 0.9 * y + 0.05, region


def compare(loss: nn.Module, x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Call a loss with what it needs; random numbers are always the same."""
    known = {
        "srgb": lambda: images(1)[0].to(x.dtype),
        "cfa": lambda: CFA.RGGB,
        "error": lambda: torch.full_like(y, 0.1),
        "gamma_heads": lambda: y.repeat(1, len(loss.gammas), 1, 1),
    }  # add here what else a loss asks for
    given: dict[str, Any] = {need: known[need]() for need in getattr(loss, "needs", ())}
    torch.manual_seed(0)
    value: Tensor = loss(x, y, weight, **given)
    return value


def test_the_value_is_one_finite_number_that_trains(loss: nn.Module) -> None:
    x, y, region = images()
    for weight in (None, region):
        value = compare(loss, x.requires_grad_(), y, weight)
        (gradient,) = torch.autograd.grad(value, x)
        assert (value.shape, value.dtype) == ((), torch.float32)
        assert value.isfinite()
        assert gradient.isfinite().all()
        assert (gradient != 0).any()


def test_a_prediction_outside_the_region_does_not_matter(loss: nn.Module) -> None:
    x, y, region = images()
    value = compare(loss, x, y, region)
    elsewhere = torch.where(region > 0, x, 1 - x)
    assert compare(loss, elsewhere, y, region).item() == pytest.approx(value.item(), rel=1e-5)
    assert compare(loss, 1 - x, y, region).item() != pytest.approx(value.item(), rel=1e-5)


def test_an_empty_region_is_zero_and_trains(loss: nn.Module) -> None:
    x, y, region = images()
    value = compare(loss, x.requires_grad_(), y, torch.zeros_like(region))
    value.backward()
    assert value.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_half_precision_is_computed_in_float32(loss: nn.Module) -> None:
    x, y, region = (image.bfloat16() for image in images())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = compare(loss, x, y, region)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(compare(loss, x.float(), y.float(), region.float()).item(), rel=1e-3)


def test_wrong_arguments_are_refused(loss: nn.Module) -> None:
    x, y, region = images()
    with pytest.raises(ShapeError):
        compare(loss, (255 * x).byte(), (255 * y).byte())
    with pytest.raises(ShapeError):
        compare(loss, x, y[:, :1])
    with pytest.raises(ShapeError, match=r"weight .* \[B, 1, H, W\]"):
        compare(loss, x, y, region[..., ::2, ::2])
    with pytest.raises(ShapeError, match="weight"):
        compare(loss, x, y, region.expand_as(x))
