"""The fast copy of a pipeline: the same function, and never the user's model."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import nn
from torch.nn import functional as F

import revisp
from revisp.backbones.blocks.upconv import UpConv
from revisp.errors import ConfigError
from revisp.inference import fast
from revisp.inference.fast import FastNetwork, optimise
from revisp.inference.precision import LEAST_AGREEMENT, agreement, sample_photo
from revisp.inference.rewrites import ConvReLU, HalvingMax, PhasedUpConv, fold_norms, rewrite
from revisp.pipeline import ReverseISP


def _model(name: str, **kwargs) -> ReverseISP:
    """Return an untrained pipeline whose BatchNorms have seen data."""
    torch.manual_seed(0)
    settings = {"backbone": name, "backbone_kwargs": kwargs.pop("backbone_kwargs", {}), **kwargs}
    model = ReverseISP(**settings)
    if model.refine is not None:
        torch.nn.init.normal_(model.refine.network.head.weight, std=0.1)  # else it refines nothing yet
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.2, 0.2)
    return model.eval()


MODELS = {
    "U-Net with BatchNorm": ("unet", {"backbone_kwargs": {"width": 6, "depth": 3}}),
    "U-Net with GroupNorm and refinement": (
        "unet",
        {"backbone_kwargs": {"width": 8, "depth": 3, "norm": "group"}, "refine": {"width": 4, "depth": 2}},
    ),
    "ResNet": ("smp", {"branches": "plain", "backbone_kwargs": {"encoder_name": "tu-test_resnet"}}),
    "torchvision's ResNet": ("smp", {"branches": "plain", "backbone_kwargs": {"encoder_name": "resnet18"}}),
    "transposed convolutions": ("unet_aim", {"branches": "shared", "backbone_kwargs": {"width": 6, "depth": 2}}),
    "spectral normalisation": ("hit_liteisp", {"backbone_kwargs": {"width": 8, "blocks": 1}}),
    "attention": ("nafnet", {"backbone_kwargs": {"width": 8}}),
}


@pytest.fixture(params=MODELS, ids=str)
def model(request, monkeypatch) -> ReverseISP:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name, kwargs = MODELS[request.param]
    if name == "smp":
        kwargs = {**kwargs, "backbone_kwargs": {**kwargs["backbone_kwargs"], "encoder_weights": None}}
    return _model(name, **kwargs)


def test_in_fp32_the_copy_computes_the_same(model: ReverseISP):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = optimise(model, "fp32")
    photo = torch.rand(1, 3, 70, 93)
    with torch.no_grad():
        found, wanted = copy(photo), model(photo)
    for name, one, other in zip(found._fields, found, wanted, strict=True):
        if other is not None:
            assert torch.allclose(one, other, atol=2e-5), name
    assert not any(type(layer) is nn.BatchNorm2d for layer in copy.modules())
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert before.keys() == after.keys()
    assert all(p.requires_grad for p in model.parameters())


def test_the_copy_needs_no_guard_against_gradients(model: ReverseISP):
    copy = optimise(model, "fp32")
    photo = torch.rand(1, 3, 70, 93)
    found = copy(photo).bayer
    assert not found.requires_grad
    with torch.no_grad():
        assert torch.equal(found, copy(photo).bayer)


def test_in_bf16_it_is_near(model: ReverseISP, monkeypatch):
    monkeypatch.setattr(fast, "has_fast_bf16", lambda device: True)  # slow processors compute it as well
    copy = optimise(model, "bf16")
    out = revisp.predict(copy, torch.rand(3, 70, 93))
    assert out.bayer.dtype == torch.float32
    assert agreement(model, copy) > 35


def test_the_shipped_model_keeps_its_quality_on_a_photo():
    """bf16 may differ from fp32, but by less than what a PSNR of 40 dB would notice."""
    model = revisp.from_pretrained()
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1).float() / 255
    found, wanted = (revisp.predict(m, photo).bayer for m in (optimise(model), model))
    assert -10 * (found - wanted).square().mean().log10() > LEAST_AGREEMENT - 2


class _Cancelling(nn.Module):
    """The difference of large numbers, of which bf16 keeps too few digits."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.large = nn.Conv2d(channels, 3, 1)
        self.small = nn.Conv2d(3, 3, 1)
        nn.init.uniform_(self.large.weight, 50, 60)
        nn.init.constant_(self.large.bias, -60.0)
        nn.init.constant_(self.small.weight, 1 / 100)

    def forward(self, x):
        return self.small(self.large(x))


def test_auto_takes_fp32_where_bf16_would_harm(monkeypatch):
    monkeypatch.setattr(fast, "has_fast_bf16", lambda device: True)
    good = _model("unet", backbone_kwargs={"width": 4, "depth": 2, "norm": "none"})
    bad = _model("unet", backbone_kwargs={"width": 4, "depth": 2})
    for name in bad.branches:
        bad.branches[name] = _Cancelling()
    assert optimise(good).branches["oe"].dtype is torch.bfloat16
    assert optimise(bad).branches["oe"].dtype is None
    assert optimise(bad, "bf16").branches["oe"].dtype is torch.bfloat16


def test_without_the_hardware_auto_is_fp32_and_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    model = _model("unet", backbone_kwargs={"width": 4, "depth": 2, "norm": "none"})
    assert optimise(model).branches["oe"].dtype is None
    with pytest.raises(ConfigError, match=r"this cpu has no bf16 .*: take auto or fp32"):
        optimise(model, "bf16")
    with pytest.raises(ConfigError, match="precision must be one of auto, fp32, bf16"):
        optimise(model, "fp8")


class _Shared(nn.Module):
    """A convolution whose result goes into a BatchNorm and past it, so that they cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.norm.running_mean += 0.3
        self.eval()

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


def test_a_fold_that_changes_the_result_is_undone():
    model = _model("unet", backbone_kwargs={"width": 4, "depth": 2})
    for name in model.branches:
        model.branches[name] = _Shared()
    copy = optimise(model, "fp32")
    assert agreement(model, copy) > 100
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in copy.modules())


def test_a_fold_whose_result_is_no_number_is_undone(monkeypatch):
    monkeypatch.setattr(fast, "agreement", lambda *_: math.nan)
    copy = optimise(_model("unet", backbone_kwargs={"width": 4, "depth": 2, "norm": "batch"}), "fp32")
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in copy.modules())


class _Changed(nn.Module):
    """A convolution whose result is changed in place before its BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(F.relu_(self.conv(x)))


def test_only_what_follows_a_convolution_directly_is_folded():
    network = _Changed().eval()
    assert fold_norms(network, lambda: network(torch.rand(1, 3, 8, 8))) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3))
def test_halving_is_max_pooling(height: int, width: int, channels: int):
    x = torch.randn(2, channels, height, width)
    assert torch.equal(HalvingMax()(x), F.max_pool2d(x, 2))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.integers(1, 5), st.sampled_from(["none", "batch"])
)
def test_the_phased_convolution_is_doubling_and_convolution(height, width, channels, out, norm):
    torch.manual_seed(height)
    up = UpConv(channels, out, norm).double().eval()
    x = torch.randn(2, channels, height, width, dtype=torch.float64)
    enlarged = x.repeat_interleave(2, -2).repeat_interleave(2, -1)
    with torch.no_grad():
        wanted = up.act(up.norm(F.conv2d(enlarged, up.conv.weight, up.conv.bias, padding=1)))
        assert torch.allclose(up(x), wanted)
        assert torch.allclose(PhasedUpConv(up)(x), wanted)


@pytest.mark.parametrize("norm", ["none", "group"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_phased_convolution_appends_to_a_skip(norm: str, dtype: torch.dtype):
    torch.manual_seed(0)
    up = UpConv(8, 4, norm).to(dtype).eval()
    x, skip = torch.randn(2, 8, 5, 3, dtype=dtype), torch.randn(2, 3, 10, 6, dtype=dtype)
    with torch.no_grad():
        wanted, found = up.append_to(skip, x), PhasedUpConv(up).append_to(skip, x)
    assert found.dtype == dtype
    assert torch.equal(wanted[:, :3], skip)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_convolution_and_its_relu_become_one_step():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Identity(), nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding="same"), nn.ReLU(),
        nn.Conv2d(4, 2, 3, bias=False, groups=2, dilation=2), nn.ReLU(), nn.Sigmoid(),
    ).eval()  # fmt: skip
    x = torch.randn(2, 3, 33, 41)
    with torch.no_grad():
        wanted = network(x)
        rewrite(network)
        assert torch.allclose(network(x), wanted, atol=1e-6)
    joined = [isinstance(step, ConvReLU) for step in network]
    assert joined == [ConvReLU.available, *[False] * 6, ConvReLU.available, False, False]


def test_the_sample_has_all_brightnesses():
    photo = sample_photo()
    assert torch.equal(photo, sample_photo())
    assert photo.min() == 0
    assert 0.01 < (photo == 1).float().mean() < 0.3
    assert 0.2 < photo.mean() < 0.6


def test_what_is_compiled_serves_tiles_of_all_sizes(monkeypatch):
    compiled, real = [], torch.compile

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda network, **rest: real(network, backend=backend, **rest))
    model = _model("unet", backbone_kwargs={"width": 4, "depth": 2, "norm": "none"})
    fast_one = optimise(model, "fp32", compile=True)
    before = len(compiled)
    assert before
    for height, width in ((160, 160), (141, 300), (300, 170)):
        photo = torch.rand(3, height, width) * 0.9
        found, wanted = (revisp.predict(m, photo, tile=400).bayer for m in (fast_one, model))
        assert torch.allclose(found, wanted, atol=2e-5)
    assert len(compiled) == before


@pytest.mark.parametrize("when", ["at once", "when it runs"])
def test_a_network_that_cannot_be_compiled_is_one_line(monkeypatch, when):
    monkeypatch.setattr(
        torch, "compile", lambda network, **_: _Broken() if when == "when it runs" else _Broken()(0)
    )
    with pytest.raises(ConfigError, match=r"cannot be compiled here: no compiler$"):
        optimise(_model("unet", backbone_kwargs={"width": 4, "depth": 2}), "fp32", compile=True)


class _Broken(nn.Module):
    def forward(self, x):
        raise RuntimeError("no compiler\nwith a long story")


def test_the_wrapper_feeds_channels_last():
    class Look(nn.Module):
        def forward(self, x):
            self.last = x.is_contiguous(memory_format=torch.channels_last)
            return x

    network = Look()
    FastNetwork(network, None)(torch.rand(1, 3, 8, 8))
    assert network.last


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the GNU C library")
def test_freed_memory_is_used_again():
    code = """if True:
        import resource, sys, torch
        from revisp.hardware import keep_freed_memory
        kept = keep_freed_memory() if sys.argv[1] == "keep" else True
        for _ in range(20):
            torch.empty(2**24).fill_(1)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt if kept else -1)
    """
    faults = {}
    for word in ("keep", "not"):
        done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, check=True)
        faults[word] = int(done.stdout)
    if faults["keep"] < 0:
        pytest.skip("another C library")
    assert faults["not"] - faults["keep"] > 8 * 16384  # of 20 times 64 MiB in pages of 4 KiB
