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

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import numpy as np
from pydantic import AfterValidator, Field, TypeAdapter
from safetensors.numpy import load
from typing_extensions import TypedDict

from revisp.camera.place import Place
from revisp.camera.profile import Profile
from revisp.data.picture import BRIGHTNESS_STEP
from revisp.data.window import Neutral, StoredWindow
from revisp.errors import ConfigError, DataError
from revisp.io.boundary import decoding
from revisp.schema import Text, Whole, build, check_fields, own_name, parse, parse_file, part, validated

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


class _Chunk(TypedDict):
    filename: Annotated[Text, AfterValidator(own_name)]
    chunk_bytes: Whole
    chunk_size: Whole


def _one_leaf(value: str) -> str:
    """Require a sample of one leaf: LitData would import the modules of any other kind."""
    tree = parse(value)
    leaf: Any = {"type": None, "context": None, "children_spec": []}
    if not (isinstance(tree, list) and len(tree) == 2 and tree[1] == leaf):
        raise ValueError("must describe one leaf")
    return value


class _Config(TypedDict):
    data_format: list[Text]
    data_spec: Annotated[Text, AfterValidator(_one_leaf)]
    item_loader: NotRequired[Literal["PyTreeLoader"] | None]
    encryption: NotRequired[None]
    compression: NotRequired[None]


class _Index(TypedDict):
    chunks: Annotated[list[_Chunk], Field(max_length=1_000_000)]
    config: _Config


_INDEX = TypeAdapter(_Index)


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

    profile: Profile
    tiles: dict[Text, Whole]
    side: Annotated[Whole, Field(ge=1, le=2**20)]

    def __post_init__(self) -> None:
        check_fields(self, "shards", DataError)
        if set(self.tiles) != set(SHARD_PARTS):
            raise DataError(f"shards: tiles must have the parts {', '.join(SHARD_PARTS)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the values as JSON values."""
        return {"profile": self.profile.to_dict(), "tiles": self.tiles, "side": self.side}


class ShardTile:
    """A tile of a shard, as a picture from which crops are cut.

    Args:
        window: its arrays.
        overexposed: (row, column) of overexposed pixels, ``[n, 2]``.
        info: the facts of its data set.
        frame: where it lies in its photo; None if that was not known when it was packed.
        neutral: as for `PreparedPicture`.
    """

    def __init__(
        self,
        window: StoredWindow,
        overexposed: Array,
        info: ShardInfo,
        frame: Place | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        self.neutral = neutral
        self._window = window
        self._overexposed = overexposed
        self.info = info
        self.frame = frame
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
        return self._window.crop(top, left, height, width).sample(self.neutral)


def read_tile(blob: bytes | memoryview, where: str, *, balanced: bool = False) -> ShardTile:
    """Decode a sample of a shard.

    Args:
        blob: its bytes.
        where: its name in an error message.
        balanced: whether its RAW stands under the light of the data set, as in training; else as shot.

    Raises:
        DataError: the sample is damaged or has another format.
    """
    with reading(where):
        arrays = load(bytes(blob))
        about = build(_About, parse(arrays["about"].tobytes()), "about", DataError)
    if about.format != SHARD_FORMAT:
        raise DataError(f"{where}: shards of format {about.format}, this revisp reads {SHARD_FORMAT}: pack again")
    with reading(where):
        raw, srgb, target, oe = (arrays[name] for name in ("raw", "srgb", "target", "oe"))
        _check_tile(raw, srgb, target, arrays.get("valid"), oe)
        window = StoredWindow(about.name, about.profile, raw, srgb, target, arrays.get("valid"))
        frame = None if about.photo is None else Place(*about.place, *about.photo)
        neutral = about.data.profile.as_shot_neutral if balanced else None
        return ShardTile(window, oe.astype(np.int32), about.data, frame, neutral)


@dataclass(frozen=True)
class _About:
    """What a sample says about itself."""

    format: Whole
    name: Text
    place: tuple[Whole, Whole]
    profile: Profile
    data: Annotated[ShardInfo, part(ShardInfo, "shards", DataError)]
    photo: tuple[Whole, Whole] | None = None

    def __post_init__(self) -> None:
        check_fields(self, "about", DataError)


def _check_tile(raw: Array, srgb: Array, target: Array, valid: Array | None, oe: Array) -> None:
    """Require that the arrays of a tile fit together.

    Raises:
        DataError: they do not.
    """
    height, width = raw.shape if raw.ndim == 2 else (0, 0)
    fits = (
        raw.dtype == np.uint16
        and srgb.dtype in (np.uint8, np.uint16)
        and target.dtype == np.float16
        and oe.dtype == np.uint16
        and (srgb.shape, target.shape) == ((height, width, 3), (3, height, width))
        and (valid is None or valid.shape == (height, width))
        and (oe.ndim, oe.shape[-1]) == (2, 2)
        and bool((oe < (height, width)).all())
    )
    if not fits:
        raise DataError("its arrays do not fit together")


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
        """Return the tiles of a part, read on demand: of training as they are learnt, of validation as shot."""
        return TileReader(self._open(part), f"{self.root}/{part}", balanced=part != "val")

    def _open(self, part: str, **options: Any) -> Any:
        where = f"{self.root}/{part}"
        remote = "://" in where or where.startswith("local:")
        if not remote and not Path(where, "index.json").is_file():
            raise DataError(f"{where}: no shards here; revisp-prepare --shards packs them into DATASET/shards")
        if not remote:  # before LitData reads it, which imports what an index names
            _check_index(Path(where), where, chunks=True)
        with reading(where):
            dataset = require_litdata().StreamingDataset(where, cache_dir=self.cache, **options)
        if remote:
            folder = Path(dataset.input_dir.path)
            _warn_of_size(folder, where, _check_index(folder, where, chunks=False))
        return dataset


class TileReader:
    """Tiles by index, through LitData's random access."""

    def __init__(self, dataset: Any, where: str, *, balanced: bool = False) -> None:
        self.dataset = dataset
        self.where = where
        self.balanced = balanced

    def __getitem__(self, index: int) -> ShardTile:
        with reading(self.where):
            return read_tile(self.dataset[index], self.where, balanced=self.balanced)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn all errors of LitData or of a client for object storage into a `DataError` of one line.

    Args:
        where: the file or address that is read.
    """
    with decoding(where, "cannot be read", DataError):
        yield


def _check_index(folder: Path, where: str, *, chunks: bool) -> int:
    """Check an index and return the size of its chunks in bytes.

    An index whose samples LitData would unpickle is refused. So is one whose chunks are missing: LitData would
    wait minutes for them.
    """
    path = folder / "index.json"
    try:
        index = validated(_INDEX, _known_kind(parse_file(path), where), "index", DataError)
    except (OSError, ValueError, DataError) as error:
        raise DataError(f"{where}/index.json is damaged: {' '.join(str(error).split())}") from error
    files = {chunk["filename"]: chunk["chunk_bytes"] for chunk in index["chunks"]}
    for name, size in files.items() if chunks else ():
        path = folder / name
        if not path.is_file() or path.stat().st_size < size:
            raise DataError(f"{path} is missing or cut short: pack the shards again")
    return sum(files.values())


def _known_kind(index: Any, where: str) -> Any:
    """Return an index; refuse one whose samples LitData would unpickle.

    Raises:
        DataError: it declares other samples than bytes.
    """
    config = index.get("config") if isinstance(index, dict) else None
    kind = config.get("data_format") if isinstance(config, dict) else None
    if kind is not None and kind != ["bytes"]:
        shown = ascii(kind)[:60]
        raise DataError(f"{where}: not shards that revisp packed: samples of {shown}, expected ['bytes']")
    return index


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
