"""What every backbone promises, whatever its design: a network that joins the catalogue is tested by this file."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from revisp.backbones import (
    BACKBONES,
    BackboneSpec,
    create_backbone,
    list_backbones,
    register,
    resolve_spec,
)
from revisp.backbones.base import run_part
from revisp.cfa import unpack
from revisp.errors import ConfigError, ShapeError, UnknownNameError
from revisp.pipeline import ReverseISP

NAMES = list_backbones()
PACKED = [name for name in NAMES if BACKBONES.spec(name).native == "packed"]
KINDS = [(name, "raw_rgb") for name in NAMES] + [(name, "packed") for name in PACKED]
"""Each network with each kind of output that it has."""

kinds = pytest.mark.parametrize(("name", "head"), KINDS)
names = pytest.mark.parametrize("name", NAMES)


def tiny(name: str, in_channels: int = 4, out_channels: int = 3, head: str = "raw_rgb") -> nn.Module:
    torch.manual_seed(0)
    kwargs = {**BACKBONES.spec(name).small, **({"head": head} if head == "packed" else {})}
    channels = 4 if head == "packed" else out_channels
    return create_backbone(name, in_channels=in_channels, out_channels=channels, **kwargs)


def photo(name: str, seed: int = 0, batch: int = 2, channels: int = 4) -> Tensor:
    """An input of 6 by 4 times what the network asks for, never square."""
    spec = resolve_spec(tiny(name), name)
    multiple = max(4, spec.multiple_of, -(-spec.min_size // (4 * spec.multiple_of)) * spec.multiple_of)
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, channels, 6 * multiple, 4 * multiple, generator=generator)


def target(x: Tensor, head: str) -> Tensor:
    """What an easy camera would read of a photo."""
    raw = 0.2 + 0.5 * x[:, :3]
    return raw if head == "raw_rgb" else F.avg_pool2d(raw, 2)[:, [0, 1, 1, 2]]


def published(name: str) -> nn.Module:
    """The network as it was published, without values."""
    spec = BACKBONES.spec(name)
    head = {"head": "packed", "out_channels": 4} if spec.native == "packed" else {}
    with torch.device("meta"):
        return create_backbone(name, in_channels=spec.in_channels, **head).eval()


# What it computes ------------------------------------------------------------------------------------------------


@names
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (4, 3), (4, 6)])
def test_output_has_the_size_of_the_input(name, inputs, outputs):
    x = photo(name, channels=inputs)
    y = tiny(name, inputs, outputs)(x)
    assert y.shape == (2, outputs, *x.shape[-2:])
    assert y.dtype == torch.float32
    assert y.isfinite().all()


@pytest.mark.parametrize("name", PACKED)
def test_published_planes_have_half_the_size(name):
    x = photo(name, channels=3)
    y = tiny(name, 3, head="packed")(x)
    assert y.shape == (2, 4, x.shape[-2] // 2, x.shape[-1] // 2)
    with pytest.raises(ConfigError, match="head"):
        create_backbone(name, head="bayer", **BACKBONES.spec(name).small)


@kinds
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (50, 33)])
def test_a_pipeline_takes_photos_of_any_size(name, head, size):
    branches = "plain" if head == "packed" else "shared"
    torch.manual_seed(0)
    model = ReverseISP(name, backbone_kwargs=BACKBONES.spec(name).small, branches=branches).eval()
    with torch.inference_mode():
        out = model(torch.rand(1, 3, *size))
    assert model.packed is (head == "packed")
    assert out.bayer.shape == (1, 1, *size)
    assert out.raw_rgb.shape == (1, 3, *size)


@names
def test_it_takes_gain_map_and_place_too(name):
    network = tiny(name, in_channels=8).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 8, 48, 48)).shape == (1, 3, 48, 48)


@kinds
def test_every_parameter_and_every_input_channel_counts(name, head):
    network = tiny(name, head=head)
    x = photo(name).requires_grad_()
    outputs = [network(x)]
    if BACKBONES.spec(name).auxiliary:
        outputs += network.forward_auxiliary(x)[1].values()
    sum(output.square().mean() for output in outputs).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert (x.grad.abs().sum(dim=(0, 2, 3)) > 0).all()


@kinds
def test_it_learns(name, head):
    network = tiny(name, head=head)
    x = photo(name)
    wanted = target(x, head)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = F.l1_loss(network(x), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@kinds
def test_flat_pictures_give_finite_values_and_gradients(name, head):
    network = tiny(name, head=head)
    for level in (0.0, 1.0):
        y = network(torch.full_like(photo(name), level))
        y.mean().backward()
        assert y.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)


@names
def test_the_same_seed_gives_the_same_network(name):
    x = photo(name)
    with torch.no_grad():
        assert torch.equal(tiny(name).eval()(x), tiny(name).eval()(x))


@kinds
def test_photos_of_a_batch_do_not_mix_at_inference(name, head):
    network = tiny(name, head=head).eval()
    x = photo(name)
    with torch.no_grad():
        torch.testing.assert_close(network(x)[1:], network(x[1:]), rtol=1e-4, atol=1e-5)


@names
def test_what_is_predicted_beside_the_raw_has_its_size(name):
    network, x = tiny(name).eval(), photo(name)
    auxiliary = BACKBONES.spec(name).auxiliary
    assert hasattr(network, "forward_auxiliary") is bool(auxiliary)
    if auxiliary:
        with torch.no_grad():
            y, more = network.forward_auxiliary(x)
            torch.testing.assert_close(y, network(x))
        assert tuple(more) == auxiliary
        assert all(value.shape[1] % 3 == 0 and value.shape[2:] == y.shape[2:] for value in more.values())


# How it runs -----------------------------------------------------------------------------------------------------


@names
def test_weights_survive_safetensors(name, tmp_path):
    network = tiny(name)
    x = photo(name)
    network(x)  # running statistics move away from their start
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = create_backbone(name, in_channels=4, **BACKBONES.spec(name).small)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(network.eval()(x), other.eval()(x))


@kinds
def test_it_runs_in_bfloat16_near_what_float32_gives(name, head):
    network, x = tiny(name, head=head).eval(), photo(name)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = network(x).float()
    with torch.no_grad():
        exact = network(x)
    assert (rough - exact).abs().mean() < 0.03 * exact.abs().mean() + 0.01


@kinds
def test_channels_last_gives_the_same(name, head):
    network, x = tiny(name, head=head).eval(), photo(name)
    with torch.no_grad():
        exact = network(x)
        network.to(memory_format=torch.channels_last)
        other = network(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(other, exact, rtol=1e-3, atol=1e-4)


@kinds
def test_it_exports(name, head):
    network, x = tiny(name, head=head).eval(), photo(name, batch=1)
    program = torch.export.export(network, (x,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x), network(x), rtol=1e-4, atol=1e-5)


# What its spec says ----------------------------------------------------------------------------------------------


@names
def test_the_spec_tells_the_published_size_and_cost(name):
    spec = BACKBONES.spec(name)
    network = published(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters
    side = -(-max(504, spec.min_size) // spec.multiple_of) * spec.multiple_of
    x = torch.empty(1, spec.in_channels, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    assert counter.get_total_flops() / 2e9 == pytest.approx(spec.gmac, abs=0.06)


@names
def test_the_spec_tells_the_published_geometry_and_origin(name):
    spec = BACKBONES.spec(name)
    with torch.device("meta"):
        assert resolve_spec(create_backbone(name), name) == spec
    assert spec.license
    assert spec.paper
    assert spec.global_context is (spec.receptive_field is None)
    assert spec.native == "raw_rgb" or spec.multiple_of % 2 == 0


@kinds
def test_it_looks_as_far_as_it_says_and_tiles_are_exact(name, head):
    network = tiny(name, head=head).eval().double()
    spec = resolve_spec(network, name)
    if spec.global_context:
        pytest.skip("it looks at the whole photo")
    reach = (spec.receptive_field - 1) // 2
    step = math.lcm(2, spec.multiple_of)
    margin = -(-reach // step) * step
    side = 2 * margin + 4 * step
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(1, 4, side, side + margin, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        whole, tile = (_mosaic(network(part), head) for part in (x, x[..., :side]))
        torch.testing.assert_close(tile[..., : side - reach], whole[..., : side - reach], rtol=0, atol=1e-9)
        changed = x.clone()
        changed[..., side // 2, side // 2] += 0.5
        moved = (_mosaic(network(changed), head) - whole).abs().amax(dim=(0, 1))
    rows, columns = (moved > 0).nonzero(as_tuple=True)
    nearest = reach - spec.multiple_of + 1  # where a place in a block of pixels decides how far it is seen
    assert nearest <= (rows - side // 2).abs().max() <= reach
    assert nearest <= (columns - side // 2).abs().max() <= reach


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(tiny(name), "forward_part")])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_part_is_that_of_the_whole(name, data):
    network = tiny(name).eval().double()
    x = photo(name).double()
    rows, columns = (
        slice(*sorted(data.draw(st.lists(st.integers(0, size), min_size=2, max_size=2, unique=True))))
        for size in x.shape[-2:]
    )
    with torch.no_grad():
        whole = network(x)[..., rows, columns]
        torch.testing.assert_close(run_part(network, x, rows, columns), whole, rtol=0, atol=1e-9)


def _mosaic(y: Tensor, head: str) -> Tensor:
    return unpack(y, "RGGB") if head == "packed" else y


# What it refuses -------------------------------------------------------------------------------------------------


@names
def test_what_does_not_fit_is_refused(name):
    network = tiny(name)
    spec = resolve_spec(network, name)
    x = photo(name)
    with pytest.raises(ShapeError, match=r"must have shape \[\.\.\., 4, H, W\]"):
        network(x[:, :3])
    with pytest.raises(ShapeError, match=r"must have shape \[\.\.\., 4, H, W\]"):
        network(torch.cat([x, x[:, :1]], dim=1))
    with pytest.raises(ShapeError, match="floating point"):
        network((255 * x).byte())
    if spec.multiple_of > 1:
        with pytest.raises(ShapeError, match=f"multiples of {spec.multiple_of}"):
            network(x[..., :-1])
    if spec.min_size > spec.multiple_of:
        with pytest.raises(ShapeError, match=f"at least {spec.min_size}"):
            network(x[..., : spec.multiple_of])


@names
def test_a_misspelt_argument_is_a_config_error(name):
    with pytest.raises(ConfigError, match="widht"):
        create_backbone(name, widht=8)


def test_an_unknown_backbone_names_near_misses():
    with pytest.raises(UnknownNameError, match="unknown backbone 'cycelisp': did you mean 'cycleisp'"):
        create_backbone("cycelisp")


def test_a_fusion_needs_three_channels():
    with pytest.raises(ConfigError, match="fusion needs networks of head 'raw_rgb'"):
        ReverseISP("zeronoise", backbone_kwargs={"head": "packed"})


# Registration ----------------------------------------------------------------------------------------------------


def test_the_catalogue_holds_every_network_of_the_zoo():
    zoo = "classical coordnet cvip cycleisp dualraw hit_liteisp hit_nafnet invisp mbispld mialgo nafnet reraw"
    zoo += " restormer rst_isp smp ssdnet unet unet_aim upi zeronoise"
    assert set(zoo.split()) <= set(NAMES)
    assert list_backbones("cycle*") == ["cycleisp"]


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


def test_a_spec_refuses_what_cannot_be():
    with pytest.raises(ConfigError, match="multiple_of must be at least 1"):
        BackboneSpec(multiple_of=0)
    with pytest.raises(ConfigError, match="native must be"):
        BackboneSpec(native="bayer")
