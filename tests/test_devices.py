"""Tensors are made on the device of the input: networks, losses and gain maps run on a GPU that is only pretended.

Torch's fake tensors know shapes and devices but no values, and refuse to mix devices as a GPU does. So no GPU is
needed. What depends on a value takes one branch: every truth is true, and every number is one half.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from revisp import demosaic
from revisp.backbones import BACKBONES, list_backbones
from revisp.camera import scene_rendering
from revisp.camera.simulate import SIMULATED
from revisp.cfa import CFA
from revisp.config import as_dict, compose
from revisp.inference.gain_level import level_of_gain, levels_by_gain
from revisp.losses import LOSSES, create_loss, find_trunk, list_losses
from revisp.losses.gaussian import gaussian_window
from revisp.pipeline import Reconstruction, ReverseISP
from revisp.training.build import build_loss, build_model

NETWORKS = [name for name in list_backbones() if not name.startswith("smp")]
KINDS = ("fusion", "fusion_residual", "fusion_shared", "fusion_estimated", "plain")


@pytest.fixture(autouse=True)
def no_kept_tensors():
    """Forget tensors that functions keep: those of other tests are real, and those of these are not."""
    kept = (gaussian_window, demosaic._published_network, scene_rendering._srgb_table)
    for function in kept:
        function.cache_clear()
    yield
    for function in kept:
        function.cache_clear()


class _PretendedGPU(FakeTensorMode):
    """Fake tensors whose values can be asked for."""

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            kind = args[0].dtype
            return True if kind is torch.bool else 0.5 if kind.is_floating_point else 1
        if func is torch.ops.aten.nonzero.default:
            with self:
                return torch.empty(args[0].numel(), args[0].ndim, dtype=torch.int64, device=args[0].device)
        return super().dispatch(func, types, args, kwargs)


class _AskedGPU(_PretendedGPU):
    """A GPU that refuses every question that a program would have to wait for."""

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
        assert func not in waits or args[0].device.type == "cpu", f"the program waits for a GPU: {func}"
        return super().dispatch(func, types, args, kwargs)


def _to_gpu(module: nn.Module) -> nn.Module:
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, x in held.items():
                if x is not None:
                    fake = torch.empty(x.shape, dtype=x.dtype, device="cuda")
                    held[name] = nn.Parameter(fake, x.requires_grad) if held is part._parameters else fake
    return module


def _photos(*shape: int) -> Tensor:
    return torch.rand(*shape, device="cuda")


def test_a_pretended_gpu_refuses_tensors_of_the_cpu():
    with _PretendedGPU(), pytest.raises(RuntimeError, match="same device"):
        _photos(3) + torch.ones(3)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_make_all_tensors_on_their_device(name):
    spec = BACKBONES.spec(name)
    model = ReverseISP(name, backbone_kwargs=spec.small)
    side = max(64, 2 * spec.min_size)
    with _PretendedGPU():
        _to_gpu(model)
        assert model.train().reconstruct(_photos(2, 3, side, side)).noe.device.type == "cuda"
        with torch.no_grad():
            assert model.eval()(_photos(2, 3, side, side)).bayer.device.type == "cuda"


@pytest.mark.parametrize("pipeline", KINDS)
def test_pipelines_and_their_losses_stay_on_their_device(pipeline):
    words = ["+backbone=unet", f"pipeline={pipeline}", "backbone.width=4", "backbone.depth=2"]
    settings = compose(words)
    model = build_model(settings, SIMULATED.profile)
    loss = build_loss(as_dict(settings.loss), model)
    with _PretendedGPU():
        _to_gpu(model), _to_gpu(loss)
        photos, target, valid = _photos(2, 3, 64, 64), _photos(2, 3, 64, 64), _photos(2, 1, 64, 64)
        out = model.train().reconstruct(photos)
        if model.plain:
            total, _ = loss(out.raw_rgb, target, valid)
        else:
            total, _ = loss(out.oe, out.noe, target, out.mask, valid, {"oe": {}, "noe": {}})
        assert total.device.type == "cuda"


@pytest.mark.parametrize("name", [n for n in list_losses() if LOSSES.plugin(n) is None and not n.startswith("_")])
def test_losses_make_all_tensors_on_the_device_and_wait_for_none_of_their_values(name):
    if name == "lpips" and find_trunk() is None:
        pytest.skip("no LPIPS trunk here")
    loss = create_loss(name)
    with _AskedGPU():
        _to_gpu(loss)
        x, y, region = _photos(2, 3, 64, 72), _photos(2, 3, 64, 72), _photos(2, 1, 64, 72)
        known = {
            "srgb": lambda: y,
            "cfa": lambda: CFA.RGGB,
            "error": lambda: torch.full_like(y, 0.1),
            "gamma_heads": lambda: y.repeat(1, len(loss.gammas), 1, 1),
        }
        assert loss(x, y, region, **{n: known[n]() for n in getattr(loss, "needs", ())}).device.type == "cuda"


def test_gain_maps_are_read_on_the_device_of_the_photo():
    with _PretendedGPU():
        photo, mask, bayer = _photos(3, 64, 64), _photos(1, 64, 64), _photos(1, 64, 64)
        out = Reconstruction(_photos(3, 64, 64), bayer, mask, None, None, bayer)
        gain = SimpleNamespace(hdr=lambda srgb, rows: 2 * srgb)
        for read in (levels_by_gain, level_of_gain):
            assert read(out, photo, gain, (0.5, 1.0, 0.6)).out.raw_rgb.device.type == "cuda"
