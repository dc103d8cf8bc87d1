"""What is no photo is refused with the command that takes it; grey photos and pipes are read."""

import io
import os
import shutil
import threading
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
import torch
from PIL import Image

from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED
from revisp.errors import ImageError
from revisp.io import read_photo, read_srgb, write_challenge_npy, write_dng, write_mosaic
from revisp.mosaic import mosaic


def _smooth(height: int = 48, width: int = 64) -> np.ndarray:
    """Values in [0, 1] whose corners differ."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x / (width - 1), y / (height - 1), (x + y) / (width + height - 2)], axis=-1)


def _read(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_srgb(path).permute(1, 2, 0).numpy()


def _raw_files(folder: Path, profile: CameraProfile, raw_rgb: np.ndarray) -> dict[str, str]:
    """File to what its error must say."""
    bayer = mosaic(torch.from_numpy(raw_rgb.transpose(2, 0, 1)).float(), profile.cfa)
    write_dng(folder / "a.dng", bayer, profile)
    shutil.copy(folder / "a.dng", folder / "renamed.tif")
    with tifffile.TiffWriter(folder / "preview_first.tif") as tiff:
        small = np.rint(raw_rgb[::8, ::8] * 255).astype(np.uint8)
        tiff.write(small, photometric="rgb", subfiletype=1, subifds=1)
        tiff.write(np.rint(bayer[0].numpy() * 65535).astype(np.uint16), photometric="cfa", subfiletype=0)
    for name, start in {
        "fuji": b"FUJIFILMCCD-RAW 0201FF", "sigma": b"FOVb\0\0\3\0", "old_canon": b"II\x1a\0\0\0HEAPCCDR",
        "canon": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "olympus": b"IIRO\x08\0\0\0",
        "panasonic": b"IIU\0\x18\0\0\0", "minolta": b"\0MRM\0\0\0\0",
    }.items():  # fmt: skip
        (folder / name).write_bytes(start + bytes(600))
    (folder / "cut.nef").write_bytes(b"no longer readable" * 40)
    write_challenge_npy(folder / "planes.npy", np.zeros((32, 48), np.float32), "RGGB")
    np.save(folder / "mosaic.npy", np.zeros((16, 16), np.uint16))
    (folder / "room.hdr").write_bytes(b"#?RADIANCE\n" + bytes(600))
    (folder / "room.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(600))
    raw, array, scene = "a RAW file, not a photo: revisp-prepare", "revisp-evaluate", "a scene.*revisp-prepare"
    kinds = dict.fromkeys(["planes.npy", "mosaic.npy"], array) | dict.fromkeys(["room.hdr", "room.exr"], scene)
    return {path.name: kinds.get(path.name, raw) for path in folder.iterdir()}


def test_what_is_no_photo_is_refused_with_the_command_that_takes_it(tmp_path: Path, profile: CameraProfile):
    for name, reason in _raw_files(tmp_path, profile, _smooth() * 0.9).items():
        for read in (read_srgb, read_photo):
            with pytest.raises(ImageError, match=reason) as caught:
                read(tmp_path / name)
            assert str(caught.value).startswith(f"{tmp_path / name}: "), name
            assert "\n" not in str(caught.value), name


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("content", ["picture", "black", "white", "noise"])
def test_mosaics_that_revisp_wrote_are_refused(tmp_path: Path, ending: str, content: str):
    """Whatever they show: the file names its program."""
    profile = SIMULATED.profile
    picture = torch.from_numpy(_smooth().transpose(2, 0, 1)).float()
    noise = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    shown = {"picture": picture, "black": picture * 0, "white": picture * 0 + 1, "noise": noise}[content]
    write_mosaic(tmp_path / f"a{ending}", mosaic(shown, profile.cfa), profile)
    with pytest.raises(ImageError, match="a RAW mosaic of one channel, not a photo: revisp-prepare takes it"):
        read_srgb(tmp_path / f"a{ending}")


@pytest.mark.parametrize("cfa", ["RGGB", "GRBG", "GBRG", "BGGR"])
@pytest.mark.parametrize("deep", [False, True])
def test_mosaics_of_other_writers_are_refused(tmp_path: Path, cfa: str, deep: bool):
    """A daylight scene before white balance: green twice as bright as red and blue, with some noise."""
    rng = np.random.default_rng(0)
    light = (0.2 + 0.6 * _smooth()[..., :1]) * [0.5, 1.0, 0.6] + rng.normal(0, 0.01, (48, 64, 3))
    bayer = mosaic(torch.from_numpy(light.transpose(2, 0, 1)).float().clamp(0, 1), cfa)[0].numpy()
    stored = np.rint(bayer * (1023 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stored))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack")
    for name in ("a.png", "a.tif"):
        with pytest.raises(ImageError, match="a RAW mosaic of one channel"):
            read_srgb(tmp_path / name)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("content", ["smooth", "noise", "edges", "flat", "text"])
def test_grey_photos_stay_photos(tmp_path: Path, content: str, deep: bool):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    shown = {
        "smooth": _smooth()[..., 2],
        "noise": rng.random((48, 64)),
        "edges": ((x // 5 + y // 7) % 2).astype(float),
        "flat": np.full((48, 64), 0.5),
        "text": (rng.random((48, 64)) > 0.8).astype(float),
    }[content]
    stored = np.rint(shown * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stored))
    assert _read(tmp_path / "a.png").shape == (48, 64, 3)


def test_real_grey_photos_stay_photos_and_real_mosaics_are_none(tmp_path: Path, sample_data: Path):
    pairs = sample_data / "raw_samples" / "pairs_ready"
    photos, mosaics = sorted(pairs.glob("*_rgb.png")), sorted(pairs.glob("*grbg14.png"))
    assert photos
    assert mosaics
    for photo in photos:
        Image.open(photo).convert("L").save(tmp_path / "grey.png")
        assert _read(tmp_path / "grey.png").ndim == 3
    for file in mosaics:
        with pytest.raises(ImageError, match="a RAW mosaic"):
            read_srgb(file)


def test_real_raw_files_are_refused_by_their_content(tmp_path: Path, sample_data: Path):
    for file in sorted((sample_data / "raw_samples").rglob("*")):
        if file.suffix.lower() in (".crw", ".gpr", ".kdc"):
            shutil.copy(file, tmp_path / "renamed.tif")
            with pytest.raises(ImageError, match="a RAW file, not a photo"):
                read_srgb(tmp_path / "renamed.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_a_photo_is_read_from_a_pipe(tmp_path: Path, kind: str):
    file = io.BytesIO()
    image = Image.fromarray(np.rint(_smooth() * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0110] = "One"
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(file, exif=exif.tobytes())
    else:
        image.save(file, kind, exif=exif)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(file.getvalue()))
    writer.start()
    photo = read_photo(tmp_path / "pipe")
    writer.join()
    (tmp_path / "file").write_bytes(file.getvalue())
    assert torch.equal(photo.srgb, read_srgb(tmp_path / "file"))
    assert photo.metadata.model == "One"


def test_heif_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pillow_heif.from_pillow(Image.new("RGB", (32, 32))).save(tmp_path / "a.heic")
    for name in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ImageError, match=r"a HEIF photo: install revisp\[heif\] to read it"):
        read_srgb(tmp_path / "a.heic")
