"""The benchmark of a GPU runs on the CPU, so that it can be trusted on a machine that is lent for minutes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, without the compiled way, which takes half a minute."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ways = {title: way for title, way in module.WAYS.items() if not way.compiled and not way.bf16}
    monkeypatch.setattr(module, "WAYS", ways)
    monkeypatch.setattr(module, "REPEATS", 1)
    return module


def test_every_part_has_figures_and_agrees_with_the_cpu(gpu: ModuleType) -> None:
    bench = gpu.Bench(torch.device("cpu"), small=True, minutes=5)
    for part in (gpu.agreement, gpu.prediction, gpu.training, gpu.simulation):
        part(bench)
    exact = next(row for row in bench.rows if row["way"] == "fp32")
    assert exact["dB"] > 90
    failed = {row["way"] for row in bench.rows if "without" in row}
    assert failed <= {"bf16"}  # a processor without it says so
    assert all(row["s"] > 0 for row in bench.rows if not {"dB", "without"} & set(row))
    lines = gpu.table(bench.rows).splitlines()
    assert len(lines) == 2 + len(bench.rows)
    assert len({line.count("|") for line in lines}) == 1


def test_nothing_begins_when_the_time_is_over(gpu: ModuleType) -> None:
    bench = gpu.Bench(torch.device("cpu"), small=True, minutes=0)
    gpu.prediction(bench)
    assert {row["without"] for row in bench.rows} == {"out of time"}
