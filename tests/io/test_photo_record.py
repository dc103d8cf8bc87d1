"""What a photo says about itself arrives in the DNG, seen by Pillow, exifread and exiftool."""

import io
import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from revisp.camera.profile import CameraProfile
from revisp.io import PhotoMetadata, read_metadata, read_record, write_dng
from revisp.io.dng import Provenance, read_provenance
from revisp.io.xmp import property_values, read_packet

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
 xmp:Rating="4" photoshop:City="Zürich" crs:Exposure2012="+1.00">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">A café ☕</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "Café".encode()
    exif[0x010F] = "Apple"
    exif[0x0112] = 6
    below = exif.get_ifd(0x8769)
    below[0x829A] = IFDRational(1, 250)
    below[0x9003] = "2026:01:07 14:20:08"
    below[0x9011] = "+01:00"
    below[0x9204] = IFDRational(-1, 3)
    below[0xA433] = "Apple"
    below[0xA432] = (IFDRational(154, 100), IFDRational(51, 10), IFDRational(16, 10), IFDRational(0, 0))
    below[0x927C] = b"Apple iOS\0 offsets that break"
    below[0xA001] = 1
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (IFDRational(47), IFDRational(22), IFDRational(1234, 100))
    return exif


@pytest.fixture(params=["II.jpg", "MM.jpg", "II.png", "II.webp", "II.tif"])
def photo(request, tmp_path: Path) -> Path:
    """The same photo, EXIF and XMP in each format, and in both byte orders."""
    path = tmp_path / request.param
    image, exif = Image.new("RGB", (48, 32), "grey"), _exif()
    exif.endian = "<" if path.stem == "II" else ">"
    if path.suffix == ".tif":
        exif[700] = XMP.encode()
        image.save(path, exif=exif.tobytes())
        path.write_bytes(path.read_bytes().replace(b"Caf??", "Café".encode()))  # Pillow writes ASCII
    elif path.suffix == ".png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        image.save(path, exif=exif, pnginfo=info)
    else:
        image.save(path, exif=exif, xmp=XMP.encode())
    return path


def _write(path: Path, profile: CameraProfile, **told) -> Path:
    write_dng(path, np.full((32, 48), 500, np.uint16), profile, **told)
    return path


def _seen(dng: Path) -> Image.Exif:
    """Pillow's view of the EXIF; it opens no plain DNG as a picture."""
    exif = Image.Exif()
    exif.load_from_fp(io.BytesIO(dng.read_bytes()))
    return exif


def _packet(dng: Path) -> bytes:
    with tifffile.TiffFile(dng) as tiff:
        return tiff.pages.first.tags.valueof(700)


@pytest.mark.parametrize("plain", [True, False])
def test_exif_gps_and_xmp_arrive(photo: Path, tmp_path: Path, profile: CameraProfile, plain: bool):
    dng = _write(tmp_path / "a.dng", profile, record=read_record(photo), plain=plain)
    exif = _seen(dng)
    below, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert below[0x829A] == IFDRational(1, 250)
    assert (below[0x9003], below[0x9011]) == ("2026:01:07 14:20:08", "+01:00")
    assert below[0x9204] == IFDRational(-1, 3)
    assert [float(value) for value in below[0xA432]][:3] == [1.54, 5.1, 1.6]
    assert (place[1], place[2]) == ("N", (47, 22, IFDRational(1234, 100)))
    texts = {entry.name: "".join(entry.element.itertext()).strip() for entry in read_packet(_packet(dng))}
    assert texts == {"xmp:Rating": "4", "photoshop:City": "Z\u00fcrich", "dc:description": "A caf\u00e9 \u2615"}
    with tifffile.TiffFile(dng) as tiff:
        assert tiff.pages.first.tags["ImageDescription"].value == "Caf\u00e9"


def test_what_belongs_to_the_photos_file_stays_behind(photo: Path, tmp_path: Path, profile: CameraProfile):
    """Its maker, so that no converter takes its colours; its MakerNote, colour space, orientation and edits."""
    dng = _write(tmp_path / "a.dng", profile, record=read_record(photo))
    exif = _seen(dng)
    assert (exif[0x010F], exif[0x0112]) == ("Acme", 1)
    assert not {0x927C, 0xA001} & set(exif.get_ifd(0x8769))
    assert b"crs:" not in _packet(dng)


def test_the_location_can_be_left_out(photo: Path, tmp_path: Path, profile: CameraProfile):
    dng = _write(tmp_path / "a.dng", profile, record=read_record(photo).without_location())
    assert not _seen(dng).get_ifd(0x8825)
    data = dng.read_bytes()
    assert "Z\u00fcrich".encode() not in data
    assert "A caf\u00e9".encode() in data


def test_the_record_comes_before_the_metadata(photo: Path, tmp_path: Path, profile: CameraProfile):
    other = PhotoMetadata(exposure_time=Fraction(1, 2), iso=400)
    dng = _write(tmp_path / "a.dng", profile, record=read_record(photo), metadata=other)
    found = read_metadata(dng)
    assert (found.exposure_time, found.iso) == (Fraction(1, 250), 400)
    assert _seen(dng).get_ifd(0x8769)[0x9011] == "+01:00"


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_validates_and_sees_the_same(photo: Path, tmp_path: Path, profile: CameraProfile):
    dng = _write(tmp_path / "a.dng", profile, record=read_record(photo), provenance=Provenance(model="m\u00fc"))
    names = [
        "-Validate",
        "-ImageDescription",
        "-Rating",
        "-GPSLatitude",
        "-XMP-revisp:Model",
        "-XMP-dc:Description",
    ]
    command = ["exiftool", "-j", "-n", *names, str(dng)]
    (found,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found.pop("Validate") == "0 0 0"
    assert found.pop("GPSLatitude") == pytest.approx(47.3701, abs=1e-4)
    assert {name: found[name] for name in ("ImageDescription", "Rating", "Model", "Description")} == {
        "ImageDescription": "Caf\u00e9",
        "Rating": 4,
        "Model": "m\u00fc",
        "Description": "A caf\u00e9 \u2615",
    }


def test_damaged_exif_never_stops_a_photo(photo: Path, tmp_path: Path, profile: CameraProfile):
    data = photo.read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(data), 20):
        photo.write_bytes(data[:cut])
        _write(tmp_path / "a.dng", profile, record=read_record(photo))
    for _ in range(20):
        noisy = bytearray(data)
        for at in rng.integers(0, len(data), 30):
            noisy[at] = rng.integers(0, 256)
        photo.write_bytes(noisy)
        _write(tmp_path / "a.dng", profile, record=read_record(photo))
    assert read_record(tmp_path / "lost.jpg").exif == {}


def test_a_predicted_dng_says_so(tmp_path: Path, profile: CameraProfile):
    photo = tmp_path / "a < b & c.jpg"
    photo.write_bytes(b"abc")
    note = Provenance.of_photo(photo, model="default", camera="Apple iPhone", gain=1.25)
    assert note.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    dng = _write(tmp_path / "a.dng", profile, provenance=note)
    assert read_provenance(dng) == note
    assert property_values(_packet(dng), "Iptc4xmpExt")["DigitalSourceType"].endswith("algorithmicallyEnhanced")
    assert read_provenance(_write(tmp_path / "b.dng", profile)) is None
    assert read_provenance(photo) is None


def test_exif_behind_a_large_segment_is_found(tmp_path: Path):
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "grey").save(file, "JPEG", exif=_exif())
    coded = file.getvalue()
    large = b"\xff\xed" + (65535).to_bytes(2, "big") + bytes(65533)
    path = tmp_path / "photo.jpg"
    path.write_bytes(coded[:2] + large * 3 + coded[2:])
    record = read_record(path)
    assert record.descriptions[0x010E].values.rstrip(b"\0") == "Café".encode()
    assert 0x829A in record.exif
    assert record.gps[1].values == b"N\0"


def test_a_heic_tells_what_a_jpeg_tells(tmp_path: Path):
    heif = pytest.importorskip("pillow_heif", reason="the extra that reads HEIC is not installed")
    image = Image.new("RGB", (64, 64), "grey")
    image.save(tmp_path / "photo.jpg", exif=_exif())
    heif.from_pillow(image).save(tmp_path / "photo.heic", exif=_exif().tobytes())
    record, same = read_record(tmp_path / "photo.heic"), read_record(tmp_path / "photo.jpg")
    assert record.gps == same.gps
    assert record.gps
    assert record.descriptions == same.descriptions
    assert record.exif == same.exif
