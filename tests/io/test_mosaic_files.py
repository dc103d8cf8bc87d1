from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from revisp.camera.profile import CameraProfile
from revisp.errors import ImageError, OutputError, ShapeError
from revisp.io import read_mosaic, write_mosaic


@pytest.mark.parametrize("ending", ["png", "tiff", "tif"])
def test_stored_units_read_back_exactly(tmp_path: Path, profile: CameraProfile, ending: str):
    path = tmp_path / f"a.{ending}"
    stored = np.random.default_rng(0).integers(0, 1024, (17, 30)).astype(np.uint16)
    write_mosaic(path, stored, profile)
    assert np.array_equal(read_mosaic(path), stored)
    assert np.array_equal(np.asarray(Image.open(path)), stored)  # an independent reader


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_floats_are_stored_by_the_profile(tmp_path: Path, profile: CameraProfile, ending: str):
    path = tmp_path / f"a.{ending}"
    write_mosaic(path, torch.tensor([[0.0, 1.0], [-1.0, 2.0]]).reshape(1, 1, 2, 2), profile)
    # black R 60 and Gr 64; white 1000; below black it goes down to 0, above white it stops
    assert read_mosaic(path).tolist() == [[60, 1000], [0, 1000]]


def test_arrays_are_read_and_other_pictures_refused(tmp_path: Path, profile: CameraProfile):
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.uint16).reshape(2, 3))
    assert read_mosaic(tmp_path / "a.npy")[1, 2] == 5
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "f.npy", np.zeros((2, 2), np.float32))
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(np.zeros((4, 4, 3), np.uint16)))
    tifffile.imwrite(tmp_path / "e.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "t.png").write_text("text")
    for name, reason in {
        "o.npy": "not a readable",
        "f.npy": "float32",
        "c.png": r"\[4, 4, 3\]",
        "e.tif": "uint8",
        "t.png": "not a readable",
        "none.png": "No such file",
    }.items():
        with pytest.raises(ImageError, match=reason):
            read_mosaic(tmp_path / name)
    with pytest.raises(OutputError, match=r"\.png, \.tif or \.tiff"):
        write_mosaic(tmp_path / "a.jpg", np.zeros((4, 4), np.uint16), profile)
    with pytest.raises(ShapeError, match="one mosaic"):
        write_mosaic(tmp_path / "b.png", np.zeros((4, 4, 3), np.uint16), profile)


def test_a_real_mosaic_reads(sample_data: Path):
    mosaic = read_mosaic(sample_data / "raw_samples" / "chart_1080p" / "openisp_test_rggb_u16.png")
    assert mosaic.shape == (1080, 1920)
    assert mosaic.max() == 1020
