"""SSDNet: its published sizes, its gates, the error branch and its samples."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import BACKBONES, create_backbone
from revisp.backbones.ssdnet import SSDNet
from revisp.errors import ConfigError, ShapeError
from revisp.losses import create_loss

SMALL = dict(BACKBONES.spec("ssdnet").small)


def small(head="packed", **kwargs):
    torch.manual_seed(0)
    return SSDNet(out_channels=4 if head == "packed" else 3, head=head, **{**SMALL, **kwargs})


def count(network, prefix=""):
    return sum(value.numel() for name, value in network.named_parameters() if name.startswith(prefix))


def test_the_published_network_has_35_56_million_parameters_and_36_24_with_the_error_branch():
    with torch.device("meta"):
        network = create_backbone("ssdnet", out_channels=4, head="packed")
    assert count(network) == BACKBONES.spec("ssdnet").parameters == 36_241_628
    assert count(network) - count(network, "error.") == 35_563_936


def test_the_published_network_costs_190_gmac_at_256_pixels():
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        create_backbone("ssdnet", out_channels=4, head="packed").eval()(torch.empty(1, 3, 256, 256))
    assert round(counter.get_total_flops() / 2e9, 1) == 190.3


@pytest.mark.parametrize(("head", "shape"), [("packed", (1, 4, 8, 6)), ("raw_rgb", (1, 3, 16, 12))])
def test_the_error_has_the_predictions_shape(head, shape):
    network, x = small(head), torch.rand(1, 3, 16, 12)
    raw, auxiliary = network.forward_auxiliary(x)
    assert set(auxiliary) == set(network.auxiliary) == set(BACKBONES.spec("ssdnet").auxiliary)
    assert raw.shape == auxiliary["error"].shape == shape
    assert torch.equal(raw, network(x))


def test_packed_planes_are_the_mosaic_of_the_head():
    network, x = small(), torch.rand(1, 3, 8, 8)
    mosaic = network.head(network._restore(x))
    assert mosaic.shape == (1, 1, 8, 8)
    assert torch.equal(F.pixel_shuffle(network(x), 2), mosaic)


def test_the_photo_passes_to_the_last_convolution():
    network, x = small(in_channels=4), torch.rand(1, 4, 8, 8)
    torch.nn.init.zeros_(network.image.weight)
    assert torch.equal(network._restore(x), x[:, :3])


def test_gates_stay_between_0_and_1():
    block = small().trunk.encoder[0][0]
    x = 10 * torch.randn(2, 8, 6, 5)
    for gate in (block.channel_gate(x.mean((2, 3), keepdim=True)), block.spatial_gate(x)):
        assert ((gate > 0) & (gate < 1)).all()


def test_a_far_pixel_matters_through_attention():
    network = small(kernel_size=1).double()
    x = torch.rand(1, 3, 64, 64, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, 0, 0].backward()
    assert BACKBONES.spec("ssdnet").global_context
    assert x.grad[0, :, -1, -1].abs().min() > 0


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_constant_photo_gives_finite_results_and_gradients(level):
    network = small()
    raw, auxiliary = network.forward_auxiliary(torch.full((1, 3, 16, 16), level))
    (raw.sum() + auxiliary["error"].sum()).backward()
    assert raw.isfinite().all()
    assert all(value.grad.isfinite().all() for value in network.parameters())


def test_every_parameter_is_trained_by_soft_supervision():
    network, x = small(), torch.rand(2, 3, 16, 12)
    raw, auxiliary = network.forward_auxiliary(x)
    create_loss("soft_supervision")(raw, torch.rand_like(raw), **auxiliary).backward()
    for name, value in network.named_parameters():
        assert value.grad.abs().sum() > 0, name


def test_soft_supervision_teaches_the_error():
    network = small(width=4)
    x = torch.rand(2, 3, 16, 16)
    target = torch.zeros(2, 4, 8, 8)
    target[:, :, :, 4:] = torch.rand(2, 4, 8, 4)  # the right half cannot be known well
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    loss = create_loss("soft_supervision", resample=False, error_weight=1)
    values = []
    for _ in range(60):
        optimizer.zero_grad()
        raw, auxiliary = network.forward_auxiliary(x)
        value = loss(raw, target, **auxiliary)
        value.backward()
        optimizer.step()
        values.append(value.item())
    error = auxiliary["error"].detach()
    assert values[-1] < 0.7 * values[0]
    assert error[..., 5:].mean() > 2 * error[..., :3].mean()


def test_samples_are_normal_around_the_prediction():
    network, x = small(), torch.rand(1, 3, 16, 12)
    raw, auxiliary = network.forward_auxiliary(x)
    deviation = auxiliary["error"].clamp_min(0)
    assert (deviation > 0).any()
    generator = torch.Generator().manual_seed(3)
    samples = torch.stack([network.sample(x, draws=1, generator=generator) for _ in range(400)])
    torch.testing.assert_close(samples.std(0), deviation, rtol=0.2, atol=1e-6)
    torch.testing.assert_close(samples.mean(0), raw, rtol=0, atol=0.25 * deviation.max().item())


def test_more_draws_come_nearer_to_the_prediction_and_the_generator_decides():
    network, x = small(), torch.rand(1, 3, 16, 12)

    def sample(draws, seed=0):
        return network.sample(x, draws, torch.Generator().manual_seed(seed))

    assert torch.equal(sample(5), sample(5))
    assert not torch.equal(sample(5), sample(5, seed=1))
    with torch.no_grad():
        assert (sample(100) - network(x)).square().mean() < 0.1 * (sample(1) - network(x)).square().mean()
    assert not sample(1).requires_grad
    with pytest.raises(ConfigError, match="draws must be at least 1"):
        network.sample(x, draws=0)


def test_it_exports_and_runs_in_half_precision_and_channels_last():
    network, x = small().eval(), torch.rand(1, 3, 16, 12)
    with torch.no_grad():
        expected = network(x)
        torch.testing.assert_close(torch.export.export(network, (x,)).module()(x), expected)
        last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(last, expected)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(network(x).float(), expected, rtol=0.1, atol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 7}, "width must be even"),
        ({"blocks": (1,)}, "blocks must be at least 1"),
        ({"blocks": (1, 0)}, "blocks must be at least 1"),
        ({"refinement": -1}, "refinement"),
        ({"expansion": 0}, "expansion"),
        ({"kernel_size": 4}, "kernel_size odd"),
        ({"error_blocks": 0}, "error_blocks=0"),
        ({"head": "bayer"}, "unknown head"),
        ({"head": "packed", "out_channels": 3}, "multiple of 4"),
        ({"in_channels": 1}, "in_channels"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_backbone("ssdnet", **{**SMALL, **arguments})


def test_sides_must_fit_the_levels():
    with pytest.raises(ShapeError, match="multiples of 4"):
        small(blocks=(1, 1, 1))(torch.rand(1, 3, 16, 14))
