"""A camera with a different black level at each position: a permutation of them cannot go unnoticed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from revisp.camera.profile import CameraProfile


@pytest.fixture(scope="session")
def profile() -> CameraProfile:
    return CameraProfile(
        make="Acme",
        model="One",
        cfa="RGGB",
        black_level=(60, 64, 66.5, 62),
        white_level=1000,
        bits=10,
        color_matrix=((0.8606, -0.2573, -0.0949), (-0.8237, 1.5489, 0.2974), (-0.2649, 0.3076, 0.91)),
        as_shot_neutral=(0.6, 1.0, 0.65),
    )


@pytest.fixture(scope="session")
def writers() -> ModuleType:
    """Writers of small photos with gain maps (``photo_writers.py`` beside this file)."""
    spec = importlib.util.spec_from_file_location("photo_writers", Path(__file__).with_name("photo_writers.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
