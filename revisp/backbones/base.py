"""The description of a backbone, before and after it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["BackboneSpec", "run_part"]


@dataclass(frozen=True)
class BackboneSpec:
    """The facts that callers need to feed a network, tile it and cite it.

    A network whose geometry depends on its arguments sets ``multiple_of``, ``min_size``, ``global_context`` or
    ``receptive_field`` as attributes of the module; these replace the registered values (see
    `revisp.backbones.resolve_spec`).

    Attributes:
        multiple_of: height and width of the input must be multiples of this, in pixels.
        min_size: smallest height and width it takes, in pixels.
        global_context: true if an output pixel can depend on the whole image (global pooling, attention). Tiles
            then differ from a single pass, even if they overlap much.
        receptive_field: ``2 r + 1``, where r is the farthest distance (in rows or columns) of an input pixel that
            an output pixel can depend on. Pixels at least r pixels inside a tile are exact. None if it is unknown
            or the whole image. The registered value holds for the head ``raw_rgb``; a built network knows its own.
        license: SPDX identifier of the licence of this implementation.
        paper: authors, title, venue, identifier.
        native: output of the published network: ``"raw_rgb"``, demosaiced RAW of the photo's size, or
            ``"packed"``, Bayer planes of half the photo's size. A network of the second kind takes
            ``head="packed"``.
        in_channels: channels of the published network's input.
        parameters: parameters of the published network (its default arguments, `in_channels` and `native` head).
        gmac: its multiply-adds on a tile of 504 x 504 pixels, padded to a size that it takes, in units of 10^9.
        small: arguments of a version that is quick to try and to test.
        auxiliary: names of additional predictions, for losses that need them. The network's method
            ``forward_auxiliary(x)`` returns ``(prediction, {name: tensor})``; each tensor has the height and width
            of the prediction. A submodule that serves only one of them has the same name.
        reported: figures published for the method, by ``"data set/metric"``: PSNR in dB and SSIM of the RAW. They
            are of AIM 2022 Test1, Samsung S7 (``s7``) and Huawei P20 (``p20``) tracks, unless the network's
            documentation says otherwise.

    Raises:
        ConfigError: a size is less than 1, or ``native`` is unknown.

    Example:
        >>> spec = BackboneSpec(multiple_of=16, receptive_field=41, license="MIT")
        >>> spec.multiple_of, spec.native, spec.global_context
        (16, 'raw_rgb', False)
    """

    multiple_of: int = 1
    min_size: int = 1
    global_context: bool = False
    receptive_field: int | None = None
    native: Literal["raw_rgb", "packed"] = "raw_rgb"
    in_channels: int = 3
    parameters: int | None = None
    gmac: float | None = None
    small: Mapping[str, Any] = field(default_factory=dict)
    auxiliary: tuple[str, ...] = ()
    license: str = ""
    paper: str = ""
    reported: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("multiple_of", "min_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"backbone spec: {name} must be at least 1, got {getattr(self, name)}")
        if self.native not in ("raw_rgb", "packed"):
            raise ConfigError(f"backbone spec: native must be 'raw_rgb' or 'packed', got {self.native!r}")
        for name in ("reported", "small"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __deepcopy__(self, memo: dict[int, Any]) -> BackboneSpec:
        """Return the same object, so that models can be copied. A spec is immutable."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what it is made of, so that models reach worker processes that start anew, as on macOS."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        plain: dict[str, Any] = {**values, "reported": dict(self.reported), "small": dict(self.small)}
        return partial(type(self), **plain), ()


def run_part(network: nn.Module, x: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return ``network(x)[..., rows, columns]``, within rounding.

    The network's method ``forward_part(x, rows, columns)`` is called if it exists; it computes a part at less
    cost.

    Args:
        network: maps ``[B, C, H, W]`` to ``[B, K, H, W]``.
        x: its input.
        rows: first row and one past the last row of the part, in 0 to H.
        columns: first column and one past the last column, in 0 to W.
    """
    part = getattr(network, "forward_part", None)
    wanted: Tensor = network(x)[..., rows, columns] if part is None else part(x, rows, columns)
    return wanted
