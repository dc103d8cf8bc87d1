"""Run commands whose settings are Hydra overrides."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from revisp.cli._main import report_errors
from revisp.config import check_choices, config_dir, expose_plugins, normalise_overrides
from revisp.errors import ConfigError

__all__ = ["as_our_errors", "is_help", "run_command"]


def is_help() -> bool:
    """Whether the command line asks for help. Hydra would take a second to print its own."""
    return bool({"--help", "-h"} & set(sys.argv[1:]))


def run_command(config: str, task: Callable[[DictConfig], None], words: Sequence[str] | None = None) -> None:
    """Compose a configuration from the words of the command line, and run a task with it.

    An error ends the program with one line and exit code 2, instead of Hydra's own output.

    Args:
        config: name of the primary configuration.
        task: the task; Hydra's launcher may call it in other processes.
        words: words that replace those of the command line.
    """

    @functools.wraps(task)  # Hydra names its log file after the task's module
    def guarded(cfg: DictConfig) -> None:
        with report_errors(), as_our_errors():  # also here: Hydra would add its own line
            task(cfg)

    with report_errors(), as_our_errors():
        # sys.argv is rewritten, so that processes that Lightning starts for DDP see the same words.
        sys.argv[1:] = normalise_overrides(sys.argv[1:] if words is None else words, config)
        check_choices(sys.argv[1:], config)
        expose_plugins(sys.argv[1:])
        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them
        hydra.main(config_path=str(config_dir()), config_name=config, version_base="1.3")(guarded)()


@contextlib.contextmanager
def as_our_errors() -> Iterator[None]:
    """Turn errors of a wrong configuration into ours."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
