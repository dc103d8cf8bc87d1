"""Values of others as typed fields: JSON is read with limits, and a dataclass checks its own annotations.

A dataclass states types and ranges of its fields by the types of this module, and calls `check_fields` in its
``__post_init__``. So the same rules hold for values from a file and from a caller, and what was loaded can be
saved and loaded again without a change.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

from revisp.errors import RevispError

__all__ = [
    "Figure",
    "Flag",
    "Json",
    "Matrix",
    "Number",
    "Numbers",
    "Share",
    "Text",
    "Triple",
    "Whole",
    "build",
    "check_fields",
    "one_of",
    "own_name",
    "parse",
    "parse_file",
    "part",
    "validated",
]

T = TypeVar("T")

MOST_BYTES = 64 << 20
"""Most bytes of one JSON document."""

MOST_ITEMS = 100_000
"""Most items of a row of numbers."""

DEEPEST = 64
"""Deepest nesting of a JSON document."""

LONGEST_TEXT = 10_000
"""Most letters of a text."""

_RULES = {
    "missing": "is incomplete",
    "float_type": "must be a finite number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "mapping_type": "must be an object",
    "dataclass_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "extra_forbidden": "is unknown",
    "too_long": "must have at most {max_length} items",
}
"""Words for the rules of pydantic."""

_typed_dict: Any = TypedDict  # made at run time, which type checkers do not follow

_SHOWN = 60
"""Most letters of a value in a message."""


def _plain(value: Any) -> Any:
    """Return scalars and arrays of numpy as Python's numbers and lists."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _figure(value: Any) -> Any:
    """Return NaN for None, which stands for an unknown figure in JSON."""
    return math.nan if value is None else _plain(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"must be a text of at most {LONGEST_TEXT} letters")
    return value


Number = Annotated[float, BeforeValidator(_plain), Field(strict=True, allow_inf_nan=False)]
"""A finite number."""

Share = Annotated[float, BeforeValidator(_plain), Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
"""A number in [0, 1]."""

Figure = Annotated[float, BeforeValidator(_figure), Field(strict=True)]
"""A number, or NaN if it is unknown; null in JSON."""

Triple = Annotated[tuple[Number, Number, Number], BeforeValidator(_plain)]
"""Three finite numbers, mostly of the channels R, G, B."""

Matrix = Annotated[tuple[Triple, Triple, Triple], BeforeValidator(_plain)]
"""Three rows of three finite numbers."""

Numbers = Annotated[tuple[Number, ...], BeforeValidator(_plain), Field(max_length=MOST_ITEMS)]
"""Finite numbers in a row."""

Whole = Annotated[int, BeforeValidator(_plain), Field(strict=True, ge=0, lt=2**63)]
"""A whole number from 0 on."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false."""

Text = Annotated[str, PlainValidator(_text)]
"""A text; also of letters that stand for the bytes of a file name that is not UTF-8."""


def _json(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("must have texts as keys")
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must hold finite numbers only")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("must hold whole numbers of at most 64 bits")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise ValueError(f"must hold texts of at most {LONGEST_TEXT} letters")
    if not isinstance(value, str | float | int | None):
        raise ValueError("must be a JSON value")
    return value


Json = Annotated[Any, BeforeValidator(_json)]
"""A JSON value whose numbers are finite."""


def part(cls: type[Any], what: str, error: type[RevispError]) -> BeforeValidator:
    """Return a validator that builds a dataclass from JSON values, for a field that holds one.

    Args:
        cls: the dataclass, which calls `check_fields`.
        what: its name in messages.
        error: type of the error.
    """
    return BeforeValidator(lambda value: build(cls, value, what, error) if isinstance(value, Mapping) else value)


def own_name(value: str) -> str:
    """Require, in an ``AfterValidator``, the name of a file in the folder itself."""
    if Path(value).name != value or "\\" in value or value.startswith("."):
        raise ValueError("must be the name of a file in the folder")
    return value


def one_of(choices: Sequence[str]) -> AfterValidator:
    """Return a validator that takes one of these texts."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return AfterValidator(check)


def parse(data: str | bytes) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: not JSON in UTF-8, too large, or nested too deeply; the message is one line.

    Example:
        >>> parse('{"bits": 10}')
        {'bits': 10}
        >>> parse("[NaN]")
        Traceback (most recent call last):
        ...
        ValueError: not JSON: NaN is not a number
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"not JSON of a reasonable size: more than {MOST_BYTES >> 20} MiB")
    try:
        value = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {' '.join(str(error).split())}") from None
    _require_flat(value)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:_SHOWN]} is too large")
    return value


def _require_flat(value: Any) -> None:
    """Require that a value is nested at most `DEEPEST` times, without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for holder in level
            if isinstance(holder, list | dict)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return
    raise ValueError("not JSON: nested too deeply")


def parse_file(path: str | Path) -> Any:
    """Return the value of a JSON file, as `parse` does.

    Raises:
        ValueError: as for `parse`.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return parse(file.read(MOST_BYTES + 1))


def check_fields(item: Any, what: str, error: type[RevispError]) -> None:
    """Check the fields of a frozen dataclass by their annotations, and set them to the converted values.

    Args:
        item: the dataclass, in its ``__post_init__``.
        what: its name in messages; empty for none.
        error: type of the error.

    Raises:
        RevispError: of the type ``error``: the message names the field.
    """
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item) if field.init}
    schema: TypeAdapter[Any] = _schema(type(item))  # type: ignore[arg-type]
    for name, value in validated(schema, values, what, error).items():
        object.__setattr__(item, name, value)


def build(cls: type[T], values: Any, what: str, error: type[RevispError]) -> T:
    """Build a dataclass that calls `check_fields` from JSON values.

    Raises:
        RevispError: of the type ``error``: no object, or a field is missing, unknown or wrong.

    Example:
        >>> from revisp.camera.looks import ColourLook
        >>> from revisp.errors import ConfigError
        >>> build(ColourLook, {"hues": []}, "colour look", ConfigError)
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: colour look: unknown field 'hues'; known are hue, saturation
    """
    if not isinstance(values, Mapping):
        raise error(_named(what, f"must be a JSON object, got {_short(values)}"))
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    needed = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if missing := sorted(needed - set(values)):
        raise error(_named(what, f"the field {missing[0]!r} is missing"))
    if unknown := sorted(map(str, set(values) - set(fields))):
        raise error(_named(what, f"unknown field {_short(unknown[0])}; known are {', '.join(fields)}"))
    return cls(**values)


def validated(schema: TypeAdapter[T], values: Any, what: str, error: type[RevispError]) -> T:
    """Return values converted to the types of a schema.

    Raises:
        RevispError: of the type ``error``: a value is wrong; the message names the field.

    Example:
        >>> from revisp.errors import ConfigError
        >>> validated(TypeAdapter(list[Share]), [0.5, 2], "a curve", ConfigError)
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: a curve: [1] must be at most 1, got 2
    """
    try:
        return schema.validate_python(values)
    except ValidationError as invalid:
        raise error(_named(what, _first(invalid))) from None
    except RecursionError:
        raise error(_named(what, "nested too deeply")) from None


@functools.cache
def _schema(cls: Any) -> TypeAdapter[Any]:
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}
    typed = _typed_dict(cls.__name__, fields)
    typed.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return TypeAdapter(typed)


def _first(invalid: ValidationError) -> str:
    """Return the first fault of a validation: field, rule and value."""
    fault = invalid.errors(include_url=False)[0]
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, RevispError):
        return str(cause)
    place = ""
    for part in fault["loc"]:
        shown = f"[{part}]" if isinstance(part, int) else str(part)[:_SHOWN]
        place += shown if not place or isinstance(part, int) else f".{shown}"
    rule = _RULES.get(fault["type"])
    if rule is None:
        rule = fault["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must")
    return f"{place} {rule.format(**fault.get('ctx', {}))}, got {_short(fault['input'])}".strip()


def _named(what: str, fault: str) -> str:
    return f"{what}: {fault}" if what else fault


def _short(value: Any) -> str:
    try:
        shown = ascii(value)
    except ValueError:  # a number of more digits than Python prints
        shown = f"a number of {int(math.log10(abs(value)))} digits" if isinstance(value, int) else "a value"
    except RecursionError:
        shown = "a deep value"
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
