"""Progress of a training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar

__all__ = ["PlainProgress", "TerminalProgress"]

log = logging.getLogger(__name__)


class TerminalProgress(RichProgressBar):
    """Lightning's progress bar, without the loggers' version among the figures."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the figures next to the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class PlainProgress(Callback):
    """Log one line at the end of each epoch: loss, time, and the figures of a validation if there was one."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the line, on the first process only."""
        if not trainer.is_global_zero:
            return
        names = ["train/loss"]
        if (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0:
            names += ["val/psnr", "val/psnr_oe", "val/psnr_noe"]
        figures = trainer.callback_metrics
        shown = [f"{name} {float(figures[name]):.4g}" for name in names if name in figures]
        log.info(
            "epoch %d/%s  %s  %.0f s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            "  ".join(shown),
            time.monotonic() - self.started,
        )
