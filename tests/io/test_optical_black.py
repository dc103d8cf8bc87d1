from pathlib import Path

import numpy as np
import pytest

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, unpack
from revisp.io import read_raw, write_dng
from revisp.io.dng import write as writer
from revisp.io.ifd import Tag
from revisp.io.raw.masked_border import border_black
from revisp.io.raw.rawimage import Rectangle

VISIBLE = Rectangle(top=7, left=12, height=120, width=161)
BLACK = (60.0, 64.0, 66.0, 62.0)


def _sensor(cfa: CFA, seed: int = 0) -> np.ndarray:
    """A sensor ``[136, 200]``: noise around `BLACK`, a picture within, and light in the border beside it."""
    rng = np.random.default_rng(seed)
    phase = cfa.crop(-VISIBLE.top, -VISIBLE.left)
    planes = np.asarray(BLACK)[:, None, None] + rng.normal(0, 1.5, (4, 68, 100))
    sensor = unpack(planes, phase)[0]
    rows, columns = VISIBLE.slices
    sensor[rows, columns] += rng.uniform(50, 800, (VISIBLE.height, VISIBLE.width))
    sensor[rows, columns.stop : columns.stop + 4] += 9  # charge of bright neighbours
    sensor[rows, 0] = 900  # hot column
    return np.rint(sensor).clip(0, 1023).astype(np.uint16)


@pytest.mark.parametrize("cfa", CFA)
def test_the_border_shows_each_planes_black(cfa: CFA):
    found = border_black(_sensor(cfa), VISIBLE, cfa, white=1000)
    assert found == pytest.approx(BLACK, abs=0.15)


def test_a_border_that_tells_nothing_is_none():
    cfa = CFA.RGGB
    sensor = _sensor(cfa)
    rows, columns = VISIBLE.slices
    whole = Rectangle(0, 0, *sensor.shape)
    narrow = Rectangle(1, 1, 134, 198)
    assert border_black(sensor, whole, cfa, white=1000) is None  # none there
    assert border_black(sensor, narrow, cfa, white=1000) is None  # one pixel, which sees light
    padding = np.zeros_like(sensor)
    padding[rows, columns] = sensor[rows, columns]
    assert border_black(padding, VISIBLE, cfa, white=1000) is None
    uneven = sensor.copy()
    uneven[:, columns.stop :] += 30
    assert border_black(uneven, VISIBLE, cfa, white=1000) is None
    bright = sensor.copy()
    bright[rows, columns] = 40  # black has been taken off the picture already
    assert border_black(bright, VISIBLE, cfa, white=1000) is None
    noisy = np.random.default_rng(0).integers(100, 900, sensor.shape).astype(np.uint16)
    assert border_black(noisy, VISIBLE, cfa, white=1000) is None


@pytest.mark.parametrize("declared", [0.0, 50.0])
def test_only_a_file_without_black_level_takes_the_borders(
    tmp_path: Path, monkeypatch, profile: CameraProfile, declared: float
):
    visible = Rectangle(8, 12, 120, 160)
    rng = np.random.default_rng(0)
    sensor = np.rint(rng.normal(64, 1.5, (136, 200)))
    sensor[visible.slices] += rng.uniform(20, 800, (120, 160))
    area = {50829: Tag("long", [8, 12, 128, 172])}  # ActiveArea
    levels = writer.level_tags
    monkeypatch.setattr(writer, "level_tags", lambda *args, **kind: levels(*args, **kind) | area)
    write_dng(tmp_path / "a.dng", sensor.astype(np.uint16), profile.replace(black_level=declared))
    raw = read_raw(tmp_path / "a.dng")
    assert raw.mosaic.shape == (120, 160)
    assert raw.optical_black == pytest.approx((64, 64, 64, 64), abs=0.2)
    assert raw.profile.black_level == (raw.optical_black if declared == 0 else (50, 50, 50, 50))


@pytest.mark.parametrize("name", ["CRW_0101", "CRW_0105", "CRW_0113", "CRW_0117", "CRW_0118", "CRW_0119"])
def test_a_real_border_is_the_known_black_level(sample_data: Path, name: str):
    raw = read_raw(sample_data / "raw_samples" / "canon_s40" / f"{name}.CRW")
    assert raw.profile.black_level == (32, 32, 32, 32)
    assert raw.optical_black == pytest.approx((32, 32, 32, 32), abs=0.1)
