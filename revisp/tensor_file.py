"""Files of tensors, told apart by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

__all__ = ["read_tensor_file"]


def read_tensor_file(path: Path) -> Any:
    """Return what a file of weights holds: a safetensors file, or one written by `torch.save`.

    The kind is told by the first bytes, whatever the name: a safetensors file begins with the length of its header
    in eight bytes, and the header with a brace. Pickled code is never run (``weights_only=True``).

    Raises:
        Exception: nearly any; each reader raises its own kinds for a damaged file.
    """
    with path.open("rb") as file:
        if file.read(9)[8:] == b"{":
            from safetensors.torch import load_file

            return load_file(path)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)  # by a path, torch judges the ending too
