"""What a RAW file depends on besides its photo: the model's files, and the options that change its bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from revisp.errors import WeightsError

if TYPE_CHECKING:
    from revisp.convert.engine import Sensor
    from revisp.convert.formats import Choice

__all__ = ["ModelFiles", "settings_digest"]

_LETTERS = 16


class ModelFiles(NamedTuple):
    """The files of a model.

    Attributes:
        digest: of their bytes; empty if the model comes from no files.
        modified_ns: when the newest was written, in nanoseconds since 1970.
    """

    digest: str = ""
    modified_ns: int = 0

    @classmethod
    def of(cls, paths: Iterable[Path]) -> ModelFiles:
        """Read files.

        Raises:
            WeightsError: one cannot be read.

        Example:
            >>> from revisp.model_folder import DEFAULT_MODEL
            >>> len(ModelFiles.of([DEFAULT_MODEL / "config.json"]).digest)
            16
        """
        digest, newest = hashlib.sha256(), 0
        for path in paths:
            try:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
                newest = max(newest, path.stat().st_mtime_ns)
            except OSError as error:
                raise WeightsError(f"{path}: {error.strerror or error}") from error
        return cls(digest.hexdigest()[:_LETTERS], newest)


def settings_digest(sensor: Sensor, choice: Choice, ending: str) -> str:
    """Return a hash of all that a file of this ending depends on besides its photo.

    Tiles, memory, precision and threads are left out: they change the last bits at most.

    Args:
        sensor: what predicts.
        choice: how photos are converted.
        ending: ``".dng"``, ``".tiff"``, ``".tif"``, ``".png"`` or ``".npy"``.
    """
    used: dict[str, Any] = {name: getattr(choice, name) for name in _OPTIONS[ending]}
    used["model"] = getattr(sensor, "files", ModelFiles()).digest
    used |= {name: getattr(sensor, name, None) for name in ("headroom", "curve", "camera")}
    text = json.dumps(used, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:_LETTERS]


_MOSAIC = ("gain_map", "noise")
_DNG = (*_MOSAIC, "compression", "plain_dng", "linear_dng", "strip_location")
_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {".dng": _DNG, ".npy": (*_MOSAIC, "bits"), **dict.fromkeys((".tiff", ".tif", ".png"), _MOSAIC)}
)


def _plain(value: Any) -> Any:
    """Return an object of ours as JSON values: profiles and cameras are dataclasses."""
    to_dict: Callable[[], Any] | None = getattr(value, "to_dict", None)
    if to_dict is not None:
        return to_dict()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)  # type: ignore[arg-type]
