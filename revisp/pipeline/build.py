"""The choice of a pipeline's networks, and their construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from revisp.backbones import BACKBONES, create_backbone, family
from revisp.backbones.classical import Classical
from revisp.backbones.estimated import Estimated
from revisp.backbones.fitted import Fitted
from revisp.camera.place import PLACE_CHANNELS
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA
from revisp.errors import ConfigError

__all__ = [
    "NETWORK_PARTS",
    "Base",
    "Branches",
    "build_base",
    "build_branches",
    "build_refiner",
    "check_choice",
    "predicts_planes",
    "resolve_camera",
]

NETWORK_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "separate": {"oe": ("oe",), "noe": ("noe",)},
    "shared": {"shared": ("oe", "noe")},
    "plain": {"plain": ("plain",)},
}
"""For each choice of branches, the parts of the RAW that each network predicts: three channels each, in order."""

Branches = Literal["separate", "shared", "plain"]
"""A choice of branches: a key of `NETWORK_PARTS`."""

Base = Literal["classical", "fitted", "estimated"]
"""A choice of base: `Classical`, `Fitted` or `Estimated`."""


def check_choice(name: str, value: object, choices: Sequence[str | None]) -> None:
    """Require one of at least two choices. The message calls None null, as in a configuration.

    Raises:
        ConfigError: ``value`` is not one of the choices.
    """
    if value not in choices:
        *words, last = ("null" if choice is None else repr(choice) for choice in choices)
        raise ConfigError(f"{name} must be {', '.join(words)} or {last}, got {value!r}")


def resolve_camera(
    profile: CameraProfile | Mapping[str, Any] | None, cfa: CFA | str | None
) -> tuple[CameraProfile | None, CFA]:
    """Return the camera and its Bayer phase. Without profile and phase, this is RGGB.

    Raises:
        ConfigError: the phase contradicts the profile.
    """
    if isinstance(profile, Mapping):
        profile = CameraProfile.from_dict(dict(profile))
    if profile is None:
        return None, CFA.parse(cfa or CFA.RGGB)
    if cfa is not None and CFA.parse(cfa) is not profile.cfa:
        raise ConfigError(f"cfa {cfa} contradicts the camera profile's {profile.cfa}; give one of them")
    return profile, profile.cfa


def predicts_planes(backbone: str, kwargs: Mapping[str, Any]) -> bool:
    """Return whether a plain network predicts Bayer planes, by its argument ``head`` or its published output."""
    spec = BACKBONES.spec(family(backbone)[0])
    return str(kwargs.get("head") or (spec.native if spec else "raw_rgb")) == "packed"


def build_branches(
    backbone: str,
    kwargs: Mapping[str, Any],
    parts: Mapping[str, tuple[str, ...]],
    in_channels: int,
    *,
    planes: bool,
) -> nn.ModuleDict:
    """Build the networks of all branches.

    Args:
        backbone: name of the network.
        kwargs: its arguments.
        parts: the parts that each network predicts, one of `NETWORK_PARTS`.
        in_channels: channels of the networks' input.
        planes: whether a plain network predicts Bayer planes.

    Raises:
        ConfigError: the networks of a fusion predict Bayer planes, or an argument is wrong.
    """
    if planes:
        shapes = {name: {"out_channels": 4, "head": "packed"} for name in parts}
    else:
        shapes = {name: {"out_channels": 3 * len(heads)} for name, heads in parts.items()}
    if not planes and kwargs.get("head") == "packed":
        raise ConfigError(
            f"{backbone}: the fusion needs networks of head 'raw_rgb'; a plain pipeline takes 'packed'"
        )
    return nn.ModuleDict(
        {
            name: create_backbone(backbone, in_channels=in_channels, **{**kwargs, **shape})
            for name, shape in shapes.items()
        }
    )


def build_base(kind: str | None, in_channels: int) -> Classical | Estimated | None:
    """Return the base to which the networks add.

    Args:
        kind: a choice of `Base`; None: no base.
        in_channels: channels of photo and mask. Bases of one camera also take the place of the pixels, for its
            shading.
    """
    if kind is None:
        return None
    if kind == "estimated":
        return Estimated()
    return (Fitted if kind == "fitted" else Classical)(in_channels + PLACE_CHANNELS)


def build_refiner(kwargs: Mapping[str, Any]) -> nn.Module:
    """Return a U-Net that predicts no correction before it is trained.

    Its loss sees only the mean of the two greens, so it could never remove a difference that a random start puts
    between them.
    """
    network = create_backbone("unet", in_channels=4, out_channels=4, **kwargs)
    for parameter in network.get_submodule("head").parameters():
        nn.init.zeros_(parameter)
    return network
