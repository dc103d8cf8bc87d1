"""Gain maps of photos: by the formulas of the standards, in files of several writers, and of real cameras."""

import io
import itertools
import re
import struct
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import photo_writers as writers
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from revisp.errors import ImageError
from revisp.io import Photo, read_photo, read_scene, read_srgb

HEIGHT, WIDTH = 48, 64


def _photo(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth picture whose corners differ."""
    y, x = np.mgrid[:height, :width]
    planes = np.stack([x / (width - 1), y / (height - 1), (x + y) / (width + height - 2)], axis=-1)
    return np.rint(planes * 255).astype(np.uint8)


def _values(height: int = HEIGHT // 2, width: int = WIDTH // 2, channels: int = 1) -> np.ndarray:
    """Values of a map, smooth too, so that JPEG and interpolation change little."""
    y, x = np.mgrid[:height, :width]
    planes = [
        np.rint(255 * (a * x / (width - 1) + (1 - a) * y / (height - 1))) for a in (0.5, 0.2, 0.8)[:channels]
    ]
    return np.stack(planes, axis=-1).astype(np.uint8)[..., slice(None) if channels > 1 else 0]


def _read(folder: Path, data: bytes) -> Photo:
    (folder / "photo").write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_photo(folder / "photo")


def _resized(stops: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pillow's linear interpolation of each channel."""
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
        for plane in stops.transpose(2, 0, 1)
    ]
    return np.stack(planes)


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
    values = _values(channels=max(map(len, fields[:5])))
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
    data = writers.jpeg(_photo(), [writers.iso_segment(bytes(4))]) + writers.jpeg(values, segments)
    gain = _read(tmp_path, data).gain
    assert gain is not None
    shown = np.asarray(Image.open(io.BytesIO(writers.jpeg(values))))  # as another decoder shows it
    wanted = _resized(fields.log2(shown.reshape(*shown.shape[:2], -1) / 255), HEIGHT, WIDTH)
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
    photo = _read(tmp_path, data)
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
    values = _values()
    shown = Image.fromarray(values)
    shown.getexif()[0x0112] = orientation
    wanted = np.asarray(ImageOps.exif_transpose(shown)) / 255
    stored = np.rint(wanted * 255).astype(np.uint8) if upright else values
    exif = Image.Exif()
    exif[0x0112] = orientation
    segment = writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False))
    photo = _read(tmp_path, writers.jpeg(_photo(), exif=exif) + writers.jpeg(stored, [segment]))
    assert photo.gain is not None
    assert photo.gain.log2.shape[-2:] == photo.srgb.shape[-2:]
    assert np.abs(photo.gain.values[0].numpy() - wanted).max() < 0.03


@pytest.mark.parametrize(
    ("headroom", "gain", "stops"),
    [(0.5, 0.0, 1.8), (0.5, 0.01, 1.6), (0.5, 2.0, 1.399), (1.2, 0.0, 3.0), (1.2, 0.005, 2.65), (1.2, 3.0, 1.394)],
)
def test_apples_headroom_is_that_of_the_maker_note(tmp_path: Path, headroom, gain, stops):
    exif = b"Exif\0\0" + writers.apple_exif(headroom, gain)
    data = writers.jpeg(_photo(), exif=exif) + writers.jpeg(
        _values(), [writers.xmp_segment(writers.apple_xmp(None))]
    )
    found = _read(tmp_path, data).gain
    assert found is not None
    assert (found.origin, found.headroom) == ("Apple", pytest.approx(stops, abs=1e-4))


def test_apples_gain_is_linear_in_the_values_of_rec_709(tmp_path: Path):
    """HDR = SDR (1 + (headroom - 1) g). The headroom of the XMP is a ratio, not EV."""
    values = np.full((24, 32), 128, np.uint8)
    data = writers.jpeg(_photo()) + writers.jpeg(values, [writers.xmp_segment(writers.apple_xmp(4.0))])
    found = _read(tmp_path, data).gain
    assert found is not None
    assert found.headroom == pytest.approx(2.0)
    linear = ((128 / 255 + 0.099) / 1.099) ** (1 / 0.45)
    assert found.log2.mean().item() == pytest.approx(np.log2(1 + 3 * linear), abs=1e-4)


def test_an_apple_map_without_a_headroom_is_left_out_with_a_warning(tmp_path: Path):
    data = writers.jpeg(_photo()) + writers.jpeg(_values(), [writers.xmp_segment(writers.apple_xmp(None))])
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.warns(UserWarning, match="gain map is left out"):
        assert read_photo(tmp_path / "a.jpg").gain is None


def test_a_photo_without_a_map_has_none_and_says_nothing(tmp_path: Path):
    plain = writers.jpeg(_photo())
    for data in (plain, plain + writers.jpeg(_values()), plain + b"a film\xff\xd8\xff\xe0 of a phone" * 100):
        assert _read(tmp_path, data).gain is None


def test_pictures_before_the_map_are_passed_over(tmp_path: Path):
    segment = writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=False))
    preview, film = writers.jpeg(_photo(24, 32)), bytes(range(256)) * 20
    data = writers.jpeg(_photo()) + preview + film + writers.jpeg(_values(), [segment]) + film
    gain = _read(tmp_path, data).gain
    assert gain is not None
    assert gain.values.shape == (1, 24, 32)


def _containers() -> dict[str, bytes]:
    """One file of each container with the same photo, map and fields."""
    fields = writers.Fields(gamma=(0.8,), minimum=(-0.5,))
    iso = writers.iso_metadata(fields)
    base, values = writers.av1_item(_photo(), turn=3), writers.av1_item(_values(), turn=3)
    return {
        "jpeg": writers.jpeg(_photo()) + writers.jpeg(_values(), [writers.iso_segment(iso)]),
        "avif": writers.avif_with_map(base, values, iso),
        "jxl": writers.jxl_with_map(_photo(), _values(), iso),
    }


@pytest.mark.parametrize("turns", list(itertools.product([None, 0, 1, 2, 3], [None, 1, 3])))
def test_the_map_of_an_avif_is_read_and_turned_once(tmp_path: Path, turns):
    """Both items have their rotation, or the map has none: then that of the photo holds."""
    of_photo, of_map = turns
    if of_map is not None and of_map != of_photo:
        pytest.skip("a map that is turned otherwise than its photo")
    fields = writers.Fields(gamma=(0.8,), minimum=(-0.5,))
    file = writers.avif_with_map(
        writers.av1_item(_photo(), turn=of_photo),
        writers.av1_item(_values(), turn=of_map),
        writers.iso_metadata(fields),
    )
    photo = _read(tmp_path, file)
    assert photo.gain is not None
    turn = of_photo or 0
    assert np.abs(photo.srgb.permute(1, 2, 0).numpy() * 255 - np.rot90(_photo(), turn)).max() < 0.01
    wanted = fields.log2(np.rot90(_values(), turn)[..., None] / 255)
    assert np.abs(photo.gain.meaning.log2(photo.gain.values[0].numpy()) - wanted[..., 0]).max() < 1e-4


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_maps_of_an_avif_may_have_more_bits(tmp_path: Path, bits: int):
    deep = np.rint(_values() / 255.0 * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    item = writers.av1_item(deep, bits=bits)
    iso = writers.iso_metadata(writers.Fields())
    photo = _read(tmp_path, writers.avif_with_map(writers.av1_item(_photo()), item, iso))
    assert photo.gain is not None
    assert np.abs(photo.gain.values[0].numpy() - deep / (2**bits - 1)).max() < 1e-6


@pytest.mark.parametrize("size", [(24, 32), (48, 64), (96, 128)])
def test_a_map_may_be_smaller_or_larger_than_the_photo(tmp_path: Path, size):
    item = writers.av1_item(_values(*size))
    iso = writers.iso_metadata(writers.Fields())
    photo = _read(tmp_path, writers.avif_with_map(writers.av1_item(_photo()), item, iso))
    assert photo.gain is not None
    wanted = _resized(_values(*size)[..., None] / 255 * 3, HEIGHT, WIDTH)
    assert np.abs(photo.gain.log2.numpy() - wanted).max() < 0.01


def test_an_avif_that_does_not_offer_its_map_has_none(tmp_path: Path):
    """Without the brand tmap, or where the photo is preferred to the rendition (ISO/IEC 23008-12)."""
    base, values, iso = (
        writers.av1_item(_photo()),
        writers.av1_item(_values()),
        writers.iso_metadata(writers.Fields()),
    )
    whole = writers.avif_with_map(base, values, iso)
    assert _read(tmp_path, whole).gain is not None
    assert _read(tmp_path, writers.avif_with_map(base, values, iso, brands=b"avifmif1miaf")).gain is None
    order = struct.pack(">IIII", 9, 2, 3, 1)
    assert whole.count(order) == 1
    assert _read(tmp_path, whole.replace(order, struct.pack(">IIII", 9, 2, 1, 3))).gain is None


@pytest.mark.parametrize("change", ["version", "minimum version", "gamma", "denominator", "more bytes", "cut off"])
def test_metadata_of_another_version_or_damaged_is_no_map(tmp_path: Path, change: str):
    iso = writers.iso_metadata(writers.Fields(gamma=(0.0,)) if change == "gamma" else writers.Fields())
    bad = {
        "version": iso,
        "minimum version": b"\0\7" + iso[2:],
        "gamma": iso,
        "denominator": iso[:9] + bytes(4) + iso[13:],
        "more bytes": iso + b"more",
        "cut off": iso[:-3],
    }[change]
    file = writers.avif_with_map(writers.av1_item(_photo()), writers.av1_item(_values()), bad)
    if change == "version":
        file = file.replace(b"\0" + iso, b"\1" + iso)
    (tmp_path / "a.avif").write_bytes(file)
    with pytest.warns(UserWarning, match="gain map is left out"):
        assert read_photo(tmp_path / "a.avif").gain is None
    if change != "version":
        data = writers.jpeg(_photo()) + writers.jpeg(_values(), [writers.iso_segment(bad)])
        (tmp_path / "a.jpg").write_bytes(data)
        with pytest.warns(UserWarning, match="gain map is left out"):
            assert read_photo(tmp_path / "a.jpg").gain is None


def test_an_hdr_picture_gives_its_sdr_rendition(tmp_path: Path):
    """PQ of 10 bits, made of an SDR photo and a map by the formula: the photo comes back, with the gain to HDR."""
    fields = writers.Fields(minimum=(0.0,), maximum=(2.0,), headroom=2.0, base_is_hdr=True)
    srgb, values = _photo() / 255, _values(HEIGHT, WIDTH)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    hdr = (linear + 1 / 64) * 2 ** fields.log2(values[..., None] / 255) - 1 / 64
    power = (hdr * 203 / 10_000) ** (2610 / 16384)
    pq = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    base = writers.av1_item(np.rint(pq * 4095).astype(np.uint16), bits=12, colour=writers.nclx(1, 16))
    file = writers.avif_with_map(
        base, writers.av1_item(values), writers.iso_metadata(fields), colour=writers.nclx(1, 13)
    )
    photo = _read(tmp_path, file)
    assert photo.gain is not None
    assert photo.gain.headroom == pytest.approx(2.0)
    assert np.abs(photo.srgb.permute(1, 2, 0).numpy() - srgb).max() < 0.02
    assert np.abs(photo.gain.hdr(photo.srgb).permute(1, 2, 0).numpy() - hdr).max() < 0.03
    assert torch.equal(read_srgb(tmp_path / "photo"), photo.srgb)
    (tmp_path / "alone.avif").write_bytes(writers.item_file([base], brands=b"avifmif1miaf"))
    with pytest.raises(ImageError, match=r"HDR displays \(PQ\) without an SDR rendition"):
        read_srgb(tmp_path / "alone.avif")


@pytest.mark.parametrize("container", ["jpeg", "avif", "jxl"])
def test_the_sdr_rendition_is_the_same_for_every_reader(tmp_path: Path, container: str):
    """The picture is the HDR rendition though its curve is that of sRGB: SDR = (HDR + k) 2^-L - k'."""
    fields = writers.Fields(maximum=(1.5,), headroom=1.5, base_is_hdr=True)
    values, iso = _values(HEIGHT, WIDTH), writers.iso_metadata(fields)
    data = {
        "jpeg": lambda: writers.jpeg(_photo()) + writers.jpeg(values, [writers.iso_segment(iso)]),
        "avif": lambda: writers.avif_with_map(writers.av1_item(_photo()), writers.av1_item(values), iso),
        "jxl": lambda: writers.jxl_with_map(_photo(), values, iso),
    }[container]()
    photo = _read(tmp_path, data)
    assert torch.equal(photo.srgb, read_srgb(tmp_path / "photo"))
    encoded = _photo() / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    sdr = np.clip((linear + 1 / 64) * 2 ** -fields.log2(values[..., None] / 255) - 1 / 64, 0, 1)
    wanted = np.where(sdr <= 0.0031308, 12.92 * sdr, 1.055 * sdr ** (1 / 2.4) - 0.055)
    assert np.abs(photo.srgb.permute(1, 2, 0).numpy() - wanted).mean() < 0.01


def test_a_map_in_tiles_is_put_together(tmp_path: Path):
    """As libavif and phones store large pictures: an item of type grid that refers to its tiles."""
    values = _values(128, 128)
    tiles = [
        writers.av1_item(np.ascontiguousarray(values[y : y + 64, x : x + 64])) for y in (0, 64) for x in (0, 64)
    ]
    grid = writers.Item(
        b"grid",
        bytes([0, 0, 1, 1]) + struct.pack(">HH", 128, 128),
        [(b"ispe", struct.pack(">III", 0, 128, 128)), (b"pixi", bytes([0, 0, 0, 0, 1, 8]))],
        [(b"dimg", [4, 5, 6, 7])],
        hidden=True,
    )
    tone_mapped = writers.Item(
        b"tmap",
        b"\0" + writers.iso_metadata(writers.Fields()),
        [(b"ispe", struct.pack(">III", 0, WIDTH, HEIGHT)), (b"colr", writers.nclx(1, 16))],
        [(b"dimg", [1, 2])],
    )
    hidden = [tile._replace(hidden=True) for tile in tiles]
    items = [writers.av1_item(_photo()), grid, tone_mapped, *hidden]
    gain = _read(tmp_path, writers.item_file(items, brands=b"avifmif1miaftmap")).gain
    assert gain is not None
    assert np.abs(gain.values[0].numpy() * 255 - values).max() < 0.01


def _heif(kind: str) -> bytes:
    """A turned photo with an auxiliary map, its XMP, and the EXIF of the photo."""
    photo = np.rint(np.stack(np.meshgrid(*[np.linspace(0, 1, 128)] * 2) * 2, -1)[..., :3] * 255).astype(np.uint8)
    name = {"apple": b"apple:photo:2020", "hdrgm": b"samsung:photo:2024"}[kind]
    xmp = writers.apple_xmp(None) if kind == "apple" else writers.hdrgm_xmp(writers.Fields(), elements=True)
    turn = (b"irot", b"\3")
    values = writers.hevc_item(
        _values(64, 64), (b"auxC", bytes(4) + b"urn:com:" + name + b":aux:hdrgainmap\0"), turn
    )
    items = [
        writers.hevc_item(photo, turn),
        values._replace(references=[(b"auxl", [1])], hidden=True),
        writers.Item(b"mime", xmp.encode(), references=[(b"cdsc", [2])], content_type=b"application/rdf+xml"),
        writers.Item(b"Exif", bytes(4) + writers.apple_exif(1.2, 0.005, 6), references=[(b"cdsc", [1])]),
    ]
    return bytes(writers.item_file(items, brands=b"heicmif1miaf"))


@pytest.mark.parametrize("kind", ["apple", "hdrgm"])
def test_auxiliary_maps_of_heif_are_read(tmp_path: Path, kind: str):
    """Apple's with its headroom in the maker note, and another maker's with Adobe's fields in its XMP."""
    gain = _read(tmp_path, _heif(kind)).gain
    assert gain is not None
    assert gain.headroom == pytest.approx({"apple": 2.65, "hdrgm": 3.0}[kind], abs=1e-3)
    assert gain.origin == {"apple": "Apple", "hdrgm": "Ultra HDR"}[kind]
    assert np.abs(gain.values[0].numpy() * 255 - np.rot90(_values(64, 64), 3)).max() < 2


def test_a_jpeg_xl_has_its_map_in_a_box(tmp_path: Path):
    fields = writers.Fields(gamma=(0.8,), minimum=(-0.5,))
    photo = _read(tmp_path, writers.jxl_with_map(_photo(), _values(), writers.iso_metadata(fields)))
    assert photo.gain is not None
    wanted = fields.log2(_values()[..., None] / 255)[..., 0]
    assert np.abs(photo.gain.meaning.log2(photo.gain.values[0].numpy()) - wanted).max() < 1e-4


def test_three_channels_hold_for_the_colours_of_the_file(tmp_path: Path):
    """Display P3 with a map of three channels: HDR is made in P3, then converted."""
    fields = writers.Fields(maximum=(1.0, 2.0, 3.0), offset_sdr=(0.0,), offset_hdr=(0.0,))
    pixels, values = np.full((HEIGHT, WIDTH, 3), (180, 120, 90), np.uint8), np.full((24, 32, 3), 255, np.uint8)
    item = writers.av1_item(pixels, colour=writers.nclx(12, 13))
    photo = _read(tmp_path, writers.avif_with_map(item, writers.av1_item(values), writers.iso_metadata(fields)))
    assert photo.gain is not None
    encoded = np.array([180, 120, 90]) / 255
    hdr = ((encoded + 0.055) / 1.055) ** 2.4 * [2, 4, 8]
    p3_to_srgb = np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09827]])
    found = photo.gain.hdr(photo.srgb)[:, 20, 20].numpy()
    assert found == pytest.approx(p3_to_srgb @ hdr, rel=0.01)


def test_scenes_take_iso_metadata_too(tmp_path: Path):
    fields = writers.Fields(maximum=(8.0,), headroom=8.0)
    rng = np.random.default_rng(0)
    values = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 16), np.uint8)).resize((WIDTH, HEIGHT)))
    first = writers.jpeg(_photo(), [writers.iso_segment(bytes(4))])
    (tmp_path / "room.jpg").write_bytes(
        first + writers.jpeg(values, [writers.iso_segment(writers.iso_metadata(fields))])
    )
    assert read_scene(tmp_path / "room.jpg", "planar").light.max() > 50


# --- damage ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_files() -> dict[str, bytes]:
    apple = writers.jpeg(_photo(), exif=b"Exif\0\0" + writers.apple_exif(1.2, 0.0))
    return _containers() | {
        "xmp": writers.jpeg(_photo())
        + writers.jpeg(_values(), [writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=True))]),
        "heif": _heif("apple"),
        "apple": apple + writers.jpeg(_values(), [writers.xmp_segment(writers.apple_xmp(None))]),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["jpeg", "avif", "heif", "jxl", "xmp", "apple"])
def test_any_damage_is_an_image_error_or_no_map(tmp_path_factory, whole_files, kind: str):
    """Bytes changed where structure stands, cut off, or cut out: never another exception."""
    folder, data = tmp_path_factory.mktemp(kind), whole_files[kind]
    marks = [
        match.start() for match in re.finditer(rb"\xff[\xd8\xe1\xe2]|urn:|hdrgm|meta|ilo|ipm|dimg|tmap|jhgm", data)
    ]

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.data())
    def damage(draw: st.DataObject) -> None:
        changed = bytearray(data)
        for _ in range(draw.draw(st.integers(1, 4))):
            near = draw.draw(st.sampled_from([0, *marks])) + draw.draw(st.integers(0, 40))
            at = min(near, len(changed) - 1)
            change = draw.draw(st.sampled_from(["set", "cut out", "repeat"]))
            if change == "set":
                changed[at] = draw.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]))
            elif change == "cut out":
                del changed[at : at + draw.draw(st.integers(1, 9))]
            else:
                changed[at:at] = changed[at : at + 8]
        if draw.draw(st.booleans()):
            del changed[draw.draw(st.integers(1, len(changed))) :]
        (folder / "photo").write_bytes(bytes(changed))
        try:
            photo = read_photo(folder / "photo")
        except ImageError:
            return
        assert photo.gain is None or torch.isfinite(photo.gain.log2).all()

    damage()


# --- files of real cameras ------------------------------------------------------------------------------------


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
