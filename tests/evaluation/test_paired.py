"""Means over cameras, and the bootstrap: exposures are drawn, not renderings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from revisp.evaluation.paired import camera_mean, paired_difference


def test_a_camera_with_many_photos_counts_once() -> None:
    assert camera_mean([1, 1, 1, 5], ["one", "one", "one", "other"]) == 3
    assert camera_mean([1, math.nan, math.inf], ["one", "one", "other"]) == 1
    assert math.isnan(camera_mean([math.nan], ["one"]))


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(2, 3, 400)
    found = paired_difference(values, np.zeros(400), ["one"] * 400, [str(n) for n in range(400)])
    assert found.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.05)
    assert found.above == (values > 0).sum()
    assert found.exposures == 400


def test_renderings_of_one_exposure_are_no_evidence() -> None:
    values, cameras = [0.0, 1.0, 2.0, 5.0], ["one"] * 4
    exposures = list("abcd")
    once = paired_difference(values, [0.0] * 4, cameras, exposures)
    often = paired_difference(values * 50, [0.0] * 200, cameras * 50, exposures * 50)
    assert often == once


def test_what_both_share_cancels() -> None:
    shared = [10.0, 40.0, 20.0]
    found = paired_difference([x + 1 for x in shared], shared, ["one", "one", "other"], ["a", "b", "c"])
    assert (found.mean, found.low, found.high) == pytest.approx((1, 1, 1))


def test_cameras_weigh_alike_in_the_difference() -> None:
    found = paired_difference([1, 1, 1, 5], [0, 0, 0, 0], ["one", "one", "one", "other"], list("abcd"))
    assert found.mean == 3


def test_nothing_in_common() -> None:
    found = paired_difference([math.nan], [1.0], ["one"], ["a"])
    assert math.isnan(found.mean)
    assert found.exposures == 0


def test_renderings_of_a_single_exposure_have_a_mean_but_no_interval():
    found = paired_difference([3.0, 5.0], [1.0, 1.0], ["one", "one"], ["a", "a"])
    assert (found.mean, found.above, found.exposures) == (3.0, 1, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
