from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, pack
from revisp.errors import ImageError, OutputError, ShapeError
from revisp.io import PhotoMetadata, read_mosaic, read_mosaic_raw, write_dng, write_mosaic
from revisp.io.dng import write_linear_dng


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
    np.save(tmp_path / "z.npy", np.zeros((0, 4), np.uint16))
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(np.zeros((4, 4, 3), np.uint16)))
    tifffile.imwrite(tmp_path / "e.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "t.png").write_text("text")
    for name, reason in {
        "o.npy": "not a readable",
        "f.npy": "float32",
        "z.npy": "empty",
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


@pytest.mark.parametrize("ending", ["png", "tiff", "npy"])
def test_a_mosaic_and_its_profile_are_a_raw(tmp_path: Path, profile: CameraProfile, ending: str):
    path = tmp_path / f"a.{ending}"
    stored = np.random.default_rng(0).integers(0, 1001, (17, 30)).astype(np.uint16)
    np.save(path, stored) if ending == "npy" else write_mosaic(path, stored, profile)
    raw = read_mosaic_raw(path, profile)
    assert np.array_equal(raw.mosaic, stored)
    assert raw.profile is profile
    assert raw.orientation == 1
    assert raw.metadata == PhotoMetadata(make="Acme", model="One")


@pytest.mark.parametrize("cfa", CFA)
def test_planes_are_laid_out_by_the_profiles_phase(tmp_path: Path, profile: CameraProfile, cfa: CFA):
    planes = np.random.default_rng(0).integers(0, 1001, (5, 7, 4)).astype(np.uint16)
    np.save(tmp_path / "a.npy", planes)
    raw = read_mosaic_raw(tmp_path / "a.npy", profile.replace(cfa=cfa))
    assert raw.mosaic.shape == (10, 14)
    assert np.array_equal(pack(raw.mosaic[None], cfa), planes.transpose(2, 0, 1))


def test_a_mosaic_of_another_camera_is_refused(tmp_path: Path, profile: CameraProfile):
    np.save(tmp_path / "a.npy", np.full((4, 4), 1001, np.uint16))
    with pytest.raises(ImageError, match=r"a\.npy: holds 1001, above the white level 1000 .* Acme One"):
        read_mosaic_raw(tmp_path / "a.npy", profile)
    np.save(tmp_path / "a.npy", np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(ImageError, match=r"R, Gr, Gb, B .* \[4, 4, 3\]"):
        read_mosaic_raw(tmp_path / "a.npy", profile)


def test_a_real_challenge_file_is_a_raw(sample_data: Path, profile: CameraProfile):
    phone = profile.replace(black_level=0, white_level=4095, bits=12)
    raw = read_mosaic_raw(sample_data / "raw_samples" / "phone_rggb_npy" / "x90_3_4.npy", phone)
    assert raw.mosaic.shape == (1024, 1024)
    assert 0.010 < (raw.mosaic == 4095).mean() < 0.012  # its notes: 1.1 % clipped


@pytest.mark.parametrize("write", [write_mosaic, write_dng, write_linear_dng])
def test_stored_units_as_floats_are_refused_instead_of_stored_as_white(tmp_path: Path, profile, write):
    """`read_mosaic(...).astype(float)` is in stored units: all of it would be clipped at white."""
    stored = np.linspace(200, 900, 32 * 48).reshape(32, 48)
    stored = np.stack([stored] * 3) if write is write_linear_dng else stored
    path = tmp_path / "a.dng" if write is not write_mosaic else tmp_path / "a.png"
    with pytest.raises(ShapeError, match="white is 1: give stored units as uint16, or normalise"):
        write(path, stored, profile)
    assert not path.exists()
    much_clipped = np.where(stored > 600, 40.0, 0.25)
    write(path, much_clipped, profile)


@pytest.mark.parametrize("write", [write_mosaic, write_dng])
def test_bfloat16_is_stored_as_its_float32(tmp_path: Path, profile, write):
    raw = torch.rand(32, 48, generator=torch.Generator().manual_seed(0)).bfloat16()
    ending = "png" if write is write_mosaic else "dng"
    for name, value in (("a", raw), ("b", raw.float())):
        write(tmp_path / f"{name}.{ending}", value, profile)
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    with pytest.raises(ShapeError, match="must be a torch tensor or a numpy array, got list"):
        write(tmp_path / f"c.{ending}", [[0.5]], profile)
