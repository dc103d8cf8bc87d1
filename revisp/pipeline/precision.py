"""Where a computation must keep full precision, whatever surrounds it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["full_precision"]


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Return a context without automatic mixed precision on a tensor's device."""
    kind = like.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
