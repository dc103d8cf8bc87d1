"""Pack a prepared data set into LitData shards (`revisp.data.shards`)."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from revisp.data.entry import VALID_BLOCK
from revisp.data.manifest import MANIFEST
from revisp.data.picture import table_of
from revisp.data.prepared import PreparedPicture, PreparedSource
from revisp.data.shards import SHARD_FORMAT, SHARD_PARTS, ShardInfo, require_litdata
from revisp.data.tiles import PictureTile, picture_tiles
from revisp.errors import ConfigError, DataError, OutputError

__all__ = ["shards_are_stale", "write_shards"]

FREE_BYTES = 64 * 2**20
"""Bytes that packing leaves free on the disk."""

Array = np.ndarray[Any, Any]


class _Place(NamedTuple):
    """A tile to pack."""

    picture: PreparedPicture
    tile: PictureTile
    overexposed: Array


def shards_are_stale(root: str | Path) -> bool:
    """Whether a data set has no shards in their usual place, or has changed since they were packed.

    Args:
        root: the data set's folder.
    """
    packed = Path(root) / "shards"
    return not packed.exists() or packed.stat().st_mtime_ns < (Path(root) / MANIFEST).stat().st_mtime_ns


def write_shards(
    root: str | Path,
    out: str | Path | None = None,
    *,
    tile: int = 256,
    overlap: int = 32,
    val_tile: int = 512,
    chunk_bytes: int = 64_000_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Pack a prepared data set into shards, completely or not at all.

    Training pictures are cut into overlapping tiles of equal size, which are packed in random order: a reader
    shuffles the chunks, but tiles only within a chunk. Validation pictures are cut into tiles that do not overlap.

    Args:
        root: the data set's folder.
        out: the folder of the shards; None takes ``ROOT/shards``. Existing shards are replaced.
        tile: side of a training tile in pixels, even; a smaller picture is one tile. Crops of up to ``tile - 2``
            pixels can be drawn from it in all symmetries.
        overlap: least overlap of neighbouring tiles in pixels, even. A crop lies within one tile. If the overlap
            is at least the side of a crop, a crop can lie anywhere; otherwise some positions at the borders of
            tiles never occur.
        val_tile: longest side of a validation tile, even.
        chunk_bytes: size of a chunk.
        seed: seed of the order.
        progress: called with the number of packed tiles and the number of all tiles.

    Returns:
        The folder of the shards.

    Raises:
        ConfigError: LitData is missing, or a size is outside its range.
        DataError: the data set is missing, incomplete or inconsistent.
        OutputError: the shards cannot be written, or ``out`` contains other files.
    """
    require_litdata()
    _check_sizes(tile, overlap, val_tile, chunk_bytes)
    source = PreparedSource(root)
    parts = _train_places(source, tile, overlap, seed) | {"val": list(_val_places(source, val_tile))}
    sides = [min(place.tile.height, place.tile.width) for part in SHARD_PARTS[:2] for place in parts[part]]
    info = ShardInfo(source.profile, {part: len(parts[part]) for part in SHARD_PARTS}, min(sides, default=0))
    if not sides:
        raise DataError(f"{root}: no training tile has a valid pixel")
    out = Path(root, "shards") if out is None else Path(out)
    with _replacing(out, _bytes_needed(parts)) as folder:
        done = 0
        for part, places in parts.items():
            for _ in _pack(folder / part, places, info, chunk_bytes):
                done += 1
                if progress is not None:
                    progress(done, sum(info.tiles.values()))
    return out


def _train_places(source: PreparedSource, side: int, overlap: int, seed: int) -> dict[str, list[_Place]]:
    """Return the training tiles in random order, by part; tiles without a valid pixel are left out."""
    parts: dict[str, list[_Place]] = {"train": [], "train-oe": []}
    for index, picture in enumerate(source.train_pictures()):
        found, valid = picture.overexposed(), picture.valid_blocks()
        for top in _starts(picture.height, side, overlap):
            for left in _starts(picture.width, side, overlap):
                tile = PictureTile(index, top, left, min(side, picture.height), min(side, picture.width))
                if valid is None or _any_valid(valid, tile):
                    inside = _within(found, tile)
                    parts["train-oe" if len(inside) else "train"].append(_Place(picture, tile, inside))
    rng = np.random.default_rng(seed)
    return {part: [places[at] for at in rng.permutation(len(places))] for part, places in parts.items()}


def _val_places(source: PreparedSource, side: int) -> Iterator[_Place]:
    pictures = source.val_pictures()
    table = table_of(pictures)
    for index, picture in enumerate(pictures):
        found = picture.overexposed()
        for tile in picture_tiles(table, index, source.profile.cfa, side):
            yield _Place(picture, tile, _within(found, tile))


def _starts(size: int, side: int, overlap: int) -> list[int]:
    """Return even positions, at about equal distances, of overlapping pieces that cover an even size."""
    count = max(1, -(-(size - overlap) // (side - overlap)))
    return [2 * round(at) for at in np.linspace(0, max(0, size - side) / 2, count)]


def _any_valid(blocks: Array, tile: PictureTile) -> bool:
    rows = slice(tile.top // VALID_BLOCK, -(-(tile.top + tile.height) // VALID_BLOCK))
    columns = slice(tile.left // VALID_BLOCK, -(-(tile.left + tile.width) // VALID_BLOCK))
    return bool(blocks[rows, columns].any())


def _within(positions: Array, tile: PictureTile) -> Array:
    relative = positions - [tile.top, tile.left]
    inside = ((relative >= 0) & (relative < [tile.height, tile.width])).all(axis=1)
    return relative[inside].astype(np.uint16)


def _pack(folder: Path, places: Iterable[_Place], info: ShardInfo, chunk_bytes: int) -> Iterator[None]:
    """Write one part, and yield after each tile."""
    from litdata.streaming.writer import BinaryWriter

    folder.mkdir()
    writer = BinaryWriter(str(folder), chunk_bytes=chunk_bytes)
    for index, place in enumerate(places):
        writer[index] = _encode(place, info)
        yield
    writer.done()
    # Only one process writes, so its index is complete. LitData's own merge would wait for the other processes of
    # WORLD_SIZE. The time stamp tells caches of remote shards that the shards have changed.
    for found in folder.glob("*.index.json"):
        index = json.loads(found.read_text())
        (folder / "index.json").write_text(json.dumps({**index, "updated_at": str(time.time())}, sort_keys=True))
        found.unlink()


def _encode(place: _Place, info: ShardInfo) -> bytes:
    _, top, left, height, width = place.tile
    window = place.picture.window(top, left, height, width)
    about = {
        "format": SHARD_FORMAT,
        "name": window.name,
        "place": [top, left],
        "profile": window.profile.to_dict(),
        "data": info.to_dict(),
        "photo": [place.picture.height, place.picture.width] if place.picture.frame else None,
    }
    arrays = {
        "raw": window.raw,
        "srgb": window.srgb,
        "target": window.target,
        "oe": place.overexposed,
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
    }
    if window.valid is not None and not window.valid.all():
        arrays["valid"] = window.valid
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _bytes_needed(parts: dict[str, list[_Place]]) -> int:
    """Return an upper bound: RAW, photo and target take 11 bytes a pixel, or 14 if the photo has 16 bits."""
    return sum(14 * place.tile.height * place.tile.width for places in parts.values() for place in places)


@contextmanager
def _replacing(out: Path, size: int) -> Iterator[Path]:
    """Yield a new folder. It replaces ``out`` at the end of the block, and is removed if the block fails."""
    try:
        if out.exists() and {item.name for item in out.iterdir()} - set(SHARD_PARTS):
            raise OutputError(f"cannot write shards to {out}: the folder holds other files")
        out.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(out.parent).free - FREE_BYTES) < size:
            raise OutputError(
                f"cannot write shards to {out}: they take up to {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
            )
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
            new = Path(folder) / "new"
            new.mkdir()
            yield new
            if out.exists():
                out.rename(Path(folder) / "old")
            new.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write shards to {out}: {error.strerror or error}") from error


def _check_sizes(tile: int, overlap: int, val_tile: int, chunk_bytes: int) -> None:
    if tile < 64 or tile % 2 or val_tile < 64 or val_tile % 2:
        raise ConfigError(f"sides of tiles must be even and at least 64 pixels, got {tile} and {val_tile}")
    if not 0 <= overlap < tile or overlap % 2:
        raise ConfigError(f"overlap must be even and in [0, {tile}), got {overlap}")
    if chunk_bytes < 2**20:
        raise ConfigError(f"chunk_bytes must be at least 1 MiB, got {chunk_bytes}")
