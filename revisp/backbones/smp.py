"""Any architecture of segmentation-models-pytorch with any of its encoders or timm's."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as segmentation
import timm
from torch import Tensor, nn

from revisp.backbones.blocks import check_input
from revisp.backbones.weights import read_state_dict
from revisp.errors import ConfigError, UnknownNameError, WeightsError, near_miss

__all__ = ["SMP"]

_ARCHITECTURES = {model.__name__: model for model in segmentation.MODEL_ARCHITECTURES_MAPPING.values()}
_TIMM = "tu-"
_PAN_POOLING = 8  # its pyramid halves the deepest features three times more
_CLASSIFIERS = ("fc.", "classifier.", "last_linear.", "head.fc.")


class SMP(nn.Module):
    """A segmentation network of segmentation-models-pytorch, used for regression.

    Nothing is downloaded unless ``encoder_weights`` names published weights.

    Args:
        in_channels: channels of the input; pretrained first convolutions are adapted to it.
        out_channels: channels of the output.
        arch: architecture, in any case: ``Unet``, ``UnetPlusPlus``, ``FPN``, ``Segformer``, ...
        encoder_name: an encoder of segmentation-models-pytorch or any model name of timm, with or without ``tu-``.
        encoder_weights: None for random weights; the path of a local file (safetensors, or saved by torch) as
            timm or segmentation-models-pytorch publish it; or the name of published weights, such as ``imagenet``,
            which are downloaded (an encoder of timm has one set of weights for each model name).
        **kwargs: further arguments of the architecture, such as ``encoder_depth`` or ``decoder_channels``. A timm
            encoder gets the arguments that the architecture does not have.

    Attributes:
        multiple_of: the input's sides must be multiples of this, the stride of the encoder.
        min_size: least side of the input in pixels.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        UnknownNameError: no such architecture or encoder; near misses are named.
        ConfigError: the architecture refuses the combination of arguments.
        WeightsError: the weights cannot be loaded or do not fit the encoder.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        arch: str = "Unet",
        encoder_name: str = "resnet18",
        encoder_weights: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.arch = _find("architecture", arch, _ARCHITECTURES)
        encoder = _find_encoder(encoder_name)
        arguments = {"encoder_name": encoder, "in_channels": in_channels, "classes": out_channels, **kwargs}
        _refuse_unknown(self.arch, encoder, kwargs)
        if encoder_weights is not None and (Path(encoder_weights).suffix or Path(encoder_weights).is_file()):
            self.network = _build_with_file(self.arch, arguments, Path(encoder_weights))
        else:
            self.network = _build(self.arch, {**arguments, "encoder_weights": encoder_weights})
        self.multiple_of = self.min_size = int(_encoder(self.network).output_stride)
        if self.arch == "PAN":
            self.min_size *= _PAN_POOLING

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, an integer input, or sides that do not fit ``multiple_of`` and
                ``min_size``.
        """
        check_input(x, self.in_channels, self.multiple_of, f"smp {self.arch}", self.min_size)
        output: Tensor = self.network(x)
        return output


def _find(kind: str, name: str, known: Iterable[str]) -> str:
    by_lower = {entry.lower(): entry for entry in known}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    raise UnknownNameError(f"smp: {near_miss(kind, name, by_lower.values())}")


def _find_encoder(name: str) -> str:
    """Return the name of an encoder in segmentation-models-pytorch: its own, or timm's with the prefix ``tu-``."""
    own = list(segmentation.encoders.encoders)
    if name in own:
        return name
    bare = name.removeprefix(_TIMM)
    if timm.is_model(bare):
        return _TIMM + bare
    _find("encoder", name, [*own, *(_TIMM + model for model in timm.list_models())])
    raise AssertionError("unreachable")


def _refuse_unknown(arch: str, encoder: str, kwargs: dict[str, Any]) -> None:
    """Refuse arguments that the architecture would silently ignore: only timm's encoders use the rest."""
    known = inspect.signature(_ARCHITECTURES[arch]).parameters
    unknown = sorted(set(kwargs) - set(known))
    if unknown and not encoder.startswith(_TIMM):
        choices = ", ".join(name for name in known if name != "kwargs")
        raise ConfigError(f"smp: {arch} has no argument {unknown[0]!r}; it has {choices}")


def _build(arch: str, arguments: dict[str, Any]) -> nn.Module:
    encoder, weights = arguments["encoder_name"], arguments["encoder_weights"]
    if weights is not None and encoder.startswith(_TIMM):
        arguments = {**arguments, "encoder_weights": True}
    try:
        network: nn.Module = _ARCHITECTURES[arch](**arguments)
    except Exception as error:
        line = (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
        where = f"smp: {arch} with encoder {encoder!r}"
        if weights is not None:
            raise WeightsError(f"{where} cannot take the weights {str(weights)!r}: {line}") from error
        raise ConfigError(f"{where} cannot be built: {line}") from error
    return network


def _build_with_file(arch: str, arguments: dict[str, Any], path: Path) -> nn.Module:
    """Build a network whose encoder starts from a local weights file of three input channels."""
    encoder: str = arguments["encoder_name"]
    state = {key: value for key, value in read_state_dict(path).items() if not key.startswith(_CLASSIFIERS)}
    if encoder.startswith(_TIMM):
        # timm adapts the first convolution and renames the keys, but does not report missing keys: check first.
        _load(timm.create_model(encoder.removeprefix(_TIMM), num_classes=0), state, encoder, path)
        return _build(
            arch, {**arguments, "encoder_weights": str(path), "pretrained_cfg_overlay": {"state_dict": state}}
        )
    network = _build(arch, {**arguments, "in_channels": 3, "encoder_weights": None})
    _load(_encoder(network), state, encoder, path)
    _encoder(network).set_in_channels(arguments["in_channels"], pretrained=True)
    return network


def _encoder(network: nn.Module) -> Any:
    return network.encoder


def _load(encoder: nn.Module, state: dict[str, Tensor], name: str, path: Path) -> None:
    try:
        encoder.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split()[:40])
        raise WeightsError(f"{path}: does not fit the encoder {name!r}: {reason}") from error
