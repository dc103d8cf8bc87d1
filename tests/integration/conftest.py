"""A tiny prepared data set, and a way to run the commands as a user does."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from simulated_pairs import write_simulated_pairs


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three simulated pairs of 64x96 pixels as ``revisp-prepare`` would leave them; the last one validates."""
    return write_simulated_pairs(tmp_path_factory.mktemp("dataset"), val=(2,))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a revisp command in an empty folder, away from the checkout, and return what it printed."""

    def call(*words: str, check: bool = True, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return call


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Do as `run`, in this process: a new one would import torch anew, which takes seconds."""
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, logging.root.manager.disable
    levels = {logger: logger.level for logger in _loggers()}

    def call(*words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        command = importlib.import_module("revisp.cli." + words[0].removeprefix("revisp-"))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        monkeypatch.setattr(sys, "argv", list(words))
        capfd.readouterr()
        code = 0
        try:
            command.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        assert not check or code == 0, out + err
        return subprocess.CompletedProcess(words, code, out, err)

    yield call
    GlobalHydra.instance().clear()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.disable(disabled)
    for logger in _loggers():  # a benchmark makes those of the training quiet
        logger.setLevel(levels.get(logger, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict
    return [known[name] for name in known if isinstance(known[name], logging.Logger)]


@pytest.fixture(scope="session")
def tiny(dataset: Path) -> list[str]:
    """Words for a training of seconds."""
    return [
        "+backbone=unet",
        "backbone.width=4",
        "backbone.depth=2",
        "data=prepared",
        f"data.root={dataset}",
        "data.crop=32",
        "data.batch_size=2",
        "data.crops_per_epoch=8",
        "demosaic=bilinear",
        "trainer.max_epochs=2",
        "trainer.check_val_every_n_epoch=1",
        "trainer.precision=32-true",
    ]
