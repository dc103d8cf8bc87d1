"""Networks inside a loss that do not learn: their files, and how optimisers and checkpoints pass them over."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from revisp.errors import WeightsError

__all__ = ["existing", "freeze", "read_weights"]


def existing(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path of a file that must be there.

    Args:
        path: of the file; ``~`` is the home.
        what: what names it, for the error.

    Raises:
        WeightsError: there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"{what} names {path}, which is not a file")
    return path


def read_weights(path: Path, what: str) -> dict[str, Tensor]:
    """Read a state dict: ``.safetensors``, or saved by torch.

    Args:
        path: the file.
        what: what it is, for the error, such as "the LPIPS trunk".

    Raises:
        WeightsError: damaged, or no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise kinds of their own, and torch nearly any for a damaged file
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
