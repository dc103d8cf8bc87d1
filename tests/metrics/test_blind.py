"""The judge for unknown cameras: against a second reading of the protocol, and by what each level forgives."""

from __future__ import annotations

import math

import blind_reading as reading
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA
from revisp.errors import ConfigError, ShapeError
from revisp.metrics.blind import (
    LADDER_LEVELS,
    bin_mosaic,
    bin_picture,
    blind_truth,
    fit_colour,
    green_stops,
    in_units_of_truth,
    ladder,
)
from revisp.metrics.edits import EDITS, edit_errors
from revisp.metrics.highlights import highlight_errors, oracle_constant
from revisp.metrics.linearity import linearity
from revisp.metrics.styles import style_consistency

SIDE = 160
GAINS = (1.9, 1.0, 1.6)
MATRIX = torch.tensor([[0.7, 0.3, 0.1], [0.1, 0.9, -0.1], [0.0, 0.3, 0.8]], dtype=torch.float64)


def scene(seed: int = 0, brightest: float = 0.5) -> torch.Tensor:
    """Return camera RGB ``[3, h, w]`` over eight stops, its colours correlated as those of scenes are."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(1, SIDE, SIDE, generator=generator, dtype=torch.float64) * 8 - 8
    tint = 0.3 * torch.randn(3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return (
        brightest * (2.0 ** (level + tint)).clamp_max(1) / torch.tensor(GAINS, dtype=torch.float64).view(3, 1, 1)
    )


def photo_of(raw: torch.Tensor, push: float = 2.0) -> torch.Tensor:
    """Return a photo that clips some of the scene."""
    return (push * raw * torch.tensor(GAINS).view(3, 1, 1)).clamp(0, 1) ** (1 / 2.2)


def mixed(light: torch.Tensor, matrix: torch.Tensor = MATRIX) -> torch.Tensor:
    return torch.einsum("ij,jhw->ihw", matrix, light)


def judged(raw: torch.Tensor, photo: torch.Tensor, prediction: torch.Tensor):
    truth = blind_truth(raw, photo, GAINS)
    return truth, in_units_of_truth(prediction, truth)


def planes_last(x: torch.Tensor) -> np.ndarray:
    return x.movedim(0, -1).numpy()


@pytest.fixture(scope="module")
def pair():
    """A scene whose RAW and photo both clip, and a prediction that is wrong in curve, colour and noise."""
    raw = (scene(brightest=1.2)).clamp(0, 1)
    photo = photo_of(raw)
    noise = 0.01 * torch.randn(raw.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return raw, photo, mixed(photo**1.8) + noise


class TestAgainstASecondReading:
    @pytest.mark.parametrize("cfa", CFA)
    def test_binning(self, cfa: CFA) -> None:
        mosaic = np.random.default_rng(0).random((12, 16))
        binned = bin_mosaic(torch.from_numpy(mosaic)[None], cfa)
        np.testing.assert_allclose(planes_last(binned), reading.binned_mosaic(mosaic, cfa.value), rtol=1e-12)

    def test_the_ladder(self, pair) -> None:
        truth, prediction = judged(*pair)
        read = reading.Reading(planes_last(pair[0]), GAINS, *map(planes_last, pair[1:]))
        np.testing.assert_array_equal(truth.usable.numpy(), read.v)
        assert 0.3 < read.v.mean() < 0.9
        found = ladder(prediction, truth)
        for number, level in enumerate(LADDER_LEVELS):
            assert found.levels[level] == pytest.approx(read.level(number), rel=1e-3, abs=1e-4), level
            assert found.levels[level].psnr == pytest.approx(read.level(number)[0], abs=1e-9)
        matched = planes_last(found.matched)[read.v]
        np.testing.assert_allclose(matched, read.matched(3)[read.v], rtol=1e-9, atol=1e-12)

    def test_linearity(self, pair) -> None:
        truth, prediction = judged(*pair)
        read = reading.Reading(planes_last(pair[0]), GAINS, *map(planes_last, pair[1:]))
        matched = ladder(prediction, truth).matched
        found = linearity(green_stops(matched[:, truth.usable]), green_stops(truth.light[:, truth.usable]))
        # torch's median takes the lower of two middle values, NumPy's their mean.
        assert found == pytest.approx(read.linearity(), abs=2e-3)

    def test_highlights(self, pair) -> None:
        truth, prediction = judged(*pair)
        read = reading.Reading(planes_last(pair[0]), GAINS, *map(planes_last, pair[1:]))
        found = highlight_errors(prediction, truth)
        assert all(errors.pixels > 500 for errors in found.values())
        for n, errors in found.items():
            assert errors == pytest.approx(read.highlights(n), abs=1e-3), n

    def test_style_consistency(self) -> None:
        raw = scene(3)
        photos = [photo_of(raw, push) ** power for push, power in ((1.5, 1.0), (2.5, 0.8), (1.0, 1.3))]
        judgements = [judged(raw, photo, photo**2) for photo in photos]
        found = style_consistency([p for _, p in judgements], [t for t, _ in judgements])
        readings = [reading.Reading(planes_last(raw), GAINS, planes_last(x), planes_last(x**2)) for x in photos]
        assert found == pytest.approx(reading.consistency(readings), abs=1e-9)
        assert found.drop > 1


class TestWhatEachLevelForgives:
    def test_any_matrix_at_e3_alone(self) -> None:
        raw = scene()
        balanced = raw * torch.tensor(GAINS).view(3, 1, 1)
        truth, prediction = judged(raw, photo_of(raw), mixed(balanced))
        found = ladder(prediction, truth)
        assert found.levels["e3"].psnr > 90  # what the ridge leaves
        assert found.levels["e2"].psnr < 40
        greens = [green_stops(x[:, truth.usable]) for x in (found.matched, truth.light)]
        assert linearity(*greens) == pytest.approx((1, 0, 0), abs=1e-3)

    @settings(max_examples=15, deadline=None)
    @given(entries=st.lists(st.floats(-0.3, 0.3), min_size=9, max_size=9), gain=st.floats(1e-3, 1e3))
    def test_figures_do_not_depend_on_what_a_level_forgives(self, entries, gain) -> None:
        raw = scene(1)
        photo = photo_of(raw)
        truth = blind_truth(raw, photo, GAINS)
        matrix = torch.eye(3, dtype=torch.float64) + torch.tensor(entries, dtype=torch.float64).view(3, 3)
        if torch.linalg.cond(matrix) > 20:
            return
        plain = ladder(in_units_of_truth(photo**2, truth), truth).levels
        gained = ladder(in_units_of_truth(gain * photo**2, truth), truth).levels
        turned = ladder(in_units_of_truth(mixed(photo**2, matrix), truth), truth).levels
        for level in LADDER_LEVELS:
            assert gained[level] == pytest.approx(plain[level], rel=1e-6)
        assert turned["e3"].psnr == pytest.approx(plain["e3"].psnr, abs=1e-2)

    def test_the_ladder_rises(self, pair) -> None:
        truth, prediction = judged(*pair)
        psnr = [level.psnr for level in ladder(prediction, truth).levels.values()]
        assert psnr == sorted(psnr)

    def test_a_fit_does_not_see_the_pixels_that_it_is_scored_on(self) -> None:
        # A prediction with another matrix in the even blocks than in the odd ones: each fit suits the other half.
        raw = scene(2)
        rows = (torch.arange(SIDE) - 8) // 32
        odd = (rows[:, None] + rows) % 2 == 1
        swapped = torch.where(odd, raw.flip(0), raw)
        truth, prediction = judged(raw, photo_of(raw), swapped)
        assert ladder(prediction, truth).levels["e3"].psnr < 25
        whole = fit_colour(prediction[:, truth.usable], truth.light[:, truth.usable])
        assert whole.shape == (3, 3)


class TestLinearity:
    @pytest.mark.parametrize("power", [0.45, 0.8, 1.0, 1.3])
    def test_a_power_of_the_light_has_that_slope(self, power: float) -> None:
        stops = torch.linspace(-6, -1e-9, 48_000, dtype=torch.float64)
        found = linearity(power * stops + 0.7, stops)
        assert found.slope == pytest.approx(power, abs=1e-9)
        # 24 points at a distance of 1/4 about their mean: the deviation of a uniform ruler.
        assert found.departure == pytest.approx(abs(power - 1) * math.sqrt((24**2 - 1) / 12) / 4, rel=1e-4)
        assert found.shadow_highlight == pytest.approx((1 - power) * 5, abs=1e-3)

    def test_too_few_pixels_say_nothing(self) -> None:
        assert all(math.isnan(figure) for figure in linearity(torch.zeros(199), torch.full((199,), -1.0)))

    def test_a_few_wild_pixels_change_nothing(self) -> None:
        stops = torch.linspace(-4, -1e-9, 16_000, dtype=torch.float64)
        wild = stops.clone()
        wild[::50] = -20
        assert linearity(wild, stops).departure < 0.02


class TestHighlights:
    def test_a_level_that_is_a_stop_too_low(self) -> None:
        raw = scene()
        photo = photo_of(raw, 4.0)
        dim = raw * torch.tensor(GAINS).view(3, 1, 1)
        truth = blind_truth(raw, photo, GAINS)
        dim = torch.where(((photo >= 0.98).sum(0) == 3), dim / 2, dim)
        found = highlight_errors(in_units_of_truth(dim, truth), truth)
        assert found[3][:5] == pytest.approx((-1, 1, 0, 0, 1), abs=5e-3)
        assert found[1][:5] == pytest.approx((0, 0, 0, 1, 1), abs=1e-3)

    def test_the_oracle_has_the_level_and_no_texture(self) -> None:
        raw = scene()
        truth = blind_truth(raw, photo_of(raw, 4.0), GAINS)
        for errors in oracle_constant(truth).values():
            assert errors.mae == pytest.approx(errors.texture)
            assert errors.mae > 0.05
            assert math.isnan(errors.rank)

    def test_what_the_sensor_clipped_counts_nowhere(self) -> None:
        raw = scene()
        raw[:, 40:60, 40:60] = 0.99
        photo = photo_of(raw)
        truth = blind_truth(raw, photo, GAINS)
        framed = (slice(32, 52), slice(32, 52))
        assert not truth.usable[framed].any()
        assert not truth.clipped[framed].any()

    def test_a_photo_that_clips_nothing_has_no_figures(self) -> None:
        raw = scene()
        truth = blind_truth(raw, 0.9 * photo_of(raw, 1.0), GAINS)
        found = highlight_errors(in_units_of_truth(raw, truth), truth)
        assert [errors.pixels for errors in found.values()] == [0, 0, 0]
        assert all(math.isnan(errors.bias) for errors in found.values())


class TestStylesAndEdits:
    def test_a_method_that_undoes_the_style_loses_nothing_across(self) -> None:
        raw = scene(4)
        judgements = [judged(raw, photo_of(raw, push), raw) for push in (1.0, 1.5, 3.0)]
        found = style_consistency([p for _, p in judgements], [t for t, _ in judgements])
        assert found.cross > 90
        assert found.drop < 0.5

    def test_one_style_is_refused(self) -> None:
        raw = scene()
        truth, prediction = judged(raw, photo_of(raw), raw)
        with pytest.raises(ConfigError, match="at least 2"):
            style_consistency([prediction], [truth])

    def test_edits_of_the_truth_itself_differ_by_nothing(self) -> None:
        raw = scene()
        truth = blind_truth(raw, photo_of(raw), GAINS)
        found = edit_errors(truth.light, truth.light, truth.usable, np.eye(3))
        assert list(found) == list(EDITS)
        assert len(found) == 6
        assert all(error == (math.inf, 0) for error in found.values())

    def test_an_edit_does_what_its_name_says(self) -> None:
        grey = torch.full((3, 1, 1), 0.2, dtype=torch.float64)
        developed = {name: edit.develop(grey, np.eye(3)).flatten() for name, edit in EDITS.items()}
        assert developed["brighter"][1] > developed["plain"][1] > developed["darker"][1]
        # IEC 61966-2-1 of 0.2, 0.4 and 0.1.
        for name, value in (("plain", 0.48453), ("brighter", 0.66519), ("darker", 0.34919)):
            assert developed[name].tolist() == pytest.approx([value] * 3, abs=1e-4)
        assert developed["cool"][2] > developed["cool"][0]
        assert developed["warm"][0] > developed["warm"][2]
        black = torch.zeros(3, 1, 1, dtype=torch.float64)
        assert EDITS["matte"].develop(black, np.eye(3)).flatten().tolist() == pytest.approx([0.08] * 3)

    def test_an_error_in_the_shadows_shows_most_when_they_are_raised(self) -> None:
        raw = scene()
        truth = blind_truth(raw, photo_of(raw), GAINS)
        wrong = truth.light + 0.01
        found = edit_errors(wrong, truth.light, truth.usable, np.eye(3))
        assert found["brighter"].delta_e > found["plain"].delta_e > 1


class TestTrouble:
    def test_nothing_unclipped(self) -> None:
        raw = scene()
        with pytest.raises(ShapeError, match="no pixel of the pair is unclipped"):
            blind_truth(raw, torch.ones_like(raw))

    def test_a_black_prediction(self) -> None:
        raw = scene()
        truth = blind_truth(raw, photo_of(raw))
        with pytest.raises(ShapeError, match="without light"):
            in_units_of_truth(torch.zeros_like(raw), truth)

    def test_another_size(self) -> None:
        raw = scene()
        truth = blind_truth(raw, photo_of(raw))
        with pytest.raises(ShapeError, match="of the photo's size"):
            in_units_of_truth(raw[..., :-2], truth)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_values_that_are_not_finite(self, bad: float) -> None:
        raw = scene()
        truth = blind_truth(raw, photo_of(raw))
        broken = raw.clone()
        broken[0, 50, 50] = bad
        with pytest.raises(ShapeError, match="not finite"):
            in_units_of_truth(broken, truth)
        with pytest.raises(ShapeError, match="not finite"):
            blind_truth(broken, photo_of(raw))

    def test_an_odd_last_row_is_left_out(self) -> None:
        assert bin_picture(torch.ones(3, 5, 7)).shape == (3, 2, 3)
