"""What the DNG of a photo holds: brightness, the photo's own words, and the note that it was predicted."""

from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
import torch
from PIL import Image
from skimage import data

from revisp.camera.canonical import canonical_profile, light_to_raw
from revisp.camera.isp import srgb_to_linear
from revisp.camera.noise import NoiseLevels, add_noise
from revisp.convert import Choice, Conversion, convert_photos
from revisp.errors import ConfigError
from revisp.io import read_preview, read_raw, read_srgb
from revisp.io.dng import read_linear_dng, read_provenance
from revisp.mosaic import mosaic


class Inverse:
    """An engine that takes a photo for linear light on the canonical sensor, 2.5 EV below its white."""

    profile, cfa, name = canonical_profile(), canonical_profile().cfa, "inverse sRGB"

    def raw_rgb(self, srgb, *, tile=None, progress=None):
        return light_to_raw(srgb_to_linear(srgb)).clamp(0, 1)

    def bayer(self, srgb, *, tile=None, progress=None):
        return mosaic(self.raw_rgb(srgb), self.cfa)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo without a clipped pixel, with GPS."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Apple", "iPhone 13 mini"
    exif.get_ifd(0x8825)[1] = "N"
    image = Image.fromarray(data.chelsea())
    image.save(tmp_path / "cat.jpg", exif=exif, quality=95)
    return tmp_path / "cat.jpg"


def _convert(photo: Path, name: str = "cat.dng", **choice) -> Path:
    (done,) = convert_photos(Inverse(), [Conversion(photo, photo.with_name(name))], Choice(**choice), workers=0)
    assert done.error is None
    return done.files[0]


def _opened(dng: Path) -> np.ndarray:
    """The picture as LibRaw opens it at fixed brightness, linear."""
    with rawpy.imread(str(dng)) as raw:
        picture = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, adjust_maximum_thr=0.0, gamma=(1, 1), output_bps=16
        )
    return picture / 65535


def test_it_opens_as_bright_as_the_photo(photo: Path):
    wanted = np.median(srgb_to_linear(read_srgb(photo)))
    placed, plain = (np.median(_opened(_convert(photo, plain_dng=plain))) for plain in (False, True))
    assert np.log2(placed / wanted) == pytest.approx(0, abs=0.1)
    assert np.log2(plain / wanted) == pytest.approx(-2.5, abs=0.1)


def test_a_brightened_mosaic_takes_fewer_bits_in_steps_no_coarser(photo: Path, tmp_path: Path):
    raw, gain = read_raw(_convert(photo)), read_provenance(photo.with_name("cat.dng")).gain
    assert 2 < gain < 3
    assert (raw.profile.bits, raw.profile.black_level, raw.profile.white_level) == (12, (64,) * 4, 4095)
    predicted = Inverse().bayer(read_srgb(photo))[0].numpy()
    half_a_step = 0.51 / (16383 - 256)
    assert np.abs(raw.normalised() / 2**gain - predicted).max() <= half_a_step
    Image.fromarray(np.full((64, 64, 3), 255, np.uint8)).save(tmp_path / "white.png")  # nothing is placed
    white = read_raw(_convert(tmp_path / "white.png", "white.dng")).profile
    assert (white.bits, white.black_level, white.white_level) == (14, (256,) * 4, 16383)


def test_its_preview_looks_like_the_photo(photo: Path):
    dng = _convert(photo, preview=True)
    for picture in (read_preview(dng), read_srgb(dng.with_suffix(".preview.png"))):
        assert (picture - read_srgb(photo)).abs().mean() < 0.03


def test_the_photos_camera_is_named_once(photo: Path):
    """Cameras' files often repeat the make in the model."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 20D"
    with Image.open(photo) as image:
        image.load()
    image.save(photo, exif=exif)
    assert read_provenance(_convert(photo)).camera == "Canon EOS 20D"


def test_it_is_known_as_predicted_and_from_what(photo: Path):
    note = read_provenance(_convert(photo))
    assert note is not None
    assert (note.model, note.source, note.camera) == ("inverse sRGB", "cat.jpg", "Apple iPhone 13 mini")
    assert note.gain == pytest.approx(5 + np.log2(0.18), abs=0.05)
    assert read_provenance(_convert(photo, "plain.dng", plain_dng=True)).gain == 0


def test_it_states_the_noise_that_it_holds(tmp_path: Path):
    """DNG 1.7.1, NoiseProfile: two numbers S and O, the variance S x + O of the normalised value x."""
    wanted = NoiseLevels(shot=1e-3, read=1e-5)
    light = torch.linspace(0.1, 0.9, 1001).expand(3, 301, 1001)

    class Noisy(Inverse):
        def bayer(self, srgb, *, tile=None, progress=None):
            return add_noise(mosaic(light, self.cfa), wanted, torch.Generator().manual_seed(0)).clamp(0, 1)

    Image.fromarray(np.full((301, 1001, 3), 255, np.uint8)).save(
        tmp_path / "white.png"
    )  # so that nothing is placed
    job = Conversion(tmp_path / "white.png", tmp_path / "white.dng")
    next(convert_photos(Noisy(), [job], workers=0))
    with tifffile.TiffFile(job.output) as tiff:
        shot, read = tiff.pages.first.pages[0].tags["NoiseProfile"].value
    for x in (0.15, 0.5, 0.85):
        assert shot * x + read == pytest.approx(wanted.shot * x + wanted.read, rel=0.15)


def test_a_plain_dng_holds_the_values_as_predicted(photo: Path):
    predicted = Inverse().bayer(read_srgb(photo))[0].numpy()
    plain = _convert(photo, plain_dng=True)
    assert np.array_equal(read_raw(plain).mosaic, Inverse.profile.quantise(predicted))
    assert read_preview(plain) is None


def test_other_formats_hold_the_values_as_predicted(photo: Path):
    predicted = Inverse().bayer(read_srgb(photo))[0].numpy()
    with Image.open(_convert(photo, "cat.png")) as image:
        assert np.array_equal(np.asarray(image), Inverse.profile.quantise(predicted))


@pytest.mark.parametrize("compression", ["jpeg", "none", "jpegxl"])
def test_a_linear_dng_holds_the_three_planes(photo: Path, compression: str):
    dng = _convert(photo, linear_dng=True, compression=compression, preview=True)
    gain = read_provenance(dng).gain
    predicted = Inverse().raw_rgb(read_srgb(photo)).numpy() * 2**gain
    assert np.abs(read_linear_dng(dng) / 65535 - predicted.clip(0, 1)).max() < 1e-4
    assert (read_srgb(dng.with_suffix(".preview.png")) - read_srgb(photo)).abs().mean() < 0.03
    if compression != "jpegxl":
        assert np.log2(np.median(_opened(dng)) / np.median(srgb_to_linear(read_srgb(photo)))) == pytest.approx(
            0, abs=0.1
        )
        assert (read_preview(dng) - read_srgb(photo)).abs().mean() < 0.03
    job = Conversion(photo, dng)
    choice = Choice(linear_dng=True, compression=compression)
    again = next(convert_photos(Inverse(), [job], choice, resume=True))
    assert again.skipped


def test_what_cannot_be_linear_is_refused_before_any_photo(photo: Path):
    class Mosaics(Inverse):
        raw_rgb = property()

    for engine, name, reason in ((Inverse(), "a.png", "kind of .dng"), (Mosaics(), "a.dng", "model folder")):
        with pytest.raises(ConfigError, match=reason):
            next(convert_photos(engine, [Conversion(photo, photo.with_name(name))], Choice(linear_dng=True)))
    with pytest.raises(ConfigError, match="not both"):
        Choice(plain_dng=True, linear_dng=True)


@pytest.mark.parametrize("strip", [True, False])
def test_the_location_is_left_out_on_demand(photo: Path, strip: bool):
    dng = _convert(photo, strip_location=strip)
    with Image.open(dng) as image:
        assert bool(image.getexif().get_ifd(0x8825)) != strip


@pytest.mark.parametrize("compression", ["jpeg", "none", "jpegxl"])
def test_a_second_run_knows_each_compression(photo: Path, compression: str):
    job, choice = Conversion(photo, photo.with_suffix(".dng")), Choice(compression=compression)
    first, second = (next(convert_photos(Inverse(), [job], choice, resume=True)) for _ in range(2))
    assert (first.error, second.error, second.skipped) == (None, None, True)


def test_an_unknown_compression_is_refused_before_any_photo():
    with pytest.raises(ConfigError, match="unknown compression 'zip'"):
        Choice(compression="zip")


def test_the_gain_clips_no_highlight(tmp_path: Path):
    """A ramp of greys whose photo is clipped in its upper half: all of the RAW stays below white."""
    light = torch.linspace(0.02, 4, 512).expand(3, 64, 512)

    class Knows(Inverse):
        def bayer(self, srgb, *, tile=None, progress=None):
            return mosaic(light_to_raw(light), self.cfa)

    encoded = (light.clamp(max=1) ** (1 / 2.2) * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(encoded)).save(tmp_path / "ramp.png")
    job = Conversion(tmp_path / "ramp.png", tmp_path / "ramp.dng")
    next(convert_photos(Knows(), [job], workers=0))
    picture = _opened(job.output)[8:-8, 8:-8].mean(axis=(0, 2))
    assert (np.diff(picture[::16]) > 0).all()
    assert 0.9 < picture.max() <= 1
