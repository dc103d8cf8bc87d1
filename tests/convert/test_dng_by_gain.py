"""A gain map changes overexposed pixels, and others hardly, in every kind of DNG."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from revisp.convert import Choice, Conversion, convert_photos, load_engine
from revisp.io import read_raw
from revisp.io.dng import read_linear_dng, read_provenance
from tests.helpers.photo_writers import Fields, hdrgm_xmp

REACH = 4
"""Pixels around the overexposed ones that demosaicing for another camera may change."""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of waves with a clipped lamp, whose map says that the lamp is 3 EV brighter."""
    y, x = np.mgrid[:64, :96]
    lamp = np.exp(-((x - 48) ** 2 + (y - 32) ** 2) / 200)
    grey = np.clip(0.3 + 0.3 * np.sin(x / 9) ** 2 + 1.2 * lamp, 0, 1)
    folder = tmp_path_factory.mktemp("photo")
    Image.fromarray(np.rint(np.stack([grey] * 3, axis=-1) * 255).astype(np.uint8)).save(
        folder / "base.jpg", quality=95
    )
    xmp = hdrgm_xmp(Fields(offset_sdr=(0.0,), offset_hdr=(0.0,)), elements=False).encode()
    Image.fromarray(np.rint(lamp * 255).astype(np.uint8)).save(folder / "map.jpg", quality=95, xmp=xmp)
    (folder / "photo.jpg").write_bytes((folder / "base.jpg").read_bytes() + (folder / "map.jpg").read_bytes())
    return folder / "photo.jpg"


def _light(dng: Path, *, linear: bool) -> np.ndarray:
    """What a DNG holds, as it was before it was brightened, ``[..., H, W]``."""
    values = read_linear_dng(dng) / 65535 if linear else read_raw(dng).normalised()
    return values / 2 ** read_provenance(dng).gain


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("camera", [None, "Nikon D750"])
def test_mid_tones_stay_nearly_as_without_the_map(photo: Path, tmp_path: Path, linear: bool, camera: str | None):
    engine, found = load_engine(camera=camera), {}
    for gain_map in (True, False):
        job = Conversion(photo, tmp_path / f"{gain_map}.dng")
        (done,) = convert_photos(engine, [job], Choice(gain_map=gain_map, linear_dng=linear), workers=0)
        assert done.error is None
        assert ("gain map" in done.note) == gain_map
        found[gain_map] = _light(job.output, linear=linear)
    with Image.open(photo) as image:
        clipped = np.asarray(image.convert("L")) > 240
    beyond = ~binary_dilation(clipped, iterations=REACH)
    assert 0.5 < beyond.mean() < 0.95
    change = np.abs(found[True] - found[False])
    assert change[..., beyond].max() < 2e-3  # the networks see the map there, too
    assert change[..., clipped].mean() > 0.02
