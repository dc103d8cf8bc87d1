"""Many photos on many processors or machines: Lightning starts the processes and divides the photos among them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from revisp.errors import ConfigError, RevispError
from revisp.inference.convert import Choice
from revisp.inference.engine import Engine, TorchEngine, as_engine
from revisp.inference.folder import Batch, Outcome, Picked
from revisp.inference.jobs import Job, share
from revisp.pipeline import ReverseISP

__all__ = ["PredictionTask", "build_predictor", "predict_photos"]

Report = Callable[[Outcome], None]


class PredictionTask(pl.LightningModule):
    """Convert photos in each process's share of a list; for `pytorch_lightning.Trainer.predict`.

    Of n processes the k-th takes every n-th photo from the k-th on: each is converted once, whatever their number,
    and none waits for another before the end. The pixels are read, predicted and written in the process; nothing
    but what became of each photo is sent.

    Args:
        model: the pipeline, or what else predicts mosaics.
        jobs: all photos and where they go, the same in every process.
        choice: format of what is written.
        workers: as for `revisp.inference.folder.convert_photos`, in each process.
        resume: as there.
        report: called in the process with what became of each of its photos.

    Attributes:
        outcomes: what became of the photos of this process; after the end, of all.
    """

    def __init__(
        self,
        model: ReverseISP | Engine,
        jobs: Sequence[Job],
        choice: Choice | None = None,
        *,
        workers: int = 2,
        resume: bool = False,
        report: Report | None = None,
    ) -> None:
        super().__init__()
        self.engine = as_engine(model)
        if isinstance(self.engine, TorchEngine):
            self.network: nn.Module = self.engine.model  # so that Lightning moves it
        self.jobs, self.choice = list(jobs), choice
        self.workers, self.resume = workers, resume
        self.report = report
        self.outcomes: list[Outcome] = []

    def predict_dataloader(self) -> Batch:
        """Return this process's photos, which are read while those before them are predicted."""
        jobs = share(self.jobs, self.trainer.global_rank, self.trainer.world_size)
        self.batch = Batch(self.engine, jobs, self.choice, workers=self.workers, resume=self.resume)
        return self.batch

    def transfer_batch_to_device(self, batch: Picked, device: torch.device, dataloader_idx: int) -> Picked:
        """Leave the photo where it is: its tiles are moved one by one."""
        return batch

    def predict_step(self, batch: Picked, batch_idx: int) -> None:
        """Convert one photo."""
        self.batch.convert(batch)
        self._take()

    def on_predict_end(self) -> None:
        """Wait until all is written, and gather what became of the photos of all processes."""
        self._take(wait=True)
        if torch.distributed.is_initialized():
            gathered: list[list[Outcome]] = [[] for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(gathered, [_portable(outcome) for outcome in self.outcomes])
            self.outcomes = [outcome for outcomes in gathered for outcome in outcomes]

    def _take(self, *, wait: bool = False) -> None:
        for outcome in self.batch.finished(wait=wait):
            self.outcomes.append(outcome)
            if self.report is not None:
                self.report(outcome)


def build_predictor(*, devices: int = 1, nodes: int = 1, accelerator: str = "auto", strategy: str = "auto") -> Any:
    """Return Lightning's trainer for predictions: no loggers, no checkpoints, no bar.

    Raises:
        ConfigError: Lightning knows no such strategy or accelerator, or there are fewer devices.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        return pl.Trainer(
            devices=devices,
            num_nodes=nodes,
            accelerator=accelerator,
            strategy=strategy,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,  # the task divides the photos itself
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ConfigError(f"Lightning cannot run this: {' '.join(str(error).split())}") from error


def predict_photos(task: PredictionTask, trainer: pl.Trainer) -> list[Outcome]:
    """Convert the photos of a task; return what became of them, in each process of all.

    Raises:
        OutputError: an output's ending is no format.
        ConfigError: what the engine predicts cannot be written in that format.
    """
    try:
        trainer.predict(task, return_predictions=False)
    except SystemExit:  # Lightning's way to end on Ctrl-C
        raise KeyboardInterrupt from None
    finally:
        if (batch := getattr(task, "batch", None)) is not None:
            batch.close()
    return task.outcomes


def _portable(outcome: Outcome) -> Outcome:
    """Return an outcome that can be sent to another process."""
    if outcome.error is None or isinstance(outcome.error, RevispError):
        return outcome
    return Outcome(outcome.job, error=RevispError(f"{outcome.job.photo}: {outcome.error!r}"))
