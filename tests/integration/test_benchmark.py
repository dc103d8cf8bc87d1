"""`revisp-benchmark`, run for real on tiny pictures."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import revisp
from revisp.benchmark.results import read_result

TIMES = {"seconds", "training"}


@pytest.fixture(scope="module")
def words(dataset: Path) -> list[str]:
    return [
        "revisp-benchmark",
        'backbones=["unet backbone.width=4 backbone.depth=2",upi,"mialgo backbone.head=packed"]',
        f'datasets=["prepared data.root={dataset}"]',
        'words=["data.crop=32","data.batch_size=2","demosaic=bilinear","trainer.precision=32-true"]',
        "seeds=[0,1]",
        "budget=2 steps",
        "report_photos=1",
    ]


def table(folder: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Return all figures but times by method and seed."""
    with (folder / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {
        (row["method"], row["seed"]): {
            name: float(value)
            for name, value in row.items()
            if name not in TIMES | {"dataset", "method"} and value
        }
        for row in rows
    }


@pytest.fixture(scope="module")
def finished(
    words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess]:
    folder = tmp_path_factory.mktemp("benchmark")
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return folder / "runs" / "benchmark", done


def test_all_cells_are_done_but_those_that_cannot_be(finished) -> None:
    folder, done = finished
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: 2 of 6 cells failed")
    assert "the fusion needs networks of head 'raw_rgb'" in done.stdout
    assert "Traceback" not in done.stderr
    assert "warning" not in done.stderr.lower()
    found = table(folder)
    assert len(found) == 4
    assert all(row["steps"] == 2 for row in found.values())
    assert {path.name for path in folder.iterdir()} >= {"leaderboard.md", "leaderboard.csv", "leaderboard.html"}
    assert not list(folder.glob("cells/*.part"))


def test_the_figures_are_those_of_the_model_that_is_left(finished, run, dataset: Path, tmp_path: Path) -> None:
    folder, _ = finished
    cell = next(path for path in folder.glob("cells/unet_*_1_*") if path.is_dir())
    result = read_result(cell)
    done = run("revisp-evaluate", f"model={cell / 'model'}", "data=prepared", f"data.root={dataset}")
    assert f"{result.figures['psnr']:.3f}" in done.stdout
    model = revisp.from_pretrained(cell / "model")
    assert result.cost["parameters"] == sum(p.numel() for p in model.parameters())


def test_gmac_is_counted_for_both_branches() -> None:
    from revisp.benchmark.cost import measure_cost

    model = revisp.ReverseISP("classical", branches="plain", mask_channel=False).eval()
    assert measure_cost(model, torch.rand(3, 32, 32)).gmac < 0.1
    networks = [
        revisp.ReverseISP("unet_aim", branches=branches, mask_channel=False, backbone_kwargs=kwargs).eval()
        for branches, kwargs in (("plain", {"head": "raw_rgb", "width": 4}), ("separate", {"width": 4}))
    ]
    plain, separate = (measure_cost(model, torch.rand(3, 32, 32)).gmac for model in networks)
    assert separate == pytest.approx(2 * plain)
    published = revisp.ReverseISP("unet_aim", branches="plain", mask_channel=False).eval()
    assert measure_cost(published, torch.rand(3, 16, 16)).gmac * 504**2 / 1e6 == pytest.approx(98.3, rel=1e-3)


@pytest.mark.slow
def test_a_killed_benchmark_continues_and_ends_with_the_same_table(words, finished, run, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "runs" / "benchmark"
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(folder.glob("cells/*/cell.json")):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/cell.json") if ".part" not in str(path)}
    assert not (folder / "leaderboard.md").exists()
    done = run(*words, check=False)
    assert done.returncode == 2, done.stderr
    assert table(folder) == table(finished[0])
    assert len(kept) < 4
    for path, time_ns in kept.items():
        assert path.stat().st_mtime_ns == time_ns


@pytest.mark.slow
def test_a_launcher_gives_the_same_figures(words, finished, run, tmp_path: Path) -> None:
    few = [word for word in words if not word.startswith(("backbones", "seeds"))]
    run(*few, "backbones=[upi]", "seeds=[0]", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert table(tmp_path / "runs" / "benchmark") == {("upi", "0"): table(finished[0])["upi", "0"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backbones=[unett]"], "unknown backbone 'unett': did you mean 'unet'"),
        (["budget=fast"], "budget must be such as '256 steps'"),
        (["backbonez=[unet]"], "Could not override 'backbonez'"),
        (["experiment=paper"], "backbone"),
        (['datasets=["prepared data.root=nowhere"]'], "nowhere"),
    ],
)
def test_wrong_words_are_one_line(run_here, words: list[str], message: str) -> None:
    done = run_here("revisp-benchmark", *words)
    assert done.returncode == 2
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
