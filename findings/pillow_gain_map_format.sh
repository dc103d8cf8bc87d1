#!/usr/bin/env bash
# A JPEG with a gain map holds two pictures. Pillow opens it as "JPEG" with one picture only if its XMP holds
# hdrgm:Version="..." as an attribute in double quotes; with the same in another form of XML, or with the segment of
# ISO 21496-1 alone, it is "MPO" with two. Bites who goes by Image.format, or takes frames for a series of photos.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check Pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
venv/bin/python - <<'EOF'
import io
import struct
from importlib.metadata import version

import imagecodecs
import numpy as np
from PIL import Image


def jpeg(width, height, mode):
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    file = io.BytesIO()
    Image.fromarray(ramp).convert(mode).save(file, "JPEG")
    return file.getvalue()


def segment(number, content):
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(content) + 2) + content


def xmp(description):
    text = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        + description
        + "</rdf:RDF></x:xmpmeta>"
    )
    return segment(1, b"http://ns.adobe.com/xap/1.0/\0" + text.encode())


def multi_picture(first, second, offset):
    entries = struct.pack(">LLLHH", 0x20030000, first, 0, 0, 0) + struct.pack(">LLLHH", 0, second, offset, 0, 0)
    index = struct.pack(">H", 3)
    index += struct.pack(">HHL4s", 0xB000, 7, 4, b"0100")
    index += struct.pack(">HHLL", 0xB001, 4, 1, 2)
    index += struct.pack(">HHLL", 0xB002, 7, len(entries), 50)
    index += struct.pack(">L", 0)
    return segment(2, b"MPF\0MM\0*" + struct.pack(">L", 8) + index + entries)


def with_gain_map(marks_of_photo, marks_of_map):
    photo, gain_map = jpeg(64, 48, "RGB"), jpeg(32, 24, "L")
    after_app0 = 4 + struct.unpack(">H", photo[4:6])[0]
    gain_map = gain_map[:after_app0] + marks_of_map + gain_map[after_app0:]
    total = len(photo) + len(marks_of_photo) + len(multi_picture(0, 0, 0))
    counted_from = after_app0 + len(marks_of_photo) + 8
    index = multi_picture(total, len(gain_map), total - counted_from)
    return photo[:after_app0] + marks_of_photo + index + photo[after_app0:] + gain_map


space = 'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
inside = f'<rdf:Description {space} hdrgm:Version="1.0" hdrgm:GainMapMax="1" hdrgm:HDRCapacityMax="1"/>'
iso = b"urn:iso:std:iso:ts:21496:-1\0"
versions = struct.pack(">HH", 0, 0)
# Flags (one channel, base colour space), base and alternate headroom 0/1 and 2/1, gain 0/1 to 2/1, gamma 1, offsets 0.
numbers = struct.pack(">B4L", 0x40, 0, 1, 2, 1) + struct.pack(">iLiLLLiLiL", 0, 1, 2, 1, 1, 1, 0, 1, 0, 1)
cases = {
    "Adobe, attribute in double quotes": (xmp(f'<rdf:Description {space} hdrgm:Version="1.0"/>'), xmp(inside)),
    "Adobe, attribute in single quotes": (xmp(f"<rdf:Description {space} hdrgm:Version='1.0'/>"), xmp(inside)),
    "Adobe, element": (
        xmp(f"<rdf:Description {space}><hdrgm:Version>1.0</hdrgm:Version></rdf:Description>"),
        xmp(inside),
    ),
    "ISO 21496-1": (segment(2, iso + versions), segment(2, iso + versions + numbers)),
}

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("Pillow", "imagecodecs", "numpy")))
print("behaviour: whether a JPEG with a gain map is a JPEG or an MPO hangs on how its note is spelled.")
print("expected: one answer for all four: a photo of 64 x 48 with a gain map of 32 x 24, as libultrahdr takes them all.")
print("seen:")
for title, (of_photo, of_map) in cases.items():
    coded = with_gain_map(of_photo, of_map)
    assert imagecodecs.ultrahdr_decode(coded).shape[:2] == (48, 64)
    picture = Image.open(io.BytesIO(coded))
    form, frames = picture.format, getattr(picture, "n_frames", 1)
    sizes = []
    for number in range(frames):
        picture.seek(number)
        picture.load()
        sizes.append(picture.size)
    print(f"  {title}: {form}, frames {frames}, sizes {sizes}")
    assert (form, frames) == (("JPEG", 1) if "double" in title else ("MPO", 2))
    assert sizes == [(64, 48), (32, 24)][:frames]
EOF
