"""Progress of a training where there is no terminal for Lightning's progress bar."""

from __future__ import annotations

import logging
import time

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

__all__ = ["PlainProgress"]

log = logging.getLogger(__name__)


class PlainProgress(Callback):
    """Log one line at the end of each epoch: loss, time, and the last validation figures."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the line, on the first process only."""
        if not trainer.is_global_zero:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shown = [f"loss {figures['train/loss']:.4f}"] if "train/loss" in figures else []
        shown += [
            f"{name} {figures[f'val/{name}']:.2f}" for name in ("psnr", "psnr_oe") if f"val/{name}" in figures
        ]
        log.info(
            "epoch %d/%s  %s  %.0f s",
            trainer.current_epoch + 1,
            trainer.max_epochs,
            "  ".join(shown),
            time.monotonic() - self.started,
        )
