"""One training from configuration to model folder."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from revisp.camera.profile import CameraProfile
from revisp.config import compose, plain
from revisp.data import create_data
from revisp.data.base import DataModule
from revisp.errors import ConfigError, RevispError
from revisp.hardware import has_fast_bf16, keep_freed_memory
from revisp.io.atomic import atomic_write
from revisp.losses.composite import BranchLoss, FusionLoss, PlainLoss
from revisp.losses.perceptual import find_trunk
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP
from revisp.training.callbacks import PlainProgress, TerminalProgress
from revisp.training.checkpoints import AtomicCheckpointIO, find_checkpoint
from revisp.training.panel import write_panels
from revisp.training.task import RIVALS, RefineTraining, ReverseISPTask, Schedule

__all__ = ["TrainResult", "Training", "build_training", "fit", "run", "train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a finished training leaves.

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


class Training(NamedTuple):
    """All that a training needs."""

    trainer: pl.Trainer
    data: DataModule
    task: ReverseISPTask


def train(overrides: Sequence[str] = ()) -> TrainResult:
    """Train as ``revisp-train OVERRIDES...`` does, from Python.

    Args:
        overrides: the words of the command line, e.g. ``["+backbone=unet", "trainer.max_epochs=2"]``.

    Raises:
        RevispError: a setting, file or folder is wrong; the message says which.
    """
    return run(compose(overrides))


def run(cfg: DictConfig) -> TrainResult:
    """Train by a composed configuration.

    Raises:
        RevispError: a setting, file or folder is wrong; the message says which.
        KeyboardInterrupt: the user stopped the training.
    """
    run_dir = Path(cfg.run_dir)
    resume = find_checkpoint(cfg.resume, run_dir)
    trainer, data, task = training = build_training(cfg)
    model = task.model
    log.info("%s", describe(cfg, model, trainer))
    try:
        fit(training, resume)
    except KeyboardInterrupt:
        if (last := run_dir / "checkpoints" / "last.ckpt").is_file():
            log.info("Continue this run with: resume=%s", last)
        raise
    task.fit_baseline(data.training_samples())
    trainer.test(task, datamodule=data, verbose=False)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if _is_score(name)}
    folder = run_dir / "model"
    if trainer.is_global_zero:
        save_pretrained(model, folder, card=_card(cfg), metrics=metrics)
        _write_metrics(metrics, run_dir / "metrics.json")
        write_panels(task, data, run_dir / "panel.png", photos=cfg.panel_photos)
        log.info("%s", summary(metrics))
        log.info("Run folder: %s", run_dir)
    trainer.strategy.barrier()
    return TrainResult(metrics, from_pretrained(folder), run_dir, folder)


def build_training(cfg: DictConfig, data: DataModule | None = None) -> Training:
    """Build all that a training needs, and seed all random numbers.

    Args:
        cfg: a composed configuration.
        data: data to take in place of those of the configuration.

    Raises:
        RevispError: a setting, file or folder is wrong; the message says which.
    """
    if "methods" in cfg:
        raise ConfigError("this experiment is one of revisp-benchmark: revisp-benchmark experiment=NAME")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        keep_freed_memory()
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
        trainer = build_trainer(cfg)
        data = data or build_data(cfg)
        return Training(trainer, data, build_task(cfg, build_model(cfg, data.profile)))
    except RevispError:
        raise
    except (HydraException, MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(f"this configuration cannot be built: {' '.join(str(error).split())}") from error


def fit(training: Training, resume: str | Path | None = None) -> None:
    """Train, after setting in closed form what can be.

    Args:
        training: of `build_training`.
        resume: a checkpoint to continue from.

    Raises:
        KeyboardInterrupt: the user stopped the training.
    """
    trainer, data, task = training
    if task.fittable and resume is None:
        task.fit_networks(data.training_samples())
    try:  # a checkpoint holds only plain values and tensors: nothing is unpickled
        trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    except SystemExit:  # Lightning's way to end on Ctrl-C
        raise KeyboardInterrupt from None


def build_data(cfg: DictConfig) -> DataModule:
    """Return the data of a configuration."""
    return create_data(**plain(cfg.data), seed=cfg.seed, demosaic=plain(cfg.demosaic))


def build_model(cfg: DictConfig, profile: CameraProfile) -> ReverseISP:
    """Return the untrained pipeline of a configuration, for the camera of its data."""
    backbone = plain(cfg.backbone)
    refine = plain(cfg.refine)["network"] if cfg.get("refine") else None
    model = ReverseISP(
        backbone.pop("name"),
        backbone_kwargs=backbone,
        mask=plain(cfg.mask),
        fusion=plain(cfg.fusion),
        refine=refine,
        profile=profile,
        **plain(cfg.pipeline),
    )
    return model.to(memory_format=torch.channels_last)


def build_task(cfg: DictConfig, model: ReverseISP) -> ReverseISPTask:
    """Return the training task of a configuration."""
    refine = {key: value for key, value in plain(cfg.get("refine")).items() if key != "network"}
    optimizer = instantiate(cfg.optimizer, _partial_=True)
    optimizer([torch.nn.Parameter(torch.zeros(1))])  # refuses wrong settings now rather than after preparation
    return ReverseISPTask(
        model,
        build_loss(plain(cfg.loss), model),
        optimizer=optimizer,
        schedule=Schedule(**plain(cfg.schedule)),
        refine=RefineTraining(**refine),
    )


def build_loss(settings: dict[str, Any], model: ReverseISP) -> FusionLoss | PlainLoss:
    """Return the loss of a plain network, or of the two branches of the fusion."""
    parts = {name: {**settings.pop(name)} for name in ("oe", "noe", "plain")}
    for name in ("plain",) if model.plain else ("oe", "noe"):
        terms = available_terms(parts[name]["terms"])
        if isinstance(aligned := terms.get("aligned"), Mapping):
            terms["aligned"] = {"cfa": model.cfa.value, **aligned}
        elif aligned:
            terms["aligned"] = {"cfa": model.cfa.value, "weight": aligned}
        parts[name]["terms"] = terms
    if model.plain:
        return PlainLoss(**parts["plain"])
    return FusionLoss(BranchLoss(**parts["oe"]), BranchLoss(**parts["noe"]), **settings)


def available_terms(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loss terms without LPIPS where no trunk is at hand, and say which trunk is used.

    A trunk that the configuration names must exist, and ``download: true`` lets torchvision fetch one.
    """
    terms = {name: value for name, value in terms.items() if value is not None}
    if terms.get("lpips"):
        settings = terms["lpips"] if isinstance(terms["lpips"], Mapping) else {}
        trunk = find_trunk(settings.get("net", "alex"), settings.get("trunk"))
        if trunk is None and not settings.get("download"):
            log.warning("Perceptual loss off: no LPIPS trunk here; set REVISP_LPIPS_TRUNK or loss.*.lpips.trunk")
            del terms["lpips"]
        else:
            log.info("Perceptual loss: %s", trunk or "LPIPS trunk by torchvision's download")
    return terms


def build_trainer(cfg: DictConfig) -> pl.Trainer:
    """Return Lightning's trainer of a configuration.

    Raises:
        ConfigError: a number of epochs that is none.
    """
    settings = {"enable_progress_bar": sys.stderr.isatty(), **plain(cfg.trainer)}
    if settings.get("precision") == "auto":
        settings["precision"] = fast_precision(settings.get("accelerator", "auto"))
    if not isinstance(settings.get("max_epochs", 1), int | None):  # Lightning would find out after preparation
        raise ConfigError(f"trainer.max_epochs must be a whole number, got {settings['max_epochs']!r}")
    callbacks = [instantiate(item) for item in (cfg.get("callbacks") or {}).values() if item]
    loggers = [instantiate(item) for item in (cfg.get("logger") or {}).values() if item]
    return pl.Trainer(
        **settings,
        callbacks=[*callbacks, TerminalProgress() if settings["enable_progress_bar"] else PlainProgress()],
        logger=loggers or False,
        default_root_dir=cfg.run_dir,
        plugins=AtomicCheckpointIO(),
        use_distributed_sampler=False,  # the crop sampler divides the crops among ranks itself
        deterministic="warn",
    )


def fast_precision(accelerator: str) -> str:
    """Return ``"bf16-mixed"`` where the hardware computes it fast, else ``"32-true"``."""
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu" if accelerator in ("auto", "cpu") else "meta"
    return "bf16-mixed" if has_fast_bf16(device) else "32-true"


def describe(cfg: DictConfig, model: ReverseISP, trainer: pl.Trainer) -> str:
    """Return one line on what is about to be trained."""
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"Training {cfg.backbone.name} ({parameters:,} parameters) on data {cfg.data.name!r}: "
        f"{trainer.max_epochs} epochs, {trainer.precision}, {trainer.num_devices} "
        f"{type(trainer.accelerator).__name__.removesuffix('Accelerator')} device(s)"
    )


def summary(metrics: Mapping[str, float]) -> str:
    """Return the table of figures: one row a rival, over all, OE and NOE pixels."""
    columns = ["psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe"]
    wide = max(map(len, RIVALS.values()))
    rows = [f"{'validation':<{wide}}" + "".join(f"{column:>10}" for column in columns)]
    plain = "oe/psnr" not in metrics
    names = {**RIVALS, "val": "network alone"} if plain else RIVALS
    for group, name in names.items():
        if f"{group}/psnr" not in metrics:
            continue
        values = [metrics.get(f"{group}/{column}", math.nan) for column in columns]
        digits = [
            f"{value:10.2f}" if "psnr" in column else f"{value:10.4f}"
            for column, value in zip(columns, values, strict=True)
        ]
        rows.append(f"{name:<{wide}}" + "".join(digits))
    return "\n".join(rows)


def _is_score(name: str) -> bool:
    return name.partition("/")[0] in RIVALS


def _card(cfg: DictConfig) -> str:
    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)
    for key in ("callbacks", "logger", "run_dir"):
        settings.pop(key, None)
    recipe = OmegaConf.to_yaml(settings).strip()
    return f"Trained with `revisp-train` on data `{cfg.data.name}`:\n\n```yaml\n{recipe}\n```"


def _write_metrics(metrics: Mapping[str, float], path: Path) -> None:
    """Write figures as flat JSON; a region without pixels has no figure (null)."""
    values = {name: None if math.isnan(value) else value for name, value in sorted(metrics.items())}
    with atomic_write(path) as file:
        file.write((json.dumps(values, indent=2) + "\n").encode())
