"""The networks: one in each file. Each is a module from RGB to demosaiced RAW that is created by name.

A backbone is a `torch.nn.Module` that maps ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]`` of the same
size, unclamped; H and W are multiples of its ``multiple_of``. It knows nothing of masks, Bayer or training.
Importing this package loads no torch: a network's code is imported when the network is first created.

Example:
    >>> from revisp.backbones import create_backbone, list_backbones
    >>> list_backbones("cycle*")
    ['cycleisp']
    >>> network = create_backbone("unet", in_channels=4, width=16, depth=3)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from revisp.backbones.base import BackboneSpec
from revisp.backbones.catalogue import BACKBONES, family, resolve_spec
from revisp.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BACKBONES",
    "BackboneSpec",
    "create_backbone",
    "describe_backbones",
    "family",
    "list_backbones",
    "register",
    "resolve_spec",
]

F = TypeVar("F", bound=Callable[..., Any])


def create_backbone(name: str, *, in_channels: int = 3, out_channels: int = 3, **kwargs: Any) -> nn.Module:
    """Build the network registered as ``name``, with random weights.

    Args:
        name: one of `list_backbones`; ``"smp:Unet"`` is short for ``"smp"`` with ``arch="Unet"``.
        in_channels: 3 for sRGB, 4 for sRGB and the overexposure mask.
        out_channels: 3 for demosaiced RAW; 6 for two heads on a shared trunk.
        **kwargs: the network's own arguments; None means the network's default. Networks that were published as
            predicting packed Bayer planes (`BackboneSpec.native`) take ``head="packed"`` with ``out_channels=4``.

    Returns:
        A module mapping ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``; with ``head="packed"`` to
        ``[B, 4, H/2, W/2]``, in the order R, Gr, Gb, B.

    Raises:
        UnknownNameError: no such backbone; near misses are named.
        ConfigError: the network does not take these arguments.

    Example:
        >>> import torch
        >>> network = create_backbone("unet", in_channels=4, width=4, depth=3)
        >>> network(torch.rand(1, 4, 32, 48)).shape
        torch.Size([1, 3, 32, 48])
    """
    name, own = family(name)
    shape = {"in_channels": in_channels, "out_channels": out_channels}
    network: nn.Module = BACKBONES.create(name, **shape, **{**kwargs, **own})
    return network


def list_backbones(pattern: str = "*") -> list[str]:
    """Return the sorted names of all networks, plugins included, that match a shell pattern.

    Example:
        >>> list_backbones("unet*")
        ['unet', 'unet_aim']
    """
    return BACKBONES.names(pattern)


def describe_backbones(pattern: str = "*") -> list[dict[str, Any]]:
    """Describe each network whose name matches a shell pattern, in plain values.

    Returns:
        A mapping for each network, sorted by name: ``"name"``, the fields of `BackboneSpec`, and ``"plugin"``, the
        distribution that provides it (None for our own). If a plugin cannot be loaded, ``"paper"`` has the reason.

    Raises:
        UnknownNameError: no name matches; near misses are named.

    Example:
        >>> [network] = describe_backbones("cycleisp")
        >>> network["parameters"], network["paper"]
        (3143109, 'Zamir et al., CycleISP, CVPR 2020, arXiv 2003.07761')
    """
    names = list_backbones(pattern) or [pattern]
    return [{"name": name, **_fields(name), "plugin": BACKBONES.plugin(name)} for name in names]


def _fields(name: str) -> dict[str, Any]:
    try:
        spec = BACKBONES.spec(name) or BackboneSpec()
    except UnknownNameError:
        raise
    except ConfigError as error:
        spec = BackboneSpec(paper=" ".join(str(error).split()))
    values = {item.name: getattr(spec, item.name) for item in fields(spec)}
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def register(name: str, *, override: bool = False, **known: Any) -> Callable[[F], F]:
    """Return a decorator that registers a class or function as the backbone ``name``.

    Args:
        name: the name under which `create_backbone` finds it.
        override: replace a different backbone of that name. Running the same definition again always replaces it.
        **known: the fields of its `BackboneSpec`.

    Raises:
        ConfigError: the name is taken.

    Example:
        >>> from torch import nn
        >>> @register("pointwise", license="MIT", receptive_field=1)
        ... class Pointwise(nn.Conv2d):
        ...     def __init__(self, in_channels: int, out_channels: int) -> None:
        ...         super().__init__(in_channels, out_channels, kernel_size=1)
    """
    return BACKBONES.register(name, BackboneSpec(**known), override=override)
