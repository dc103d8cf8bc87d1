"""Faster forms of parts of a network in evaluation mode, which compute the same function in fewer steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from revisp.backbones.blocks.upconv import UpConv, interleave, phase_weights
from revisp.backbones.unet import UNet

__all__ = ["ConvReLU", "HalvingMax", "PhasedUpConv", "fold_norms", "rewrite"]

_Conv = nn.Conv2d | nn.ConvTranspose2d


class HalvingMax(nn.Module):
    """2x2 max pooling as maxima of rows, then of columns; on a CPU it is several times faster than torch's.

    Shape:
        ``[B, C, H, W]`` to ``[B, C, H // 2, W // 2]``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        x = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
        rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])


class ConvReLU(nn.Module):
    """A convolution and the ReLU after it as one step of oneDNN, which does not read and write the result again.

    Args:
        conv: the convolution, which pads by zeros if at all; its weights are shared.

    Shape:
        As of the convolution.
    """

    available = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    """Whether torch has this step, to which its own compiler turns the pair on a CPU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, and clamp at 0."""
        conv = self.conv
        if conv.weight.dtype not in (torch.float32, torch.bfloat16):  # oneDNN has no others everywhere
            return F.relu(conv(x))
        shape = (conv.padding, conv.stride, conv.dilation, conv.groups)
        activated: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.to(conv.weight.dtype), conv.weight, conv.bias, *shape, "relu", [], ""
        )
        return activated


class PhasedUpConv(nn.Module):
    """`UpConv` with four ninths of its arithmetic, computed on the small picture.

    All four positions of a 2x2 block are computed as one convolution (`phase_weights`), and then interleaved.
    Without normalisation they are activated before.

    Args:
        up: the module to replace; its weights are copied.
    """

    def __init__(self, up: UpConv) -> None:
        super().__init__()
        conv: nn.Conv2d = up.conv  # type: ignore[assignment]
        phases = nn.Conv2d(conv.in_channels, 4 * conv.out_channels, kernel_size=2, padding=1)
        phases.weight.data = phase_weights(conv.weight.detach())
        phases.bias.data = conv.bias.detach().repeat(4)  # type: ignore[union-attr]
        steps = nn.Sequential(phases, up.norm, up.act)  # type: ignore[arg-type]
        plain = isinstance(up.norm, nn.Identity)
        self.phases = nn.Sequential(*_joined(steps)) if plain else steps[:1]
        self.rest = nn.Identity() if plain else steps[1:]

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and convolve: ``[B, in, h, w]`` to ``[B, out, 2h, 2w]``."""
        enlarged: Tensor = self.rest(self._beside(x, 0))
        return enlarged

    def append_to(self, skip: Tensor, x: Tensor) -> Tensor:
        """Return what `UpConv.append_to` does."""
        if not isinstance(self.rest, nn.Identity):
            return torch.cat([skip, self(x)], dim=1)
        joined = self._beside(x, skip.shape[1])
        joined[:, : skip.shape[1]] = skip
        return joined

    def _beside(self, x: Tensor, channels: int) -> Tensor:
        """Return the interleaved positions ``[B, channels + out, 2h, 2w]``; the first channels are empty."""
        phases = self.phases(x)
        (batch, _, height, width), count = x.shape, channels + phases.shape[1] // 4
        out = torch.empty(batch, 2 * height, 2 * width, count, dtype=phases.dtype, device=x.device)
        out = out.permute(0, 3, 1, 2)  # channels last
        interleave(phases, out[:, channels:])
        return out


def rewrite(network: nn.Module) -> None:
    """Replace, in place, modules that have a faster form on a CPU; results stay the same within rounding."""
    if isinstance(network, nn.Sequential) and type(network).forward is nn.Sequential.forward:
        for name, child in zip(network._modules, _joined(network), strict=True):
            network._modules[name] = child
    for name, child in network.named_children():
        if isinstance(child, nn.MaxPool2d) and _halves(child):
            setattr(network, name, HalvingMax())
        elif isinstance(child, UpConv):
            setattr(network, name, PhasedUpConv(child))
        else:
            if isinstance(child, UNet):
                child.join_blocks()
            rewrite(child)


def _joined(steps: nn.Sequential) -> list[nn.Module]:
    """Return the steps of a sequence, with a `ConvReLU` and nothing after it in place of each such pair.

    Normalisation that has become nothing may lie between the two.
    """
    found = list(steps)
    work = [place for place, step in enumerate(found) if not isinstance(step, nn.Identity)]
    for place, after in itertools.pairwise(work):
        conv, act = found[place], found[after]
        if ConvReLU.available and type(conv) is nn.Conv2d and type(act) is nn.ReLU and _pads_zeros(conv):
            found[place], found[after] = ConvReLU(conv), nn.Identity()
    return found


def _pads_zeros(conv: nn.Conv2d) -> bool:
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def _halves(pool: nn.MaxPool2d) -> bool:
    pairs = [_pair(value) for value in (pool.kernel_size, pool.stride, pool.padding, pool.dilation)]
    return pairs == [(2, 2), (2, 2), (0, 0), (1, 1)] and not (pool.ceil_mode or pool.return_indices)


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def fold_norms(network: nn.Module, run: Callable[[], object]) -> int:
    """Fold, in place, every BatchNorm that follows a convolution into the weights of the convolution.

    Weights that are computed at every call (spectral normalisation) also become plain weights. We run the network
    once to find the convolution that feeds each BatchNorm. A pair is folded if the BatchNorm receives exactly the
    convolution's output and both run once. We cannot detect a second reader of that tensor: compare the outputs
    before and after.

    Args:
        network: the network, in evaluation mode.
        run: runs the network on any input.

    Returns:
        The number of folded pairs.
    """
    for module in network.modules():
        if parametrize.is_parametrized(module):
            own = type(module)  # a copy shares its class with the original, and removal changes the class
            module.__class__ = type(own.__name__, own.__bases__, dict(vars(own)))
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)
    names = {module: name for name, module in network.named_modules()}
    pairs = list(_find_pairs(network, run))
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
        conv.weight, conv.bias = fused.weight, fused.bias
        parent, _, child = names[norm].rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())
    return len(pairs)


def _find_pairs(network: nn.Module, run: Callable[[], object]) -> Iterator[tuple[_Conv, nn.BatchNorm2d]]:
    """Yield each convolution that feeds a BatchNorm, with that BatchNorm."""
    made: dict[int, tuple[_Conv, Tensor, int]] = {}
    calls: list[nn.Module] = []
    pairs: list[tuple[_Conv, nn.BatchNorm2d]] = []

    def after_conv(conv: nn.Module, _: object, out: Tensor) -> None:
        calls.append(conv)
        made[id(out)] = (conv, out, out._version)  # type: ignore[assignment]

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append(norm)
        conv, out, version = made.get(id(inputs[0]), (None, None, None))
        if conv is not None and out is not None and out._version == version:
            pairs.append((conv, norm))  # type: ignore[arg-type]

    handles = [m.register_forward_hook(after_conv) for m in network.modules() if isinstance(m, _Conv)]
    norms = [m for m in network.modules() if type(m) is nn.BatchNorm2d and m.track_running_stats]
    handles += [m.register_forward_pre_hook(before_norm) for m in norms]
    try:
        with torch.inference_mode(mode=False), torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    for conv, norm in pairs:
        if calls.count(conv) == calls.count(norm) == 1:
            yield conv, norm
