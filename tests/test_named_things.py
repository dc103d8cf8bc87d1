"""What pages and docstrings call by a dotted name of the package exists."""

from __future__ import annotations

import dataclasses
import importlib
import re
from functools import cache
from pathlib import Path

from revisp.backbones import BACKBONES
from revisp.data import DATASETS
from revisp.losses import LOSSES

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
MODULES = [*REPOSITORY.glob("revisp/**/*.py")]
NO_OBJECTS = {BACKBONES.group, DATASETS.group, LOSSES.group, "revisp.json"}
"""Groups of entry points, and a file in an exported program."""


@cache
def exists(name: str) -> bool:
    """Whether a dotted name is a module, or what one holds: members and fields of classes included."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if dataclasses.is_dataclass(found) and part in {field.name for field in dataclasses.fields(found)}:
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_every_dotted_name_exists() -> None:
    lost = {}
    for file in [*PAGES, *MODULES]:
        text = file.read_text()
        examples = {name.lstrip(".") for name in re.findall(r"The example adds `([\w.]+)`", text)}
        named = set(re.findall(r"\brevisp(?:\.\w+)+", text)) - NO_OBJECTS
        shown = [name for name in sorted(named) if not examples.intersection(name.split("."))]
        if missing := [name for name in shown if not exists(name)]:
            lost[file.relative_to(REPOSITORY).as_posix()] = missing
    assert lost == {}
