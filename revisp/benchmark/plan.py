"""Plan the cells of a benchmark; a cell is a method on a data set with a seed."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import revisp
from revisp.config import as_dict, compose
from revisp.errors import ConfigError

__all__ = ["Cell", "plan_cells"]

GAIN_CHOICES = (None, "previous", "pipeline")
"""Methods to compare with for gains: none, the previous method, or the first pipeline of the network."""

QUIET_WORDS = (
    "trainer.check_val_every_n_epoch=1",
    "+trainer.limit_val_batches=0",
    "+trainer.enable_checkpointing=false",
    "+trainer.enable_progress_bar=false",
    "~callbacks",
    "~logger",
)
"""Words that turn off validation, checkpoints and logs: a cell is scored at its end, and restarted if cut off."""


@dataclass(frozen=True)
class Cell:
    """One training of a benchmark.

    Attributes:
        method: name of the method.
        dataset: name of the data set to train and score on.
        seed: seed of the training.
        words: command-line words of ``revisp-train`` that define the training.
        base: name of the method whose figures are subtracted for the gains; None: no gains.

    Example:
        >>> Cell("unet", "embedded", 0, ("backbone=unet", "data=embedded", "seed=0")).title
        'unet on embedded, seed 0'
    """

    method: str
    dataset: str
    seed: int
    words: tuple[str, ...]
    base: str | None = None

    @property
    def title(self) -> str:
        """The name of the cell in a line of text."""
        return f"{self.method} on {self.dataset}, seed {self.seed}"

    def folder(self, root: str | Path) -> Path:
        """Return the folder of the results; another configuration, data set or release has another folder.

        Raises:
            ConfigError: ``words`` do not form a valid configuration.
        """
        cfg = compose([*self.words, f"hydra.run.dir={root}"])
        settings = as_dict(cfg)
        settings.pop("run_dir")
        identity = [revisp.__version__, settings, _contents(settings["data"])]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:10]
        parts = (cfg.backbone.name, cfg.pipeline.branches, cfg.data.name, cfg.seed, digest)
        return Path(root) / "cells" / re.sub(r"[^\w.-]+", "-", "_".join(map(str, parts)))


def plan_cells(settings: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of a benchmark; all cells with the first seed come first.

    Args:
        settings: keys and values of ``conf/benchmark.yaml``.

    Raises:
        ConfigError: a setting is not valid, or there are no cells.

    Example:
        >>> settings = as_dict(compose(["backbones=[unet,ssdnet]", "seeds=[0]"], "benchmark"))
        >>> [cell.title for cell in plan_cells(settings)]
        ['unet on embedded, seed 0', 'ssdnet on embedded, seed 0']
    """
    if settings["gains"] not in GAIN_CHOICES:
        raise ConfigError(f"gains must be previous, pipeline or null, got {settings['gains']!r}")
    methods = _methods(settings)
    datasets = {name: [f"data={words[0]}", *words[1:]] for name, words in _entries(settings, "datasets").items()}
    seeds = settings["seeds"]
    if not isinstance(seeds, list) or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise ConfigError(f"seeds must be a list of whole numbers, such as [0,1,2], got {seeds!r}")
    amount, unit = _budget(settings)
    common = _words(settings, "words")
    cells = []
    for dataset, (method, (words, base)) in itertools.product(datasets, methods.items()):
        words = [*words, *datasets[dataset], *common]
        words += [*_limits(words, amount, unit), *QUIET_WORDS]
        cells += [Cell(method, dataset, seed, (*words, f"seed={seed}"), base) for seed in seeds]
    cells.sort(key=lambda cell: seeds.index(cell.seed))
    if not cells:
        raise ConfigError("nothing to do: give backbones and pipelines, or methods, and datasets and seeds")
    return cells


def _methods(settings: Mapping[str, Any]) -> dict[str, tuple[list[str], str | None]]:
    """Return by name the words of each method, and the method to compare it with."""
    backbones, pipelines = (_entries(settings, key) for key in ("backbones", "pipelines"))
    methods: dict[str, tuple[list[str], str | None]] = {}
    for (backbone, words), (pipeline, more) in itertools.product(backbones.items(), pipelines.items()):
        name = f"{backbone}, {pipeline}" if len(pipelines) > 1 else backbone
        first = f"{backbone}, {next(iter(pipelines))}"
        has_base = settings["gains"] == "pipeline" and len(pipelines) > 1 and name != first
        base = first if has_base else None
        methods[name] = ([f"backbone={words[0]}", *words[1:], f"pipeline={more[0]}", *more[1:]], base)
    for name, words in (settings["methods"] or {}).items():
        methods[str(name)] = (_split(words, f"methods.{name}"), None)
    if settings["gains"] == "previous":
        names = list(methods)
        methods = {
            name: (methods[name][0], before) for name, before in zip(names, [None, *names[:-1]], strict=True)
        }
    return methods


def _entries(settings: Mapping[str, Any], key: str) -> dict[str, list[str]]:
    """Return the entries of a list as names and words; the text of an entry is its name."""
    values = settings[key]
    if not isinstance(values, list):
        raise ConfigError(f"{key} must be a list, such as [a,b], got {values!r}")
    return {str(value): _split(value, key) for value in values}


def _words(settings: Mapping[str, Any], key: str) -> list[str]:
    if not isinstance(settings[key], list):
        raise ConfigError(f"{key} must be a list, such as [data.crop=128], got {settings[key]!r}")
    return [str(word) for word in settings[key]]


def _split(text: object, key: str) -> list[str]:
    words = shlex.split(text) if isinstance(text, str) else []
    if not words:
        raise ConfigError(f"{key}: an entry must be words of revisp-train, got {text!r}")
    return words


def _budget(settings: Mapping[str, Any]) -> tuple[float, str]:
    """Return amount and unit of the budget of a training."""
    found = re.fullmatch(r"\s*([\d.]+(?:e\d+)?)\s*(steps|pixels|seconds)\s*", str(settings["budget"]))
    if not found or float(found[1]) <= 0:
        kinds = "'256 steps', '2e7 pixels' or '60 seconds'"
        raise ConfigError(f"budget must be such as {kinds}, got {settings['budget']!r}")
    return float(found[1]), found[2]


def _limits(words: Sequence[str], amount: float, unit: str) -> list[str]:
    """Return the words that limit the training of ``words`` to the budget."""
    if unit == "seconds":
        return ["trainer.max_epochs=-1", f"+trainer.max_time={{seconds:{amount:g}}}"]
    if unit == "pixels":
        data = compose(words).data
        amount /= data.batch_size * data.crop**2
    return ["trainer.max_epochs=-1", f"+trainer.max_steps={max(1, round(amount))}"]


def _contents(data: Mapping[str, Any]) -> str | None:
    """Return a digest of a prepared data set's manifest."""
    manifest = Path(str(data.get("root") or "")) / "manifest.jsonl"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if data.get("root") and manifest.is_file() else None
