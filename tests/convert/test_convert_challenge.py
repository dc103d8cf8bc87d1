"""A model of a challenge's camera writes what the challenge's own files hold."""

import numpy as np
import pytest
from PIL import Image

from revisp.challenges import CHALLENGES
from revisp.convert.formats import convert_photo
from revisp.errors import ConfigError
from revisp.pipeline import ReverseISP


def model(name: str) -> ReverseISP:
    return ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=CHALLENGES[name].profile).eval()


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_p20s_pedestal_is_put_back(photo, tmp_path):
    convert_photo(model("p20"), photo, tmp_path / "photo.npy")
    stored = np.load(tmp_path / "photo.npy")
    assert stored.shape == (16, 24, 4)
    assert 60 <= stored.min() <= stored.max() <= 1020


def test_bits_of_another_challenge_are_refused(photo, tmp_path):
    with pytest.raises(ConfigError, match="stores 12 bits, not 10"):
        convert_photo(model("ntire2025"), photo, tmp_path / "photo.npy")
    assert not (tmp_path / "photo.npy").exists()
    convert_photo(model("ntire2025"), photo, tmp_path / "photo.npy", bits=12)
