"""The pages for developers: what they name exists, and the code that they show runs."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import revisp
from revisp.backbones import BACKBONES
from revisp.data import DATASETS
from revisp.losses import LOSSES
from revisp.registry import Registry

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs" / "develop").glob("*.md"))]
SHOWN = {
    "docs/develop/add-a-network.md",
    "docs/develop/add-a-loss.md",
    "docs/develop/add-a-data-set.md",
    "docs/develop/add-a-file-format.md",
}
"""Pages that add something step by step; a heading names each file that is new."""


def _relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _new_files(text: str) -> set[str]:
    return set(re.findall(r"^#+ \d\. .*`([\w./-]+)`$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"`((?:revisp|conf|tests|docs|notebooks|benchmarks|\.ci)/[\w./-]*)", text))
    named -= {name for name in _new_files(text) if name.split("/")[-1].rpartition(".")[0] in _examples(text)}
    assert [name for name in sorted(named) if "NAME" not in name and not (REPOSITORY / name).exists()] == []


def _examples(text: str) -> set[str]:
    """Return the names that a page adds, and their tests: ``The example adds `power` ...``."""
    added = {name.lstrip(".") for name in re.findall(r"The example adds `([\w.]+)`", text)}
    return added | {f"test_{name}" for name in added}


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page.read_text())
    assert [name for file, name in named if f"def {name}(" not in (REPOSITORY / file).read_text()] == []
    assert named or _relative(page) not in SHOWN


def test_every_call_of_the_walks_is_where_they_say() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `([\w/.]+)` \|", (REPOSITORY / "docs/develop/house.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 20
    for name, file in rows:
        assert re.search(rf"^ *(def|class) {name}\b", (REPOSITORY / file).read_text(), re.MULTILINE), (name, file)


def test_the_map_has_every_room_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs" / "_ext"))
    house = importlib.import_module("house")
    rooms = {path.stem for path in (REPOSITORY / "revisp").iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"__init__", "__pycache__", "weights"}
    assert {room for floor in house.floors() for room in floor} == rooms
    assert [room for room in sorted(rooms) if not re.fullmatch(r"[A-Z].*\.", house.sentence(room))] == []
    table = house.render()
    assert table.index("`cli`") < table.index("`inference`") < table.index("`errors`")
    assert "`rawpy`" in table


@pytest.fixture
def registries() -> Iterator[None]:
    """Forget what a page registers."""
    kept = [
        (registry, dict(registry._factories), dict(registry._specs)) for registry in (BACKBONES, DATASETS, LOSSES)
    ]
    yield
    for registry, factories, specs in kept:
        registry._factories, registry._specs = factories, specs


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("name", sorted(SHOWN))
def test_the_code_of_a_page_runs_and_its_tests_pass(name: str, tmp_path: Path, monkeypatch) -> None:
    """Each Python block is a file: of the package where a heading names one of it, else a test."""
    text = (REPOSITORY / name).read_text()
    parts = re.split(r"^#+ \d\. ", text, flags=re.MULTILINE)[1:]
    assert len(parts) >= 6
    ran = 0
    for part in parts:
        file = re.search(r"`([\w./-]+)`", part.splitlines()[0])
        for block in re.findall(r"^```python\n(.*?)^```$", part, flags=re.DOTALL | re.MULTILINE):
            assert file is not None
            module = ModuleType(file[1].removesuffix(".py").replace("/", "."))
            if not (REPOSITORY / file[1]).exists():  # a file that is there gets a line more, no new module
                monkeypatch.setitem(sys.modules, module.__name__, module)
            exec(compile(block, file[1], "exec", dont_inherit=True), module.__dict__)
            ran += _run_tests(module, tmp_path)
    assert ran >= 2


def _run_tests(module: ModuleType, folder: Path) -> int:
    """Run the test functions of a module; they take a folder or nothing."""
    tests = [item for key, item in vars(module).items() if key.startswith("test_")]
    for number, test in enumerate(tests):
        given = folder / str(number)
        given.mkdir(exist_ok=True)
        test(**({"tmp_path": given} if "tmp_path" in inspect.signature(test).parameters else {}))
    return len(tests)


def _own(registry: Registry[Any]) -> list[str]:
    return [name for name in registry if registry.get(name).__module__.startswith("revisp.")]


@pytest.mark.parametrize("registry", [BACKBONES, LOSSES], ids=["networks", "losses"])
def test_every_network_and_loss_is_in_the_changelog(registry: Registry[Any]) -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    assert [name for name in _own(registry) if not re.search(f"`{name}[`:]", text)] == []


@pytest.mark.parametrize(
    ("registry", "room"), [(BACKBONES, "backbones"), (LOSSES, "losses")], ids=["networks", "losses"]
)
def test_every_network_and_loss_has_a_test_beside_the_contract(registry: Registry[Any], room: str) -> None:
    files = (REPOSITORY / "tests" / room).glob("test_*.py")
    text = "".join(file.read_text() for file in files if not file.stem.endswith("_contract"))
    assert [name for name in _own(registry) if f'"{name}"' not in text] == []


def test_every_network_is_on_the_networks_page() -> None:
    page = (REPOSITORY / "docs" / "networks.md").read_text()
    assert [name for name in _own(BACKBONES) if f"`{name}`" not in page] == []


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == revisp.__version__
    paper = citation["preferred-citation"]
    readme = (REPOSITORY / "README.md").read_text().replace("{", "").replace("}", "")
    assert paper["title"] in readme
    assert " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"]) in readme
