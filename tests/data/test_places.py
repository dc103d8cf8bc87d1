"""Windows of pictures tell where in their photos their pixels lie."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from revisp.camera.place import Place
from revisp.data.picture import KEPT_PIXELS, Sample, with_place


def coordinates(top: int, left: int, frame: tuple[int, int]) -> np.ndarray:
    """Return x, y and radius of a window of 6x8 pixels, from the words of `place_map`."""
    height, width = frame
    y, x = (np.arange(size) + start + 0.5 - side / 2 for size, start, side in ((6, top, height), (8, left, width)))
    y, x = np.meshgrid(y, x, indexing="ij")
    return np.stack([x / (width / 2), y / (height / 2), np.hypot(x, y) / (np.hypot(height, width) / 2)])


@pytest.mark.parametrize("frame", [(60, 90), (1100, 1300)])
def test_small_and_large_photos_tell_the_same(frame: tuple[int, int]) -> None:
    assert (frame[0] * frame[1] > KEPT_PIXELS) == (frame[0] > 1000)
    picture = SimpleNamespace(frame=Place(3, 5, *frame))  # itself a part of the photo
    sample = Sample(torch.zeros(3, 6, 8), torch.zeros(1, 6, 8), torch.zeros(3, 6, 8), "a", torch.ones(1, 6, 8))
    for _ in range(2):
        place = with_place(sample, picture, 40, 70).place
        np.testing.assert_allclose(place.numpy(), coordinates(43, 75, frame), atol=1e-5)
        place.zero_()  # the next window does not notice
