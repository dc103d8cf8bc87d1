"""The checkpoints of the paper's released code, as a pipeline of revisp.

The authors of Overexposure Mask Fusion (Kim, Jiang, Gu, AIM 2022, arXiv 2210.11511) publish two files of weights,
one for each branch, for the Samsung S7 track of AIM 2022. Both hold the state dictionary of the same five-level
U-Net; this module renames its keys and sets the pipeline to that code's arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from revisp.backbones import create_backbone
from revisp.backbones.weights import check_values, read_state_dict
from revisp.camera.profile import CameraProfile
from revisp.errors import WeightsError
from revisp.pipeline import ReverseISP

__all__ = ["convert_released_state_dict", "from_released_checkpoints"]

_UNET_LEVELS = 5
_UNET_ARGUMENTS: dict[str, Any] = {"width": 64, "depth": _UNET_LEVELS, "norm": "batch"}
_NORM_STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def from_released_checkpoints(
    oe_path: str | Path, noe_path: str | Path, *, profile: CameraProfile | None = None
) -> ReverseISP:
    """Build the published pipeline from the two files of the paper's released code.

    The pipeline computes the same result as that code. Its input is [R, G, B, M] with M = 1 where luma >= 0.978,
    padded by four pixels of constant 1. The networks' outputs are cropped, clamped to [0, 1], joined by hard
    fusion and sampled to an RGGB mosaic. That code then stores ``floor(1024 * bayer)`` as uint16; black is 0 and
    white 1024 (no black level is subtracted).

    Args:
        oe_path: weights of the branch for overexposed pixels (``.pth`` or ``.safetensors``).
        noe_path: weights of the branch for all other pixels.
        profile: the camera, of CFA RGGB; only a model with a profile can write a DNG.

    Returns:
        The pipeline on the CPU, in evaluation mode.

    Raises:
        WeightsError: a file is missing, unreadable, or not such a checkpoint; the message names file and key.

    Example:
        The checkpoints are the authors' files; they are not part of revisp.

        >>> from revisp import predict
        >>> model = from_released_checkpoints("oe.pth", "noe.pth")  # doctest: +SKIP
        >>> (predict(model, photo).bayer * 1024).floor()  # doctest: +SKIP
    """
    states = {"oe": _read(oe_path), "noe": _read(noe_path)}
    model = ReverseISP(
        "unet",
        backbone_kwargs=_UNET_ARGUMENTS,
        mask={"kind": "luma", "threshold": 0.978},
        fusion={"kind": "hard"},
        padding="ones4",
        cfa="RGGB",
        profile=profile,
    )
    for branch, state in states.items():
        model.branches[branch].load_state_dict(state)
    return model.eval()


def convert_released_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the released U-Net to those of `revisp.backbones.unet.UNet`.

    - ``Conv{i}.conv.0`` and ``.1`` (convolution and norm of encoder level i): ``encoder.{i-1}.0``
    - ``Conv{i}.conv.3`` and ``.4`` (the same level's second pair): ``encoder.{i-1}.1``
    - ``Up{i}.up.1`` and ``.2`` (after upsampling from level i): ``decoder.{5-i}.reduce``
    - ``Up_conv{i}.conv.0``, ``.1``, ``.3``, ``.4`` (after concatenation): ``decoder.{5-i}.merge.0`` and ``.1``
    - ``Conv`` (the 1x1 convolution): ``head``

    Args:
        state: the released state dictionary, as `revisp.backbones.weights.read_state_dict` returns it.

    Returns:
        A new dictionary that shares the tensors.

    Raises:
        WeightsError: a key is missing or unknown; the message names it.
    """
    names = _names()
    if missing := [key for key in names if key not in state]:
        raise WeightsError(
            f"not a checkpoint of the released code: missing keys ({len(missing)}), first {missing[0]!r}"
        )
    if unknown := [key for key in state if key not in names]:
        raise WeightsError(
            f"not a checkpoint of the released code: unknown keys ({len(unknown)}), first {unknown[0]!r}"
        )
    return {new: state[old] for old, new in names.items()}


def _names() -> dict[str, str]:
    """Return a mapping from the released name of every entry of the state dictionary to our name."""
    pairs = {}
    for level in range(1, _UNET_LEVELS + 1):
        pairs[f"Conv{level}.conv", 0] = f"encoder.{level - 1}.0"
        pairs[f"Conv{level}.conv", 3] = f"encoder.{level - 1}.1"
    for level in range(_UNET_LEVELS, 1, -1):
        step = _UNET_LEVELS - level
        pairs[f"Up{level}.up", 1] = f"decoder.{step}.reduce"
        pairs[f"Up_conv{level}.conv", 0] = f"decoder.{step}.merge.0"
        pairs[f"Up_conv{level}.conv", 3] = f"decoder.{step}.merge.1"
    names = {"Conv.weight": "head.weight", "Conv.bias": "head.bias"}
    for (module, index), ours in pairs.items():
        names |= {f"{module}.{index}.{key}": f"{ours}.conv.{key}" for key in ("weight", "bias")}
        names |= {f"{module}.{index + 1}.{key}": f"{ours}.norm.{key}" for key in _NORM_STATE}
    return names


def _read(path: str | Path) -> dict[str, Tensor]:
    state = read_state_dict(path)
    with torch.device("meta"):
        expected = create_backbone("unet", in_channels=4, **_UNET_ARGUMENTS).state_dict()
    try:
        converted = convert_released_state_dict(state)
        _check_shapes(state, expected)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    check_values(converted, expected, path)
    return converted


def _check_shapes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    for old, new in _names().items():
        if state[old].shape != expected[new].shape:
            got, want = list(state[old].shape), list(expected[new].shape)
            raise WeightsError(f"{old!r} has shape {got}, the released network has {want}")
