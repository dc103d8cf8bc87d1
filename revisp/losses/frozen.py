"""Frozen networks inside a loss: their files, and their exclusion from optimisers and checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor, nn

from revisp.errors import WeightsError
from revisp.tensor_file import read_tensor_file

__all__ = ["existing", "freeze", "read_weights"]


def existing(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path of a file that must exist.

    Args:
        path: path of the file; ``~`` is the home folder.
        what: the setting or variable that names the file, for the error message.

    Raises:
        WeightsError: there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"{what} names {path}, which is not a file")
    return path


def read_weights(path: Path, what: str) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file or a file saved by torch.

    Args:
        path: the file.
        what: description of the file for the error message, such as "the LPIPS trunk".

    Raises:
        WeightsError: the file is damaged or holds no state dict.
    """
    try:
        weights = read_tensor_file(path)
    except Exception as error:  # each reader raises its own kinds, and torch nearly any kind for a damaged file
        first_line = str(error).partition("\n")[0]
        raise WeightsError(f"cannot read {what} {path}: {first_line}") from error
    if not isinstance(weights, dict):
        raise WeightsError(f"{what} {path} holds no state dict")
    return weights


def freeze(module: nn.Module) -> None:
    """Turn all parameters and buffers into buffers that are not saved."""
    for part in module.modules():
        for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            delattr(part, name)
            part.register_buffer(name, tensor.detach(), persistent=False)
