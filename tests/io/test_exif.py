"""EXIF: found wherever it stands, in files of several writers, and read as the standard says."""

import io
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from revisp.camera.profile import CameraProfile
from revisp.io import PhotoMetadata, read_metadata, read_raw, write_dng
from revisp.io.exif import parse_exif, read_exif

ASCII, SHORT, LONG, RATIONAL, UTF8 = 2, 3, 4, 5, 129


def _block(image: dict[int, tuple[int, object]], photo: dict[int, tuple[int, object]], order: str = "<") -> bytes:
    """A TIFF block of two directories, by the layout of TIFF 6.0, written here by hand."""

    def packed(kind: int, value: object) -> tuple[int, bytes]:
        if isinstance(value, bytes):
            return len(value), value
        if kind == RATIONAL:
            assert isinstance(value, Fraction)
            return 1, struct.pack(f"{order}II", value.numerator, value.denominator)
        return 1, struct.pack(order + ("H" if kind == SHORT else "I"), value)

    def directory(entries: dict[int, tuple[int, object]], at: int) -> bytes:
        body, overflow = struct.pack(f"{order}H", len(entries)), b""
        free = at + 2 + 12 * len(entries) + 4
        for tag, (kind, value) in sorted(entries.items()):
            count, data = packed(kind, value)
            if len(data) > 4:
                place = struct.pack(f"{order}I", free + len(overflow))
                overflow += data + b"\0" * (len(data) % 2)
            else:
                place = data.ljust(4, b"\0")
            body += struct.pack(f"{order}HHI", tag, kind, count) + place
        return body + struct.pack(f"{order}I", 0) + overflow

    pointed = image | {0x8769: (LONG, 0)}
    pointed[0x8769] = (LONG, 8 + len(directory(pointed, 8)))
    main = directory(pointed, 8)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return header + main + directory(photo, 8 + len(main))


def _shot(order: str = "<") -> bytes:
    return _block(
        {0x010F: (ASCII, b"Acme\0"), 0x0110: (ASCII, "Größe 1\0".encode())},
        {
            0x829A: (RATIONAL, Fraction(1, 250)),
            0x829D: (RATIONAL, Fraction(28, 10)),
            0x8827: (SHORT, 400),
            0x9003: (ASCII, b"2021:04:08 14:51:29\0"),
            0xA434: (ASCII, "Objectif été 50\0".encode()),
        },
        order,
    )


WANTED = PhotoMetadata(
    "Acme", "Größe 1", "Objectif été 50", "2021:04:08 14:51:29", Fraction(1, 250), Fraction(14, 5), 400, None
)


def _jpeg(block: bytes, before: tuple[bytes, ...] = ()) -> bytes:
    """A JPEG of Pillow, with segments put behind its first bytes."""
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(file, "JPEG")
    data = file.getvalue()
    segments = (*before, b"\xff\xe1" + struct.pack(">H", 8 + len(block)) + b"Exif\0\0" + block)
    return data[:2] + b"".join(segments) + data[2:]


def _png(block: bytes, *, behind: bool = False) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(file, "PNG")
    data = file.getvalue()
    at = len(data) - 12 if behind else 33
    return data[:at] + _chunk(b"eXIf", block) + data[at:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of_imagemagick(block: bytes) -> bytes:
    """The text chunk of ImageMagick before PNG 1.5 extensions had a chunk for EXIF."""
    raw = b"Exif\0\0" + block
    text = b"\nexif\n%8d\n" % len(raw) + raw.hex().encode() + b"\n"
    data = _png(b"")
    return data[:33] + _chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)) + data[33:]


def _pillow(kind: str, block: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(file, kind, exif=b"Exif\0\0" + block)
    return file.getvalue()


def _heif(block: bytes) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (32, 32))).save(file, exif=b"Exif\0\0" + block)
    return file.getvalue()


def _webp_without_prefix(block: bytes) -> bytes:
    """libvips writes the TIFF header at once, Pillow writes what it is given."""
    file = io.BytesIO()
    Image.new("RGB", (32, 24)).save(file, "WEBP", exif=block)
    return file.getvalue()


def _app(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", 2 + len(content)) + content


WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "jpeg": _jpeg,
    "jpeg, 60 kB of APP2 before": lambda block: _jpeg(block, (_app(0xE2, b"MPF\0" + bytes(60_000)),)),
    "jpeg, three APP13 and a comment before": lambda block: _jpeg(
        block, (*[_app(0xED, b"Photoshop 3.0\0" + bytes(65_000))] * 3, _app(0xFE, b"comment"))
    ),
    "jpeg, fill bytes before": lambda block: _jpeg(block, (_app(0xE0, b"JFIF\0" + bytes(9)) + b"\xff\xff",)),
    "jpeg, bytes between segments": lambda block: _jpeg(block, (_app(0xE0, b"JFIF\0" + bytes(9)) + bytes(50),)),
    "jpeg, another APP1 before": lambda block: _jpeg(block, (_app(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),)),
    "png": _png,
    "png, behind the pixels": lambda block: _png(block, behind=True),
    "png of ImageMagick": _png_of_imagemagick,
    "webp": lambda block: _pillow("WEBP", block),
    "webp, bare": _webp_without_prefix,
    "avif": lambda block: _pillow("AVIF", block),
    "heif": _heif,
    "tiff": lambda block: block,
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("writer", WRITERS)
def test_exif_is_found_wherever_it_stands(tmp_path: Path, writer: str, order: str):
    (tmp_path / "photo").write_bytes(WRITERS[writer](_shot(order)))
    assert read_metadata(tmp_path / "photo") == WANTED


def test_exif_of_several_segments_is_joined(tmp_path: Path):
    """More than 64 kB go on in the next APP1, as ExifTool writes: the lens lies behind 80 kB of maker note."""
    block = _block({}, {0x927C: (7, bytes(80_000)), 0xA434: (ASCII, b"Far away 50mm\0")})
    parts = [block[:65_000], block[65_000:]]
    data = _jpeg(parts[0])
    first = 4 + 8 + len(parts[0]) - 2
    second = _app(0xE1, b"Exif\0\0" + parts[1])
    (tmp_path / "a.jpg").write_bytes(data[: 2 + first] + second + data[2 + first :])
    assert read_metadata(tmp_path / "a.jpg").lens == "Far away 50mm"


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ({0x8827: (SHORT, 400)}, 400),
        ({0x8827: (SHORT, 65535)}, 65535),
        ({0x8827: (SHORT, 65535), 0x8830: (SHORT, 2), 0x8832: (LONG, 102_400)}, 102_400),
        ({0x8827: (SHORT, 65535), 0x8830: (SHORT, 3), 0x8833: (LONG, 204_800)}, 204_800),
        ({0x8827: (SHORT, 65535), 0x8830: (SHORT, 1), 0x8831: (LONG, 409_600)}, 409_600),
        ({0x8830: (SHORT, 2), 0x8832: (LONG, 125)}, 125),
        ({0x8827: (SHORT, 100), 0x8832: (LONG, 102_400)}, 100),
        ({0x8827: (SHORT, 0)}, None),
    ],
)
def test_sensitivity_above_16_bits_is_that_of_the_tags_of_32_bits(tags, wanted):
    assert parse_exif(_block({}, tags)).metadata.iso == wanted


@pytest.mark.parametrize("kind", [ASCII, UTF8])
@pytest.mark.parametrize("text", ["Kamera Größe", "Лейка", "富士フイルム", "é"])
def test_texts_are_utf_8(kind: int, text: str):
    assert parse_exif(_block({0x0110: (kind, text.encode() + b"\0")}, {})).metadata.model == text


@pytest.mark.parametrize(
    "date", ["202¹:04:08 14:51:29", "    :  :     :  :  ", "0000:00:00 00:00:00", "2021:04:08"]
)
def test_what_is_no_date_is_none(date: str):
    assert parse_exif(_block({}, {0x9003: (ASCII, date.encode() + b"\0")})).metadata.date is None


def test_texts_of_one_byte_a_letter_are_latin():
    assert parse_exif(_block({0x010F: (ASCII, "Größe\0".encode("latin-1"))}, {})).metadata.make == "Größe"


def test_a_dng_keeps_letters_and_sensitivity(tmp_path: Path, profile: CameraProfile):
    metadata = PhotoMetadata(lens="Weitwinkel Größe 富", date="2021:04:08 14:51:29", iso=102_400)
    camera = profile.replace(make="Кiev", model="Größe 1")
    write_dng(tmp_path / "a.dng", np.full((64, 64), 0.5, np.float32), camera, metadata=metadata)
    raw = read_raw(tmp_path / "a.dng")
    assert (raw.metadata.lens, raw.metadata.iso) == (metadata.lens, metadata.iso)
    assert (raw.metadata.make, raw.metadata.model) == (camera.make, camera.model)
    assert (raw.profile.make, raw.profile.model) == (camera.make, camera.model)


def test_exif_of_a_bigtiff_is_read(tmp_path: Path):
    tags = [(0x010F, "s", 0, "Acme", True), (0x0110, "s", 0, "One", True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16, 3), np.uint8), bigtiff=True, extratags=tags)
    found = read_metadata(tmp_path / "a.tif")
    assert (found.make, found.model) == ("Acme", "One")


def test_a_directory_that_points_at_itself_ends(tmp_path: Path):
    block = bytearray(_block({}, {}))
    struct.pack_into("<I", block, block.index(struct.pack("<HHI", 0x8769, LONG, 1)) + 8, 8)
    assert parse_exif(bytes(block)).metadata == PhotoMetadata()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_exif_is_never_an_error(data):
    """Any bytes changed, cut or repeated: fields may be lost, nothing is raised."""
    block = bytearray(data.draw(st.sampled_from([_shot("<"), _shot(">")])))
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(block[: data.draw(st.integers(0, len(block)))])
    assert isinstance(parse_exif(cut).metadata, PhotoMetadata)
    assert isinstance(read_exif(io.BytesIO(_jpeg(cut))), PhotoMetadata)
