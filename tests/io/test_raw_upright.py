import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, sample_mask
from revisp.io import PhotoMetadata, RawImage, Rectangle


def _turn(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Pillow's reading of EXIF orientation."""
    image = Image.fromarray(picture.astype(np.int32))
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


@settings(max_examples=100, deadline=None)
@given(
    cfa=st.sampled_from(CFA),
    orientation=st.integers(1, 8),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
    seed=st.integers(0, 999),
)
def test_samples_keep_their_colours_levels_and_window(
    profile: CameraProfile, cfa, orientation, height, width, seed
):
    rng = np.random.default_rng(seed)
    top, left = rng.integers(0, height - 1), rng.integers(0, width - 1)
    crop = Rectangle(int(top), int(left), int(rng.integers(1, height - top)), int(rng.integers(1, width - left)))
    mosaic = rng.integers(0, 1000, (height, width)).astype(np.uint16)
    profile = profile.replace(cfa=cfa)
    raw = RawImage(mosaic, profile, PhotoMetadata(), orientation, crop, optical_black=profile.black_level)
    upright = raw.upright()

    assert upright.orientation == 1
    assert upright.mosaic.dtype == np.uint16
    assert np.array_equal(upright.mosaic, _turn(mosaic, orientation))
    colours = sample_mask(cfa, height, width).int().argmax(0).numpy()
    found = sample_mask(upright.profile.cfa, *upright.mosaic.shape).int().argmax(0).numpy()
    assert np.array_equal(found, _turn(colours, orientation))
    # each position has its own black level: normalised values only agree if the levels moved with their samples
    normal = np.rint(raw.normalised() * 1e6)
    assert np.array_equal(np.rint(upright.normalised() * 1e6), _turn(normal, orientation))
    assert upright.optical_black == upright.profile.black_level
    assert np.array_equal(upright.mosaic[upright.crop.slices], _turn(mosaic[crop.slices], orientation))


def test_an_upright_raw_stays_as_it_is(profile: CameraProfile):
    raw = RawImage(np.zeros((4, 6), np.uint16), profile, PhotoMetadata(), orientation=1)
    assert raw.upright().mosaic is raw.mosaic
    assert raw.upright().crop is None
    assert raw.upright().optical_black is None


@pytest.mark.parametrize(
    ("window", "fits"),
    [
        (Rectangle(0, 0, 4, 6), True),
        (Rectangle(1, 2, 3, 4), True),
        (Rectangle(1, 2, 4, 4), False),
        (Rectangle(1, 2, 3, 5), False),
        (Rectangle(-1, 0, 2, 2), False),
        (Rectangle(0, 0, 0, 6), False),
    ],
)
def test_windows_beyond_the_picture_do_not_fit(window: Rectangle, fits: bool):
    assert window.fits(4, 6) is fits
