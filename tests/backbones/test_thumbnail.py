"""A photo at a glance."""

from __future__ import annotations

import pytest
import torch

from revisp.backbones.thumbnail import BINS, SIDE, STATISTICS, colour_statistics, thumbnail


def photo(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(192, 288), (100, 70), (97, 150)])
def test_it_is_the_mean_over_each_area(height: int, width: int) -> None:
    whole = photo(height, width)
    for axis, length in ((2, height), (3, width)):
        fine = whole.repeat_interleave(SIDE, dim=axis)  # now each pixel of the thumbnail is `length` whole ones
        whole = fine.unflatten(axis, (SIDE, length)).mean(axis + 1)
    torch.testing.assert_close(thumbnail(photo(height, width)), whole, rtol=1e-4, atol=1e-5)


def test_the_mean_stays() -> None:
    whole = photo(131, 777)
    torch.testing.assert_close(thumbnail(whole).mean((2, 3)), whole.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_a_thumbnail_is_its_own_thumbnail() -> None:
    small = photo(SIDE, SIDE)
    torch.testing.assert_close(thumbnail(small), small)


def test_histograms_tell_the_levels() -> None:
    measured = colour_statistics(torch.full((1, 3, SIDE, SIDE), 0.5))
    assert measured.shape == (1, STATISTICS)
    shares = measured[0, :BINS].square()
    assert shares.sum().item() == pytest.approx(1, abs=1e-5)
    assert (shares * torch.arange(BINS)).sum().item() / (BINS - 1) == pytest.approx(0.5, abs=1e-5)


def test_statistics_do_not_see_where_things_are() -> None:
    small = photo(SIDE, SIDE)
    torch.testing.assert_close(colour_statistics(small.flip(-1)), colour_statistics(small), rtol=1e-3, atol=1e-5)


def test_a_pixel_that_is_no_number_harms_its_own_photo_alone():
    photos = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    expected = colour_statistics(photos)
    photos[0, 1, 3, 3] = torch.nan
    found = colour_statistics(photos)
    assert found[0].isnan().any()
    assert torch.equal(found[1], expected[1])
