"""ReRAW: its size, its heads in gamma domains, and their sum."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import create_backbone
from revisp.backbones.blocks.resnet import ResNet18
from revisp.backbones.reraw import _to_linear
from revisp.errors import ConfigError, ShapeError
from revisp.losses import create_loss

GAMMAS = (1.0, 0.5, 0.1)
TINY = {"stem": 12, "width": 8, "depth": 1, "encoder_width": 4, "gammas": GAMMAS, "context_size": 64}


def test_the_published_network():
    with torch.device("meta"):
        network = create_backbone("reraw", out_channels=4, head="packed").eval()
        x = torch.empty(1, 3, 504, 504)
    encoders = sum(p.numel() for p in (*network.scene.parameters(), *network.mixer.parameters()))
    assert encoders == 22_423_818
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_800_178
    assert network.gammas == (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert network(x).shape == (1, 4, 252, 252)
    assert counter.get_total_flops() / 2e9 == pytest.approx(88.1, abs=0.05)


def test_resnet_is_torchvisions():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(weights=None, num_classes=7).eval()
    ours = ResNet18(3, 7).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("head", ["packed", "raw_rgb"])
def test_result_is_the_weighed_sum_of_the_heads(head):
    torch.manual_seed(0)
    network = create_backbone("reraw", head=head, out_channels=4, **TINY).eval()
    x = torch.rand(2, 3, 18, 22)
    with torch.no_grad():
        for gamma_head in network.heads:
            gamma_head.last.conv.weight *= 0.1  # keeps all candidates within 0 and 1
        y, auxiliary = network.forward_auxiliary(x)
        assert torch.equal(network(x), y)
        weights = network.mixer(F.interpolate(x, size=(64, 64), mode="area")).softmax(dim=1)
    assert auxiliary["gamma_heads"].shape == (2, 12, *y.shape[-2:])
    candidates = auxiliary["gamma_heads"].unflatten(1, (3, 4))
    assert ((candidates > 0) & (candidates < 1)).all()
    powers = torch.stack([candidates[:, i] ** (1 / gamma) for i, gamma in enumerate(GAMMAS)], dim=1)
    torch.testing.assert_close(y, (weights[:, :, None, None, None] * powers).sum(dim=1))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


def test_heads_start_at_the_same_raw_in_their_domains():
    torch.manual_seed(0)
    network = create_backbone("reraw", head="packed", **TINY)
    for head, gamma in zip(network.heads, GAMMAS, strict=True):
        torch.testing.assert_close(_to_linear(head.last.conv.bias, gamma), torch.full((3,), 0.1))


def test_powers_have_finite_gradients_and_no_kink_at_1():
    for gamma in GAMMAS:
        x = torch.tensor([-1.0, 0.0, 0.5, 1 - 1e-7, 1 + 1e-7, 2.0], dtype=torch.double, requires_grad=True)
        y = _to_linear(x, gamma)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.isfinite().all()
        assert y[2].item() == pytest.approx(0.5 ** (1 / gamma))
        assert y[5].item() == pytest.approx(1 + 1 / gamma)
        assert (
            gradient[3].item() == pytest.approx(gradient[4].item(), rel=1e-5) == pytest.approx(1 / gamma, rel=1e-5)
        )


def test_a_pixel_sees_its_neighbours_when_the_whole_photo_is_left_out():
    """The 66 to 32 mapping of the published patches: two pixels, and one more on each side."""
    torch.manual_seed(0)
    network = create_backbone("reraw", head="packed", **{**TINY, "stem": 24, "width": 32}).eval().double()
    scene, mixer = torch.ones(1, 32, dtype=torch.double), torch.zeros(1, 3, dtype=torch.double)
    network.scene.forward = lambda context: scene
    network.mixer.forward = lambda context: mixer
    x = torch.rand(1, 3, 12, 12, dtype=torch.double, requires_grad=True)
    network(x)[0, :, 2, 3].sum().backward()
    rows, columns = x.grad[0].abs().sum(dim=0).nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 6, 5, 8)


def test_its_loss_trains_all_heads():
    torch.manual_seed(0)
    network = create_backbone("reraw", head="packed", out_channels=4, **TINY)
    loss = create_loss("log_gamma", gammas=GAMMAS)
    x = torch.rand(2, 3, 16, 24)
    target = F.avg_pool2d(0.1 + 0.5 * x[:, [0, 1, 1, 2]], 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    values = []
    for _ in range(30):
        optimizer.zero_grad()
        prediction, auxiliary = network.forward_auxiliary(x)
        value = loss(prediction, target, **auxiliary)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.6 * values[0]
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.heads.parameters())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_image_is_finite_alone_in_a_batch(value):
    network = create_backbone("reraw", in_channels=4, **{**TINY, "context_size": 33})
    y = network(torch.full((1, 4, 2, 6), value))
    y.square().mean().backward()
    assert y.shape == (1, 3, 2, 6)
    assert y.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_what_cannot_work_is_refused():
    with pytest.raises(ShapeError, match="multiples of 2"):
        create_backbone("reraw", **TINY)(torch.rand(1, 3, 8, 9))
    for arguments, message in (
        ({"width": 0}, "width=0"),
        ({"depth": -1}, "depth=-1"),
        ({"context_size": 32}, "context_size=32"),
        ({"gammas": ()}, r"gammas must be .* got \[\]"),
        ({"gammas": (1.0, 1.5)}, "1.5"),
    ):
        with pytest.raises(ConfigError, match=message):
            create_backbone("reraw", **arguments)
