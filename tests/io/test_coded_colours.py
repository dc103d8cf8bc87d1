"""HEIF and AVIF whose colours only the bitstream states: read as when the file states them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import photo_writers as writers
import pillow_heif
import pytest
from PIL import Image

from revisp.errors import ImageError
from revisp.io import read_srgb
from revisp.io.containers.av1 import av1_colours
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.hevc import hevc_colours
from revisp.io.containers.isobmff import parse_heif

PIXELS = np.tile(np.array([230, 120, 60], np.uint8), (64, 64, 1))
UNSPECIFIED = b"nclx" + struct.pack(">HH", 2, 2)


def _written(kind: str, primaries: int, transfer: int) -> bytes:
    """A photo of x265 or libaom, whose matrix, too, is in the bitstream."""
    matrix = 9 if primaries == 9 else 6
    if kind == "avif":
        options = {"primaries": primaries, "transfer": transfer, "matrix": matrix}
        return bytes(imagecodecs.avif_encode(PIXELS, level=100, pixelformat="yuv444", **options))
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(
        file,
        quality=-1,
        chroma=444,
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=matrix,
        full_range_flag=0,
    )
    return file.getvalue()


def _silenced(data: bytes, how: str) -> bytes:
    """The file without its box colr, or with one that leaves the numbers open."""
    assert data.count(b"colr") == 1
    if how == "no box":
        return data.replace(b"colr", b"free")
    at = data.index(b"nclx")
    return data[:at] + UNSPECIFIED + data[at + len(UNSPECIFIED) :]


def _read(folder: Path, data: bytes) -> np.ndarray:
    (folder / "photo").write_bytes(data)
    return read_srgb(folder / "photo")[:, 8, 8].numpy()


@pytest.mark.parametrize("how", ["no box", "unspecified"])
@pytest.mark.parametrize("numbers", [(12, 13), (9, 14)])
@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_colours_of_the_bitstream_are_converted(
    tmp_path: Path, kind: str, numbers: tuple[int, int], how: str
) -> None:
    data = _written(kind, *numbers)
    found = _read(tmp_path, _silenced(data, how))
    assert found == pytest.approx(_read(tmp_path, data), abs=0.002)
    assert np.abs(found - PIXELS[0, 0] / 255).max() > 0.02  # not taken for sRGB


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_hdr_of_the_bitstream_is_refused(tmp_path: Path, kind: str, transfer: int) -> None:
    name = {16: "PQ", 18: "HLG"}[transfer]
    with pytest.raises(ImageError, match=rf"HDR displays \({name}\)"):
        _read(tmp_path, _silenced(_written(kind, 9, transfer), "no box"))


@pytest.mark.parametrize("numbers", [(1, 13), (1, 1), (6, 6), (5, 6)])
def test_numbers_that_encoders_write_by_themselves_say_nothing(tmp_path: Path, numbers: tuple[int, int]) -> None:
    found = _read(tmp_path, _silenced(_written("heic", *numbers), "no box"))
    assert found == pytest.approx(PIXELS[0, 0] / 255, abs=0.02)


def test_the_box_counts_more_than_the_bitstream(tmp_path: Path) -> None:
    data = _written("avif", 9, 16)
    at = data.index(b"nclx")
    srgb = data[:at] + b"nclx" + struct.pack(">HH", 1, 13) + data[at + 8 :]
    assert _read(tmp_path, srgb) == pytest.approx(PIXELS[0, 0] / 255, abs=0.01)


@pytest.mark.parametrize("where", ["bitstream", "colr"])
@pytest.mark.parametrize("kind", ["avif", "heic"])
def test_a_grid_has_the_colours_of_its_pictures(tmp_path: Path, kind: str, where: str) -> None:
    data = _written(kind, 9, 16 if where == "bitstream" else 13)
    colr = [(b"colr", writers.nclx(9, 16))] if where == "colr" else []
    coded = writers.av1_item(PIXELS) if kind == "avif" else writers.hevc_item(PIXELS)
    name = b"av1C" if kind == "avif" else b"hvcC"
    found = writers._properties_of(data)
    size = struct.pack(">III", 0, 64, 64)
    start = data.index(b"mdat") + 4
    tile = writers.Item(coded.kind, data[start:], [(b"ispe", size), (name, found[name]), *colr], hidden=True)
    shape = struct.pack(">BBBBHH", 0, 0, 0, 0, 64, 64)
    grid = writers.Item(b"grid", shape, [(b"ispe", size)], [(b"dimg", [2])])
    brands = b"avifmif1miaf" if kind == "avif" else b"heicmif1miaf"
    with pytest.raises(ImageError, match=r"HDR displays \(PQ\)"):
        _read(tmp_path, writers.item_file([grid, tile], brands=brands))


@pytest.mark.parametrize(("numbers", "kept"), [((5, 1), True), ((1, 13), True), ((12, 13), False)])
def test_usual_numbers_of_a_tile_say_nothing(tmp_path: Path, numbers: tuple[int, int], kept: bool) -> None:
    """A phone of Nokia writes BT.601 and BT.709 at its tiles, and nothing at the grid."""
    size = (b"ispe", struct.pack(">III", 0, 64, 64))
    tile = writers.hevc_item(PIXELS, colour=writers.nclx(*numbers, 6))._replace(hidden=True)
    grid = writers.Item(b"grid", struct.pack(">BBBBHH", 0, 0, 0, 0, 64, 64), [size], [(b"dimg", [2])])
    found = _read(tmp_path, writers.item_file([grid, tile], brands=b"heicmif1miaf"))
    assert (np.abs(found - PIXELS[0, 0] / 255).max() < 0.02) == kept


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("iphone13pro_chart.heic", (12, 1)), ("samsung_s25ultra.heic", (5, 6)), ("nokia83_dusk.heif", (5, 6))],
)
def test_bitstreams_of_phones(sample_data: Path, name: str, numbers: tuple[int, int]) -> None:
    """The first two have a profile for Display P3 with the curve of sRGB: their numbers are not meant."""
    file = parse_heif((sample_data / "gain_maps" / name).read_bytes())
    configuration = file.property(file.targets(file.primary, b"dimg")[0], b"hvcC")
    assert configuration is not None
    assert hevc_colours(configuration) == numbers


# --- the bitstreams, written field by field after the standards -------------------------------------------------


def _bits(*fields: tuple[int, int] | str) -> bytes:
    """Numbers of some bits, or Exp-Golomb codes as text."""
    text = "".join(each if isinstance(each, str) else f"{each[0]:0{each[1]}b}" for each in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _ue(value: int) -> str:
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


COLOURS = ((1, 1), (9, 8), (16, 8), (9, 8))


def _sequence_header(*, ordered: bool, delayed: bool) -> bytes:
    """A header that is not reduced (AV1 5.5), with all that may come before the colours."""
    delay = [(1, 1), (1, 32), (25, 32), (1, 1), _ue(3), (1, 1), (9, 5), (1, 32), (4, 5), (4, 5)]
    point = [(0, 12), (9, 5), (1, 1), (1, 1), (5, 10), (6, 10), (0, 1), (1, 1), (7, 4)]
    fields = [
        *((2, 3), (0, 1), (0, 1)),  # profile 2, not still, not reduced
        *(delay if delayed else [(0, 1)]),
        *((delayed, 1), (delayed, 5)),  # a second operating point
        *(point * 2 if delayed else [(0, 12), (4, 5)]),
        *((9, 4), (8, 4), (639, 10), (359, 9)),
        *((1, 1), (2, 4), (3, 3)),  # frame numbers
        *((1, 1), (0, 1), (1, 1)),
        *((1, 1), (1, 1), (1, 1), (1, 1), (ordered, 1)),
        *(((1, 1), (1, 1)) if ordered else ()),
        *((0, 1), (1, 1), (0, 1), (1, 1)),  # screen content tools are forced, and an integer motion vector
        *(((6, 3),) if ordered else ()),
        *((0, 1), (1, 1), (1, 1)),
        *((1, 1), (1, 1), (0, 1)),  # twelve bits, in colour
        *COLOURS,
    ]
    payload = _bits(*fields)
    return bytes([0x12, 0]) + bytes([0x0A, len(payload)]) + payload  # after a temporal delimiter


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("delayed", [True, False])
def test_every_field_of_a_sequence_header_is_passed_over(ordered: bool, delayed: bool) -> None:
    assert av1_colours(_sequence_header(ordered=ordered, delayed=delayed)) == (9, 16)
    assert av1_colours(bytes([0x12, 0])) is None
    with pytest.raises(DamagedError, match="cut off"):
        av1_colours(_sequence_header(ordered=ordered, delayed=delayed)[:-3])


EXPLICIT = (_ue(2), _ue(1), _ue(0), (1, 1), _ue(2), (0, 1), _ue(4), (1, 1))  # pictures at -1, -4; 5
USED = (1, 1)
SETS = [
    *EXPLICIT,
    *((1, 1), (1, 1), _ue(0), USED, (0, 1), (1, 1), (0, 1), (0, 1), USED),  # those less 1, one not used
    *((1, 1), (0, 1), _ue(1), USED, USED, USED, USED),  # 3 pictures: one falls on the picture itself
    *((1, 1), (0, 1), _ue(0), USED, USED, USED, USED),
]
UNORDERED_SETS = [
    *EXPLICIT,
    *((1, 1), (1, 1), _ue(4), USED, USED, USED, USED),  # -5, -6, -9: the nearest first (H.265, 7-61)
    *((1, 1), (0, 1), _ue(4), (0, 1), (0, 1), USED, USED, USED),  # without the first, which falls on the picture
    *((1, 1), (0, 1), _ue(0), USED, USED, USED, USED),
]


def _parameter_set(sets: list[tuple[int, int] | str]) -> bytes:
    """A sequence parameter set (H.265, 7.3.2.2) with all that may come before the colours."""
    profile = ((2, 8), (0, 32), (0, 48))
    lists = []
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            coefficients = (size > 1) + min(64, 16 << 2 * size)
            lists += [(1, 1), *[_ue(n % 3) for n in range(coefficients)]]
    lists[0:17] = [(0, 1), _ue(0)]  # the first is that of another
    fields = [
        *((0, 4), (2, 3), (1, 1), *profile, (93, 8), (1, 1), (1, 1), (0, 1), (1, 1), (0, 12), *profile[:1]),
        *((0, 32), (0, 48), (90, 8), (80, 8)),
        *(_ue(0), _ue(3), (0, 1), _ue(64), _ue(64), (1, 1), _ue(0), _ue(1), _ue(0), _ue(1)),
        *(_ue(2), _ue(2), _ue(4), (1, 1), *[_ue(n) for n in (4, 2, 5)] * 3),
        *[_ue(n) for n in (0, 3, 0, 3, 2, 2)],
        *((1, 1), (1, 1), *lists),
        *((1, 1), (1, 1), (1, 1), (7, 4), (7, 4), _ue(0), _ue(2), (1, 1)),
        *(_ue(4), *sets),
        *((1, 1), _ue(2), (3, 8), (1, 1), (200, 8), (0, 1)),
        *((1, 1), (1, 1)),
        *((1, 1), (1, 1), (255, 8), (4, 16), (3, 16), (1, 1), (1, 1), (1, 1), (5, 3), (1, 1)),
        *COLOURS,
    ]
    return b"\x42\1" + _bits(*fields)


def _configuration(*units: bytes) -> bytes:
    stored = b"".join(struct.pack(">BHH", unit[0] >> 1, 1, len(unit)) + unit for unit in units)
    return bytes(22) + bytes([len(units)]) + stored


@pytest.mark.parametrize("sets", [SETS, UNORDERED_SETS])
def test_every_field_of_a_parameter_set_is_passed_over(sets: list[tuple[int, int] | str]) -> None:
    unit = _parameter_set(sets)
    escaped = b""
    for byte in unit:
        if escaped[-2:] == b"\0\0" and byte < 4:
            escaped += b"\3"
        escaped += bytes([byte])
    assert escaped != unit
    other = b"\x40\1\xff\xff"
    assert hevc_colours(_configuration(other, escaped)) == (9, 16)
    assert hevc_colours(_configuration(other)) is None
    with pytest.raises(DamagedError, match="cut off"):
        hevc_colours(_configuration(escaped[:-4]))


def test_a_bitstream_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders may take fields that the parser does not know."""

    def fails(_: bytes) -> None:
        raise DamagedError("a bitstream is cut off")

    monkeypatch.setattr("revisp.io.decoders.heif.hevc_colours", fails)
    with pytest.warns(UserWarning, match=r"photo: the colours in its bitstream .* \(a bitstream is cut off\)"):
        found = _read(tmp_path, _silenced(_written("heic", 9, 16), "no box"))
    assert found == pytest.approx(PIXELS[0, 0] / 255, abs=0.02)
