"""A prepared data set as LitData shards: large files of tiles in random order, for fast disks and object storage.

Layout::

    OUT/train/index.json, chunk-0-*.bin        training tiles without overexposed pixels
    OUT/train-oe/index.json, chunk-0-*.bin     training tiles with overexposed pixels
    OUT/val/index.json, chunk-0-*.bin          validation tiles, in the order of the pictures

Chunks and index have LitData's own format. Each sample is one ``bytes`` leaf: a safetensors file of the arrays
``raw``, ``srgb``, ``target`` and, if some pixels do not count, ``valid`` (see `revisp.data.window.StoredWindow`),
``oe`` (uint16 ``[n, 2]``, row and column of overexposed pixels) and ``about`` (JSON in UTF-8). LitData pickles
objects of unknown types. An index that declares anything but ``bytes`` is refused, so nothing is ever unpickled.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from revisp.camera.profile import CameraProfile
from revisp.data.picture import BRIGHTNESS_STEP
from revisp.data.window import StoredWindow
from revisp.errors import ConfigError, DataError, RevispError

if TYPE_CHECKING:
    from revisp.cfa import CFA
    from revisp.data.picture import Sample

__all__ = [
    "SHARD_FORMAT",
    "SHARD_PARTS",
    "ShardInfo",
    "ShardTile",
    "Shards",
    "TileReader",
    "read_tile",
    "reading",
    "require_litdata",
]

log = logging.getLogger(__name__)

SHARD_PARTS = ("train", "train-oe", "val")
"""Folders of shards."""

SHARD_FORMAT = 1
"""Format of a sample; another number means other arrays."""

Array = np.ndarray[Any, Any]


def require_litdata() -> Any:
    """Return the ``litdata`` package, which then logs only warnings and does not look for a newer version online.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("LITDATA_DISABLE_VERSION_CHECK", "1")  # read at import; else old versions ask PyPI
    try:
        import litdata
    except ImportError as error:
        raise ConfigError('shards need LitData: pip install "revisp[stream]"') from error
    logging.getLogger("litdata").setLevel(logging.WARNING)
    return litdata


@dataclass(frozen=True)
class ShardInfo:
    """The facts that all shards of a data set share. They are written into every sample.

    Attributes:
        profile: the camera of the data set. Samples get its Bayer phase.
        tiles: number of tiles in each of `SHARD_PARTS`.
        side: shortest side of a training tile, in pixels.
    """

    profile: CameraProfile
    tiles: dict[str, int]
    side: int

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON values."""
        return {"profile": self.profile.to_dict(), "tiles": self.tiles, "side": self.side}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ShardInfo:
        """Build it from the result of `to_dict`."""
        tiles = {part: int(values["tiles"][part]) for part in SHARD_PARTS}
        return cls(CameraProfile.from_dict(values["profile"]), tiles, int(values["side"]))


class ShardTile:
    """A tile of a shard, as a picture from which crops are cut.

    Args:
        window: its arrays.
        overexposed: (row, column) of overexposed pixels, ``[n, 2]``.
        info: the facts of its data set.
    """

    def __init__(self, window: StoredWindow, overexposed: Array, info: ShardInfo) -> None:
        self._window = window
        self._overexposed = overexposed
        self.info = info
        self.name = window.name
        self.height, self.width = window.raw.shape

    @property
    def cfa(self) -> CFA:
        """Bayer phase of its first pixel."""
        return self._window.profile.cfa

    @property
    def has_overexposed(self) -> bool:
        """Whether it was packed as a tile with overexposed pixels."""
        return len(self._overexposed) > 0

    def overexposed(self) -> Array:
        """Return (row, column) of its overexposed pixels in the data set's list."""
        return self._overexposed

    def brightness(self) -> Array:
        """Return the target at every `BRIGHTNESS_STEP`-th row and column."""
        return self._window.target[:, ::BRIGHTNESS_STEP, ::BRIGHTNESS_STEP].astype(np.float32)

    def read(self, top: int, left: int, height: int, width: int, *, seed: int = 0) -> Sample:
        """Return a window, as `PreparedPicture.read` does."""
        return self._window.crop(top, left, height, width).sample()


def read_tile(blob: bytes | memoryview, where: str) -> ShardTile:
    """Decode a sample of a shard.

    Args:
        blob: its bytes.
        where: its name in an error message.

    Raises:
        DataError: the sample is damaged or has another format.
    """
    try:
        arrays = load(bytes(blob))
        about = json.loads(arrays["about"].tobytes())
        if about["format"] != SHARD_FORMAT:
            raise DataError(
                f"{where}: shards of format {about['format']}, this revisp reads {SHARD_FORMAT}: pack again"
            )
        window = StoredWindow(
            about["name"],
            CameraProfile.from_dict(about["profile"]),
            arrays["raw"],
            arrays["srgb"],
            arrays["target"],
            arrays.get("valid"),
        )
        return ShardTile(window, arrays["oe"].astype(np.int32), ShardInfo.from_dict(about["data"]))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: a sample is damaged: {' '.join(str(error).split())}") from error


class Shards:
    """The shards of a data set, in a folder or in object storage.

    Args:
        root: folder that `revisp.data.packing.write_shards` made, or the address of a copy: ``s3://bucket/path``.
        cache: folder for downloads; None takes LitData's own (``LITDATA_CACHE_DIR``, or one below the home
            folder). Its disk should have room for all shards. LitData uses three quarters of the free space. If
            this is too little and a stream is stopped before its end, the next stream can wait half a minute for a
            chunk.

    Raises:
        ConfigError: LitData is not installed.
        DataError: there are no shards, or they are damaged.
    """

    def __init__(self, root: str | Path, cache: str | Path | None = None) -> None:
        require_litdata()
        self.root = str(root).rstrip("/")
        self.cache = None if cache is None else str(cache)
        self.info: ShardInfo = self.random_access("val")[0].info

    def stream(self, part: str, seed: int) -> Any:
        """Return a part's shuffled `litdata.StreamingDataset`, which yields bytes.

        Raises:
            DataError: there are no shards, or they are damaged.
        """
        return self._open(part, shuffle=True, seed=seed)

    def random_access(self, part: str) -> TileReader:
        """Return the tiles of a part. Each is read when it is indexed."""
        return TileReader(self._open(part), f"{self.root}/{part}")

    def _open(self, part: str, **options: Any) -> Any:
        where = f"{self.root}/{part}"
        remote = "://" in where or where.startswith("local:")
        if not remote and not Path(where, "index.json").is_file():
            raise DataError(f"{where}: no shards here; revisp-prepare --shards packs them into DATASET/shards")
        with reading(where):
            dataset = require_litdata().StreamingDataset(where, cache_dir=self.cache, **options)
        folder = Path(dataset.input_dir.path)
        size = _check_index(folder, where, chunks=not remote)
        if remote:
            _warn_of_size(folder, where, size)
        return dataset


class TileReader:
    """Tiles by index, through LitData's random access."""

    def __init__(self, dataset: Any, where: str) -> None:
        self.dataset = dataset
        self.where = where

    def __getitem__(self, index: int) -> ShardTile:
        with reading(self.where):
            return read_tile(self.dataset[index], self.where)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn all errors of LitData or of a client for object storage into a `DataError` of one line.

    Args:
        where: the file or address that is read.
    """
    try:
        yield
    except RevispError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        shown = text if len(text) <= 200 else text[:200] + "..."
        raise DataError(f"{where}: cannot be read: {shown or type(error).__name__}") from error


def _check_index(folder: Path, where: str, *, chunks: bool) -> int:
    """Check an index and return the size of its chunks in bytes.

    An index whose samples LitData would unpickle is refused. So is one whose chunks are missing: LitData would
    wait minutes for them.
    """
    try:
        index = json.loads((folder / "index.json").read_text())
        files = {chunk["filename"]: chunk["chunk_bytes"] for chunk in index["chunks"]}
        kind = index["config"]["data_format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}/index.json is damaged: {' '.join(str(error).split())}") from error
    if kind != ["bytes"]:
        raise DataError(f"{where}: not shards that revisp packed: samples of {kind}, expected ['bytes']")
    for name, size in files.items() if chunks else ():
        path = folder / name
        if not path.is_file() or path.stat().st_size < size:
            raise DataError(f"{path} is missing or cut short: pack the shards again")
    return sum(files.values())


def _warn_of_size(folder: Path, where: str, size: int) -> None:
    """Warn if the remaining download does not fit on the disk."""
    size -= sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    free = shutil.disk_usage(folder).free
    if size > 0.75 * free:
        log.warning(
            "%s: %.1f GB must be downloaded, but the disk of %s has %.1f GB free: reading will be slow. "
            "Set data.cache to a folder on a larger disk.",
            where,
            size / 1e9,
            folder,
            free / 1e9,
        )
