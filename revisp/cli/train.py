"""``revisp-train``: train the pipeline. All settings are Hydra overrides: see ``revisp-train --help``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from revisp.cli._main import report_errors
from revisp.config import check_choices, config_dir, expose_backbones, normalise_overrides
from revisp.errors import ConfigError, OutputError

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    with report_errors(), _as_our_errors():
        # The words themselves are rewritten, so that processes which Lightning starts for DDP see the same.
        sys.argv[1:] = normalise_overrides(sys.argv[1:])
        check_choices(sys.argv[1:])
        expose_backbones()
        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed by Hydra
        hydra.main(config_path=str(config_dir()), config_name="train", version_base="1.3")(_train)()


def _train(cfg: DictConfig) -> None:
    with report_errors(), _as_our_errors():  # here too: Hydra would add a line of its own
        from revisp.training.run import run

        run(cfg)


@contextlib.contextmanager
def _as_our_errors() -> Iterator[None]:
    """Turn what a wrong configuration or a full or read-only disk raises into our errors."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise OutputError(f"{error.filename or 'run folder'}: {error.strerror or error}") from error
