"""One training from configuration to model folder."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from revisp.backbones.estimated import Estimated
from revisp.config import compose
from revisp.data.scene_pairs import SceneDataModule
from revisp.io.locking import begin_folder, lock
from revisp.model_folder import from_pretrained, require_replaceable, save_pretrained
from revisp.pipeline import ReverseISP
from revisp.training.build import Training, build_training
from revisp.training.checkpoints import check_checkpoint, find_checkpoint, restoring
from revisp.training.panel import write_panels
from revisp.training.pretrained import fold_adapters
from revisp.training.summary import advice, describe_training, model_card, rival_table, write_metrics
from revisp.training.task import RIVALS

__all__ = ["TrainResult", "fit", "run", "train"]

log = logging.getLogger(__name__)

MODEL_FOLDER = "model"
"""Name of the model folder in a run folder."""


@dataclass(frozen=True)
class TrainResult:
    """The result of a finished training.

    Attributes:
        metrics: validation figures: ``val/psnr``, ``val/psnr_oe``, ``val/ssim``, ``oe/psnr``, ``upi/psnr``, ...
        model: the trained pipeline, in evaluation mode on the CPU.
        run_dir: the run folder.
        model_folder: the model folder in it.
    """

    metrics: dict[str, float]
    model: ReverseISP
    run_dir: Path
    model_folder: Path


def train(overrides: Sequence[str] = ()) -> TrainResult:
    """Train as ``revisp-train OVERRIDES...`` does, from Python.

    Args:
        overrides: the words of the command line, e.g. ``["+backbone=unet", "trainer.max_epochs=2"]``.

    Raises:
        RevispError: a setting, file or folder is wrong; the message says which.

    Example:
        A training takes minutes, so this is no test.

        >>> result = train(["+backbone=unet", "trainer.max_epochs=2"])  # doctest: +SKIP
        >>> result.metrics["val/psnr"], result.model_folder  # doctest: +SKIP
    """
    return run(compose(overrides))


def run(cfg: DictConfig) -> TrainResult:
    """Train by a composed configuration.

    Raises:
        RevispError: a setting, file or folder is wrong; the message says which.
        KeyboardInterrupt: the user stopped the training.
    """
    run_dir = Path(cfg.run_dir)
    require_replaceable(run_dir / MODEL_FOLDER)  # now, and not after the training
    resume = find_checkpoint(cfg.resume, run_dir)
    training = build_training(cfg)
    with _alone(run_dir) if training.trainer.is_global_zero else contextlib.nullcontext():
        return _train(cfg, training, resume)


@contextlib.contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    """Keep a second training out of a run folder.

    Raises:
        OutputError: another training is at work in it.
    """
    begin_folder(run_dir)
    busy = f"{run_dir}: another training is at work in this folder: choose another by hydra.run.dir=FOLDER"
    held = lock(run_dir / ".lock", run_dir, busy)
    try:
        yield
    finally:
        held.release()


def _train(cfg: DictConfig, training: Training, resume: Path | None) -> TrainResult:
    trainer, data, task = training
    run_dir = Path(cfg.run_dir)
    if resume is not None:
        check_checkpoint(resume, task, trainer)
    model = task.model
    log.info("%s", describe_training(cfg, model, trainer))
    try:
        fit(training, resume)
    except KeyboardInterrupt:
        if (last := run_dir / "checkpoints" / "last.ckpt").is_file():
            log.info("Continue this run with: resume=%s", last)
        raise
    log.info("Scoring the model beside the formulas that it has to beat")
    task.fit_baseline(data.training_samples())
    trainer.test(task, datamodule=data, verbose=False)
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    metrics = {name: value for name, value in figures.items() if name.partition("/")[0] in RIVALS}
    folder = run_dir / MODEL_FOLDER
    if trainer.is_global_zero:
        save_pretrained(model, folder, card=model_card(cfg, metrics), metrics=metrics)
        write_metrics(metrics, run_dir / "metrics.json")
        write_panels(task, data, run_dir / "panel.png", photos=cfg.panel_photos)
        log.info("%s", rival_table(metrics))
        if sentence := advice(metrics):
            log.info("%s", sentence)
        for line in data.left_out:
            log.info("%s", line)
        log.info("Run folder: %s", run_dir)
    trainer.strategy.barrier()
    return TrainResult(metrics, from_pretrained(folder), run_dir, folder)


def fit(training: Training, resume: str | Path | None = None) -> None:
    """Train, after fitting the networks that have a closed form, and training an estimated base.

    Args:
        training: the result of `build_training`.
        resume: a checkpoint from which to continue; it holds the networks and the base.

    Raises:
        KeyboardInterrupt: the user stopped the training.
        WeightsError: the training cannot continue from the checkpoint.
    """
    trainer, data, task = training
    if task.fittable and resume is None:
        task.fit_networks(data.training_samples())
    if isinstance(data, SceneDataModule) and isinstance(task.model.base, Estimated) and resume is None:
        task.train_base(data, trainer.strategy.root_device)
    try:  # a checkpoint holds only plain values and tensors, so weights_only can forbid pickled code
        with restoring(resume, trainer):
            trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    except SystemExit:  # Lightning's way to end on Ctrl-C
        raise KeyboardInterrupt from None
    fold_adapters(task.model)
