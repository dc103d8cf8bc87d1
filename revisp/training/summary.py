"""The texts of a training: its first line, the table of figures, the model card and ``metrics.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from revisp.io.atomic import write_text
from revisp.pipeline import ReverseISP
from revisp.training.task import RIVALS
from revisp.wording import counted

__all__ = ["advice", "describe_training", "model_card", "rival_table", "write_metrics"]

CLEAR_GAIN = 0.1
"""PSNR in dB by which one must be ahead of the other to be called better."""


def describe_training(cfg: DictConfig, model: ReverseISP, trainer: pl.Trainer) -> str:
    """Return one line that describes the training before it starts."""
    parameters = sum(p.numel() for p in model.parameters())
    kind = type(trainer.accelerator).__name__.removesuffix("Accelerator")
    return (
        f"Training {model.config['backbone']} ({parameters:,} parameters) on data {cfg.data.name!r}: "
        f"{counted(trainer.max_epochs or 0, 'epoch')}, {trainer.precision}, "
        f"{counted(trainer.num_devices, kind + ' device')}"
    )


def rival_table(metrics: Mapping[str, float]) -> str:
    """Return the table of figures: one row for each rival, over all, OE and NOE pixels."""
    columns = ["psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe"]
    wide = max(map(len, RIVALS.values()))
    rows = [f"{'validation':<{wide}}" + "".join(f"{column:>10}" for column in columns)]
    names = RIVALS if "oe/psnr" in metrics else {**RIVALS, "val": "network alone"}
    for group, name in names.items():
        if f"{group}/psnr" not in metrics:
            continue
        values = [metrics.get(f"{group}/{column}", math.nan) for column in columns]
        digits = [
            f"{value:10.2f}" if "psnr" in column else f"{value:10.4f}"
            for column, value in zip(columns, values, strict=True)
        ]
        rows.append(f"{name:<{wide}}" + "".join(digits))
    if "base/ev_oe" in metrics:
        base, fused = (metrics[f"{group}/ev_oe"] for group in ("base", "val"))
        rows.append(f"overexposed pixels are too bright by {fused:+.2f} EV, of the base alone by {base:+.2f} EV")
    return "\n".join(rows)


def advice(metrics: Mapping[str, float]) -> str | None:
    """Return one sentence that says which to use, the model or the fitted formula; None without figures of both.

    Example:
        >>> advice({"val/psnr": 43.71, "classical/psnr": 43.51})
        'Use the model: on the validation pictures it has 43.71 dB, the fitted classical inverse 43.51 dB.'
    """
    model, formula = (metrics.get(f"{group}/psnr", math.nan) for group in ("val", "classical"))
    if math.isnan(model) or math.isnan(formula):
        return None
    if model >= formula + CLEAR_GAIN:
        choice = "Use the model"
    elif formula >= model + CLEAR_GAIN:
        choice = "Use the fitted classical inverse alone (backbone=classical pipeline=plain), not this model"
    else:
        choice = "Use either, the difference is not clear"
    own = "it" if choice == "Use the model" else "the model"
    return (
        f"{choice}: on the validation pictures {own} has {model:.2f} dB, the fitted classical inverse "
        f"{formula:.2f} dB."
    )


def model_card(cfg: DictConfig, metrics: Mapping[str, float]) -> str:
    """Return the Markdown text of a model card: the data, the whole recipe, and what `advice` says."""
    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)
    unused = ("backbone", "pipeline", "mask", "fusion", "estimate") if cfg.pretrained else ("pretrained_train",)
    for key in ("callbacks", "logger", "run_dir", *unused):
        settings.pop(key, None)
    recipe = OmegaConf.to_yaml(settings).strip()
    card = f"Trained with `revisp-train` on data `{cfg.data.name}`:\n\n```yaml\n{recipe}\n```"
    sentence = advice(metrics)
    return card if sentence is None else f"{sentence}\n\n{card}"


def write_metrics(metrics: Mapping[str, float], path: Path) -> None:
    """Write figures as flat JSON. The figure of a region without pixels is null.

    Raises:
        OutputError: the file cannot be written.
    """
    values = {name: None if math.isnan(value) else value for name, value in sorted(metrics.items())}
    write_text(path, json.dumps(values, indent=2) + "\n")
