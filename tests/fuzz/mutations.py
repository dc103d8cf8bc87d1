"""Seeded mutations of files: of bytes, and of JSON as a structure."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["mutate"]

STRANGE_NUMBERS = (
    0, -1, 1, 2**31 - 1, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e-320, 1e300, 1e12,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
STRANGE_VALUES = (
    None, True, "", "\0", "../../etc", "/tmp/x", "x" * 5000, "\x1b[2J", "\ud800", "NaN", [], {}, [[]], [None],
    {"a": 1},
)  # fmt: skip
DEPTH = 100_000
FIELD_VALUES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return a changed copy: of JSON (or lines of it) mostly in its structure, of anything else in its bytes."""
    if data[:1] in (b"{", b"[") and rng.random() < 0.8:
        return _mutate_json(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        data = rng.choice(_OF_BYTES)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    return _put(data, rng, 1, lambda old: bytes([old[0] ^ 1 << rng.randrange(8)]) if old else old)


def _random_byte(data: bytes, rng: random.Random) -> bytes:
    return _put(data, rng, 1, lambda old: rng.randbytes(1))


def _field(data: bytes, rng: random.Random) -> bytes:
    """Put an extreme value where a field of 1, 2, 4 or 8 bytes may be."""
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    value = rng.choice(FIELD_VALUES) & (1 << 8 * size) - 1
    return _put(data, rng, size, lambda old: value.to_bytes(size, order))


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 256)) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 4, 16))) + data[at:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((4, 16, 64, 1024))
    return data[: at + size] + data[at : at + size] + data[at + size :]


def _blank(data: bytes, rng: random.Random) -> bytes:
    size = rng.choice((2, 4, 16, 256, 4096))
    return _put(data, rng, size, lambda old: bytes([rng.choice((0, 255))]) * len(old))


def _move(data: bytes, rng: random.Random) -> bytes:
    size, source = rng.choice((4, 12, 64)), _place(data, rng)
    return _put(data, rng, size, lambda old: data[source : source + size])


_OF_BYTES = (_flip, _flip, _random_byte, _field, _field, _field, _cut, _remove, _insert, _repeat, _blank, _move)


def _place(data: bytes, rng: random.Random) -> int:
    """Choose a position; half of them in the first bytes, where headers are."""
    return rng.randrange(min(len(data), 512) if rng.random() < 0.5 else len(data)) if data else 0


def _put(data: bytes, rng: random.Random, size: int, change: Callable[[bytes], bytes]) -> bytes:
    at = _place(data, rng)
    return data[:at] + change(data[at : at + size]) + data[at + size :]


def _mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Change one value, key or list in JSON, or in one of its lines."""
    lines = data.split(b"\n")
    which = [at for at, line in enumerate(lines) if line.strip()]
    try:
        values = json.loads(data)
        lines, chosen = [data], 0
    except ValueError:
        chosen = rng.choice(which)
        try:
            values = json.loads(lines[chosen])
        except ValueError:
            return _flip(data, rng)
    if rng.random() < 0.03:
        deep = rng.choice((b"[", b'{"a":')) * DEPTH
        lines[chosen] = deep if rng.random() < 0.5 else lines[chosen].replace(b":", b":" + deep, 1)
    else:
        lines[chosen] = json.dumps(_changed(values, rng)).encode()
    return b"\n".join(lines)


def _changed(values: Any, rng: random.Random) -> Any:
    values = copy.deepcopy(values)
    holders = list(_containers(values))
    if not holders or rng.random() < 0.02:
        return rng.choice((*STRANGE_NUMBERS, *STRANGE_VALUES))
    holder = rng.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    kind = rng.choice(("number", "number", "value", "value", "drop", "add", "other"))
    if not keys or kind == "add":
        if isinstance(holder, dict):
            holder[rng.choice(("x", "", "../x", "__class__"))] = rng.choice(STRANGE_VALUES)
        else:
            holder.extend(rng.choice(([0], [None], [[]], [0] * 100_000, holder[:1] * 1000)))
        return values
    key = rng.choice(keys)
    if kind == "drop":
        del holder[key]
    elif kind == "number":
        holder[key] = rng.choice(STRANGE_NUMBERS)
    elif kind == "value":
        holder[key] = copy.deepcopy(rng.choice(STRANGE_VALUES))
    else:
        other = rng.choice(holders)
        holder[key] = copy.deepcopy(other)
    return values


def _containers(values: Any) -> Any:
    if isinstance(values, dict | list):
        if values:
            yield values
        for each in values.values() if isinstance(values, dict) else values:
            yield from _containers(each)
