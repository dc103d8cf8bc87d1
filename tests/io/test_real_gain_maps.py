"""Gain maps of real cameras, by the formula and by other readers."""

import io
import re
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.errors import ImageError
from revisp.io import read_photo, read_srgb


@pytest.fixture
def real_maps(sample_data: Path) -> Path:
    folder = sample_data / "gain_maps"
    if not folder.is_dir():
        pytest.skip("no gain_maps in the folder of real camera files")
    return folder


ULTRA_HDR = {  # file: headroom by ExifTool 12.57
    "android_lamps.jpg": 2.990012,
    "android_train_station_night.jpg": 3.199525,
    "android_desert_palms.jpg": 2.141222,
    "android_desert_sunset.jpg": 3.529026,
    "seine_sdr_gainmap_srgb.jpg": 1.3,
    "canon_r8_night_acr.jpg": 3.947876,
}


@pytest.mark.parametrize("name", ULTRA_HDR)
def test_real_ultra_hdr_is_that_of_the_formula_by_hand(real_maps: Path, name: str):
    """The map by the place that the MPF index states, fields by regular expressions, the formula in numpy."""
    data = (real_maps / name).read_bytes()
    photo = read_photo(real_maps / name)
    assert photo.gain is not None
    assert photo.gain.headroom == pytest.approx(ULTRA_HDR[name], abs=1e-5)
    header = data.index(b"MPF\0") + 4
    order = "<" if data[header : header + 2] == b"II" else ">"
    (entries,) = (
        struct.unpack_from(f"{order}I", data, at + 8)[0]
        for at in range(header, header + 100)
        if data[at : at + 4] == struct.pack(f"{order}HH", 0xB002, 7)
    )
    start = header + struct.unpack_from(f"{order}I", data, header + entries + 16 + 8)[0]
    with Image.open(io.BytesIO(data[start:])) as image:
        stored = np.asarray(image)[::4, ::4].astype(np.float64)
    text = data[start:].decode("latin-1")

    def field(key: str, default: float) -> np.ndarray:
        found = re.search(rf'hdrgm:{key}="([^"]*)"|<hdrgm:{key}>(.*?)</hdrgm:{key}>', text, re.DOTALL)
        numbers = re.findall(r"-?\d+\.?\d*", found.group(1) or found.group(2)) if found else [default]
        return np.array([float(each) for each in numbers])

    share = (stored.reshape(*stored.shape[:2], -1) / 255) ** (1 / field("Gamma", 1))
    stops = field("GainMapMin", 0) * (1 - share) + field("GainMapMax", 1) * share
    assert (
        np.abs(photo.gain.meaning.log2(photo.gain.values[:, ::4, ::4].permute(1, 2, 0).numpy()) - stops).max()
        < 1e-3
    )
    assert photo.gain.size == tuple(photo.srgb.shape[-2:])


@pytest.mark.parametrize(
    ("name", "origin", "headroom", "most"),
    [
        ("apple_gainmap_new.jpg", "Apple", np.log2(4.532783), None),
        ("iphone13promax_kitchen.heic", "Apple", 1.8 - 20 * 0.008020164442, 255),
        ("iphone13pro_chart.heic", "Apple", 3.0, 100),
        ("samsung_s25ultra.heic", "ISO 21496-1", 2.3, 122),
        ("seine_sdr_gainmap_srgb.avif", "ISO 21496-1", 1.3, None),
        ("seine_hdr_gainmap_srgb.avif", "ISO 21496-1", 1.3, None),
    ],
)
def test_real_maps_of_other_containers(real_maps: Path, name: str, origin: str, headroom: float, most: int | None):
    photo = read_photo(real_maps / name)
    assert photo.gain is not None
    assert (photo.gain.origin, photo.gain.headroom) == (origin, pytest.approx(headroom, abs=1e-4))
    assert photo.gain.log2.shape[-2:] == photo.srgb.shape[-2:]
    if most is not None:
        assert round(photo.gain.values.max().item() * 255) == pytest.approx(most, abs=1)


def test_an_sdr_rendition_is_near_the_sdr_photo_of_the_same_scene(real_maps: Path):
    of_hdr = read_photo(real_maps / "seine_hdr_gainmap_srgb.avif")
    of_sdr = read_photo(real_maps / "seine_sdr_gainmap_srgb.avif")
    assert (of_hdr.srgb.mean((1, 2)) - of_sdr.srgb.mean((1, 2))).abs().max() < 0.005
    assert (of_hdr.srgb - of_sdr.srgb).abs().mean() < 0.02  # each was compressed for itself
    assert of_hdr.gain is not None
    assert of_sdr.gain is not None
    assert (of_hdr.gain.log2 - of_sdr.gain.log2).abs().mean() < 0.02


@pytest.mark.parametrize("name", ["seine_hdr_rec2020.avif", "canal_hdr.avif"])
def test_real_hdr_pictures_alone_are_refused(real_maps: Path, name: str):
    with pytest.raises(ImageError, match=r"HDR displays \(PQ\) without an SDR rendition: export an SDR photo"):
        read_srgb(real_maps / name)


@pytest.mark.parametrize("name", ["aurora_srgb.jpg", "aurora_adobe_rgb.jpg", "canal_sdr.jpg", "nokia83_dusk.heif"])
def test_real_photos_without_a_map_have_none(real_maps: Path, name: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photo(real_maps / name).gain is None
