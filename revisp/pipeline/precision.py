"""Full precision for a part of a computation in mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["full_precision"]


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Return a context without automatic mixed precision on the device of ``like``."""
    kind = like.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()
