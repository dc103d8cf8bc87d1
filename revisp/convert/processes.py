"""Many photos on many processors or machines: Lightning starts the processes and divides the photos among them."""

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
"""How long a process that is through waits for the others, which may have much more to do, as after a resume."""


class PredictionTask(pl.LightningModule):
    """Convert photos in each process's share of them; for `pytorch_lightning.Trainer.predict`.

    Of n processes the k-th takes every n-th photo from the k-th on: each is converted once, whatever their number,
    and none waits for another before the end. The pixels are read, predicted and written in the process; nothing
    but what became of each photo is sent.

    Args:
        batch: all photos, the same in every process.
        report: called in the process with what became of each of its photos.

    Attributes:
        outcomes: what became of the photos of this process; after the end, of all.
    """

    def __init__(self, batch: Batch, report: Report | None = None) -> None:
        super().__init__()
        self.photos = self.own = batch
        if isinstance(batch.engine, TorchEngine):
            self.network: nn.Module = batch.engine.model  # so that Lightning moves it
        self.report = report
        self.outcomes: list[Converted] = []

    def predict_dataloader(self) -> Batch:
        """Return this process's photos, which are read while those before them are predicted."""
        self.photos.jobs = self.trainer.strategy.broadcast(self.photos.jobs)  # a folder may have changed meanwhile
        self.own = self.photos.share(self.trainer.global_rank, self.trainer.world_size)
        return self.own

    def on_predict_start(self) -> None:
        """Agree on a patience of ours, as that of Lightning's own strategies ends after minutes."""
        if torch.distributed.is_initialized():
            self._group: Any = torch.distributed.new_group(backend="gloo", timeout=GROUP_TIMEOUT)

    def transfer_batch_to_device(self, batch: Picked, device: torch.device, dataloader_idx: int) -> Picked:
        """Leave the photo where it is: its tiles are moved one by one."""
        return batch

    def predict_step(self, batch: Picked, batch_idx: int) -> Conversion:
        """Convert one photo; return which, as Lightning warns of steps that return nothing."""
        self.own.convert(batch)
        self._take()
        return batch.outcome.job

    def on_predict_end(self) -> None:
        """Wait until all is written, and gather what became of the photos of all processes."""
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
        ConfigError: Lightning knows no such accelerator, or there are fewer devices.
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
    """Convert the photos of a task; return what became of them, in each process of all.

    Call it in the main thread. On Ctrl-C every process finishes the files that it has begun; the first then raises
    `KeyboardInterrupt`, when the others that it started have ended.
    """
    before = signal.signal(signal.SIGINT, _stop)
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
        signal.signal(signal.SIGINT, before)
    return task.outcomes


class _Stop(BaseException):
    """Ctrl-C, by another name: `KeyboardInterrupt` has Lightning kill the other processes amid their work."""


def _stop(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells every process, and the first tells it again
    raise _Stop


def _portable(outcome: Converted) -> Converted:
    """Return an outcome that can be sent to another process; a fault of ours takes its traceback along."""
    error = outcome.error
    if error is None or isinstance(error, RevispError):
        return outcome
    told = RuntimeError(repr(error))
    told.add_note("".join(traceback.format_exception(error)))
    return replace(outcome, error=told)
