"""What the commands share whose settings are Hydra overrides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from revisp.errors import ConfigError, OutputError

__all__ = ["as_our_errors"]


@contextlib.contextmanager
def as_our_errors() -> Iterator[None]:
    """Turn what a wrong configuration or a full or read-only disk raises into our errors."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise OutputError(f"{error.filename or 'run folder'}: {error.strerror or error}") from error
