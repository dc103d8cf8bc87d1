"""Which crops an epoch sees: reproducible, dealt out to ranks, in phase, inside the image, rich in highlights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA
from revisp.data.crops import CropSampler, CropSpec
from revisp.errors import ConfigError, DataError


def _masks(*sizes: tuple[int, int], overexposed: tuple[int, int, int] | None = None) -> list[torch.Tensor]:
    masks = [torch.zeros(1, *size) for size in sizes]
    if overexposed is not None:
        image, row, column = overexposed
        masks[image][0, row, column] = 1
    return masks


def _holds(spec: CropSpec, crop: int, row: int, column: int) -> bool:
    return spec.top <= row < spec.top + crop and spec.left <= column < spec.left + crop


def test_epoch_is_a_function_of_seed_and_epoch():
    def draw(seed: int, epoch: int) -> list[CropSpec]:
        sampler = CropSampler(_masks((64, 64), (80, 60)), CFA.RGGB, crop=16, length=40, seed=seed)
        sampler.set_epoch(epoch)
        assert len(sampler) == 40
        return list(sampler)

    assert draw(0, 3) == draw(0, 3)
    assert draw(0, 3) != draw(0, 4)
    assert draw(0, 3) != draw(1, 3)
    assert draw(0, 1) != draw(1, 0)


def test_ranks_together_see_what_one_process_sees():
    def draw(**ranks: int) -> list[CropSpec]:
        return list(CropSampler(_masks((64, 64)), CFA.GRBG, crop=16, length=31, **ranks))

    parts = [draw(rank=rank, world_size=3) for rank in range(3)]
    assert [len(part) for part in parts] == [10, 10, 10]
    assert sorted(spec for part in parts for spec in part) == sorted(draw()[:30])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(CFA)),
    st.integers(0, 10),
    st.integers(0, 10),
    st.integers(1, 1000),
    st.integers(0, 10**6),
    st.integers(0, 99),
)
def test_windows_fit_hold_the_overexposed_pixel_and_keep_the_phase(cfa, down, right, row, column, seed):
    crop, height, width = 16, 16 + 2 * down, 16 + 2 * right
    row, column = 1 + row % (height - 2), 1 + column % (width - 2)  # not on the border
    masks = _masks((height, width), overexposed=(0, row, column))
    for spec in CropSampler(masks, cfa, crop=crop, length=20, oe_share=1.0, seed=seed):
        assert 0 <= spec.top <= height - crop
        assert 0 <= spec.left <= width - crop
        assert spec.symmetry.phase_after(cfa.crop(spec.top, spec.left), crop, crop) is cfa
        assert _holds(spec, crop, row, column)


def test_share_of_overexposed_crops_is_kept():
    masks = _masks((400, 400), (400, 400), overexposed=(1, 200, 100))
    for share in (0.0, 0.3, 1.0):
        specs = list(CropSampler(masks, CFA.RGGB, crop=16, length=2000, oe_share=share))
        held = np.mean([spec.image == 1 and _holds(spec, 16, 200, 100) for spec in specs])
        assert held == pytest.approx(share, abs=0.03)


def test_other_crops_are_spread_by_area_and_use_all_symmetries():
    specs = list(CropSampler(_masks((60, 100), (60, 300)), CFA.RGGB, crop=16, length=4000))
    assert np.mean([spec.image for spec in specs]) == pytest.approx(0.75, abs=0.03)
    lefts = np.array([spec.left for spec in specs if spec.image == 1])
    assert lefts.min() <= 2
    assert lefts.max() >= 282
    assert lefts.mean() == pytest.approx(142, abs=8)
    assert len({spec.symmetry for spec in specs}) == 8
    assert {
        spec.symmetry for spec in CropSampler(_masks((64, 64)), CFA.RGGB, crop=16, length=50, augment=False)
    } == {(False, False, False)}


def test_image_of_exactly_the_crops_size_is_used_whole():
    specs = list(CropSampler(_masks((16, 16)), CFA.RGGB, crop=16, length=50))
    assert {(spec.top, spec.left) for spec in specs} == {(0, 0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 15}, "even"),
        ({"oe_share": 1.2}, "oe_share"),
        ({"rank": 2, "world_size": 2}, "rank"),
        ({"length": 1, "world_size": 2}, "too short"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        CropSampler(_masks((32, 32)), CFA.RGGB, **{"crop": 16, "length": 4, **change})


def test_too_small_or_no_images_are_refused():
    with pytest.raises(DataError, match="smaller than the crop of 64"):
        CropSampler(_masks((100, 100), (100, 32)), CFA.RGGB, crop=64, length=4)
    with pytest.raises(DataError, match="no images"):
        CropSampler([], CFA.RGGB, crop=16, length=4)
