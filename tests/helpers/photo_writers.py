"""Writers of small photos with gain maps, by the descriptions of the formats alone."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pillow_heif
from PIL import Image

Array = np.ndarray[Any, Any]
HDRGM = "http://ns.adobe.com/hdr-gain-map/1.0/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


class Fields(NamedTuple):
    """Fields of a gain map, of one channel or three."""

    minimum: Sequence[float] = (0.0,)
    maximum: Sequence[float] = (3.0,)
    gamma: Sequence[float] = (1.0,)
    offset_sdr: Sequence[float] = (1 / 64,)
    offset_hdr: Sequence[float] = (1 / 64,)
    headroom: float = 3.0
    base_is_hdr: bool = False

    def log2(self, values: Array) -> Array:
        """The formula of Adobe's specification, for values in [0, 1] ``[h, w, c]``."""
        share = values.astype(np.float64) ** (1 / np.array(self.gamma))
        return np.array(self.minimum) * (1 - share) + np.array(self.maximum) * share


def jpeg(pixels: Array, segments: Sequence[bytes] = (), **options: Any) -> bytes:
    """A JPEG of Pillow, with segments put behind its first bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0, **options)
    return file.getvalue()[:2] + b"".join(segments) + file.getvalue()[2:]


def app(number: int, content: bytes) -> bytes:
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", 2 + len(content)) + content


def xmp_segment(xml: str) -> bytes:
    return app(1, b"http://ns.adobe.com/xap/1.0/\0" + xml.encode())


def _xmp(inside: str, attributes: str = "") -> str:
    return (
        f'<?xpacket begin="\ufeff"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    )


def hdrgm_xmp(fields: Fields, *, elements: bool) -> str:
    """The fields in XMP: as attributes where they are single, or all as elements, lists where they are three."""
    values = {
        "Version": ("1.0",),
        "GainMapMin": fields.minimum,
        "GainMapMax": fields.maximum,
        "Gamma": fields.gamma,
        "OffsetSDR": fields.offset_sdr,
        "OffsetHDR": fields.offset_hdr,
        "HDRCapacityMin": (0.0,),
        "HDRCapacityMax": (fields.headroom,),
        "BaseRenditionIsHDR": (str(fields.base_is_hdr),),
    }
    attributes, inside = f'xmlns:hdrgm="{HDRGM}"', ""
    for name, value in values.items():
        if len(value) == 1 and not (elements and name != "Version"):
            attributes += f' hdrgm:{name}="{value[0]}"'
        elif len(value) == 1:
            inside += f"<hdrgm:{name}>{value[0]}</hdrgm:{name}>"
        else:
            items = "".join(f"<rdf:li>{each}</rdf:li>" for each in value)
            inside += f"<hdrgm:{name}><rdf:Seq>{items}</rdf:Seq></hdrgm:{name}>"
    return _xmp(inside, attributes)


def iso_metadata(fields: Fields, *, common: bool = False, writer: int = 0, base_colours: bool = True) -> bytes:
    """The binary metadata of ISO 21496-1, or of its draft with one denominator for all."""
    columns = [fields.minimum, fields.maximum, fields.gamma]
    offsets = [fields.offset_sdr, fields.offset_hdr]
    columns += offsets[::-1] if fields.base_is_hdr else offsets
    channels = max(map(len, columns))
    headrooms = (fields.headroom, 0.0) if fields.base_is_hdr else (0.0, fields.headroom)
    rows = [[column[at % len(column)] for column in columns] for at in range(channels)]
    numbers = [*headrooms, *(value for row in rows for value in row)]
    flags = (0x80 if channels == 3 else 0) | (0x40 if base_colours else 0) | (0x08 if common else 0)
    data = struct.pack(">HHB", 0, writer, flags)
    if common:
        return data + struct.pack(f">I{len(numbers)}i", 100_000, *(round(each * 100_000) for each in numbers))
    for each in numbers:
        ratio = Fraction(each).limit_denominator(1_000_000)
        data += struct.pack(">iI", ratio.numerator, ratio.denominator)
    return data


def iso_segment(metadata: bytes) -> bytes:
    return app(2, b"urn:iso:std:iso:ts:21496:-1\0" + metadata)


def apple_xmp(headroom: float | None) -> str:
    stated = (
        "" if headroom is None else f"<HDRGainMap:HDRGainMapHeadroom>{headroom}</HDRGainMap:HDRGainMapHeadroom>"
    )
    version = 65536 if headroom is None else 131072
    return _xmp(
        f"<apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:hdrgainmap</apdi:AuxiliaryImageType>"
        f"<HDRGainMap:HDRGainMapVersion>{version}</HDRGainMap:HDRGainMapVersion>{stated}",
        'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/"',
    )


def apple_exif(headroom: float, gain: float, orientation: int = 1) -> bytes:
    """An EXIF block with Apple's maker note, whose places are counted from its own first byte."""
    entries = struct.pack(">HHIIHHII", 0x21, 10, 1, 14 + 2 + 24 + 4, 0x30, 10, 1, 14 + 2 + 24 + 4 + 8)
    note = b"Apple iOS\0\0\1MM" + struct.pack(">H", 2) + entries + bytes(4)
    note += struct.pack(">iiii", round(headroom * 10_000), 10_000, round(gain * 10_000), 10_000)
    main = struct.pack(">H", 2) + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    main += struct.pack(">HHII", 0x8769, 4, 1, 8 + 2 + 24 + 4) + bytes(4)
    photo = struct.pack(">H", 1) + struct.pack(">HHII", 0x927C, 7, len(note), 38 + 2 + 12 + 4) + bytes(4)
    return b"MM\0*" + struct.pack(">I", 8) + main + photo + note


# --- HEIF and AVIF ---------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """An item of a box file: its type, its bytes, its properties and its references."""

    kind: bytes
    data: bytes
    properties: Sequence[tuple[bytes, bytes]] = ()
    references: Sequence[tuple[bytes, Sequence[int]]] = ()
    hidden: bool = False
    content_type: bytes = b""


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def full_box(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def item_file(items: Sequence[Item], *, primary: int = 1, brands: bytes, groups: bytes = b"") -> bytes:
    """A file of items, numbered from 1."""
    start = box(b"ftyp", brands[:4], bytes(4), brands)
    entries = b"".join(
        full_box(
            b"infe",
            struct.pack(">HH4s", number, 0, each.kind)
            + b"\0"
            + (each.content_type + b"\0" if each.content_type else b""),
            version=2,
            flags=int(each.hidden),
        )
        for number, each in enumerate(items, 1)
    )
    known: list[tuple[bytes, bytes]] = []
    links = b""
    for number, each in enumerate(items, 1):
        links += struct.pack(">HB", number, len(each.properties))
        for each_property in each.properties:
            if each_property not in known:
                known.append(each_property)
            essential = 0x80 if each_property[0] in (b"irot", b"imir", b"clap", b"av1C", b"hvcC") else 0
            links += bytes([known.index(each_property) + 1 | essential])
    references = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", number, len(to), *to))
        for number, each in enumerate(items, 1)
        for kind, to in each.references
    )

    def meta(first: int) -> bytes:
        places = b""
        for number, each in enumerate(items, 1):
            places += struct.pack(">HHHII", number, 0, 1, first, len(each.data))
            first += len(each.data)
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">H", primary)),
            full_box(b"iloc", struct.pack(">HH", 0x4400, len(items)), places),
            full_box(b"iinf", struct.pack(">H", len(items)), entries),
            box(
                b"iprp",
                box(b"ipco", *(box(kind, data) for kind, data in known)),
                full_box(b"ipma", struct.pack(">I", len(items)), links),
            ),
            *([full_box(b"iref", references)] if references else []),
            *([box(b"grpl", groups)] if groups else []),
        )

    head = start + meta(len(start) + len(meta(0)) + 8)
    return head + box(b"mdat", *(each.data for each in items))


def av1_item(pixels: Array, *, bits: int = 8, turn: int | None = None, colour: bytes | None = None) -> Item:
    """An item of AV1 without loss; ``colour`` is the content of the box colr."""
    channels = 3 if pixels.ndim == 3 else 1
    options = {"pixelformat": "yuv444"} if channels == 3 else {}
    data = imagecodecs.avif_encode(pixels, level=100, bitspersample=bits, **options)
    found = _properties_of(data)
    height, width = pixels.shape[:2]
    properties = [
        (b"ispe", struct.pack(">III", 0, width, height)),
        (b"pixi", bytes([0, 0, 0, 0, channels] + [bits] * channels)),
        (b"av1C", found[b"av1C"]),
        (b"colr", colour if colour is not None else found[b"colr"]),
    ]
    if turn is not None:
        properties.append((b"irot", bytes([turn])))
    payload = data[data.index(b"mdat") + 4 :]
    return Item(b"av01", payload, properties)


def hevc_item(pixels: Array, *more: tuple[bytes, bytes], colour: bytes | None = None) -> Item:
    """An item of HEVC, coded by pillow-heif; its sides must be multiples of 64."""
    file = io.BytesIO()
    channels = 3 if pixels.ndim == 3 else 1
    chroma = {"chroma": 444} if channels == 3 else {}
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=-1, **chroma)
    data = file.getvalue()
    found = _properties_of(data)
    height, width = pixels.shape[:2]
    properties = [
        (b"ispe", struct.pack(">III", 0, width, height)),
        (b"pixi", bytes([0, 0, 0, 0, channels] + [8] * channels)),
        (b"hvcC", found[b"hvcC"]),
        *([(b"colr", colour or found[b"colr"])] if b"colr" in found or colour else []),
        *more,
    ]
    start, size = data.index(b"mdat") + 4, int.from_bytes(data[data.index(b"mdat") - 4 :][:4], "big")
    return Item(b"hvc1", data[start : start + size - 8], properties)


def _properties_of(data: bytes) -> dict[bytes, bytes]:
    """The properties of the only picture of a file."""
    start = data.index(b"ipco") - 4
    end = start + int.from_bytes(data[start : start + 4], "big")
    at, found = start + 8, {}
    while at < end:
        size = int.from_bytes(data[at : at + 4], "big")
        found[data[at + 4 : at + 8]] = data[at + 8 : at + size]
        at += size
    return found


def nclx(primaries: int, transfer: int, matrix: int = 0) -> bytes:
    return b"nclx" + struct.pack(">HHHB", primaries, transfer, matrix, 0x80)


def avif_with_map(
    base: Item, values: Item, metadata: bytes, *, colour: bytes | None = None, brands: bytes = b"avifmif1miaftmap"
) -> bytes:
    """A file of a picture, its gain map and the rendition by both, which is the preferred one."""
    tone_mapped = Item(
        b"tmap",
        b"\0" + metadata,
        [*[each for each in base.properties if each[0] in (b"ispe", b"irot")], (b"colr", colour or nclx(1, 16))],
        [(b"dimg", [1, 2])],
    )
    groups = full_box(b"altr", struct.pack(">IIII", 9, 2, 3, 1))
    return item_file([base, values._replace(hidden=True), tone_mapped], brands=brands, groups=groups)


def jxl_with_map(base: Array, values: Array, metadata: bytes) -> bytes:
    """A JPEG XL with the box of a gain map."""
    photo = imagecodecs.jpegxl_encode(base, lossless=True, usecontainer=True)
    stored = imagecodecs.jpegxl_encode(values, lossless=True, usecontainer=False)
    content = b"\0" + struct.pack(">H", len(metadata)) + metadata + b"\0" + bytes(4) + stored
    return photo + box(b"jhgm", content)
