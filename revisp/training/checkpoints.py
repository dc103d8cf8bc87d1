"""Training checkpoints that are complete even if the process is killed, and the search for one to resume from."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.trainer.states import RunningStage
from torch import Tensor

from revisp.backbones.weights import check_values
from revisp.errors import ConfigError, RevispError, WeightsError
from revisp.io.atomic import atomic_write, remove_unfinished
from revisp.io.boundary import decoding, first_line
from revisp.model_folder import by_present_names

__all__ = ["PIPELINE_PREFIX", "AtomicCheckpointIO", "check_checkpoint", "find_checkpoint", "restoring"]

log = logging.getLogger(__name__)

_PARTS = ("state_dict", "optimizer_states", "loops", "callbacks")
"""Parts of a checkpoint that a training continues from."""

PIPELINE_PREFIX = "model."
"""What stands before the names of the pipeline's tensors in a checkpoint."""

_SETTINGS = ": give the settings of its run, in its .hydra/overrides.yaml"


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
    _read(path)
    remove_unfinished(path.parent)
    return path


def check_checkpoint(path: Path, task: pl.LightningModule, trainer: pl.Trainer) -> None:
    """Require that a training can continue from a checkpoint.

    Args:
        path: the checkpoint.
        task: the task that shall continue.
        trainer: its trainer, with the limit of time if there is one.

    Raises:
        WeightsError: it holds bare weights, weights of another network, or values that are not finite.
        ConfigError: its training has used up the limit of time, which counts from its first step.
    """
    checkpoint = _read(path)
    if missing := [part for part in _PARTS if not (isinstance(checkpoint, dict) and part in checkpoint)]:
        raise WeightsError(f"{path}: not a checkpoint of revisp-train: no {missing[0]}, perhaps bare weights")
    found, expected = checkpoint["state_dict"], task.state_dict()
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise WeightsError(f"{path}: damaged or not a checkpoint of revisp-train: its state_dict holds no tensors")
    found = by_present_names(found, PIPELINE_PREFIX)
    for name in sorted({*found, *expected}):
        if name not in found or name not in expected:
            where = "this configuration" if name in expected else "the checkpoint"
            raise WeightsError(f"{path}: of another network: only {where} has the tensor {name}{_SETTINGS}")
        if found[name].shape != expected[name].shape:
            shapes = f"{list(found[name].shape)}, this configuration needs {list(expected[name].shape)}"
            raise WeightsError(f"{path}: of another network: the tensor {name} has shape {shapes}{_SETTINGS}")
    check_values(found, expected, path)
    if not all(torch.isfinite(value).all() for value in _tensors(checkpoint["optimizer_states"])):
        raise WeightsError(f"{path}: its optimizer holds values that are not finite: take an earlier checkpoint")
    _check_time(path, checkpoint["callbacks"], trainer)


@contextlib.contextmanager
def restoring(path: str | Path | None, trainer: pl.Trainer) -> Iterator[None]:
    """Name the checkpoint in whatever Lightning raises in the block before it trains.

    Args:
        path: the checkpoint; None: nothing is restored.
        trainer: what restores it.

    Raises:
        WeightsError: it cannot be restored, for example into another optimizer.
    """
    begun = _Begun()
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(begun)
    try:
        yield
    except Exception as error:
        if path is None or begun.training or isinstance(error, RevispError):
            raise
        reason = f"damaged, or of other settings, such as another optimizer ({first_line(error)})"
        raise WeightsError(f"{path}: cannot be resumed: {reason}") from error
    finally:
        callbacks.remove(begun)


class _Begun(pl.Callback):
    """Knows whether a training has begun; all that it continues from is restored before."""

    training = False

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.training = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.training = True


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    if isinstance(values, dict):
        values = [*values.values()]
    for each in values if isinstance(values, list | tuple) else ():
        yield from _tensors(each)


def _check_time(path: Path, states: Any, trainer: pl.Trainer) -> None:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    timer = next((each for each in callbacks if isinstance(each, Timer)), None)
    limit = None if timer is None else timer.time_remaining(RunningStage.TRAINING)
    spent = states.get("Timer", {}).get("time_elapsed", {}).get("train") if isinstance(states, dict) else None
    if limit is None or not isinstance(spent, int | float):
        return
    if spent >= limit:
        raise ConfigError(
            f"{path}: has trained for {spent:.0f} s, and trainer.max_time is {limit:.0f} s from the first step: "
            "give more time to train on"
        )
    log.info("%.0f s of trainer.max_time are left: %.0f s were trained before", limit - spent, spent)


def _read(path: Path) -> Any:
    with decoding(path, "damaged or not a training checkpoint", WeightsError):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
