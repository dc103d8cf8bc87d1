"""Convert photos in several processes or on several machines; Lightning starts the processes."""

from __future__ import annotations

import logging
import signal
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from revisp.convert.batch import Batch, Converted, Picked
from revisp.convert.engine import TorchEngine
from revisp.convert.jobs import Conversion
from revisp.errors import ConfigError, RevispError

__all__ = ["PredictionTask", "build_predictor", "predict_photos"]

Report = Callable[[Converted], None]

GROUP_TIMEOUT = timedelta(days=7)
"""How long a finished process waits for the others, which may have much more to do, as after a resume."""


class PredictionTask(pl.LightningModule):
    """Convert the photos of each process; for `pytorch_lightning.Trainer.predict`.

    Process k of n takes every n-th photo, starting at the k-th. So each photo is converted once for any number of
    processes, and no process waits for another before the end. A process reads, predicts and writes its own
    photos; it sends only their outcomes.

    Args:
        batch: all photos, the same in every process.
        report: called in the process with the outcome of each of its photos.

    Attributes:
        outcomes: the outcomes of this process; at the end, of all processes.
    """

    def __init__(self, batch: Batch, report: Report | None = None) -> None:
        super().__init__()
        self.photos = self.own = batch
        if isinstance(batch.engine, TorchEngine):
            self.network: nn.Module = batch.engine.model  # so that Lightning moves it
        self.report = report
        self.outcomes: list[Converted] = []

    def predict_dataloader(self) -> Batch:
        """Return the photos of this process; each is read while earlier ones are predicted."""
        # A folder may have changed since the first process listed it.
        self.photos.jobs = self.trainer.strategy.broadcast(self.photos.jobs)
        self.own = self.photos.share(self.trainer.global_rank, self.trainer.world_size)
        return self.own

    def on_predict_start(self) -> None:
        """Create a process group with our own timeout; Lightning's default ends after minutes."""
        if torch.distributed.is_initialized():
            self._group: Any = torch.distributed.new_group(backend="gloo", timeout=GROUP_TIMEOUT)

    def transfer_batch_to_device(self, batch: Picked, device: torch.device, dataloader_idx: int) -> Picked:
        """Leave the photo on its device: its tiles are moved one by one."""
        return batch

    def predict_step(self, batch: Picked, batch_idx: int) -> Conversion:
        """Convert one photo and return its job, since Lightning warns of steps that return None."""
        self.own.convert(batch)
        self._take()
        return batch.outcome.job

    def on_predict_end(self) -> None:
        """Wait until all files are written, and gather the outcomes of all processes."""
        self._take(wait=True)
        if torch.distributed.is_initialized():
            gathered: list[list[Converted]] = [[] for _ in range(self.trainer.world_size)]
            mine = [_portable(outcome) for outcome in self.outcomes]
            torch.distributed.all_gather_object(gathered, mine, group=self._group)
            self.outcomes = [outcome for outcomes in gathered for outcome in outcomes]

    def _take(self, *, wait: bool = False) -> None:
        for outcome in self.own.finished(wait=wait):
            self.outcomes.append(outcome)
            if self.report is not None:
                self.report(outcome)


def build_predictor(*, devices: int = 1, nodes: int = 1, accelerator: str = "auto") -> pl.Trainer:
    """Return Lightning's trainer for predictions by DDP: no loggers, no checkpoints, no bar.

    Args:
        devices: processes on each machine, or GPUs.
        nodes: machines.
        accelerator: ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises:
        ConfigError: Lightning does not know the accelerator, or there are not enough devices.
    """
    for name in ("pytorch_lightning", "lightning_fabric.utilities.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return pl.Trainer(
            devices=devices,
            num_nodes=nodes,
            accelerator=accelerator,
            strategy="ddp",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,  # the task divides the photos itself
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ConfigError(f"Lightning cannot run this: {' '.join(str(error).split())}") from error


def predict_photos(task: PredictionTask, trainer: pl.Trainer) -> list[Converted]:
    """Convert the photos of a task; return the outcomes of all processes, in each of them.

    Call it in the main thread. On Ctrl-C or SIGTERM every process finishes the files that it has begun. When the
    processes that it started have ended, the first process raises `KeyboardInterrupt`.
    """
    before = [(number, signal.signal(number, _stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        trainer.predict(task, return_predictions=False)
    except _Stop:
        others = getattr(trainer.strategy.launcher, "procs", [])
        for process in others:
            process.send_signal(signal.SIGINT)
        task.own.close()
        for process in others:
            process.wait()
        if trainer.is_global_zero:
            raise KeyboardInterrupt from None
        raise SystemExit(0) from None  # Lightning kills the first process if another fails
    finally:
        task.own.close()
        for number, handler in before:
            signal.signal(number, handler)
    return task.outcomes


class _Stop(BaseException):
    """Ctrl-C under another name: on `KeyboardInterrupt`, Lightning would kill the other processes at work."""


def _stop(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the terminal signals every process, then the first does again
    raise _Stop


def _portable(outcome: Converted) -> Converted:
    """Return an outcome that can be sent to another process; an unexpected error keeps its traceback as a note."""
    error = outcome.error
    if error is None or isinstance(error, RevispError):
        return outcome
    told = RuntimeError(repr(error))
    told.add_note("".join(traceback.format_exception(error)))
    return replace(outcome, error=told)
