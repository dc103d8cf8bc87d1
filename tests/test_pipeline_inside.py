"""Only the pipeline and its training know what a model is made of; all others ask it for what they need."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import revisp

PACKAGE = Path(revisp.__file__).parent
KNOW_IT = ("pipeline", "training")


def questions(code: str) -> Iterator[str]:
    """Find where code asks a model for its inside; ``self.packed`` of a network is its own."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr in ("plain", "packed"):
            if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                yield f"line {node.lineno}: .{node.attr}"
        elif isinstance(node, ast.Attribute) and node.attr == "kind":
            if ast.unparse(node.value).endswith("fusion"):
                yield f"line {node.lineno}: fusion.kind"
        elif isinstance(node, ast.Constant) and node.value == "shared":
            yield f"line {node.lineno}: 'shared'"


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("raw = zeros(1 if model.packed else 3)", 1),
        ("self.model.plain or engine.model.plain", 2),
        ("reach = 3 * model.fusion.feather if model.fusion.kind == 'feathered' else 0", 1),
        ("fusion = model.fusion\nif fusion.kind != 'hard': pass", 1),
        ('if "shared" in model.branches: oe, noe = run("shared")', 2),
        ('"""Branches may be ``shared``."""\nself.packed = head == "packed"\nkind = mask.kind', 0),
    ],
)
def test_questions_are_found(code: str, count: int) -> None:
    assert len(list(questions(code))) == count


def test_nobody_outside_asks_what_a_model_is_made_of() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in KNOW_IT]
    assert len(files) > 100
    found = [f"{path.relative_to(PACKAGE)}: {each}" for path in files for each in questions(path.read_text())]
    assert found == []
