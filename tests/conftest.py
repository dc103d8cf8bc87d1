"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# One thread a test process: two processes with two threads each only get in each other's way on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Take no workers for one test file: each of them imports torch anew, and they take turns on one fixture."""
    files = {argument.partition("::")[0] for argument in config.args}
    return 0 if len(files) == 1 and Path(files.pop()).is_file() else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Folder of real camera files (REVISP_TEST_DATA, or ``../shared/data`` beside the checkout)."""
    for folder in (os.environ.get("REVISP_TEST_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and (Path(folder) / "raw_samples").is_dir():
            return Path(folder)
    pytest.skip("no folder of real camera files: set REVISP_TEST_DATA")
