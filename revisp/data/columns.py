"""The lines of a manifest as columns: a row of numbers for each line, 86 bytes, instead of Python objects.

Most lines are checked by compiled rules, which are stricter than those of `Entry`. The lines that these refuse are
checked by `Entry` itself, which takes them or says what is wrong.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from revisp.camera.profile import MOST_COEFFICIENT
from revisp.data.entry import KINDS, MIN_SIDE, MOST_SIDE, SPLITS, Entry, Reject, outcome_of
from revisp.data.picture import PHASES
from revisp.errors import DataError
from revisp.io.file_names import natural_key
from revisp.schema import LONGEST_TEXT, parse

__all__ = ["ROW", "item_name", "item_of", "key_of", "scan"]

ROW = np.dtype(
    [
        ("start", "<u8"), ("length", "<u4"), ("line", "<u4"),  # bytes of the line in the file, and its number
        ("name", "<u8"), ("scene", "<u8"), ("camera", "<u8"), ("constants", "<u8"),  # `key_of` each
        ("neutral", "<f8", 3), ("height", "<i4"), ("width", "<i4"),
        ("split", "u1"), ("kind", "u1"), ("cfa", "u1"),  # positions in SPLITS, KINDS, PHASES
        ("overexposed", "?"), ("has_valid", "?"), ("rejected", "?"),
    ]
)  # fmt: skip
"""A row: where a line stands, and what is needed to choose and draw images. Texts are 64-bit hashes."""

CHUNK = 64
"""Lines that are checked together. The objects of more lines live so long that Python's garbage collection goes
through them again and again: at 256 lines a scan takes a fifth more time."""

DEEPEST = 32
"""Deepest nesting of an object of metadata that is checked here; `revisp.schema.DEEPEST` counts from the root."""

Array = np.ndarray[Any, Any]

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Triple = tuple[_Finite, _Finite, _Finite]
_Whole = Annotated[int, Field(ge=0, lt=2**63)]
_Side = Annotated[int, Field(ge=MIN_SIDE, le=MOST_SIDE, multiple_of=2)]
_Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
_Line = Annotated[str, Field(max_length=LONGEST_TEXT, pattern=r"^[^\s\x00-\x1f][^\n]*$")]
_Name = Annotated[str, Field(max_length=50, pattern=r'^[^./\\:*?"<>|\x00-\x1f\x7f][^/\\:*?"<>|\x00-\x1f\x7f]*$')]
_STRICT = ConfigDict(extra="forbid", strict=True)


class _Source(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    path: _Text
    size: _Whole
    mtime_ns: _Whole


class _Profile(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    make: _Text
    model: _Text
    cfa: Literal["RGGB", "GRBG", "GBRG", "BGGR"]
    black_level: tuple[_Finite, _Finite, _Finite, _Finite]
    white_level: _Finite
    bits: Annotated[int, Field(ge=1, le=16)]
    color_matrix: tuple[_Triple, _Triple, _Triple]
    as_shot_neutral: _Triple


class _Entry(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]
    status: Literal["ok"]
    name: _Name
    kind: Literal[KINDS]  # type: ignore[valid-type]
    scene: _Line
    split: Literal[SPLITS]  # type: ignore[valid-type]
    camera: _Line
    profile: _Profile
    height: _Side
    width: _Side
    oe_share: Annotated[float, Field(ge=0, le=1)]
    sources: list[_Source]
    fingerprint: _Line
    alignment: dict[str, Any] | None
    developer: _Text | None
    style: _Text | None
    fitted: dict[str, Any] | None
    has_valid: bool


_ENTRY: TypeAdapter[Any] = TypeAdapter(_Entry)
_SPLIT = {name: number for number, name in enumerate(SPLITS)}
_KIND = {name: number for number, name in enumerate(KINDS)}
_PHASE = {cfa.value: number for number, cfa in enumerate(PHASES)}


class _Raw(NamedTuple):
    """A line as it stands in the file, without a byte order mark."""

    number: int
    start: int
    data: bytes


def key_of(text: str) -> int:
    """Return the hash of a name by which columns tell whether two are equal, the same in every process.

    Example:
        >>> key_of("img1") == key_of("img1"), key_of("img1") == key_of("img2")
        (True, False)
    """
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


_repeated_key = functools.lru_cache(maxsize=4096)(key_of)


@functools.lru_cache(maxsize=4096)
def _constants_key(*constants: Any) -> int:
    return key_of(repr(constants))


def item_of(data: bytes) -> Entry | Reject | None:
    """Return the image or the refused input of a line; None of an empty line.

    Raises:
        DataError: the line is neither; the message names the field.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text: {error}") from error
    if not text.strip():
        return None
    try:
        values = parse(text)
    except ValueError as error:
        raise DataError(str(error)) from error
    return outcome_of(values)


def scan(path: Path) -> tuple[Array, str]:
    """Check all lines of a manifest, a few at a time: the file is never in memory as a whole.

    Args:
        path: the file.

    Returns:
        The rows (`ROW`) in natural order of the names, and the SHA-256 of the file.

    Raises:
        DataError: a line is not valid, or a name occurs twice; the message gives file and line.
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    chunks = [np.empty(0, ROW)]
    last, ordered = natural_key(""), True
    with path.open("rb") as file:
        lines = _lines(file, digest)
        while chunk := list(itertools.islice(lines, CHUNK)):
            rows, names = _rows(path, chunk)
            chunks.append(rows)
            keys = [last, *map(natural_key, names)]
            ordered = ordered and all(map(_before, keys, keys[1:]))
            last = keys[-1]
    rows = np.concatenate(chunks)
    if not ordered:
        rows = _in_natural_order(path, rows)
    return rows, digest.hexdigest()


def _before(one: Any, two: Any) -> bool:
    return bool(one < two)


def _lines(file: Iterable[bytes], digest: Any) -> Iterator[_Raw]:
    """Yield the lines of a file that are not empty, and feed all of them to a digest."""
    start = 0
    for number, line in enumerate(file, start=1):
        digest.update(line)
        mark = len(BOM_UTF8) if number == 1 and line.startswith(BOM_UTF8) else 0
        data = line[mark:].rstrip(b"\r\n")
        if data:
            yield _Raw(number, start + mark, data)
        start += len(line)


def _in_natural_order(path: Path, rows: Array) -> Array:
    """Return rows in natural order of their names.

    Raises:
        DataError: a name occurs twice.
    """
    with path.open("rb") as file:
        names = []
        for row in rows:
            file.seek(int(row["start"]))
            names.append(item_name(file.read(int(row["length"]))))
    seen: set[str] = set()
    for row, name in zip(rows, names, strict=True):
        if name in seen:
            raise DataError(f"{path}:{row['line']}: the name {name!r} occurs twice")
        seen.add(name)
    return rows[sorted(range(len(rows)), key=lambda at: natural_key(names[at]))]


def item_name(data: bytes) -> str:
    """Return the name in a line that was checked."""
    try:
        return str(from_json(data)["name"])
    except ValueError:  # letters that stand for the bytes of a file name
        return str(parse(data.decode())["name"])


def _rows(path: Path, chunk: Sequence[_Raw]) -> tuple[Array, list[str]]:
    """Return the rows of some lines, and their names.

    Raises:
        DataError: a line is not valid.
    """
    found = [_checked(raw.data) for raw in chunk]
    told = [values for values in found if values is not None]
    holds = iter(_profiles_hold([values["profile"] for values in told]))
    rows: list[tuple[Any, ...]] = []
    names: list[str] = []
    for raw, values in zip(chunk, found, strict=True):
        if values is not None and next(holds):
            name, row = values["name"], _row_of_values(values)
        else:
            try:
                item = item_of(raw.data)
            except DataError as error:
                raise DataError(f"{path}:{raw.number}: {error}") from error
            if item is None:
                continue
            name, row = item.name, _row_of_item(item)
        names.append(name)
        rows.append((raw.start, len(raw.data), raw.number, *row))
    return np.array(rows, ROW), names


def _checked(data: bytes) -> dict[str, Any] | None:
    """Return the values of a line by the compiled rules; None of a line that `Entry` must decide on."""
    if len(data) > LONGEST_TEXT:  # so may be a text in its metadata
        return None
    try:
        values: dict[str, Any] = _ENTRY.validate_json(data)
    except ValidationError:
        return None
    return values if _is_plain(values["alignment"]) and _is_plain(values["fitted"]) else None


def _is_plain(metadata: dict[str, Any] | None) -> bool:
    """Whether metadata have finite numbers, integers of 63 bits, and little nesting."""
    level: list[Any] = [] if metadata is None else [metadata]
    for _ in range(DEEPEST):
        below = []
        for holder in level:
            for item in holder.values() if type(holder) is dict else holder:
                kind = type(item)
                if kind is float:
                    if not math.isfinite(item):
                        return False
                elif kind is int:
                    if not -(2**62) < item < 2**62:
                        return False
                elif kind is list or kind is dict:
                    below.append(item)
        if not below:
            return True
        level = below
    return False


def _profiles_hold(profiles: Sequence[Any]) -> list[bool]:
    """Whether each profile surely holds; False where `CameraProfile` must decide."""
    if not profiles:
        return []
    matrix, neutral, black, white, bits = (
        np.array([profile[name] for profile in profiles])
        for name in ("color_matrix", "as_shot_neutral", "black_level", "white_level", "bits")
    )
    holds: Array = (
        (np.abs(matrix).max(axis=(1, 2)) < MOST_COEFFICIENT)
        & (np.abs(np.linalg.det(matrix)) > 2e-6)
        & (neutral.min(axis=1) > 1 / MOST_COEFFICIENT)
        & (neutral.max(axis=1) < MOST_COEFFICIENT)
        & (black.min(axis=1) >= 0)
        & (black.max(axis=1) < white)
        & (white <= 2.0**bits)
    )
    return holds.tolist()


def _row_of_values(values: dict[str, Any]) -> tuple[Any, ...]:
    profile = values["profile"]
    name = key_of(values["name"])
    return (
        name,
        name if values["scene"] == values["name"] else key_of(values["scene"]),
        _repeated_key(values["camera"]),
        _constants_key(*(profile[field] for field in _CONSTANTS)),
        profile["as_shot_neutral"],
        values["height"],
        values["width"],
        _SPLIT[values["split"]],
        _KIND[values["kind"]],
        _PHASE[profile["cfa"]],
        values["oe_share"] > 0,
        values["has_valid"],
        False,
    )


_CONSTANTS = ("make", "model", "cfa", "black_level", "white_level", "bits", "color_matrix")
"""Fields of a profile that do not change from shot to shot."""


def _row_of_item(item: Entry | Reject) -> tuple[Any, ...]:
    if isinstance(item, Reject):
        return (key_of(item.name), 0, 0, 0, (0.0, 0.0, 0.0), 0, 0, 0, 0, 0, False, False, True)
    fields = ("name", "scene", "camera", "height", "width", "split", "kind", "oe_share", "has_valid")
    profile = {field: getattr(item.profile, field) for field in (*_CONSTANTS, "as_shot_neutral")}
    profile["cfa"] = item.profile.cfa.value
    return _row_of_values({"profile": profile, **{field: getattr(item, field) for field in fields}})
