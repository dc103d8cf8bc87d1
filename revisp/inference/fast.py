"""Make a pipeline fast: the same function, with the steps, memory layout and precision that suit the hardware."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from revisp.backbones.base import run_part
from revisp.errors import ConfigError
from revisp.hardware import has_fast_bf16
from revisp.inference.precision import LEAST_AGREEMENT, Precision, agreement, sample_photo
from revisp.inference.rewrites import fold_norms, rewrite
from revisp.pipeline import ReverseISP

__all__ = ["FastNetwork", "optimise"]

_EXACT_PSNR = 90.0
"""Least PSNR in dB of a rewritten network to the given one, both in fp32: rounding alone stays above it."""


def optimise(model: ReverseISP, precision: Precision = "auto", *, compile: bool = False) -> ReverseISP:
    """Return a copy of a pipeline that predicts faster; the given one stays as it is.

    The copy computes the same result within rounding. Features are channels-last, BatchNorm is folded into
    convolutions, and pooling and doubling take fewer steps on a CPU (`revisp.inference.rewrites`). In bf16 the
    input of the networks and the result of each layer are rounded to 8 significant bits; sums are accumulated in
    fp32.

    ``"auto"`` chooses bf16 if the device has it in hardware *and* the bf16 result agrees with the fp32 result by
    at least `LEAST_AGREEMENT` on a sample photo. A model that bf16 would harm runs in fp32.

    The copy can only predict: it cannot be trained, saved or exported.

    Args:
        model: the pipeline, on the device that it will run on.
        precision: ``"auto"``, ``"fp32"`` or ``"bf16"``.
        compile: compile the networks by `torch.compile`, which takes up to minutes. The compiled code is kept on
            disk; the next process reads it in seconds. On a CPU it needs a C++ compiler.

    Raises:
        ConfigError: the precision is unknown, the device has no bf16, or the networks cannot be compiled. Networks
            with statistics of the whole photo are never compiled, since tiles must share these statistics.

    Example:
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}).eval()
        >>> fast = optimise(model, "fp32")
        >>> photo = torch.rand(1, 3, 32, 48)
        >>> torch.allclose(fast(photo).bayer, model(photo).bayer, atol=1e-4)
        True
    """
    check_precision(precision, device := next(model.parameters()).device)
    if compile and model.spec.global_context:
        raise ConfigError(f"compile: {model.config['backbone']} looks at the whole photo, and runs uncompiled")
    with torch.inference_mode(mode=False), torch.no_grad():
        training = any(module.training for module in model.modules())
        plain = copy.deepcopy(model).eval() if training else model  # a copy takes a while
        if precision != "fp32" and has_fast_bf16(device):
            half = _wrapped(_rewritten(plain, device), torch.bfloat16)
            if precision == "bf16" or agreement(plain, half) >= LEAST_AGREEMENT:
                return _compiled(half) if compile else half
        fast = _wrapped(_rewritten(plain, device), None)
        return _compiled(fast) if compile else fast


def check_precision(precision: str, device: torch.device) -> None:
    """Require a known precision that the device supports.

    Raises:
        ConfigError: the precision is unknown or not supported.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if precision == "bf16" and not has_fast_bf16(device):
        needs = "AVX512-BF16, AMX or SVE" if device.type == "cpu" else "an Ampere GPU or a newer one"
        raise ConfigError(f"precision bf16: this {device.type} has no bf16 ({needs}): take auto or fp32")


class FastNetwork(nn.Module):
    """A network with channels-last input, its own precision, and float32 output.

    Args:
        network: maps ``[B, C, H, W]`` to a tensor.
        dtype: dtype of convolutions and matrices; None keeps theirs.

    Attributes:
        compiled: whether ``network`` is compiled, once for all sizes. Parts of many sizes would need many
            programs.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.dtype = dtype
        self.compiled = False
        if dtype is not None:
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                    layer.to(dtype)  # as autocast would at every call

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on ``[B, C, H, W]``."""
        return self._run(self.network, x)

    def forward_part(self, x: Tensor, rows: slice, columns: slice) -> Tensor:
        """Compute only these rows and columns (`run_part`); a compiled network runs on the whole input."""
        if self.compiled:
            return self(x)[..., rows, columns]
        return self._run(partial(run_part, self.network), x, rows, columns)

    def _run(self, run: Callable[..., Tensor], x: Tensor, *part: slice) -> Tensor:
        if self.dtype is None:
            return run(x.contiguous(memory_format=torch.channels_last), *part).contiguous()
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)  # together they take twice as long
        with torch.autocast(x.device.type, self.dtype):
            out = run(x, *part)
        return out.to(torch.float32, memory_format=torch.contiguous_format)  # as the photo that it is added to


def _rewritten(plain: ReverseISP, device: torch.device) -> ReverseISP:
    """Return a rewritten copy; a rewriting that changes the result is left out."""
    fast = copy.deepcopy(plain)
    folded = fold_norms(fast, lambda: fast(sample_photo(device)[..., :64, :64]))
    if folded and not agreement(plain, fast) >= _EXACT_PSNR:  # true for NaN, too
        fast = copy.deepcopy(plain)
    if device.type == "cpu":
        rewrite(fast)
    return fast.requires_grad_(False)  # with the layers that the rewriting made


def _wrapped(model: ReverseISP, dtype: torch.dtype | None) -> ReverseISP:
    """Give each network of a model, in place, a precision and channels-last features."""
    model.replace_networks(lambda network: FastNetwork(network, dtype))
    return model


def _compiled(model: ReverseISP) -> ReverseISP:
    """Compile the networks, once for all sizes, and run them to find errors early.

    The sample is predicted in inference mode, like photos. It is neither square nor tiny: the compiler would treat
    such a size as the rule and compile again for others.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "revisp" / "inductor"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))  # torch's own default does not outlive a restart
    sample = torch.full((1, 3, 256, 192), 0.5, device=next(model.parameters()).device)
    try:
        for network in [network for network in model.modules() if isinstance(network, FastNetwork)]:
            network.network = torch.compile(network.network, dynamic=True)  # type: ignore[assignment]
            network.compiled = True
        with torch.inference_mode():
            model(sample)
    except Exception as error:  # the compiler and its subprocesses fail in many ways
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(f"the networks cannot be compiled here: {reason}") from error
    return model
