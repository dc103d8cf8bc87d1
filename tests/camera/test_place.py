"""Coordinates in a photo: those of a crop are those of the photo, and shading counts from the same middle."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.fitted import FittedCamera, as_tuples, plain_curve
from revisp.camera.place import Place, place_map
from revisp.camera.shading import shading_gain

sizes = st.integers(1, 60)


@given(sizes, sizes, st.data())
def test_a_crop_has_exactly_the_coordinates_of_its_photo(height: int, width: int, data: st.DataObject) -> None:
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, columns = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    whole = place_map(height, width)[:, top : top + rows, left : left + columns]
    place = Place(top, left, height, width)
    assert torch.equal(place_map(rows, columns, place), whole)
    assert torch.equal(place_map(rows, columns, Place(0, 0, height, width).crop(top, left)), whole)
    batch = torch.tensor([place, (0, 0, height, width)])
    torch.testing.assert_close(place_map(rows, columns, batch)[0], whole, atol=1e-6, rtol=0)


@given(sizes, sizes)
def test_coordinates_are_those_of_the_definition(height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width] + 0.5
    x, y = 2 * columns / width - 1, 2 * rows / height - 1
    radius = np.hypot(columns - width / 2, rows - height / 2) / math.hypot(width / 2, height / 2)
    np.testing.assert_allclose(place_map(height, width).numpy(), [x, y, radius], atol=1e-5)
    gain = 1 + 0.3 * radius**2 + 0.2 * radius**4
    np.testing.assert_allclose(shading_gain(height, width, (0.3, 0.2))[0].numpy(), gain, atol=1e-5)


def test_standard_errors_tell_how_far_fits_of_other_photos_lie_apart() -> None:
    true = FittedCamera(as_tuples(plain_curve().numpy()), ((2.0, 0.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.0, 1.8)))
    fits = []
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        photo = 0.05 + 0.85 * torch.rand(3, 24, 24, generator=generator)
        raw = true.unprocess(photo) * (1 + 0.05 * torch.randn(3, 24, 24, generator=generator))
        pair = (x.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2) for x in (photo, raw))
        fits.append(fit_camera([FitPair(*pair)]))
    apart = np.std([fit.matrix for fit in fits], axis=0)
    told = np.mean([fit.errors.matrix for fit in fits if fit.errors], axis=0)
    assert 1 / 4 < np.median(told / apart) < 4
    assert FittedCamera.from_dict(fits[0].to_dict()) == fits[0]


def test_crops_that_know_their_place_tell_the_shading_of_the_photo() -> None:
    true = FittedCamera(
        as_tuples(plain_curve().numpy()), ((2.0, 0.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.0, 1.8)), shading=(0.4, 0.1)
    )
    patches = 0.05 + 0.85 * torch.rand(3, 12, 18, generator=torch.Generator().manual_seed(0))
    photo = patches.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    raw, place = true.unprocess(photo), place_map(96, 144)
    sides = (slice(48), slice(48, None)), (slice(48), slice(96, None))
    corners = [(..., rows, columns) for rows in sides[0] for columns in sides[1]]
    placed = fit_camera([FitPair(photo[at], raw[at], place=place[at]) for at in corners])
    assert abs(sum(placed.shading) - 0.5) < 0.03
    torch.testing.assert_close(placed.unprocess(photo, place), raw, atol=0.01, rtol=0)
    lost = fit_camera([FitPair(photo[at], raw[at]) for at in corners])
    assert abs(sum(lost.shading) - 0.5) > 0.1
