"""A camera with a different black level at each position: a permutation of them cannot go unnoticed."""

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
