"""``revisp-train``: train a pipeline. All settings are Hydra overrides: see ``revisp-train --help``."""

from __future__ import annotations

import re
import textwrap

from omegaconf import DictConfig

from revisp.cli._empty import refuse_empty_words
from revisp.cli._hydra import is_help, run_command
from revisp.cli._limits import LIMIT_WORDS, take_limits
from revisp.cli._main import say
from revisp.config import config_dir
from revisp.hardware import share_processors

__all__ = ["main"]


USAGE = """\
Usage: revisp-train [GROUP=CHOICE ...] [KEY=VALUE ...]

Train the reverse-ISP pipeline. Writes a model folder, metrics.json and pictures to the run folder.

  revisp-train +backbone=unet                          the default: needs no data and no GPU
  revisp-train data=prepared data.root=FOLDER          on your own pairs of photo and RAW
  revisp-train trainer.max_epochs=40 loss.noe.gamma=1.8
  revisp-train resume=last                             continue an interrupted run
  revisp-train --multirun +backbone=unet,cycleisp      one run for each

Groups, the default choice in brackets:
{groups}

Other words of the command line:
  --cfg job       print the composed configuration with all keys, and stop
  --multirun, -m  sweep over comma-separated values
  --config-dir    a folder with configuration groups of your own
  --hydra-help    options of Hydra, which reads all this
"""


def main() -> None:
    """Run the command."""
    take_limits()
    refuse_empty_words()
    if is_help():
        say(USAGE.format(groups=_groups()) + LIMIT_WORDS.rstrip("\n"))
    else:
        share_processors()
        run_command("train", _train)


def _train(cfg: DictConfig) -> None:
    from revisp.training.run import run as run_training

    run_training(cfg)


def _groups() -> str:
    """Return lines for each entry of the defaults list: the group with its comment, and below it the choices."""
    entry = re.compile(r"^  - (?P<group>\w+): (?P<default>\w+) *# (?P<comment>.*)$", re.MULTILINE)
    lines = []
    for found in entry.finditer((config_dir() / "train.yaml").read_text()):
        group, default, comment = found.group("group", "default", "comment")
        names = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
        shown = ["[none]"] * (default == "null") + [f"[{name}]" if name == default else name for name in names]
        lines.append(f"  {group:<12}{comment}")
        lines += textwrap.wrap(", ".join(shown), 100, initial_indent=" " * 14, subsequent_indent=" " * 14)
    return "\n".join(lines)
