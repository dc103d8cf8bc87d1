"""``revisp-train``: train the pipeline. All settings are Hydra overrides: see ``revisp-train --help``."""

from __future__ import annotations

import os
import re
import sys

import hydra
from omegaconf import DictConfig

from revisp.cli._hydra import as_our_errors
from revisp.cli._main import report_errors
from revisp.config import check_choices, config_dir, expose_backbones, normalise_overrides

__all__ = ["main"]


USAGE = """\
Usage: revisp-train [GROUP=CHOICE ...] [KEY=VALUE ...]

Train the reverse-ISP pipeline; leaves a model folder, metrics.json and pictures in the run folder.

  revisp-train +backbone=unet                          the default: needs no data and no GPU
  revisp-train data=prepared data.root=FOLDER             on your own pairs of photo and RAW
  revisp-train trainer.max_epochs=40 loss.noe.gamma=1.8
  revisp-train resume=last                             continue an interrupted run
  revisp-train --multirun +backbone=unet,cycleisp      one run for each

Groups, the default choice in brackets:
{groups}

Other words of the command line:
  --cfg job       print the composed configuration, every key of it, and stop
  --multirun, -m  sweep over comma-separated values
  --config-dir    a folder with configuration groups of your own
  --hydra-help    options of Hydra, which reads all this
"""


def main() -> None:
    """Run the command."""
    if {"--help", "-h"} & set(sys.argv[1:]):  # Hydra's own takes a second to list the same
        print(USAGE.format(groups=_groups()), end="")
        return
    with report_errors(), as_our_errors():
        # The words themselves are rewritten, so that processes which Lightning starts for DDP see the same.
        sys.argv[1:] = normalise_overrides(sys.argv[1:])
        check_choices(sys.argv[1:])
        expose_backbones(sys.argv[1:])
        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
        hydra.main(config_path=str(config_dir()), config_name="train", version_base="1.3")(_train)()


def _train(cfg: DictConfig) -> None:
    with report_errors(), as_our_errors():  # here too: Hydra would add a line of its own
        from revisp.training.run import run

        run(cfg)


def _groups() -> str:
    """Return a line for each entry of the defaults list: group, choices, and its comment."""
    entry = re.compile(r"^  - (?P<group>\w+): (?P<default>\w+) *# (?P<comment>.*)$", re.MULTILINE)
    lines = []
    for found in entry.finditer((config_dir() / "train.yaml").read_text()):
        group, default, comment = found.group("group", "default", "comment")
        names = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
        shown = ["[none]"] * (default == "null") + [f"[{name}]" if name == default else name for name in names]
        lines.append(f"  {group:<11}{', '.join(shown):<36}{comment}")
    return "\n".join(lines)
