"""LPIPS: distance between the features of two images in a network trained on ImageNet.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018). The small
linear heads come with the ``lpips`` package. The trunk (the ImageNet network's convolutions) does not.
`find_trunk` finds it on this machine. Nothing is downloaded without the setting ``download``.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revisp.checks import check_image
from revisp.errors import ConfigError, WeightsError
from revisp.losses.base import LOSSES, checked, drop_empty, region_mean
from revisp.losses.frozen import existing, freeze, read_weights

__all__ = ["TRUNK_VARIABLE", "LPIPSLoss", "Net", "Trunk", "find_trunk"]

Net = Literal["alex", "vgg", "squeeze"]

TRUNK_VARIABLE = "REVISP_LPIPS_TRUNK"
"""Environment variable that may hold the path of a trunk."""

MIN_SIZE = 64
"""Smaller images become a region of an image of this size, because the trunks would reduce them to size 0."""

_URL = "https://download.pytorch.org/models/"
_FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


@dataclass(frozen=True)
class Trunk:
    """The file with the weights of an LPIPS trunk.

    Attributes:
        net: "alex", "vgg" or "squeeze".
        path: path of the file.
        source: origin of the path: "argument", "environment" or "torchvision cache".

    Example:
        >>> str(Trunk("alex", Path("alexnet.pth"), "argument"))
        'LPIPS alex trunk from alexnet.pth (argument)'
    """

    net: Net
    path: Path
    source: Literal["argument", "environment", "torchvision cache"]

    def __str__(self) -> str:
        return f"LPIPS {self.net} trunk from {self.path} ({self.source})"


def find_trunk(net: Net = "alex", trunk: str | os.PathLike[str] | None = None) -> Trunk | None:
    """Find the trunk that `LPIPSLoss` would use, without loading it.

    The order of the search: the given file, the file that the environment variable ``REVISP_LPIPS_TRUNK`` names,
    torchvision's local cache.

    Returns:
        The trunk, or None if this machine has none.

    Raises:
        ConfigError: an unknown net.
        WeightsError: the given file, or the file that the variable names, is missing.

    Example:
        >>> find_trunk("alex", "missing.pth")
        Traceback (most recent call last):
            ...
        revisp.errors.WeightsError: the LPIPS setting trunk names missing.pth, which is not a file
    """
    if net not in _FILES:
        raise ConfigError(f"unknown LPIPS net {net!r}: use 'alex', 'vgg' or 'squeeze'")
    if trunk is not None:
        return Trunk(net, existing(trunk, "the LPIPS setting trunk"), "argument")
    if os.environ.get(TRUNK_VARIABLE):
        return Trunk(net, existing(os.environ[TRUNK_VARIABLE], TRUNK_VARIABLE), "environment")
    cached = _cache() / _FILES[net]
    return Trunk(net, cached, "torchvision cache") if cached.is_file() else None


@LOSSES.register("lpips")
class LPIPSLoss(nn.Module):
    """Mean LPIPS over the region, with frozen weights.

    Values are clamped to [0,1] first, so a pixel outside that range gets no gradient. For a region, both images
    are multiplied by the weight, and each layer's distances are averaged with the weight reduced to that layer's
    size. An image with a side below 64 pixels counts as a region of an image of 64 pixels. The network adds no
    parameters and nothing to a state dict, so optimisers and checkpoints do not contain it.

    Args:
        net: "alex" or "squeeze" (fast), or "vgg" (more than ten times slower).
        trunk: file of the trunk: ``.safetensors``, or a state dict saved by torch. Names are torchvision's
            (``features.0.weight``); the state dict of a whole classifier works too. None uses `find_trunk`.
        download: whether torchvision's weights may be downloaded into the local cache if no trunk is found.

    Attributes:
        source: the `Trunk` in use.

    Raises:
        ConfigError: an unknown net.
        WeightsError: no trunk is found, it does not fit the net, or it cannot be read or downloaded.

    Example:
        >>> loss = LPIPSLoss("alex", trunk="alexnet.pth")  # needs weights  # doctest: +SKIP
        >>> loss(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)).shape  # doctest: +SKIP
        torch.Size([])
    """

    def __init__(
        self, net: Net = "alex", trunk: str | os.PathLike[str] | None = None, download: bool = False
    ) -> None:
        super().__init__()
        found = find_trunk(net, trunk)
        if found is None and download:
            found = _download(net)
        if found is None:
            raise WeightsError(
                f"no LPIPS {net} trunk on this machine: give a file by the setting trunk or by {TRUNK_VARIABLE}, "
                f"set download to true, or put {_URL}{_FILES[net]} into {_cache()}"
            )
        self.source = found
        model = _build(net)
        _load_trunk(model.net, found)
        self.scaling, self.trunk = model.scaling_layer, model.net
        self.heads = nn.ModuleList(head.model[-1] for head in model.lins)  # without the dropout before each
        freeze(self)

    @staticmethod
    def missing(
        net: Net = "alex", trunk: str | os.PathLike[str] | None = None, download: bool = False
    ) -> str | None:
        """Return the reason if no trunk is found and ``download`` is false; None otherwise.

        Raises:
            ConfigError: an unknown net.
            WeightsError: the given file, or the file that the environment variable names, is missing.
        """
        if find_trunk(net, trunk) is not None or download:
            return None
        return f"no LPIPS {net} trunk here: set {TRUNK_VARIABLE} or the setting trunk"

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare two batches.

        Args:
            prediction: ``[B,3,H,W]``, meant for [0,1].
            target: ``[B,3,H,W]`` in [0,1].
            weight: ``[B,1,H,W]`` in [0,1], or None for all pixels.

        Returns:
            A scalar; 0 if the region is empty.

        Raises:
            ShapeError: shapes do not fit, an integer tensor, or not three channels.
        """
        prediction, target, weight = drop_empty(*checked(prediction, target, weight))
        check_image(prediction, 3, "prediction")
        if not len(prediction):
            return prediction.sum()
        with torch.autocast(prediction.device.type, enabled=False):
            prediction, target, weight = _pad(prediction, target, weight)
            total = prediction.new_zeros(())
            pairs = zip(self._features(prediction, weight), self._features(target, weight), strict=True)
            for head, (x, y) in zip(self.heads, pairs, strict=True):
                distance = head((_unit(x) - _unit(y)).square())
                total = total + region_mean(distance, _shrink(weight, distance))
            return total

    def _features(self, image: Tensor, weight: Tensor | None) -> tuple[Tensor, ...]:
        image = image.clamp(0, 1)
        if weight is not None:
            image = image * weight
        image = image.to(self.scaling.shift.dtype)
        features: tuple[Tensor, ...] = tuple(self.trunk(self.scaling(2 * image - 1)))
        return features

    def extra_repr(self) -> str:
        """Show the trunk when printed."""
        return str(self.source)


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _download(net: Net) -> Trunk:
    try:
        torch.hub.load_state_dict_from_url(
            _URL + _FILES[net], map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"cannot download the LPIPS {net} trunk from {_URL}{_FILES[net]}: {error}") from error
    found = find_trunk(net)
    assert found is not None
    return found


def _build(net: Net) -> Any:
    """Return ``lpips``'s network with its own heads and a random trunk, leaving the random state as it was."""
    import lpips

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision.models._utils")
        return lpips.LPIPS(net=net, pnet_rand=True, verbose=False)


def _load_trunk(trunk: nn.Module, source: Trunk) -> None:
    """Fill a trunk of lpips, whose ``slice2.3.weight`` is torchvision's ``features.3.weight``."""
    weights = read_weights(source.path, "the LPIPS trunk")
    state = {}
    for name, own in trunk.state_dict().items():
        key = "features." + name.partition(".")[2]
        if key not in weights or weights[key].shape != own.shape:
            fault = f"has shape {list(weights[key].shape)} for" if key in weights else "lacks"
            raise WeightsError(f"{source} does not fit: it {fault} {key} {list(own.shape)}")
        state[name] = weights[key].to(own.dtype)
    trunk.load_state_dict(state)


def _unit(features: Tensor) -> Tensor:
    """Scale each pixel's feature vector to length 1, as the ``lpips`` package does; zero vectors stay."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + 1e-10)


def _pad(prediction: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    height, width = prediction.shape[-2:]
    if min(height, width) >= MIN_SIZE:
        return prediction, target, weight
    margin = (0, max(0, MIN_SIZE - width), 0, max(0, MIN_SIZE - height))
    if weight is None:
        weight = torch.ones_like(prediction[:, :1])
    return F.pad(prediction, margin), F.pad(target, margin), F.pad(weight, margin)


def _shrink(weight: Tensor | None, like: Tensor) -> Tensor | None:
    return None if weight is None else F.adaptive_avg_pool2d(weight, (like.shape[-2], like.shape[-1]))
