"""What a training asks of a data module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pytorch_lightning import LightningDataModule

from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from revisp.camera.profile import CameraProfile
    from revisp.data.picture import Sample

__all__ = ["DataModule", "check_whole"]


class DataModule(LightningDataModule, ABC):
    """Loaders of samples (`Sample`) of one Bayer phase, and some of them to look at.

    A `Trainer` needs ``use_distributed_sampler=False``: the training loader divides crops among ranks itself.
    """

    @property
    @abstractmethod
    def profile(self) -> CameraProfile:
        """The camera of the data set, whose Bayer phase all samples have."""

    @abstractmethod
    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of training crops."""

    @abstractmethod
    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of validation tiles, one a batch: some, or all."""

    @abstractmethod
    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of all validation tiles."""

    @abstractmethod
    def training_samples(self, limit: int = 64) -> list[Sample]:
        """Return at most ``limit`` samples to fit a simple model to, of the training pictures, always the same."""

    @abstractmethod
    def validation_samples(self, limit: int = 4) -> list[Sample]:
        """Return at most ``limit`` samples to look at, of the validation pictures, always the same."""


def check_whole(value: Any, name: str, least: int = 1) -> None:
    """Refuse what is no whole number of at least ``least`` for the setting ``data.NAME``.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"data.{name} must be a whole number of at least {least}, got {value!r}")
