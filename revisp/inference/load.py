"""A model folder onto a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from revisp.errors import ConfigError
from revisp.export.model_folder import from_pretrained

if TYPE_CHECKING:
    from revisp.pipeline import ReverseISP

__all__ = ["load_model"]


def load_model(folder: str | Path | None = None, device: str = "auto") -> ReverseISP:
    """Load a pipeline from a model folder onto a device, in evaluation mode.

    Args:
        folder: as for `revisp.from_pretrained`.
        device: ``"auto"``: a CUDA device where there is one, else the CPU; or a name that torch knows.

    Raises:
        WeightsError: the folder or one of its files is missing, damaged, or does not fit.
        ConfigError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = from_pretrained(folder)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device}: {' '.join(str(error).split())}") from error
