"""One word means one thing."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "revisp"
ENTRY_POINTS = {"main", "command"}  # every command's module has its own


def test_no_two_public_classes_or_functions_share_a_name() -> None:
    homes = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                homes[node.name].append(path.relative_to(PACKAGE).as_posix())
    twins = {name: sorted(found) for name, found in homes.items() if len(found) > 1 and name not in ENTRY_POINTS}
    assert twins == {}  # rename one of each
