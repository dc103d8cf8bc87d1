"""Gain maps in JPEGs: by the formulas of the standards, as several writers store them."""

import io
from pathlib import Path

import imagecodecs
import numpy as np
import photo_writers as writers
import pytest
import torch
from gain_photos import HEIGHT, WIDTH, read_bytes, resized, smooth_map, smooth_photo
from PIL import Image, ImageOps

from revisp.errors import ShapeError
from revisp.io import read_photo, read_scene


def _kinds() -> dict[str, object]:
    fields = writers.Fields
    several = {
        "minimum": (-0.5, 0.0, 0.25),
        "maximum": (2.0, 2.5, 3.5),
        "gamma": (1.0, 0.6, 2.0),
        "offset_sdr": (1 / 64, 0.02, 0.0),
        "offset_hdr": (0.0, 1 / 64, 0.01),
        "headroom": 3.5,
    }
    return {
        "plain": fields(),
        "of a lower minimum": fields(minimum=(-1.25,), maximum=(2.75,), headroom=2.75),
        "with a gamma": fields(gamma=(0.55,)),
        "without offsets": fields(offset_sdr=(0.0,), offset_hdr=(0.0,)),
        "of three channels": fields(**several),
    }


@pytest.mark.parametrize(
    "kind", ["plain", "of a lower minimum", "with a gamma", "without offsets", "of three channels"]
)
@pytest.mark.parametrize("writer", ["attributes", "elements", "iso", "iso, draft", "iso, later writer", "both"])
def test_gain_is_that_of_the_formula(tmp_path: Path, kind: str, writer: str):
    fields = _kinds()[kind]
    values = smooth_map(channels=max(map(len, fields[:5])))
    iso = writers.iso_metadata(fields, common=writer == "iso, draft", writer=int(writer == "iso, later writer"))
    other = writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=True))
    segments = {
        "attributes": [writers.xmp_segment(writers.hdrgm_xmp(fields, elements=False))],
        "elements": [writers.xmp_segment(writers.hdrgm_xmp(fields, elements=True))],
        "iso": [writers.iso_segment(iso)],
        "iso, draft": [writers.iso_segment(iso)],
        "iso, later writer": [writers.iso_segment(iso + b"more")],
        "both": [other, writers.iso_segment(iso)],
    }[writer]
    data = writers.jpeg(smooth_photo(), [writers.iso_segment(bytes(4))]) + writers.jpeg(values, segments)
    gain = read_bytes(tmp_path, data).gain
    assert gain is not None
    shown = np.asarray(Image.open(io.BytesIO(writers.jpeg(values))))  # as another decoder shows it
    wanted = resized(fields.log2(shown.reshape(*shown.shape[:2], -1) / 255), HEIGHT, WIDTH)
    assert gain.log2.shape == (values.shape[-1] if values.ndim == 3 else 1, HEIGHT, WIDTH)
    # values are interpolated, then bent; here stops are interpolated: equal at first order
    assert np.abs(gain.log2.numpy() - wanted).mean() < 0.01
    assert gain.headroom == pytest.approx(fields.headroom, abs=1e-5)
    assert gain.offset_sdr.flatten().tolist() == pytest.approx(list(fields.offset_sdr), abs=1e-5)
    assert gain.offset_hdr.flatten().tolist() == pytest.approx(list(fields.offset_hdr), abs=1e-5)
    assert gain.origin == ("Ultra HDR" if writer in ("attributes", "elements") else "ISO 21496-1")


def test_the_hdr_rendition_is_that_of_libultrahdr(tmp_path: Path):
    """libultrahdr writes the file and decodes it to linear light; its own reader is the reference."""
    y, x = np.mgrid[:64, :96]
    light = np.stack([x / 95, y / 63, np.full_like(x, 0.4)], axis=-1) ** 2 * 4
    rgba = np.concatenate([light, np.ones((64, 96, 1))], axis=-1).astype(np.float16)
    data = imagecodecs.ultrahdr_encode(rgba)
    photo = read_bytes(tmp_path, data)
    assert photo.gain is not None
    assert photo.gain.origin == "ISO 21496-1"
    reference = imagecodecs.ultrahdr_decode(data).astype(np.float32)[..., :3].transpose(2, 0, 1)
    found = photo.gain.hdr(photo.srgb).numpy()
    bright = reference > 0.05
    assert bright.mean() > 0.5
    error = np.abs(np.log2(found[bright] / reference[bright]))  # EV; its JPEG has half the colours' resolution
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.99) < 0.15
    assert reference.max() > 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [False, True])
def test_the_map_is_turned_as_the_photo(tmp_path: Path, orientation: int, upright: bool):
    """It is stored as the photo is, or upright: where the sides change places, its shape tells."""
    if upright and orientation < 5:
        pytest.skip("the shape does not tell")
    values = smooth_map()
    shown = Image.fromarray(values)
    shown.getexif()[0x0112] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(shown)) / 255
    stored = np.rint(wanted * 255).astype(np.uint8) if upright else values
    exif = Image.Exif()
    exif[0x0112] = orientation
    segment = writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False))
    photo = read_bytes(tmp_path, writers.jpeg(smooth_photo(), exif=exif) + writers.jpeg(stored, [segment]))
    assert photo.gain is not None
    assert photo.gain.log2.shape[-2:] == photo.srgb.shape[-2:]
    assert np.abs(photo.gain.values[0].numpy() - wanted).max() < 0.03


@pytest.mark.parametrize(
    ("headroom", "gain", "stops"),
    [(0.5, 0.0, 1.8), (0.5, 0.01, 1.6), (0.5, 2.0, 1.399), (1.2, 0.0, 3.0), (1.2, 0.005, 2.65), (1.2, 3.0, 1.394)],
)
def test_apples_headroom_is_that_of_the_maker_note(tmp_path: Path, headroom, gain, stops):
    exif = b"Exif\0\0" + writers.apple_exif(headroom, gain)
    data = writers.jpeg(smooth_photo(), exif=exif) + writers.jpeg(
        smooth_map(), [writers.xmp_segment(writers.apple_xmp(None))]
    )
    found = read_bytes(tmp_path, data).gain
    assert found is not None
    assert (found.origin, found.headroom) == ("Apple", pytest.approx(stops, abs=1e-4))


def test_apples_gain_is_linear_in_the_values_of_rec_709(tmp_path: Path):
    """HDR = SDR (1 + (headroom - 1) g). The headroom of the XMP is a ratio, not EV."""
    values = np.full((24, 32), 128, np.uint8)
    data = writers.jpeg(smooth_photo()) + writers.jpeg(values, [writers.xmp_segment(writers.apple_xmp(4.0))])
    found = read_bytes(tmp_path, data).gain
    assert found is not None
    assert found.headroom == pytest.approx(2.0)
    linear = ((128 / 255 + 0.099) / 1.099) ** (1 / 0.45)
    assert found.log2.mean().item() == pytest.approx(np.log2(1 + 3 * linear), abs=1e-4)


def test_an_apple_map_without_a_headroom_is_left_out_with_a_warning(tmp_path: Path):
    data = writers.jpeg(smooth_photo()) + writers.jpeg(
        smooth_map(), [writers.xmp_segment(writers.apple_xmp(None))]
    )
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.warns(UserWarning, match="gain map is left out"):
        assert read_photo(tmp_path / "a.jpg").gain is None


@pytest.mark.parametrize("part", [np.s_[:, 8:], np.s_[:, :, 8:], np.s_[:, :1]])
def test_a_part_of_the_photo_is_refused(tmp_path: Path, part):
    """Rows from the middle would take the map of the first rows."""
    fields = writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False))
    main = writers.jpeg(smooth_photo(), [writers.iso_segment(bytes(4))])
    photo = read_bytes(tmp_path, main + writers.jpeg(smooth_map(), [fields]))
    for call in (photo.gain.above_mid_grey, photo.gain.hdr):
        with pytest.raises(ShapeError, match="srgb and the photo of this gain map differ in size"):
            call(photo.srgb[part])
    rows = slice(8, 24)
    torch.testing.assert_close(photo.gain.hdr(photo.srgb[:, rows], rows), photo.gain.hdr(photo.srgb)[:, rows])


def test_a_photo_without_a_map_has_none_and_says_nothing(tmp_path: Path):
    plain = writers.jpeg(smooth_photo())
    for data in (plain, plain + writers.jpeg(smooth_map()), plain + b"a film\xff\xd8\xff\xe0 of a phone" * 100):
        assert read_bytes(tmp_path, data).gain is None


def test_pictures_before_the_map_are_passed_over(tmp_path: Path):
    segment = writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False))
    preview, film = writers.jpeg(smooth_photo(24, 32)), bytes(range(256)) * 20
    data = writers.jpeg(smooth_photo()) + preview + film + writers.jpeg(smooth_map(), [segment]) + film
    gain = read_bytes(tmp_path, data).gain
    assert gain is not None
    assert gain.values.shape == (1, 24, 32)


def test_scenes_take_iso_metadata_too(tmp_path: Path):
    fields = writers.Fields(maximum=(8.0,), headroom=8.0)
    rng = np.random.default_rng(0)
    values = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 16), np.uint8)).resize((WIDTH, HEIGHT)))
    first = writers.jpeg(smooth_photo(), [writers.iso_segment(bytes(4))])
    (tmp_path / "room.jpg").write_bytes(
        first + writers.jpeg(values, [writers.iso_segment(writers.iso_metadata(fields))])
    )
    assert read_scene(tmp_path / "room.jpg", "planar").light.max() > 50
