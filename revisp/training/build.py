"""From a configuration to the objects of a training: data, pipeline, loss, task and trainer."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from revisp.camera.profile import CameraProfile
from revisp.config import as_dict
from revisp.data import create_data
from revisp.data.base import DataModule
from revisp.data.scene_pairs import SceneDataModule
from revisp.errors import ConfigError, RevispError
from revisp.hardware import has_fast_bf16, keep_freed_memory
from revisp.losses.base import missing
from revisp.losses.composite import BranchLoss, FusionLoss, PlainLoss, WeightedSum
from revisp.pipeline import ReverseISP
from revisp.training.callbacks import PlainProgress, TerminalProgress
from revisp.training.checkpoints import AtomicCheckpointIO
from revisp.training.estimate import EstimateTraining
from revisp.training.pretrained import choose_learning, start_from
from revisp.training.schedule import Schedule
from revisp.training.task import RefineTraining, ReverseISPTask

__all__ = [
    "Training",
    "build_data",
    "build_loss",
    "build_model",
    "build_task",
    "build_trainer",
    "build_training",
    "fast_precision",
]

log = logging.getLogger(__name__)


class Training(NamedTuple):
    """The objects of a training."""

    trainer: pl.Trainer
    data: DataModule
    task: ReverseISPTask


def build_training(cfg: DictConfig, data: DataModule | None = None) -> Training:
    """Build the objects of a training, and seed all random numbers.

    Args:
        cfg: a composed configuration.
        data: data to use instead of the data of the configuration.

    Raises:
        RevispError: a setting, file or folder is wrong; the message says which.
    """
    if "methods" in cfg:
        raise ConfigError("this experiment is a benchmark: run revisp-benchmark experiment=NAME")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    try:
        keep_freed_memory()
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
        trainer = build_trainer(cfg)
        _estimate_training(cfg)  # refuses wrong settings before scenes are decoded
        data = data or build_data(cfg)
        task = build_task(cfg, build_model(cfg, data.profile))
        if task.model.config["base"] == "estimated":
            if not isinstance(data, SceneDataModule):
                raise ConfigError(
                    "pipeline.base=estimated learns from scenes as any camera takes them: set data=scenes without "
                    f"data.camera; here data={cfg.data.name}"
                )
            data.ask_for_clean_photos()
        if task.model.config["gain_channel"] and not cfg.data.get("gain_maps") and not cfg.pretrained:
            raise ConfigError(
                "pipeline.gain_channel=true learns from photos with gain maps: set data=scenes data.gain_maps=0.5"
            )
        if task.model.config["place"] and not data.placed:
            raise ConfigError(
                f"pipeline.place=true needs data of whole photos, but data={cfg.data.name} has crops or "
                "tiles of unknown photos: set pipeline.place=false"
            )
        return Training(trainer, data, task)
    except RevispError:
        raise
    except (HydraException, MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(f"this configuration cannot be built: {' '.join(str(error).split())}") from error


def build_data(cfg: DictConfig) -> DataModule:
    """Return the data of a configuration."""
    return create_data(**as_dict(cfg.data), seed=cfg.seed, demosaic=as_dict(cfg.demosaic))


def build_model(cfg: DictConfig, profile: CameraProfile) -> ReverseISP:
    """Return the pipeline of a configuration, for the camera of the data: untrained, or from a model folder.

    Raises:
        ConfigError: a model folder is named, but the data show photos of many cameras, or a wrong choice of what
            learns.
        WeightsError: the model folder is missing or damaged.
    """
    if cfg.pretrained:
        if cfg.data.name == "scenes" and not cfg.data.get("camera"):
            raise ConfigError(
                f"pretrained={cfg.pretrained} adapts a model to one camera, but data=scenes shows photos of many: "
                "set data.camera=FILE, or data=prepared"
            )
        model = start_from(cfg.pretrained, profile)
        choose_learning(model, cfg.pretrained_train)
        return model.to(memory_format=torch.channels_last)
    backbone = as_dict(cfg.backbone)
    refine = as_dict(cfg.refine)["network"] if cfg.get("refine") else None
    model = ReverseISP(
        backbone.pop("name"),
        backbone_kwargs=backbone,
        mask=as_dict(cfg.mask),
        fusion=as_dict(cfg.fusion),
        refine=refine,
        profile=profile,
        **as_dict(cfg.pipeline),
    )
    return model.to(memory_format=torch.channels_last)


def build_task(cfg: DictConfig, model: ReverseISP) -> ReverseISPTask:
    """Return the training task of a configuration."""
    refine = {key: value for key, value in as_dict(cfg.get("refine")).items() if key != "network"}
    scaled = "fused" in cfg.optimizer and str(cfg.trainer.precision).startswith("16")  # float16: see its clipping
    optimizer = instantiate(cfg.optimizer, _partial_=True, **({"fused": False} if scaled else {}))
    optimizer([torch.nn.Parameter(torch.zeros(1))])  # refuses wrong settings before the data are prepared
    return ReverseISPTask(
        model,
        build_loss(as_dict(cfg.loss), model),
        optimizer=optimizer,
        schedule=Schedule(**as_dict(cfg.schedule)),
        refine=RefineTraining(**refine),
        estimate=_estimate_training(cfg),
    )


def _estimate_training(cfg: DictConfig) -> EstimateTraining:
    return EstimateTraining(**as_dict(cfg.get("estimate")))


def build_loss(settings: Mapping[str, Any], model: ReverseISP) -> FusionLoss | PlainLoss:
    """Return the loss of a plain network, or of the two branches of the fusion.

    Terms that this machine cannot compute are left out. The log names them, and the sources of pretrained weights.
    """
    if model.plain:
        loss = PlainLoss(**_section(settings, "plain"))
        _log_sources("plain", loss.terms)
        return loss
    branches = {name: BranchLoss(**_section(settings, name)) for name in ("oe", "noe")}
    for name, branch in branches.items():
        _log_sources(name, branch.terms)
    weights = {name: value for name, value in settings.items() if name not in ("oe", "noe", "plain")}
    return FusionLoss(branches["oe"], branches["noe"], **weights)


def _section(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of one loss with those of its terms that this machine can compute."""
    terms = {}
    for term, value in settings[name]["terms"].items():
        own = {key: x for key, x in value.items() if key != "weight"} if isinstance(value, Mapping) else {}
        if value and (reason := missing(term, own)):
            log.warning("loss.%s.terms.%s is left out: %s", name, term, reason)
        elif value is not None:
            terms[term] = value
    return {**settings[name], "terms": terms}


def _log_sources(name: str, terms: WeightedSum) -> None:
    for term, source in terms.sources.items():
        log.info("loss.%s.terms.%s: %s", name, term, source)


def build_trainer(cfg: DictConfig) -> pl.Trainer:
    """Return Lightning's trainer of a configuration.

    Raises:
        ConfigError: ``trainer.max_epochs`` is not a whole number.
    """
    settings = {"enable_progress_bar": sys.stderr.isatty(), **as_dict(cfg.trainer)}
    if settings.get("precision") == "auto":
        settings["precision"] = fast_precision(settings.get("accelerator", "auto"))
    if not isinstance(settings.get("max_epochs", 1), int | None):  # Lightning checks it only after preparation
        raise ConfigError(f"trainer.max_epochs must be a whole number, got {settings['max_epochs']!r}")
    callbacks = [instantiate(item) for item in (cfg.get("callbacks") or {}).values() if item]
    loggers = [instantiate(item) for item in (cfg.get("logger") or {}).values() if item]
    return pl.Trainer(
        **settings,
        callbacks=[*callbacks, TerminalProgress() if settings["enable_progress_bar"] else PlainProgress()],
        logger=loggers or False,
        default_root_dir=cfg.run_dir,
        plugins=AtomicCheckpointIO(),
        use_distributed_sampler=False,  # the crop sampler itself divides the crops among ranks
        deterministic="warn",
    )


def fast_precision(accelerator: str) -> str:
    """Return ``"bf16-mixed"`` where the hardware computes it fast, else ``"32-true"``."""
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu" if accelerator in ("auto", "cpu") else "meta"
    return "bf16-mixed" if has_fast_bf16(device) else "32-true"
