"""Every function and class that a package exports shows a call in its docstring; pytest runs these as doctests."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import revisp

EXAMPLE = re.compile(r"^ *Example:\n(?:.*\n)*? +>>> ", re.MULTILINE)


def public_modules() -> list[str]:
    """Return the names of all packages but ``cli``, and of the modules that ``revisp`` itself names."""
    root = Path(revisp.__file__).parent
    folders = sorted(file.parent.relative_to(root.parent) for file in root.rglob("__init__.py"))
    named = [name for name in (f"revisp.{name}" for name in revisp.__all__) if find_spec(name)]
    packages = [".".join(folder.parts) for folder in folders]
    return [name for name in dict.fromkeys([*packages, *named]) if name != "revisp.cli"]


def without_example(module_name: str) -> list[str]:
    """Return the functions and classes of a module's ``__all__`` whose docstring shows no call."""
    module = importlib.import_module(module_name)
    exported = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return [
        name
        for name, item in exported.items()
        if (inspect.isclass(item) or inspect.isroutine(item)) and not EXAMPLE.search(item.__doc__ or "")
    ]


@pytest.mark.parametrize("module_name", public_modules())
def test_every_export_shows_a_call(module_name: str) -> None:
    missing = without_example(module_name)
    assert not missing, f"{module_name}: no Example in the docstring of {', '.join(missing)}"
