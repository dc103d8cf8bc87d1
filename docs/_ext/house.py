"""The map of the package: floors and fences out of ``[tool.importlinter]``, and a sentence a room out of the code.

A room is a module or package right below ``revisp``. Its sentence is the first of its docstring.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["fences", "floors", "render", "sentence"]

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "revisp"


def _contracts(kind: str) -> list[dict[str, Any]]:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [contract for contract in settings["contracts"] if contract["type"] == kind]


def floors() -> list[list[str]]:
    """Return the rooms of each floor, the highest first."""
    (layers,) = _contracts("layers")
    return [[room.strip() for room in floor.split("|")] for floor in layers["layers"]]


def fences() -> list[tuple[str, list[str], list[str]]]:
    """Return the name of each fence, the distributions behind it, and the modules that may import them."""
    return [
        (
            contract["name"],
            contract["forbidden_modules"],
            sorted({line.partition(" -> ")[0] for line in contract["ignore_imports"]}),
        )
        for contract in _contracts("forbidden")
    ]


def sentence(room: str) -> str:
    """Return the first sentence of a room's docstring, on one line."""
    path = REPOSITORY / PACKAGE / room
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


def render() -> str:
    """Return the map as two Markdown tables."""
    rooms = [
        f"| {number} | `{room}` | {_cell(sentence(room))} |"
        for number, floor in zip(range(len(floors()), 0, -1), floors(), strict=True)
        for room in floor
    ]
    walls = [f"| {name} | {_spans(behind)} | {_spans(allowed)} |" for name, behind, allowed in fences()]
    lines = ["| floor | room | what happens in it |", "| --- | --- | --- |", *rooms, ""]
    lines += ["| fence | keeps in | may import them |", "| --- | --- | --- |", *walls]
    return "\n".join(lines)


def _spans(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")
