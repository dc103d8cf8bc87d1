import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps

from revisp.errors import ImageError
from revisp.io import decode_srgb, read_preview, read_raw, read_srgb, write_dng

QUARTERS = np.zeros((64, 96, 3), np.uint8)
QUARTERS[:32, :48] = (200, 40, 40)
QUARTERS[:32, 48:] = (40, 200, 40)
QUARTERS[32:, :48] = (40, 40, 200)
QUARTERS[32:, 48:] = (200, 200, 200)

DNG = [
    (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
    (50708, "s", 0, "Acme One", True),  # UniqueCameraModel
    (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),  # ColorMatrix1
    (50728, "2I", 3, (1, 2, 1, 1, 1, 2), True),  # AsShotNeutral
    (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
]
CFA = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (0, 1, 1, 2), True), (50717, "I", 1, 1000, True)]


def _jpeg(picture: np.ndarray, orientation: int | None = None) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0, exif=exif)
    data = file.getvalue()
    return data if orientation is None else data[:2] + data[20:]  # without JFIF, EXIF comes first as in cameras'


def _raw_with_preview(path: Path, preview: np.ndarray | bytes, orientation: int, shape=(64, 96)) -> None:
    """A DNG as converters lay it out: the preview first, the RAW in a directory of its own."""
    stored = {} if isinstance(preview, np.ndarray) else {"compression": "jpeg", "dtype": np.uint8}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            preview if isinstance(preview, np.ndarray) else iter([preview]),
            shape=(*shape, 3),
            photometric="ycbcr" if stored else "rgb",
            subfiletype=1,
            subifds=1,
            rowsperstrip=shape[0],
            metadata=None,
            extratags=[(274, "H", 1, orientation, True), *DNG],
            **stored,
        )
        bayer = np.full((128, 192), 500, np.uint16)
        tiff.write(bayer, photometric=32803, subfiletype=0, metadata=None, extratags=CFA)


def _upright(picture: np.ndarray, orientation: int) -> torch.Tensor:
    image = Image.fromarray(picture)
    image.getexif()[0x0112] = orientation
    upright = np.array(ImageOps.exif_transpose(image))
    return torch.from_numpy(upright).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "bitmap"])
def test_previews_are_turned_as_the_raw_is(tmp_path: Path, kind: str, orientation: int):
    path = tmp_path / "a.dng"
    _raw_with_preview(path, _jpeg(QUARTERS) if kind == "jpeg" else QUARTERS, orientation)
    found = read_preview(path)
    assert found is not None
    assert found.shape[-2:] == tuple(n // 2 for n in read_raw(path).upright().mosaic.shape)
    assert (found - _upright(QUARTERS, orientation)).abs().mean() < 0.01


def test_a_previews_own_orientation_comes_first(tmp_path: Path):
    _raw_with_preview(tmp_path / "a.dng", _jpeg(QUARTERS, orientation=3), orientation=6)
    assert (read_preview(tmp_path / "a.dng") - _upright(QUARTERS, 3)).abs().mean() < 0.01


def test_a_preview_that_is_upright_already_stays(tmp_path: Path):
    portrait = np.ascontiguousarray(QUARTERS.transpose(1, 0, 2))
    _raw_with_preview(tmp_path / "a.dng", _jpeg(portrait), orientation=6, shape=(96, 64))
    assert (read_preview(tmp_path / "a.dng") - _upright(portrait, 1)).abs().mean() < 0.01


def test_a_damaged_preview_is_one_line(tmp_path: Path):
    _raw_with_preview(tmp_path / "a.dng", _jpeg(QUARTERS, orientation=1)[:700], orientation=1)
    with pytest.raises(ImageError, match=r"a\.dng \(its preview\): damaged") as caught:
        read_preview(tmp_path / "a.dng")
    assert "\n" not in str(caught.value)


def test_without_a_preview_there_is_none(tmp_path: Path, profile, sample_data: Path):
    write_dng(tmp_path / "a.dng", np.full((32, 32), 500, np.uint16), profile, plain=True)
    assert read_preview(tmp_path / "a.dng") is None
    pytest.importorskip("flashraw")
    assert read_preview(sample_data / "raw_samples" / "gopro_hero7" / "GOPR8508.GPR") is None


def test_a_gprs_preview_is_found(tmp_path: Path):
    """None of the real files has one; GPR is DNG, so this one stands for those that do."""
    pytest.importorskip("flashraw")
    _raw_with_preview(tmp_path / "a.gpr", _jpeg(QUARTERS), orientation=2)
    assert (read_preview(tmp_path / "a.gpr") - _upright(QUARTERS, 2)).abs().mean() < 0.01


def test_what_is_no_raw_has_no_preview(tmp_path: Path, monkeypatch):
    (tmp_path / "a.CR2").write_text("no RAW " * 100)
    (tmp_path / "a.gpr").write_text("no RAW")
    monkeypatch.setitem(sys.modules, "flashraw", None)
    for name, reason in (("a.CR2", "LibRaw cannot read it"), ("a.gpr", "pip install"), ("b.CR2", "no such file")):
        with pytest.raises(ImageError, match=reason):
            read_preview(tmp_path / name)


def test_a_real_preview_is_the_cameras_jpeg(sample_data: Path):
    folder = sample_data / "raw_samples" / "canon_s40"
    assert torch.equal(read_preview(folder / "CRW_0117.CRW"), read_srgb(folder / "CRW_0117_camera640.jpg"))
    kodak = read_preview(sample_data / "raw_samples" / "kodak_old" / "P003909.KDC")
    assert kodak.shape == (3, 60, 80)
    assert 0 <= kodak.min() < kodak.max() <= 1


def test_bytes_decode_as_their_file_does(tmp_path: Path):
    for name, data in (("a.jpg", _jpeg(QUARTERS, orientation=8)), ("a.tif", None)):
        if data is None:
            tifffile.imwrite(tmp_path / name, QUARTERS.astype(np.uint16) * 257, photometric="rgb")
            data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data)
        assert torch.equal(decode_srgb(data, "x"), read_srgb(tmp_path / name))
    with pytest.raises(ImageError, match="called so: the file is empty"):
        decode_srgb(b"", "called so")
