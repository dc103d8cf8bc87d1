"""Gain maps in AVIF, HEIF and JPEG XL, HDR pictures with an SDR rendition, and damage of every container."""

import itertools
import re
import struct
from pathlib import Path

import numpy as np
import photo_writers as writers
import pytest
import torch
from gain_photos import HEIGHT, WIDTH, read_bytes, resized, smooth_map, smooth_photo
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.errors import ImageError
from revisp.io import read_photo, read_srgb
from revisp.io.apple_gain import apple_headroom
from revisp.io.exif import parse_exif


def _containers() -> dict[str, bytes]:
    """One file of each container with the same photo, map and fields."""
    fields = writers.Fields(gamma=(0.8,), minimum=(-0.5,))
    iso = writers.iso_metadata(fields)
    base, values = writers.av1_item(smooth_photo(), turn=3), writers.av1_item(smooth_map(), turn=3)
    return {
        "jpeg": writers.jpeg(smooth_photo()) + writers.jpeg(smooth_map(), [writers.iso_segment(iso)]),
        "avif": writers.avif_with_map(base, values, iso),
        "jxl": writers.jxl_with_map(smooth_photo(), smooth_map(), iso),
    }


@pytest.mark.parametrize("turns", list(itertools.product([None, 0, 1, 2, 3], [None, 1, 3])))
def test_the_map_of_an_avif_is_read_and_turned_once(tmp_path: Path, turns):
    """Both items have their rotation, or the map has none: then that of the photo holds."""
    of_photo, of_map = turns
    if of_map is not None and of_map != of_photo:
        pytest.skip("a map that is turned otherwise than its photo")
    fields = writers.Fields(gamma=(0.8,), minimum=(-0.5,))
    file = writers.avif_with_map(
        writers.av1_item(smooth_photo(), turn=of_photo),
        writers.av1_item(smooth_map(), turn=of_map),
        writers.iso_metadata(fields),
    )
    photo = read_bytes(tmp_path, file)
    assert photo.gain is not None
    turn = of_photo or 0
    assert np.abs(photo.srgb.permute(1, 2, 0).numpy() * 255 - np.rot90(smooth_photo(), turn)).max() < 0.01
    wanted = fields.log2(np.rot90(smooth_map(), turn)[..., None] / 255)
    assert np.abs(photo.gain.meaning.log2(photo.gain.values[0].numpy()) - wanted[..., 0]).max() < 1e-4


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_maps_of_an_avif_may_have_more_bits(tmp_path: Path, bits: int):
    deep = np.rint(smooth_map() / 255.0 * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    item = writers.av1_item(deep, bits=bits)
    iso = writers.iso_metadata(writers.Fields())
    photo = read_bytes(tmp_path, writers.avif_with_map(writers.av1_item(smooth_photo()), item, iso))
    assert photo.gain is not None
    assert np.abs(photo.gain.values[0].numpy() - deep / (2**bits - 1)).max() < 1e-6


@pytest.mark.parametrize("size", [(24, 32), (48, 64), (96, 128)])
def test_a_map_may_be_smaller_or_larger_than_the_photo(tmp_path: Path, size):
    item = writers.av1_item(smooth_map(*size))
    iso = writers.iso_metadata(writers.Fields())
    photo = read_bytes(tmp_path, writers.avif_with_map(writers.av1_item(smooth_photo()), item, iso))
    assert photo.gain is not None
    wanted = resized(smooth_map(*size)[..., None] / 255 * 3, HEIGHT, WIDTH)
    assert np.abs(photo.gain.log2.numpy() - wanted).max() < 0.01


def test_an_avif_that_does_not_offer_its_map_has_none(tmp_path: Path):
    """Without the brand tmap, or where the photo is preferred to the rendition (ISO/IEC 23008-12)."""
    base, values, iso = (
        writers.av1_item(smooth_photo()),
        writers.av1_item(smooth_map()),
        writers.iso_metadata(writers.Fields()),
    )
    whole = writers.avif_with_map(base, values, iso)
    assert read_bytes(tmp_path, whole).gain is not None
    assert read_bytes(tmp_path, writers.avif_with_map(base, values, iso, brands=b"avifmif1miaf")).gain is None
    order = struct.pack(">IIII", 9, 2, 3, 1)
    assert whole.count(order) == 1
    assert read_bytes(tmp_path, whole.replace(order, struct.pack(">IIII", 9, 2, 1, 3))).gain is None


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
    file = writers.avif_with_map(writers.av1_item(smooth_photo()), writers.av1_item(smooth_map()), bad)
    if change == "version":
        file = file.replace(b"\0" + iso, b"\1" + iso)
    (tmp_path / "a.avif").write_bytes(file)
    with pytest.warns(UserWarning, match="gain map is left out"):
        assert read_photo(tmp_path / "a.avif").gain is None
    if change != "version":
        data = writers.jpeg(smooth_photo()) + writers.jpeg(smooth_map(), [writers.iso_segment(bad)])
        (tmp_path / "a.jpg").write_bytes(data)
        with pytest.warns(UserWarning, match="gain map is left out"):
            assert read_photo(tmp_path / "a.jpg").gain is None


def test_an_hdr_picture_gives_its_sdr_rendition(tmp_path: Path):
    """PQ of 10 bits, made of an SDR photo and a map by the formula: the photo comes back, with the gain to HDR."""
    fields = writers.Fields(minimum=(0.0,), maximum=(2.0,), headroom=2.0, base_is_hdr=True)
    srgb, values = smooth_photo() / 255, smooth_map(HEIGHT, WIDTH)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    hdr = (linear + 1 / 64) * 2 ** fields.log2(values[..., None] / 255) - 1 / 64
    power = (hdr * 203 / 10_000) ** (2610 / 16384)
    pq = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    base = writers.av1_item(np.rint(pq * 4095).astype(np.uint16), bits=12, colour=writers.nclx(1, 16))
    file = writers.avif_with_map(
        base, writers.av1_item(values), writers.iso_metadata(fields), colour=writers.nclx(1, 13)
    )
    photo = read_bytes(tmp_path, file)
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
    values, iso = smooth_map(HEIGHT, WIDTH), writers.iso_metadata(fields)
    data = {
        "jpeg": lambda: writers.jpeg(smooth_photo()) + writers.jpeg(values, [writers.iso_segment(iso)]),
        "avif": lambda: writers.avif_with_map(writers.av1_item(smooth_photo()), writers.av1_item(values), iso),
        "jxl": lambda: writers.jxl_with_map(smooth_photo(), values, iso),
    }[container]()
    photo = read_bytes(tmp_path, data)
    assert torch.equal(photo.srgb, read_srgb(tmp_path / "photo"))
    encoded = smooth_photo() / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    sdr = np.clip((linear + 1 / 64) * 2 ** -fields.log2(values[..., None] / 255) - 1 / 64, 0, 1)
    wanted = np.where(sdr <= 0.0031308, 12.92 * sdr, 1.055 * sdr ** (1 / 2.4) - 0.055)
    assert np.abs(photo.srgb.permute(1, 2, 0).numpy() - wanted).mean() < 0.01


def test_a_map_in_tiles_is_put_together(tmp_path: Path):
    """As libavif and phones store large pictures: an item of type grid that refers to its tiles."""
    values = smooth_map(128, 128)
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
    items = [writers.av1_item(smooth_photo()), grid, tone_mapped, *hidden]
    gain = read_bytes(tmp_path, writers.item_file(items, brands=b"avifmif1miaftmap")).gain
    assert gain is not None
    assert np.abs(gain.values[0].numpy() * 255 - values).max() < 0.01


def _heif(kind: str) -> bytes:
    """A turned photo with an auxiliary map, its XMP, and the EXIF of the photo."""
    photo = np.rint(np.stack(np.meshgrid(*[np.linspace(0, 1, 128)] * 2) * 2, -1)[..., :3] * 255).astype(np.uint8)
    name = {"apple": b"apple:photo:2020", "hdrgm": b"samsung:photo:2024"}[kind]
    xmp = writers.apple_xmp(None) if kind == "apple" else writers.hdrgm_xmp(writers.Fields(), elements=True)
    turn = (b"irot", b"\3")
    values = writers.hevc_item(
        smooth_map(64, 64), (b"auxC", bytes(4) + b"urn:com:" + name + b":aux:hdrgainmap\0"), turn
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
    gain = read_bytes(tmp_path, _heif(kind)).gain
    assert gain is not None
    assert gain.headroom == pytest.approx({"apple": 2.65, "hdrgm": 3.0}[kind], abs=1e-3)
    assert gain.origin == {"apple": "Apple", "hdrgm": "Ultra HDR"}[kind]
    assert np.abs(gain.values[0].numpy() * 255 - np.rot90(smooth_map(64, 64), 3)).max() < 2


@pytest.mark.parametrize("gain", [-0.2, -1000.0])
def test_a_maker_note_beyond_any_display_tells_no_headroom(gain: float):
    assert apple_headroom(None, parse_exif(writers.apple_exif(1.2, gain))) is None


def test_a_jpeg_xl_has_its_map_in_a_box(tmp_path: Path):
    fields = writers.Fields(gamma=(0.8,), minimum=(-0.5,))
    photo = read_bytes(tmp_path, writers.jxl_with_map(smooth_photo(), smooth_map(), writers.iso_metadata(fields)))
    assert photo.gain is not None
    wanted = fields.log2(smooth_map()[..., None] / 255)[..., 0]
    assert np.abs(photo.gain.meaning.log2(photo.gain.values[0].numpy()) - wanted).max() < 1e-4


def test_three_channels_hold_for_the_colours_of_the_file(tmp_path: Path):
    """Display P3 with a map of three channels: HDR is made in P3, then converted."""
    fields = writers.Fields(maximum=(1.0, 2.0, 3.0), offset_sdr=(0.0,), offset_hdr=(0.0,))
    pixels, values = np.full((HEIGHT, WIDTH, 3), (180, 120, 90), np.uint8), np.full((24, 32, 3), 255, np.uint8)
    item = writers.av1_item(pixels, colour=writers.nclx(12, 13))
    photo = read_bytes(
        tmp_path, writers.avif_with_map(item, writers.av1_item(values), writers.iso_metadata(fields))
    )
    assert photo.gain is not None
    encoded = np.array([180, 120, 90]) / 255
    hdr = ((encoded + 0.055) / 1.055) ** 2.4 * [2, 4, 8]
    p3_to_srgb = np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09827]])
    found = photo.gain.hdr(photo.srgb)[:, 20, 20].numpy()
    assert found == pytest.approx(p3_to_srgb @ hdr, rel=0.01)


# --- damage ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_files() -> dict[str, bytes]:
    apple = writers.jpeg(smooth_photo(), exif=b"Exif\0\0" + writers.apple_exif(1.2, 0.0))
    return _containers() | {
        "xmp": writers.jpeg(smooth_photo())
        + writers.jpeg(smooth_map(), [writers.xmp_segment(writers.hdrgm_xmp(writers.Fields(), elements=True))]),
        "heif": _heif("apple"),
        "apple": apple + writers.jpeg(smooth_map(), [writers.xmp_segment(writers.apple_xmp(None))]),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stated", [b"mime\0", b"application/rdf+xml\0"])
def test_an_item_of_no_ascii_type_is_damage(tmp_path: Path, stated: bytes):
    """Four letters and media types are ASCII by ISO/IEC 14496-12."""
    whole = _heif("hdrgm")
    assert whole.count(stated) == 1
    (tmp_path / "a.heif").write_bytes(whole.replace(stated, b"\xca" + stated[1:]))
    with pytest.raises(ImageError, match="ASCII"):
        read_photo(tmp_path / "a.heif")


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
