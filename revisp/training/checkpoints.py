"""Training checkpoints that survive a kill at any moment, and how a run finds the one to resume from."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from revisp.errors import ConfigError, WeightsError
from revisp.io.atomic import atomic_write

__all__ = ["AtomicCheckpointIO", "find_checkpoint"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place, then rename it.

    Lightning's own way passes through the system's temporary folder, from where a move to another disk is a copy
    that can be cut short.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save a checkpoint whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            torch.save(checkpoint, file)


def find_checkpoint(resume: str | None, run_dir: Path) -> Path | None:
    """Return the checkpoint that ``resume`` names.

    ``"last"`` is the last one of this run folder or, when that has none, of the most recent run beside it.

    Raises:
        ConfigError: there is none.
        WeightsError: it is damaged.
    """
    if resume is None:
        return None
    if resume == "last":
        own = run_dir / "checkpoints" / "last.ckpt"
        others = sorted(run_dir.parent.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        found = [*others, own] if own.is_file() else others
        if not found:
            raise ConfigError(f"resume=last: no checkpoint in {run_dir} or in a run beside it")
        path = found[-1]
    else:
        path = Path(resume)
        if not path.is_file():
            raise ConfigError(f"resume={resume}: no such checkpoint file")
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path}: damaged or not a training checkpoint") from error
    return path
