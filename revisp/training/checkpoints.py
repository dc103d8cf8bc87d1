"""Training checkpoints that are complete even if the process is killed, and the search for one to resume from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from revisp.errors import ConfigError, WeightsError
from revisp.io.atomic import atomic_write
from revisp.io.boundary import decoding

__all__ = ["AtomicCheckpointIO", "find_checkpoint"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint to a temporary file in its folder, then rename it.

    Lightning itself writes to the system's temporary folder. A move from there to another disk is a copy, which
    can be interrupted.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save a checkpoint completely, or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            torch.save(checkpoint, file)


def find_checkpoint(resume: str | None, run_dir: Path) -> Path | None:
    """Return the checkpoint that ``resume`` names.

    ``"last"`` is the last checkpoint of this run folder. If there is none, it is that of the most recent run in
    the same parent folder.

    Raises:
        ConfigError: there is no such checkpoint.
        WeightsError: the checkpoint is damaged.
    """
    if resume is None:
        return None
    if resume == "last":
        own = run_dir / "checkpoints" / "last.ckpt"
        others = sorted(run_dir.parent.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        found = [*others, own] if own.is_file() else others
        if not found:
            raise ConfigError(f"resume=last: no checkpoint in {run_dir} or in another run of {run_dir.parent}")
        path = found[-1]
    else:
        path = Path(resume)
        if not path.is_file():
            raise ConfigError(f"resume={resume}: no such checkpoint file")
    with decoding(path, "damaged or not a training checkpoint", WeightsError):
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return path
