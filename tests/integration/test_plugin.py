"""A backbone of another distribution: the example plugin, installed, listed, trained, held to the contract."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that the example plugin was installed into, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    source, target = folder / "source", folder / "site"
    shutil.copytree(repository / "docs" / "examples" / "plugin", source)
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    words = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def with_plugin(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands that a test runs find the plugin."""
    monkeypatch.setenv("PYTHONPATH", str(installed))


@pytest.fixture
def broken(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a second distribution, whose module cannot be imported."""
    folder = tmp_path / "site"
    about = folder / "acme_networks-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-networks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[revisp.backbones]\nsprocket = acme_networks:Sprocket\n")
    (folder / "acme_networks.py").write_text("import gears_of_acme\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(folder)]))


@pytest.mark.usefixtures("with_plugin")
def test_it_is_listed_with_its_distribution(run: Run) -> None:
    (row,) = (line for line in run("revisp-models").stdout.splitlines() if line.startswith("pointwise "))
    assert row.split()[:6] == ["pointwise", "1,283", "0.3", "1", "raw_rgb", "1"]
    assert row.endswith("An example of a plugin (plugin revisp-example-plugin)")
    (known,) = json.loads(run("revisp-models", "--json", "pointwise").stdout)
    assert known["plugin"] == "revisp-example-plugin"
    assert (known["license"], known["receptive_field"], known["small"]) == ("Apache-2.0", 1, {"width": 16})
    (own,) = json.loads(run("revisp-models", "--json", "unet").stdout)
    assert own["plugin"] is None


@pytest.mark.usefixtures("with_plugin")
@pytest.mark.parametrize("words", [("revisp-models", "pointwize"), ("revisp-train", "+backbone=pointwize")])
def test_near_misses_name_it(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words, check=False)
    assert done.returncode == 2
    assert "did you mean 'pointwise'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("with_plugin")
def test_it_trains_by_name(run: Run, tiny: list[str], tmp_path: Path) -> None:
    words = ["+backbone=pointwise", "+backbone.width=8", *(word for word in tiny if "backbone" not in word)]
    run("revisp-train", *words, "trainer.max_epochs=1", "hydra.run.dir=run")
    model = json.loads((tmp_path / "run" / "model" / "config.json").read_text())["pipeline"]
    assert (model["backbone"], model["backbone_kwargs"]) == ("pointwise", {"width": 8})
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["val/psnr"] > 5


@pytest.mark.slow
def test_it_keeps_the_contract_of_all_backbones(installed: Path, repository: Path, tmp_path: Path) -> None:
    """The file that tests our own networks takes in those of plugins: run it again where the plugin is known."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    contract = repository / "tests" / "backbones" / "test_backbone_contract.py"
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "--rootdir", str(repository), "-k", "pointwise"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(contract)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(done.stdout.splitlines()[-1].split(" passed")[0].split()[-1])
    assert passed >= 15, done.stdout


@pytest.mark.usefixtures("broken")
def test_a_plugin_that_cannot_be_imported_harms_no_other(run: Run) -> None:
    lines = {line.split()[0]: line for line in run("revisp-models").stdout.splitlines()}
    assert {"unet", "pointwise", "sprocket"} <= set(lines)
    reason = "backbone 'sprocket' of acme-networks cannot be loaded: No module named 'gears_of_acme'"
    assert reason in lines["sprocket"]
    known = {row["name"]: row for row in json.loads(run("revisp-models", "--json").stdout)}
    assert (known["sprocket"]["plugin"], known["sprocket"]["parameters"]) == ("acme-networks", None)
    assert known["pointwise"]["parameters"] == 1283
    done = run("revisp-train", "+backbone=sprocket", "hydra.run.dir=run", check=False)
    assert (done.returncode, done.stderr.strip()) == (2, f"error: {reason}")
