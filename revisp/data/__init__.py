"""Data sets: the sources of pairs of photo and RAW, the crops of them, and the Lightning data modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from revisp.registry import Registry

if TYPE_CHECKING:
    from revisp.data.base import DataModule

__all__ = ["DATASETS", "create_data", "list_data"]

DATASETS: Registry[None] = Registry("data set", group="revisp.datasets")
DATASETS.register_lazy("embedded", "revisp.data.datamodule:embedded")
DATASETS.register_lazy("prepared", "revisp.data.datamodule:prepared")
DATASETS.register_lazy("scenes", "revisp.data.scene_pairs:scenes")
DATASETS.register_lazy("simulated", "revisp.data.simulated:simulated")
DATASETS.register_lazy("stream", "revisp.data.streaming:stream")


def create_data(name: str, **kwargs: Any) -> DataModule:
    """Build the data module of a registered data set.

    Args:
        name: one of `list_data`: ``"embedded"``, ``"prepared"``, ``"scenes"``, ``"simulated"``,
            ``"stream"``, or a plugin's.
        kwargs: its arguments; see `revisp.data.datamodule.embedded`, `revisp.data.datamodule.prepared`,
            `revisp.data.scene_pairs.scenes`, `revisp.data.simulated.simulated`, `revisp.data.streaming.stream`.
            None means "not set".

    Raises:
        UnknownNameError: no such data set.
        ConfigError: it does not take these arguments, or a value is out of range.

    Example:
        >>> import tempfile, torch
        >>> from pathlib import Path
        >>> from revisp.io.photo import write_png
        >>> with tempfile.TemporaryDirectory() as photos:
        ...     for name in ("a.png", "b.png"):
        ...         write_png(Path(photos) / name, torch.rand(3, 96, 96))
        ...     options = {"photos": photos, "crop": 64, "num_workers": 0, "demosaic": {"method": "bilinear"}}
        ...     data = create_data("simulated", **options)
        ...     batch = next(iter(data.train_dataloader()))
        >>> batch.srgb.shape, batch.bayer.shape
        (torch.Size([8, 3, 64, 64]), torch.Size([8, 1, 64, 64]))
    """
    module: DataModule = DATASETS.create(name, **kwargs)
    return module


def list_data(pattern: str = "*") -> list[str]:
    """Return the sorted names of all data sets that match a shell pattern.

    Example:
        >>> list_data("*ed")
        ['embedded', 'prepared', 'simulated']
    """
    return DATASETS.names(pattern)
