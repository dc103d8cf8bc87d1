"""The public surface: what a program can call is written down in ``api_surface.json``, so that no change slips in.

After a change that is meant, write the file anew by

    python tests/test_api_surface.py

and say in CHANGELOG.md what changed. ``docs/stability.md`` tells which names may change, and how.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import revisp

SURFACE = Path(__file__).with_suffix("").with_name("api_surface.json")
STABILITY = Path(__file__).resolve().parents[1] / "docs" / "stability.md"


def packages(package: ModuleType) -> Iterator[ModuleType]:
    """Yield a package and every public package in and below it; ``cli`` is public by its commands alone."""
    yield package
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if found.ispkg and found.name != "revisp.cli":
            yield from packages(importlib.import_module(found.name))


def public_modules() -> list[ModuleType]:
    """Return every package, and the modules that ``revisp`` itself names."""
    named = [getattr(revisp, name) for name in revisp.__all__]
    found = [*packages(revisp), *(item for item in named if inspect.ismodule(item))]
    return list(dict.fromkeys(found))


def describe(name: str, item: object) -> Iterator[tuple[str, str]]:
    """Yield a name with its signature, and the same of every public member of a class."""
    if inspect.ismodule(item):
        yield name, "module"
    elif inspect.isclass(item):
        called = call(item)
        yield name, f"class{called}"
        for key, member in members(item).items():
            if not key.startswith("_") and f"{key}: " not in called:  # a field is in the call already
                yield f"{name}.{key}", describe_member(member)
    elif inspect.isroutine(item):
        yield name, call(item)
    else:
        yield name, type(item).__name__


def members(item: type) -> dict[str, object]:
    """Return the members of a class, those that it inherits from other classes of revisp included."""
    own = [one for one in reversed(item.__mro__) if one.__module__.partition(".")[0] == "revisp"]
    return {key: member for one in own for key, member in vars(one).items()}


def describe_member(member: object) -> str:
    """Return the signature of a method, or the kind of another member."""
    if isinstance(member, staticmethod | classmethod):
        return f"{type(member).__name__}{call(member.__func__)}"
    if inspect.isfunction(member):
        return call(member)
    return "property" if isinstance(member, property) else "attribute"


class Written(str):
    """An annotation as it is written in the code: its form does not depend on the version of Python."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def call(item: object) -> str:
    """Return how something is called. Errors and enumerations are called as their base is."""
    if isinstance(item, type) and issubclass(item, Exception | Enum):
        return f"({item.__mro__[1].__name__})"
    found = inspect.signature(item)
    if isinstance(item, type) and list(found.parameters) == ["args", "kwargs"]:
        return "(...)"  # a module of torch without a constructor of its own; its annotations are torch's
    parameters = [one.replace(annotation=written(one.annotation)) for one in found.parameters.values()]
    result = found.empty if isinstance(item, type) else written(found.return_annotation)
    text = str(found.replace(parameters=parameters, return_annotation=result))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def written(annotation: object) -> object:
    """Return an annotation without quotes."""
    text = getattr(annotation, "__forward_arg__", annotation)
    return Written(text) if isinstance(text, str) else annotation


def surface() -> dict[str, str]:
    """Return every public name of the package with its signature."""
    lines: dict[str, str] = {}
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            lines.update(describe(f"{module.__name__}.{name}", getattr(module, name)))
    return dict(sorted(lines.items()))


def test_no_public_name_changes_unnoticed() -> None:
    before, now = json.loads(SURFACE.read_text()), surface()
    changed = {
        name: f"{before.get(name, 'missing')}  ->  {now.get(name, 'gone')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }
    assert changed == {}, "if this is meant: python tests/test_api_surface.py, and a line in CHANGELOG.md"


def test_every_name_at_the_top_is_promised() -> None:
    names = [name for name in revisp.__all__ if not inspect.ismodule(getattr(revisp, name))]
    stable = STABILITY.read_text().partition("## Stable")[2].partition("\n## ")[0]
    assert [name for name in names if f"`revisp.{name}`" not in stable] == []


if __name__ == "__main__":
    SURFACE.write_text(json.dumps(surface(), indent=1) + "\n")
