"""What an alignment gives: pictures reduced by whole boxes, and whether two files share one exposure's noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from registration import affine, alignment, greatest_error, scene
from scipy import ndimage

from revisp.align import align
from revisp.errors import ConfigError


class TestReduced:
    @pytest.mark.parametrize("factor", [2, 4])
    def test_whole_boxes_are_plain_averages(self, factor):
        raw = scene(64, 96, seed=10).double()
        matrix = np.array([[1 / factor, 0, (1 / factor - 1) / 2], [0, 1 / factor, (1 / factor - 1) / 2]])
        found = alignment(matrix, photo_size=(64 // factor, 96 // factor))
        assert found.common == (0, 0, 64 // factor, 96 // factor)
        torch.testing.assert_close(found.reduced(raw), F.avg_pool2d(raw[None], factor)[0])

    def test_boxes_are_exact_to_fractions_of_a_pixel(self):
        raw = scene(64, 96, seed=10).double()
        matrix = np.array([[1 / 2.7, 0, -0.9], [0, 1 / 2.3, -0.7]])
        found = alignment(matrix, photo_size=(26, 34))

        def weights(scale, shift, first, count, length):
            """Share of each of `length` cells in each of `count` boxes, from the overlap of their intervals."""
            begin = (np.arange(first, first + count) - 0.5 - shift) / scale
            cell = np.arange(length) - 0.5
            overlap = np.minimum(begin[:, None] + 1 / scale, cell + 1) - np.maximum(begin[:, None], cell)
            return np.clip(overlap, 0, None) * scale

        top, left, height, width = found.common
        assert height % 2 == width % 2 == 0
        down = weights(1 / 2.3, -0.7, top, height, 64)
        across = weights(1 / 2.7, -0.9, left, width, 96)
        np.testing.assert_allclose(down.sum(1), 1)
        np.testing.assert_allclose(found.reduced(raw), down @ raw.numpy() @ across.T, atol=1e-12)

    def test_a_small_rotation_is_followed(self):
        matrix = affine(0, 0, 1 / 2.7, 0.7, 64, 96)
        matrix[:, 2] = [-0.9, -0.7]
        y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
        found = alignment(matrix, photo_size=(24, 36))
        top, left, height, width = found.common
        rows, columns = np.indices((height, width))
        centres = np.linalg.inv(matrix[:, :2]) @ (
            np.stack([(columns + left).ravel(), (rows + top).ravel()]) - matrix[:, 2:]
        )
        reduced = found.reduced(torch.stack([x, y, torch.ones_like(x)])).reshape(3, -1)
        # The mean of a stair over a box differs from the box's centre by up to a twentieth of a step.
        np.testing.assert_allclose(reduced[:2], centres, atol=0.05)
        np.testing.assert_allclose(reduced[2], 1, atol=1e-6)

    def test_pixels_that_reach_beyond_the_raw_are_cut_off(self):
        matrix = np.array([[0.5, 0, 1.0], [0, 0.5, -0.25]])  # begins 2.5 RAW pixels further left
        found = alignment(matrix, photo_size=(32, 50))
        top, left, height, width = found.common
        assert (top, left) == (0, 2)
        assert (height, width) == (32, 46)
        photo = torch.rand(3, 32, 50, generator=torch.Generator().manual_seed(0))
        assert torch.equal(found.cropped(photo), photo[:, :, 2:48])

    @pytest.mark.parametrize("factor", [2.0, 3.55])
    def test_a_preview_is_registered_and_matched_by_binning(self, factor):
        reference = scene(720, 960, seed=11)
        reference = torch.from_numpy(ndimage.gaussian_filter(reference.numpy(), (0, 1, 1)))
        top, left, size = 8, 12, (int(700 / factor), int(930 / factor))
        matrix = np.array(
            [[1 / factor, 0, (0.5 - left) / factor - 0.5], [0, 1 / factor, (0.5 - top) / factor - 0.5]]
        )
        exact = alignment(matrix, raw_size=(720, 960), photo_size=size)
        photo = torch.zeros(3, *size)
        y, x, height, width = exact.common
        photo[:, y : y + height, x : x + width] = exact.reduced(reference)
        photo = photo[:, y : y + height, x : x + width] ** 0.8
        matrix[:, 2] -= [x, y]
        found = align(photo, reference)
        assert found.is_reduced
        assert greatest_error(found, matrix) < 0.05
        assert (found.cropped(photo) ** 1.25 - found.reduced(reference)).abs().mean() < 0.003
        with pytest.raises(ConfigError, match="not enlarged"):
            found.warp(photo, 720, 960)


class TestNoise:
    def test_one_exposure_is_told_from_two(self):
        clean = torch.from_numpy(ndimage.gaussian_filter(scene(480, 640, seed=12).numpy(), (0, 2, 2)))
        clean[:, :, :320] = 0.5 + 0.2 * torch.linspace(0, 1, 320)
        generator = torch.Generator().manual_seed(5)
        first, second = (clean + 0.01 * torch.randn(clean.shape, generator=generator) for _ in range(2))
        photo = first.clamp(0, 1) ** 0.7
        same, other = align(photo, first), align(photo, second)
        assert same.noise_correlation > 0.9
        assert same.same_exposure is True
        assert abs(other.noise_correlation) < 0.05
        assert other.same_exposure is False

    def test_nothing_is_said_without_flat_areas_or_noise(self):
        reference = scene(seed=13)
        assert align(reference, reference).same_exposure is None
        assert alignment(affine(), noise_correlation=0.1, noise_ratio=0.1).same_exposure is None
        assert alignment(affine(), noise_correlation=0.28, noise_ratio=1.0).same_exposure is None
