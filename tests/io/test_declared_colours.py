"""Colours as a file declares them, against colour-science and LittleCMS."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import colour
import imagecodecs
import numpy as np
import photo_writers as writers
import pillow_heif
import pytest
import tifffile
from PIL import Image

from revisp.errors import ImageError
from revisp.io import read_photo, read_srgb

CODE = np.array([230, 120, 60]) / 255
SPACES = {  # numbers of ITU-T H.273: name in colour-science, decoding of its values
    (12, 13): ("Display P3", colour.models.eotf_sRGB),
    (9, 1): ("ITU-R BT.2020", colour.models.oetf_inverse_BT709),
    (9, 14): ("ITU-R BT.2020", colour.models.oetf_inverse_BT709),
    (1, 1): ("sRGB", colour.models.oetf_inverse_BT709),
    (1, 8): ("sRGB", lambda x: x),
    (1, 4): ("sRGB", lambda x: x**2.2),
    (5, 5): ("ITU-R BT.470 - 625", lambda x: x**2.8),
    (6, 6): ("SMPTE 240M", colour.models.oetf_inverse_BT709),
    (7, 7): ("SMPTE 240M", colour.models.eotf_SMPTE240M),
    (11, 17): ("DCI-P3", lambda x: x**2.6),
}


def _srgb(name: str, linear: np.ndarray) -> np.ndarray:
    """sRGB of linear light, by colour-science, adapted from its white to D65 and clipped."""
    found = colour.RGB_to_RGB(
        linear,
        colour.RGB_COLOURSPACES[name],
        colour.RGB_COLOURSPACES["sRGB"],
        "Bradford",
    )
    return colour.models.eotf_inverse_sRGB(np.clip(found, 0, 1))


def _png(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    data = bytes(imagecodecs.png_encode(pixels))
    added = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return data[:33] + added + data[33:]


def _flat(deep: bool = True) -> np.ndarray:
    top, kind = (65535, np.uint16) if deep else (255, np.uint8)
    return np.tile(np.rint(CODE * top).astype(kind), (16, 16, 1))


def _first(folder: Path, data: bytes) -> np.ndarray:
    (folder / "photo").write_bytes(data)
    return read_srgb(folder / "photo")[:, 8, 8].numpy()


def _icc(name: str) -> bytes:
    return bytes(imagecodecs.cms_profile(name))


@pytest.mark.parametrize("numbers", SPACES)
@pytest.mark.parametrize("container", ["png8", "png16", "avif"])
def test_numbers_of_h_273_are_converted(tmp_path: Path, numbers, container: str):
    name, decode = SPACES[numbers]
    wanted = _srgb(name, decode(CODE))
    if container == "avif":
        deep = np.rint(_flat() / 65535 * 4095).astype(np.uint16)
        item = writers.av1_item(deep, bits=12, colour=writers.nclx(*numbers))
        data = writers.item_file([item], brands=b"avifmif1miaf")
    else:
        data = _png(_flat(container == "png16"), (b"cICP", bytes([*numbers, 0, 1])))
    found = _first(tmp_path, data)
    assert np.abs(found - wanted).max() < 0.002
    assert np.abs(found - CODE).max() > 0.005  # so the conversion matters


def test_display_p3_by_numbers_is_that_of_its_profile(tmp_path: Path):
    """The figure that LittleCMS gives: 246.6, 112.1, 37.9."""
    found = _first(tmp_path, _png(_flat(deep=False), (b"cICP", bytes([12, 13, 0, 1])))) * 255
    assert found == pytest.approx([246.6, 112.1, 37.9], abs=0.1)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_png_and_avif_are_refused(tmp_path: Path, transfer: int):
    name = {16: "PQ", 18: "HLG"}[transfer]
    item = writers.av1_item(_flat(deep=False), colour=writers.nclx(9, transfer))
    files = _png(_flat(), (b"cICP", bytes([9, transfer, 0, 1]))), writers.item_file([item], brands=b"avifmif1miaf")
    for data in files:
        with pytest.raises(ImageError, match=rf"HDR displays \({name}\)"):
            _first(tmp_path, data)


@pytest.mark.parametrize("numbers", [(0, 13), (3, 13), (99, 13), (1, 0), (1, 19)])
def test_reserved_numbers_are_refused(tmp_path: Path, numbers):
    with pytest.raises(ImageError, match=r"colour primaries \d+ and transfer function \d+ .* convert it to sRGB"):
        _first(tmp_path, _png(_flat(), (b"cICP", bytes([*numbers, 0, 1]))))


def test_numbers_that_are_unspecified_leave_it_to_the_next_declaration(tmp_path: Path):
    open_, linear = (b"cICP", bytes([2, 2, 0, 1])), (b"gAMA", struct.pack(">I", 100_000))
    assert _first(tmp_path, _png(_flat(), open_, linear)) == pytest.approx(_srgb("sRGB", CODE), abs=0.002)


@pytest.mark.parametrize("bits", [8, 16])
def test_narrow_range_is_widened(tmp_path: Path, bits: int):
    """Black is 16 and white 235 times 2 to the power of bits - 8."""
    values = np.array([16, 235, 110], f"u{bits // 8}") << np.array(bits - 8, f"u{bits // 8}")
    found = _first(tmp_path, _png(np.tile(values, (16, 16, 1)), (b"cICP", bytes([1, 13, 0, 0]))))
    assert found == pytest.approx([0, 1, 94 / 219], abs=1e-5)


def test_a_png_takes_the_first_of_its_declarations(tmp_path: Path):
    """CICP, then iCCP, then sRGB, then gAMA and cHRM (PNG, third edition, 4.3), in whatever order they stand."""
    cicp = b"cICP", bytes([12, 13, 0, 1])
    icc = b"iCCP", b"x\0\0" + zlib.compress(_icc("adobergb"))
    srgb, gamma = (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))
    p3 = _srgb("Display P3", colour.models.eotf_sRGB(CODE))
    adobe = _srgb("Adobe RGB (1998)", CODE ** (563 / 256))
    for chunks, wanted in (
        ((gamma, srgb, icc, cicp), p3),
        ((gamma, srgb, icc), adobe),
        ((gamma, srgb), CODE),
        ((gamma,), colour.models.eotf_inverse_sRGB(CODE)),
    ):
        assert _first(tmp_path, _png(_flat(), *chunks)) == pytest.approx(wanted, abs=0.003)


@pytest.mark.parametrize("gamma", [1.0, 0.5, 1 / 1.8, 1 / 2.6])
@pytest.mark.parametrize("grey", [False, True])
def test_gamma_of_a_png_is_applied(tmp_path: Path, gamma: float, grey: bool):
    chunk = b"gAMA", struct.pack(">I", round(gamma * 100_000))
    pixels = _flat()[..., 0] if grey else _flat()
    wanted = colour.models.eotf_inverse_sRGB((CODE[[0, 0, 0]] if grey else CODE) ** (1 / gamma))
    assert _first(tmp_path, _png(np.ascontiguousarray(pixels), chunk)) == pytest.approx(wanted, abs=0.003)


def test_what_says_srgb_in_png_changes_nothing(tmp_path: Path):
    chromaticities = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    for chunks in (
        [(b"gAMA", struct.pack(">I", 45455))],
        [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", chromaticities)],
        [(b"cHRM", chromaticities)],
        [(b"cICP", bytes([1, 13, 0, 1]))],
        [(b"gAMA", bytes(4))],
        [(b"cHRM", bytes(32))],
    ):
        (tmp_path / "a.png").write_bytes(_png(_flat(), *chunks))
        assert np.array_equal(read_srgb(tmp_path / "a.png")[:, 0, 0].numpy() * 65535, _flat()[0, 0])


def test_chromaticities_of_a_png_are_converted(tmp_path: Path):
    space = colour.RGB_COLOURSPACES["Adobe RGB (1998)"]
    numbers = np.concatenate([space.whitepoint, space.primaries.ravel()])
    chromaticities = b"cHRM", struct.pack(">8I", *np.rint(numbers * 100_000).astype(int))
    found = _first(tmp_path, _png(_flat(), chromaticities, (b"gAMA", struct.pack(">I", 50_000))))
    assert found == pytest.approx(_srgb("Adobe RGB (1998)", CODE**2), abs=0.003)


# --- EXIF ------------------------------------------------------------------------------------------------------

ADOBE = {
    "primaries": [(64, 100), (33, 100), (21, 100), (71, 100), (15, 100), (6, 100)],
    "white": [(313, 1000), (329, 1000)],
}


def _exif(
    space: int | None, rule: str | None, *, primaries: bool = False, gamma: Fraction | None = None
) -> Image.Exif:
    """Written by Pillow."""
    exif = Image.Exif()
    exif[0x0110] = "One"
    photo = exif.get_ifd(0x8769)
    if space is not None:
        photo[0xA001] = space
    if gamma is not None:
        photo[0xA500] = float(gamma)
    if rule is not None:
        photo[0xA005] = {1: rule}
    if primaries:
        exif[0x013E] = tuple(Fraction(*each) for each in ADOBE["white"])
        exif[0x013F] = tuple(Fraction(*each) for each in ADOBE["primaries"])
    return exif


ADOBE_EXIF = {
    "R03": _exif(0xFFFF, "R03"),
    "R03 alone": _exif(None, "R03"),
    "colour space 2": _exif(2, None),
    "primaries": _exif(0xFFFF, None, primaries=True),
    "primaries and gamma": _exif(0xFFFF, None, primaries=True, gamma=Fraction(22, 10)),
}


def _save(kind: str, exif: Image.Exif, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(_flat(deep=False))
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(file, exif=exif.tobytes(), quality=-1, save_nclx_profile=False)
    else:
        lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
        image.save(file, kind, exif=exif, **lossless, **options)
    return file.getvalue()


def _tiff(space: int | None, rule: str | None) -> bytes:
    """Pillow and tifffile write no EXIF directory into a TIFF, so this one stands behind a TIFF of tifffile."""
    file = io.BytesIO()
    tifffile.imwrite(
        file, _flat(deep=False), photometric="rgb", extratags=[(0x8768, "I", 1, 0xEEEE, True)], metadata=None
    )
    data = bytearray(file.getvalue())
    data += bytes(len(data) % 2)
    entries = [] if space is None else [struct.pack("<HHIHH", 0xA001, 3, 1, space, 0)]
    size = 2 + 12 * (len(entries) + 1) + 4
    entries.append(struct.pack("<HHII", 0xA005, 4, 1, len(data) + size))
    rules = struct.pack("<HHHI4sI", 1, 1, 2, 4, (rule or "R98").encode() + b"\0", 0)
    at = data.index(struct.pack("<HHII", 0x8768, 4, 1, 0xEEEE))
    struct.pack_into("<HHII", data, at, 0x8769, 4, 1, len(data))
    return bytes(data) + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4) + rules


@pytest.mark.parametrize("space", [0xFFFF, 2, None])
def test_adobe_rgb_of_a_tiff_is_converted(tmp_path: Path, space):
    wanted = _srgb("Adobe RGB (1998)", CODE ** (563 / 256))
    assert _first(tmp_path, _tiff(space, "R03")) == pytest.approx(wanted, abs=0.006)
    assert _first(tmp_path, _tiff(1, "R98")) == pytest.approx(CODE, abs=0.003)


@pytest.mark.parametrize("declared", ADOBE_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_adobe_rgb_of_the_exif_is_converted(tmp_path: Path, kind: str, declared: str):
    """As cameras write it that are set to Adobe RGB: no profile."""
    wanted = _srgb("Adobe RGB (1998)", CODE ** (563 / 256))
    assert _first(tmp_path, _save(kind, ADOBE_EXIF[declared])) == pytest.approx(wanted, abs=0.012)
    assert np.abs(wanted - CODE).max() > 0.05


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_that_says_srgb_or_nothing_changes_nothing(tmp_path: Path, kind: str):
    for exif in (_exif(1, "R98"), _exif(0xFFFF, None), _exif(0xFFFF, "R98"), _exif(None, "THM"), _exif(1, None)):
        assert _first(tmp_path, _save(kind, exif)) == pytest.approx(CODE, abs=0.006)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_profile_counts_more_than_the_exif(tmp_path: Path, kind: str):
    data = _save(kind, ADOBE_EXIF["R03"], icc_profile=_icc("srgb"))
    assert _first(tmp_path, data) == pytest.approx(CODE, abs=0.006)


def test_primaries_of_a_deep_tiff_are_converted(tmp_path: Path):
    white = tuple(np.array(ADOBE["white"]).ravel().tolist())
    primaries = tuple(np.array(ADOBE["primaries"]).ravel().tolist())
    tags = [(318, "2I", 2, white, True), (319, "2I", 6, primaries, True)]
    tifffile.imwrite(tmp_path / "photo", _flat(), photometric="rgb", extratags=tags)
    wanted = _srgb("Adobe RGB (1998)", CODE ** (563 / 256))
    assert read_srgb(tmp_path / "photo")[:, 8, 8].numpy() == pytest.approx(wanted, abs=0.003)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_curve_of_a_tiff_is_applied(tmp_path: Path, bits: int, channels: int):
    table = np.rint(65535 * np.linspace(0, 1, 2**bits) ** 1.5).astype(int).tolist() * channels
    tifffile.imwrite(
        tmp_path / "photo.tif", _flat(bits == 16), photometric="rgb", extratags=[(301, 3, len(table), table, True)]
    )
    found = read_photo(tmp_path / "photo.tif")
    assert found.srgb[:, 8, 8].numpy() == pytest.approx(_srgb("sRGB", CODE**1.5), abs=0.002)
    assert found.colours == "sRGB primaries, own curve"


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (3, [65535] * 256),  # does not rise
        (4, [1000 * n for n in range(256)]),  # rises beyond white
        (7, bytes(range(256))),  # bytes
        (2, "a text"),
    ],
)
def test_a_curve_that_is_none_is_left_out(tmp_path: Path, kind: int, table: object):
    count = 0 if kind == 2 else 256
    options = {"photometric": "rgb", "extratags": [(301, kind, count, table, True)]}
    tifffile.imwrite(tmp_path / "photo.tif", _flat(False), **options)
    found = read_photo(tmp_path / "photo.tif")
    assert found.srgb[:, 8, 8].numpy() == pytest.approx(CODE, abs=1e-5)
    assert found.colours == "sRGB"


def test_a_profile_that_says_pq_is_refused(tmp_path: Path):
    """ICC.1:2022 has a tag for numbers of H.273, which writers of HDR use."""
    profile = _icc("srgb")
    count = int.from_bytes(profile[128:132], "big")
    tag = b"cicp" + bytes(4) + bytes([9, 16, 0, 1])
    shifted = b"".join(
        name + struct.pack(">II", offset + 12, size)
        for name, offset, size in struct.iter_unpack(">4sII", profile[132 : 132 + 12 * count])
    )
    table = struct.pack(">I", count + 1) + shifted + struct.pack(">4sII", b"cicp", len(profile) + 12, len(tag))
    changed = struct.pack(">I", len(profile) + 24) + profile[4:128] + table + profile[132 + 12 * count :] + tag
    file = io.BytesIO()
    Image.fromarray(_flat(deep=False)).save(file, "JPEG", icc_profile=changed)
    with pytest.raises(ImageError, match=r"HDR displays \(PQ\)"):
        _first(tmp_path, file.getvalue())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_damaged_profile_is_one_line(tmp_path: Path, kind: str):
    profile = bytearray(_icc("adobergb"))
    profile[128:200] = bytes(72)
    file = io.BytesIO()
    Image.fromarray(_flat(deep=False)).save(file, kind, icc_profile=bytes(profile))
    with pytest.raises(ImageError, match="its colour profile is damaged"):
        _first(tmp_path, file.getvalue())


# --- containers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["displayp3", "adobergb"])
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_profiles_of_heif_and_avif_are_converted(tmp_path: Path, kind: str, name: str):
    corners = {"whitepoint": (0.3127, 0.329), "primaries": (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), "gamma": 2.2}
    profile = _icc(name) if name == "adobergb" else bytes(imagecodecs.cms_profile("rgb", **corners))
    file = io.BytesIO()
    image = Image.fromarray(_flat(deep=False))
    if kind == "AVIF":
        image.save(file, "AVIF", quality=100, subsampling="4:4:4", icc_profile=profile)
    else:
        image.info["icc_profile"] = profile
        pillow_heif.from_pillow(image).save(file, quality=-1, chroma=444)
    space, power = ("Adobe RGB (1998)", 563 / 256) if name == "adobergb" else ("Display P3", 2.2)
    assert _first(tmp_path, file.getvalue()) == pytest.approx(_srgb(space, CODE**power), abs=0.012)


def test_light_of_a_jpeg_xl_is_encoded(tmp_path: Path):
    """Samples of 16 bits that imagecodecs writes are declared linear."""
    data = bytes(imagecodecs.jpegxl_encode(_flat(), lossless=True))
    assert _first(tmp_path, data) == pytest.approx(colour.models.eotf_inverse_sRGB(CODE), abs=0.002)


def test_a_jpeg_in_a_jpeg_xl_keeps_its_profile(tmp_path: Path):
    file = io.BytesIO()
    Image.fromarray(_flat(deep=False)).save(file, "JPEG", quality=100, icc_profile=_icc("adobergb"))
    packed = bytes(imagecodecs.jpegxl_encode_jpeg(file.getvalue(), usecontainer=True))
    assert _first(tmp_path, packed) == pytest.approx(_first(tmp_path, file.getvalue()), abs=1e-6)
