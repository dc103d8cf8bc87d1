"""Flips and transposes of mosaics: every symmetry, from every phase, gives the data set's phase."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from revisp.cfa import CFA, sample_mask
from revisp.data.crops import CropDataset, CropSpec
from revisp.data.memory import MemoryPicture
from revisp.data.picture import Pair, Sample
from revisp.errors import ShapeError
from revisp.mosaic import mosaic
from revisp.symmetry import SYMMETRIES, Symmetry

symmetries = st.sampled_from(SYMMETRIES)
phases = st.sampled_from(list(CFA))


@given(phases, symmetries, st.integers(2, 7), st.integers(2, 7))
def test_phase_after_is_that_of_the_transformed_mosaic(cfa, symmetry, height, width):
    transformed = symmetry.apply(sample_mask(cfa, height, width))
    assert torch.equal(transformed, sample_mask(symmetry.phase_after(cfa, height, width), *transformed.shape[-2:]))


def test_the_eight_are_different_and_keep_all_values():
    x = torch.arange(9).view(1, 3, 3)
    results = {tuple(symmetry.apply(x).flatten().tolist()) for symmetry in SYMMETRIES}
    assert len(results) == 8
    assert all(sorted(result) == list(range(9)) for result in results)
    assert torch.equal(SYMMETRIES[0].apply(x), x)
    assert torch.equal(Symmetry(hflip=True, transpose=True).apply(x)[0, 0], torch.tensor([2, 5, 8]))


@given(phases, phases, symmetries, st.integers(1, 9))
def test_one_window_offset_gives_the_wanted_phase(cfa, target, symmetry, size):
    places = [(rows, columns) for rows in (0, 1) for columns in (0, 1)]
    shown = {place: symmetry.phase_after(cfa.crop(*place), size, size) for place in places}
    assert [place for place in places if shown[place] is target] == [symmetry.window_offset(cfa, size, target)]
    assert symmetry.window_offset(cfa, size) == symmetry.window_offset(cfa, size, cfa)


@settings(deadline=None)
@given(phases, phases, symmetries, st.integers(0, 6), st.integers(0, 8), st.integers(0, 99))
def test_augmented_crop_agrees_with_its_mosaic(stored, cfa, symmetry, top, left, seed):
    whole = torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(seed))
    sample = Sample(1 - whole, mosaic(whole, stored), whole, "x", whole[:1] / 2)
    rows, columns = symmetry.window_offset(stored.crop(top, left), 16, cfa)
    picture = MemoryPicture(sample, stored, torch.zeros(1, 24, 26))
    crop = CropDataset([picture], 16)[CropSpec(0, top + rows, left + columns, symmetry)]
    assert torch.equal(mosaic(crop.target, cfa), crop.bayer)
    assert torch.equal(1 - crop.srgb, crop.target)
    assert torch.equal(2 * crop.valid, crop.target[:1])
    assert crop.srgb.shape == (3, 16, 16)


@settings(deadline=None)
@given(symmetries, st.integers(0, 8), st.integers(0, 10))
def test_a_crop_knows_where_in_its_photo_each_pixel_was(symmetry, top, left):
    rows, columns = np.mgrid[:24, :26]
    whole = torch.from_numpy(np.stack([rows / 24, columns / 26, np.zeros_like(rows)])).float()
    sample = Sample(whole, mosaic(whole, CFA.RGGB), whole, "x", whole[:1])
    crop = CropDataset([MemoryPicture(sample, CFA.RGGB, torch.zeros(1, 24, 26))], 16)[
        CropSpec(0, top, left, symmetry)
    ]
    x, y, radius = crop.place
    torch.testing.assert_close(x, 2 * crop.srgb[1] + 1 / 26 - 1)
    torch.testing.assert_close(y, 2 * crop.srgb[0] + 1 / 24 - 1)
    torch.testing.assert_close(radius, torch.hypot(13 * x, 12 * y) / math.hypot(13, 12))


def test_odd_or_unequal_pairs_are_refused():
    with pytest.raises(ShapeError, match="even"):
        Pair("x", torch.rand(3, 5, 6), torch.rand(1, 5, 6))
    with pytest.raises(ShapeError, match="differ in size"):
        Pair("x", torch.rand(3, 6, 6), torch.rand(1, 6, 8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_turn_pictures_as_pillow_does(orientation):
    pixels = torch.arange(12, dtype=torch.uint8).view(3, 4)
    image = Image.fromarray(pixels.numpy())
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(Symmetry.of_orientation(orientation).apply(pixels).numpy(), upright)
