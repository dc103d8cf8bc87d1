"""What every backbone promises, whatever its design."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from revisp.backbones import (
    BACKBONES,
    BackboneSpec,
    create_backbone,
    list_backbones,
    register,
    resolve_spec,
)
from revisp.errors import ConfigError, ShapeError, UnknownNameError

TINY: dict[str, dict[str, object]] = {
    "classical": {},
    "unet": {"width": 8, "depth": 3},
    "cycleisp": {"width": 8, "groups": 2, "blocks": 2},
    "smp": {"encoder_name": "test_resnet", "encoder_depth": 3, "decoder_channels": [32, 16, 8]},
}
NAMES = sorted(TINY)


def tiny(name: str, in_channels: int = 4, out_channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return create_backbone(name, in_channels=in_channels, out_channels=out_channels, **TINY[name])


def photo(name: str, seed: int = 0, batch: int = 2, channels: int = 4) -> torch.Tensor:
    """An input of 6 by 4 times what the network asks for, never square."""
    multiple = max(4, resolve_spec(tiny(name), name).multiple_of)
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, 6 * multiple, 4 * multiple, generator=generator)


def test_all_built_in_backbones_are_listed():
    assert set(TINY) <= set(list_backbones())
    assert list_backbones("cycle*") == ["cycleisp"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (4, 3), (4, 6)])
def test_output_has_the_size_of_the_input(name, inputs, outputs):
    x = photo(name, channels=inputs)
    y = tiny(name, inputs, outputs)(x)
    assert y.shape == (2, outputs, *x.shape[-2:])
    assert y.dtype == torch.float32
    assert y.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_and_every_input_channel_counts(name):
    network = tiny(name)
    x = photo(name).requires_grad_()
    network(x).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert (x.grad.abs().sum(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_learns(name):
    network = tiny(name)
    x = photo(name)
    target = 0.2 + 0.5 * x[:, :3]
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.l1_loss(network(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_network(name):
    x = photo(name)
    with torch.no_grad():
        assert torch.equal(tiny(name).eval()(x), tiny(name).eval()(x))
        torch.manual_seed(1)
        other = create_backbone(name, in_channels=4, **TINY[name]).eval()
        assert not torch.equal(other(x), tiny(name).eval()(x))


@pytest.mark.parametrize("name", NAMES)
def test_photos_of_a_batch_do_not_mix_at_inference(name):
    network = tiny(name).eval()
    x = photo(name)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:], network(x[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weights_survive_safetensors(name, tmp_path):
    network = tiny(name)
    x = photo(name)
    network(x)  # running statistics move away from their start
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = create_backbone(name, in_channels=4, **TINY[name])
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(network.eval()(x), other.eval()(x))


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused(name):
    network = tiny(name)
    x = photo(name)
    with pytest.raises(ShapeError, match=r"must have shape \[\.\.\., 4, H, W\]"):
        network(x[:, :3])
    with pytest.raises(ShapeError, match="floating point"):
        network((255 * x).byte())
    if network_multiple := resolve_spec(network, name).multiple_of - 1:
        with pytest.raises(ShapeError, match=f"multiples of {network_multiple + 1}"):
            network(x[..., :-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_argument_is_a_config_error(name):
    with pytest.raises(ConfigError, match="widht"):
        create_backbone(name, widht=8)


def test_an_unknown_backbone_names_near_misses():
    with pytest.raises(UnknownNameError, match="unknown backbone 'cycelisp': did you mean 'cycleisp'"):
        create_backbone("cycelisp")


def test_none_keeps_the_default():
    network = create_backbone("unet", width=4, depth=2, norm=None)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.fixture
def registry():
    """Forget what a test registers."""
    before = dict(BACKBONES._factories), dict(BACKBONES._specs)
    yield
    BACKBONES._factories, BACKBONES._specs = before


def pointwise(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, kernel_size=1)


@pytest.mark.usefixtures("registry")
def test_a_users_own_network_fits():
    register("pointwise", license="MIT", receptive_field=1, reported={"s7/psnr": 20.0})(pointwise)
    network = create_backbone("pointwise", in_channels=4)
    assert network(torch.rand(1, 4, 5, 7)).shape == (1, 3, 5, 7)
    spec = resolve_spec(network, "pointwise")
    assert (spec.receptive_field, spec.multiple_of, spec.license) == (1, 1, "MIT")
    assert spec.reported == {"s7/psnr": 20.0}


@pytest.mark.usefixtures("registry")
def test_a_built_in_name_is_not_taken_by_accident():
    with pytest.raises(ConfigError, match="'unet' is already registered"):
        register("unet")(pointwise)
    register("unet", override=True)(pointwise)
    assert isinstance(create_backbone("unet"), nn.Conv2d)


def test_a_built_network_corrects_what_was_registered():
    network = create_backbone("unet", width=2, depth=3)
    assert BACKBONES.spec("unet").multiple_of == 16
    assert resolve_spec(network, "unet").multiple_of == 4
    assert resolve_spec(network, "unet").paper == BACKBONES.spec("unet").paper
    assert resolve_spec(network).multiple_of == 4
    assert resolve_spec(nn.Identity()) == BackboneSpec()


@pytest.mark.parametrize("name", ["unet", "cycleisp", "smp", "classical"])
def test_the_spec_describes_the_default_network(name):
    spec = BACKBONES.spec(name)
    with torch.device("meta"):
        assert resolve_spec(create_backbone(name), name) == spec


def test_a_spec_refuses_sizes_below_one_pixel():
    with pytest.raises(ConfigError, match="multiple_of must be at least 1"):
        BackboneSpec(multiple_of=0)
