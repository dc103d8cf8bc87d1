"""Read weights files without running code from them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from revisp.errors import WeightsError
from revisp.tensor_file import read_tensor_file

__all__ = ["check_values", "read_state_dict"]

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIX = "module."

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read a dictionary of tensors from a safetensors file or one written by `torch.save`.

    A checkpoint that keeps its weights under ``state_dict``, ``model_state_dict`` or ``model`` is unwrapped, and
    the prefix ``module.`` of data-parallel training is removed.
    Pickled code is never run.

    Raises:
        WeightsError: the file is missing or unreadable, or holds anything other than named tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    content = _read(path)
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: not a dictionary of weights; save a network's state_dict()")
    strangers = [key for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if strangers:
        raise WeightsError(f"{path}: entry {strangers[0]!r} is not a tensor; save a network's state_dict()")
    return {key.removeprefix(_PREFIX): value for key, value in content.items()}


def check_values(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: str | Path) -> None:
    """Require numbers that a network can take: finite in its own precision, and whole numbers where it has such.

    Args:
        found: tensors of a file, of the same names as ``expected``.
        expected: those of the network.
        path: the file, for messages.

    Raises:
        WeightsError: a tensor has numbers of another kind, or values that are not finite.

    Example:
        >>> check_values({"a": torch.tensor([1e300], dtype=torch.float64)}, {"a": torch.zeros(1)}, "a.pth")
        Traceback (most recent call last):
        ...
        revisp.errors.WeightsError: a.pth: tensor a holds values that are not finite: the training had failed
    """
    for name, own in sorted(expected.items()):
        value = found[name]
        if value.dtype not in (_FLOATS if own.is_floating_point() else (own.dtype,)):
            raise WeightsError(f"{path}: tensor {name} holds {value.dtype}, the network needs {own.dtype}")
        if own.is_floating_point() and not torch.isfinite(value.to(own.dtype)).all():
            raise WeightsError(f"{path}: tensor {name} holds values that are not finite: the training had failed")


def _read(path: Path) -> Any:
    try:
        return read_tensor_file(path)
    except pickle.UnpicklingError as error:
        reason = "it holds more than tensors, or is damaged; save a network's state_dict() instead"
        raise WeightsError(f"{path}: cannot be read as weights: {reason}") from error
    except Exception as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path}: cannot be read as weights: {line}") from error
