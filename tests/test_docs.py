"""What README, documentation and notebooks say is so: commands parse, snippets run, nothing is missing."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from dataclasses import fields as fields_of
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from revisp.config import compose
from revisp.data import list_data
from revisp.io.file_names import OUTPUT_ENDINGS

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")])
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
RUN = (
    "README.md",
    "docs/index.md",
    "docs/notation.md",
    "docs/how-to/own-photos.md",
    "docs/how-to/dng.md",
    "docs/how-to/simulate.md",
    "docs/how-to/augment.md",
)
"""Pages whose Python is run here; that of the others trains, or needs files that only a reader has."""
PLUGIN = "backbone=mynet"  # stands for a reader's own network


def _relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def _command_lines(program: str) -> list[str]:
    """Return the arguments of every call of a program in the pages' shell blocks, as written."""
    lines = [
        line
        for page in PAGES
        for block in _blocks(page, "bash")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    calls = [call for line in lines for call in line.split("&&") if call.strip().startswith(f"{program} ")]
    return sorted({call.strip().removeprefix(program) for call in calls})


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the Sphinx extensions of the documentation importable."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "docs" / "_ext"))


@pytest.fixture
def config_reference(extensions: None) -> ModuleType:
    return importlib.import_module("config_reference")


@pytest.mark.parametrize(
    "line",
    [
        "python -m pip install -e . && revisp-train +backbone=unet",
        'python -m pip install -e ".[dev]" && pytest',
    ],
)
def test_readme_holds_the_command_as_a_block_of_one_line(line: str) -> None:
    assert f"{line}\n" in _blocks(REPOSITORY / "README.md", "bash")


@pytest.mark.parametrize("page", RUN)
def test_python_of_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from revisp.data.embedded import VAL_PHOTOS

    monkeypatch.chdir(tmp_path)
    with Image.open(VAL_PHOTOS[1].path) as photo:
        photo.crop((200, 100, 360, 221)).save("photo.jpg")
    names: dict[str, object] = {}
    blocks = _blocks(REPOSITORY / page, "python")
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    if "write_dng" in "".join(blocks):
        import revisp

        assert revisp.io.read_raw("photo.dng").mosaic.shape == (121, 160)


def test_a_data_set_opens_as_its_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from revisp.data.embedded import VAL_PHOTOS
    from revisp.prepare import PrepareOptions, prepare

    monkeypatch.chdir(tmp_path)
    with Image.open(VAL_PHOTOS[1].path) as photo:
        photo.crop((200, 100, 360, 220)).save("photo.jpg")
    prepare(["photo.jpg"], "dataset", PrepareOptions(demosaic="bilinear", val_share=0, workers=1))
    names: dict[str, object] = {}
    (block,) = _blocks(REPOSITORY / "docs" / "data-sets.md", "python")
    exec(compile(block, "docs/data-sets.md", "exec"), names)
    shapes = {name: (names[name].dtype.name, names[name].shape) for name in ("raw", "srgb", "target")}
    assert shapes == {
        "raw": ("uint16", (120, 160)),
        "srgb": ("uint8", (120, 160, 3)),
        "target": ("float16", (3, 120, 160)),
    }


def test_every_field_of_a_data_set_is_explained() -> None:
    from revisp.camera.fitted import FittedCamera
    from revisp.camera.profile import CameraProfile
    from revisp.data.entry import ARRAYS, KINDS, Entry, Reject

    page = (REPOSITORY / "docs" / "data-sets.md").read_text()
    fields = [field.name for kind in (Entry, Reject, CameraProfile, FittedCamera) for field in fields_of(kind)]
    assert [name for name in (*fields, *ARRAYS, *KINDS) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_python_of_the_page_is_python(page: Path) -> None:
    for block in _blocks(page, "python"):
        compile(block, _relative(page), "exec")


@pytest.mark.parametrize("arguments", _command_lines("revisp-train"))
def test_training_commands_compose(arguments: str) -> None:
    words = [word for word in shlex.split(arguments, comments=True) if not word.startswith("--")]
    sweep = "--multirun" in arguments
    words = [re.sub(r"=([^\[]*?),.*", r"=\1", word) if sweep else word for word in words]
    if PLUGIN in words:
        words.remove(PLUGIN)
        words = [word.lstrip("+") for word in words]
    assert compose(words).data.name in list_data()


@pytest.mark.parametrize("arguments", _command_lines("revisp-evaluate"))
def test_evaluation_commands_choose_a_mode(arguments: str) -> None:
    from revisp.cli.evaluate import FLAG_SETTINGS
    from revisp.evaluation.run import choose_mode

    words = [FLAG_SETTINGS.get(word, word) for word in shlex.split(arguments, comments=True)]
    assert choose_mode(compose(words, "evaluate"))


@pytest.mark.parametrize("arguments", _command_lines("revisp-benchmark"))
def test_benchmark_commands_have_cells(arguments: str) -> None:
    from revisp.benchmark.plan import plan_cells
    from revisp.config import as_dict

    words = [word for word in shlex.split(arguments, comments=True) if not word.startswith("hydra")]
    assert [compose(cell.words).backbone.name for cell in plan_cells(as_dict(compose(words, "benchmark")))]


@pytest.mark.parametrize("name", list_data())
def test_every_data_set_is_trained_on_in_some_page(name: str) -> None:
    default = compose([]).data.name
    assert name == default or any(f"data={name}" in shlex.split(line) for line in _command_lines("revisp-train"))


@pytest.mark.parametrize("arguments", _command_lines("revisp-predict"))
def test_prediction_commands_parse(arguments: str) -> None:
    import typer

    from revisp.cli.predict import app

    words = shlex.split(arguments, comments=True)
    context = typer.main.get_command(app).make_context("revisp-predict", words)
    assert context.params["photos"]


@pytest.mark.parametrize("arguments", [line for line in _command_lines("revisp-app") if line])
def test_commands_of_the_page_parse(arguments: str) -> None:
    import typer

    from revisp.cli.app import app

    words = shlex.split(arguments, comments=True)
    assert typer.main.get_command(app).make_context("revisp-app", words).params["host"]


@pytest.mark.parametrize("arguments", _command_lines("revisp-prepare"))
def test_preparation_commands_parse(arguments: str) -> None:
    import typer

    from revisp.cli.prepare import _rule, app
    from revisp.io.converters import STYLES
    from revisp.prepare import PrepareOptions

    words = shlex.split(arguments, comments=True)
    context = typer.main.get_command(app).make_context("revisp-prepare", words)
    given = context.params
    assert given["inputs"]
    assert given["out"]
    assert set(given["style"] or ()) <= set(STYLES)
    options = PrepareOptions(
        profiles=tuple(_rule(text) for text in given["profile"] or ()),
        min_preview=given["min_preview"],
        val_share=given["val_share"],
        cameras=given["cameras"],
        workers=given["workers"],
    )
    assert all(file.suffix == ".json" for _, file in options.profiles)


@pytest.mark.parametrize("program", ["revisp-app", "revisp-predict", "revisp-prepare"])
def test_every_option_is_on_the_commands_page(extensions: None, program: str) -> None:
    import typer

    references = importlib.import_module("references")
    assert f"<!-- options: {program} -->" in (REPOSITORY / "docs" / "commands.md").read_text()
    table = references.options(program)
    app = importlib.import_module(references.COMMANDS[program]).app
    for parameter in typer.main.get_command(app).params:
        assert parameter.help
        if parameter.param_type_name == "option":
            assert f"`{parameter.opts[-1]}" in table


def test_every_config_key_is_explained(config_reference: ModuleType) -> None:
    files = config_reference.read_tree()
    rows = [(file, row) for file in files for row in (*file.choices, *file.keys)]
    assert len(rows) > 100
    meanings = {row.name: row.meaning for file, row in rows if file.name == "paper" or file.group == "loss"}
    assert meanings["loss.noe.terms.l1"] == "mean absolute difference"  # as the file of all terms says
    silent = [
        f"{file.group}/{file.name}: {row.name}"
        for file, row in rows
        if not row.meaning and not row.name.startswith("override ")
    ]
    assert silent == []  # explain these beside the key in conf/, or in docs/config_keys.yaml


def test_every_loss_is_on_the_losses_page() -> None:
    page = (REPOSITORY / "docs" / "losses.md").read_text()
    terms = yaml.safe_load((REPOSITORY / "conf" / "loss" / "terms" / "all.yaml").read_text())
    assert [name for name in terms if f"\n| `{name}` |" not in page] == []


def test_no_explanation_is_left_of_a_key_that_is_gone(config_reference: ModuleType) -> None:
    files = config_reference.read_tree()
    known = {key.name for file in files for key in file.keys}
    known |= {f"defaults.{choice.name}" for file in files for choice in file.choices}
    explained = yaml.safe_load((REPOSITORY / "docs" / "config_keys.yaml").read_text())
    assert sorted(set(explained) - known) == []


def test_every_config_key_is_on_the_page(config_reference: ModuleType) -> None:
    page = config_reference.render(config_reference.read_tree())
    root = yaml.safe_load((REPOSITORY / "conf" / "train.yaml").read_text())
    for name in ("seed", "resume", *(f"schedule.{key}" for key in root["schedule"])):
        assert f"| `{name}` |" in page
    for file in (REPOSITORY / "conf").glob("*/*.yaml"):
        assert f"### `{file.parent.name}={file.stem}`" in page


def test_every_public_module_is_in_the_reference(extensions: None) -> None:
    expand = importlib.import_module("references").expand
    pages = "\n".join(page.read_text() for page in (REPOSITORY / "docs" / "api").glob("*.md"))
    documented = [name for names in re.findall(r"<!-- modules: (.+) -->", pages) for name in expand(names.split())]
    files = [path.relative_to(REPOSITORY).with_suffix("") for path in (REPOSITORY / "revisp").rglob("*.py")]
    modules = {".".join(file.parts) for file in files if not any(part.startswith("_") for part in file.parts)}
    commands = {module for module in modules if module.startswith("revisp.cli.")}  # the commands page has these
    assert sorted(modules - commands - set(documented)) == []  # add these to a page in docs/api/
    assert len(documented) == len(set(documented))


def test_every_output_format_is_on_its_page() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "own-photos.md").read_text()
    assert [ending for ending in OUTPUT_ENDINGS if f"`{ending}`" not in page and ending != ".tif"] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=_relative)
def test_notebook_has_no_outputs(notebook: Path) -> None:
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert not [cell["source"] for cell in cells if cell["outputs"] or cell["execution_count"] is not None]


def test_pictures_are_there_and_small() -> None:
    found = [
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    ]
    assert len(found) >= 8
    sizes = {path: path.stat().st_size for path in found}
    assert max(sizes.values()) < 300_000
    assert sum(sizes.values()) < 2_000_000


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert all((page.parent / target).exists() for target in local), local


def test_figures_fill_the_table_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    figures = _load("benchmarks/main_job.py")
    names = [f"{group}/{column}" for group in figures.RIVALS for column in figures.COLUMNS]
    metrics = {name: 10.0 + at for at, name in enumerate(names)} | {"oe/psnr_oe": None}
    readme = (REPOSITORY / "README.md").read_text()
    for name in figures.JOBS:
        readme = figures.place(name).sub(lambda _, name=name: figures.table(name, metrics, 240.0), readme)
        assert readme.count(f"<!-- {name} -->\n") == readme.count(f"<!-- /{name} -->") == 1
    assert readme.count("| **fused pipeline** | 10.00 | 11.00 | 12.00 | 13.000 | 14.000 | 15.000 |") == 2
    assert readme.count("| OE branch alone | 16.00 | – | 18.00 |") == 2


def test_the_performance_page_is_made_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    report = _load("benchmarks/report.py")
    assert report.PAGE.read_text() == report.page(report.TEMPLATE.read_text(), report.read_results())
