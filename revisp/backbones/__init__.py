"""The networks: one a file, each an RGB to demosaiced-RAW module, created by name.

A backbone is an `torch.nn.Module` that maps ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]`` of the same
size, unclamped; H and W are multiples of its ``multiple_of``. It knows nothing of masks, Bayer or training.
Importing this package loads no torch: a network's code is imported when the network is first asked for.

Example:
    >>> from revisp.backbones import create_backbone, list_backbones
    >>> list_backbones("cycle*")
    ['cycleisp']
    >>> network = create_backbone("unet", in_channels=4, width=16, depth=3)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from revisp.backbones.base import BackboneSpec, resolve_spec
from revisp.registry import Registry

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "BACKBONES",
    "BackboneSpec",
    "create_backbone",
    "list_backbones",
    "register",
    "resolve_spec",
]

F = TypeVar("F", bound=Callable[..., Any])

BACKBONES: Registry[BackboneSpec] = Registry("backbone", "revisp.backbones")
"""All networks by name; other distributions add theirs by an entry point of the group ``revisp.backbones``."""

BACKBONES.register_lazy(
    "unet",
    "revisp.backbones.unet:UNet",
    BackboneSpec(
        multiple_of=16,
        min_size=16,
        receptive_field=245,
        license="Apache-2.0",
        paper="Kim, Jiang, Gu, Overexposure Mask Fusion, AIM 2022, arXiv 2210.11511",
        reported={"s7/psnr": 28.36, "s7/ssim": 0.80, "p20/psnr": 35.47, "p20/ssim": 0.92},
    ),
)
BACKBONES.register_lazy(
    "cycleisp",
    "revisp.backbones.cycleisp:CycleISP",
    BackboneSpec(
        global_context=True,
        license="Apache-2.0",
        paper="Zamir et al., CycleISP, CVPR 2020, arXiv 2003.07761",
        reported={"s7/psnr": 26.75, "s7/ssim": 0.78, "p20/psnr": 32.70, "p20/ssim": 0.85},
    ),
)
BACKBONES.register_lazy(
    "smp",
    "revisp.backbones.smp:SMP",
    BackboneSpec(
        multiple_of=32,
        min_size=32,
        global_context=True,
        license="MIT (segmentation-models-pytorch); encoders as timm states",
        paper="Iakubovskii, Segmentation Models PyTorch, 2019",
    ),
)
BACKBONES.register_lazy(
    "classical",
    "revisp.backbones.classical:Classical",
    BackboneSpec(
        receptive_field=1,
        license="Apache-2.0",
        paper="Fitted classical inverse, after the camera model of Brooks et al., CVPR 2019, arXiv 1811.11127",
    ),
)


def create_backbone(name: str, *, in_channels: int = 3, out_channels: int = 3, **kwargs: Any) -> nn.Module:
    """Build the network registered as ``name``, with random weights.

    Args:
        name: one of `list_backbones`.
        in_channels: 3 for sRGB, 4 for sRGB and the overexposure mask.
        out_channels: 3 for demosaiced RAW; 6 for two heads on a shared trunk.
        **kwargs: the network's own arguments; one that is None is dropped, and the network's default holds.

    Returns:
        A module mapping ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        UnknownNameError: no such backbone; near misses are named.
        ConfigError: the network does not take these arguments.
    """
    network: nn.Module = BACKBONES.create(name, in_channels=in_channels, out_channels=out_channels, **kwargs)
    return network


def list_backbones(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern, plugins included, sorted."""
    return BACKBONES.names(pattern)


def register(name: str, *, override: bool = False, **fields: Any) -> Callable[[F], F]:
    """Return a decorator that registers a class or function as the backbone ``name``.

    Args:
        name: the name under which `create_backbone` finds it.
        override: replace a different backbone of that name. Running the same definition again always replaces it.
        **fields: what is known of it, the fields of `BackboneSpec`.

    Raises:
        ConfigError: the name is taken.

    Example:
        >>> from torch import nn
        >>> @register("pointwise", license="MIT", receptive_field=1)
        ... class Pointwise(nn.Conv2d):
        ...     def __init__(self, in_channels: int, out_channels: int) -> None:
        ...         super().__init__(in_channels, out_channels, kernel_size=1)
    """
    return BACKBONES.register(name, BackboneSpec(**fields), override=override)
