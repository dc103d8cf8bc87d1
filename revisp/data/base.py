"""The interface between a training and its data."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pytorch_lightning import LightningDataModule

from revisp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch.utils.data import DataLoader

    from revisp.camera.profile import CameraProfile
    from revisp.data.conditions import Conditions
    from revisp.data.picture import Sample

__all__ = ["DataModule", "check_whole", "taken_by"]


class DataModule(LightningDataModule, ABC):
    """Loaders of samples (`Sample`) of one Bayer phase, and some samples to show.

    A `Trainer` needs ``use_distributed_sampler=False``, since the training loader itself divides crops among
    ranks.
    """

    @property
    @abstractmethod
    def profile(self) -> CameraProfile:
        """The camera of the data set. All samples have its Bayer phase."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each given folder with files that are not used. Commands end with these lines."""
        return ()

    @property
    def conditions(self) -> Mapping[str, Conditions]:
        """Under which conditions validation pictures were taken, by their names; empty where it is not known."""
        return {}

    @property
    def placed(self) -> bool:
        """Whether all samples know where in their photos they lie (`Sample.place`)."""
        return False

    @abstractmethod
    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training crops."""

    @abstractmethod
    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of validation tiles, one tile in a batch: some tiles, or all."""

    @abstractmethod
    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of all validation tiles."""

    @abstractmethod
    def training_samples(self, limit: int = 64) -> list[Sample]:
        """Return at most ``limit`` samples of the training pictures, to which a simple model is fitted.

        They are always the same.
        """

    @abstractmethod
    def validation_samples(self, limit: int = 4) -> list[Sample]:
        """Return at most ``limit`` samples of the validation pictures to show, always the same."""


def taken_by(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Remove from some options those that a function or class takes, and return them.

    Example:
        >>> options = {"value": 3, "name": "crop", "batch_size": 8}
        >>> taken_by(check_whole, options), options
        ({'value': 3, 'name': 'crop'}, {'batch_size': 8})
    """
    names = inspect.signature(function).parameters
    return {name: options.pop(name) for name in list(options) if name in names}


def check_whole(value: Any, name: str, least: int = 1) -> None:
    """Require a whole number of at least ``least`` for the setting ``data.NAME``.

    Raises:
        ConfigError: ``value`` is not such a number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"data.{name} must be a whole number of at least {least}, got {value!r}")
