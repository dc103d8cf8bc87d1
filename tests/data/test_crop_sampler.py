"""Which crops an epoch sees: reproducible, dealt out to ranks, in phase, inside the image, rich in highlights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA
from revisp.data.crops import CropSampler, CropSpec
from revisp.errors import ConfigError, DataError

phases = st.sampled_from(list(CFA))


@dataclass
class Bare:
    """What a sampler must know of a picture."""

    height: int
    width: int
    cfa: CFA = CFA.RGGB
    pixels: list[tuple[int, int]] = field(default_factory=list)
    name: str = "bare"

    @property
    def has_overexposed(self) -> bool:
        return bool(self.pixels)

    def overexposed(self) -> np.ndarray:
        assert self.pixels, "asked a picture without overexposed pixels"
        return np.array(self.pixels, np.int32)


def _holds(spec: CropSpec, crop: int, row: int, column: int) -> bool:
    return spec.top <= row < spec.top + crop and spec.left <= column < spec.left + crop


def test_epoch_is_a_function_of_seed_and_epoch():
    def draw(seed: int, epoch: int) -> list[CropSpec]:
        sampler = CropSampler([Bare(64, 64), Bare(80, 60)], CFA.RGGB, crop=16, length=40, seed=seed)
        sampler.set_epoch(epoch)
        assert len(sampler) == 40
        return list(sampler)

    assert draw(0, 3) == draw(0, 3)
    assert draw(0, 3) != draw(0, 4)
    assert draw(0, 3) != draw(1, 3)
    assert draw(0, 1) != draw(1, 0)
    assert len({spec.seed for epoch in (0, 1) for spec in draw(0, epoch)}) == 80


def test_ranks_together_see_what_one_process_sees():
    def draw(**ranks: int) -> list[CropSpec]:
        return list(CropSampler([Bare(64, 64, CFA.GRBG)], CFA.GRBG, crop=16, length=31, **ranks))

    parts = [draw(rank=rank, world_size=3) for rank in range(3)]
    assert [len(part) for part in parts] == [10, 10, 10]
    assert sorted(spec for part in parts for spec in part) == sorted(draw()[:30])


@settings(max_examples=100, deadline=None)
@given(
    phases, phases, st.integers(0, 10), st.integers(0, 10), st.integers(0, 10**3), st.integers(0, 10**3),
    st.integers(0, 10**6),
)  # fmt: skip
def test_windows_fit_hold_the_overexposed_pixel_and_get_the_phase(stored, cfa, down, right, row, column, seed):
    crop, (top, left) = 16, stored.offset_to(cfa)
    height, width = 16 + 2 * max(down, top), 16 + 2 * max(right, left)
    row, column = 1 + row % (height - 2), 1 + column % (width - 2)  # not on the border
    picture = Bare(height, width, stored, [(row, column)])
    for spec in CropSampler([picture], cfa, crop=crop, length=20, oe_share=1.0, seed=seed):
        assert 0 <= spec.top <= height - crop
        assert 0 <= spec.left <= width - crop
        assert spec.symmetry.phase_after(stored.crop(spec.top, spec.left), crop, crop) is cfa
        assert _holds(spec, crop, row, column)


@pytest.mark.parametrize("pixel", [(0, 0), (0, 59), (39, 0), (39, 59), (20, 0), (39, 30)])
def test_a_pixel_at_the_border_stands_for_its_neighbour(pixel):
    near = min(max(pixel[0], 1), 38), min(max(pixel[1], 1), 58)
    for spec in CropSampler([Bare(40, 60, CFA.RGGB, [pixel])], CFA.RGGB, crop=16, length=200, oe_share=1.0):
        assert _holds(spec, 16, *near)


def test_share_of_overexposed_crops_is_kept():
    pictures = [Bare(400, 400), Bare(400, 400, CFA.RGGB, [(200, 100)])]
    for share in (0.0, 0.3, 1.0):
        specs = list(CropSampler(pictures, CFA.RGGB, crop=16, length=2000, oe_share=share))
        held = np.mean([spec.image == 1 and _holds(spec, 16, 200, 100) for spec in specs])
        assert held == pytest.approx(share, abs=0.03)


def test_other_crops_are_spread_by_area_and_use_all_symmetries():
    specs = list(CropSampler([Bare(60, 100), Bare(60, 300)], CFA.RGGB, crop=16, length=4000))
    assert np.mean([spec.image for spec in specs]) == pytest.approx(0.75, abs=0.03)
    lefts = np.array([spec.left for spec in specs if spec.image == 1])
    assert lefts.min() <= 2
    assert lefts.max() >= 282
    assert lefts.mean() == pytest.approx(142, abs=8)
    assert len({spec.symmetry for spec in specs}) == 8
    assert {
        spec.symmetry for spec in CropSampler([Bare(64, 64)], CFA.RGGB, crop=16, length=50, augment=False)
    } == {(False, False, False)}


def test_image_of_exactly_the_crops_size_is_used_whole():
    specs = list(CropSampler([Bare(16, 16)], CFA.RGGB, crop=16, length=50))
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
        CropSampler([Bare(32, 32)], CFA.RGGB, **{"crop": 16, "length": 4, **change})


def test_too_small_or_no_images_are_refused():
    with pytest.raises(DataError, match="'small' of 100x32 is smaller than the crop of 64"):
        CropSampler([Bare(100, 100), Bare(100, 32, name="small")], CFA.RGGB, crop=64, length=4)
    with pytest.raises(
        DataError, match="smaller than the crop of 32 and the pixel by which its Bayer phase moves"
    ):
        CropSampler([Bare(32, 64, CFA.GBRG)], CFA.RGGB, crop=32, length=4)
    with pytest.raises(DataError, match="no images"):
        CropSampler([], CFA.RGGB, crop=16, length=4)
