"""``revisp-train``: train the pipeline. All settings are Hydra overrides: see ``revisp-train --help``."""

from __future__ import annotations

import os
import sys

from revisp.cli._main import report_errors


def main() -> None:
    """Run the command."""
    with report_errors():
        import hydra
        from hydra.errors import HydraException
        from omegaconf import DictConfig
        from omegaconf.errors import OmegaConfBaseException

        from revisp.config import check_choices, config_dir, expose_backbones, normalise_overrides
        from revisp.errors import ConfigError, OutputError

        # The words themselves are rewritten, so that processes which Lightning starts for DDP see the same.
        sys.argv[1:] = normalise_overrides(sys.argv[1:])
        check_choices(sys.argv[1:])
        expose_backbones()
        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach report_errors instead of Hydra's own printing

        @hydra.main(config_path=str(config_dir()), config_name="train", version_base="1.3")
        def command(cfg: DictConfig) -> None:
            from revisp.training.run import run

            with report_errors():  # here too: Hydra would print a line of its own
                run(cfg)

        try:
            command()
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(str(error)) from error
        except OSError as error:
            raise OutputError(f"{error.filename or 'run folder'}: {error.strerror or error}") from error
