"""Registration of photos to RAW: known geometry is found, pixels are kept, what cannot be trusted is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import transform

from revisp.align import Alignment, align
from revisp.errors import AlignmentError, ConfigError, ShapeError
from revisp.symmetry import SYMMETRIES, Symmetry

HEIGHT, WIDTH = 360, 480


def scene(height=HEIGHT, width=WIDTH, seed=0):
    """A colourful texture of all sizes, smooth enough to be resampled, in [0.1, 0.9]."""
    rng = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(rng.standard_normal((3, height, width)), (0, s, s)) for s in (1.5, 3, 8, 20)]
    total = sum(layer / layer.std() for layer in layers)
    total += 2 * total.mean(0)  # the channels have most of their structure in common
    total /= np.abs(total).max()
    return torch.from_numpy((0.5 + 0.4 * total).astype(np.float32))


def affine(dx=0.0, dy=0.0, scale=1.0, degrees=0.0, height=HEIGHT, width=WIDTH):
    """2x3 from RAW to photo: a turn and scale about the centre, then a shift."""
    turn = scale * np.array(
        [
            [math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))],
            [math.sin(math.radians(degrees)), math.cos(math.radians(degrees))],
        ]
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([turn, centre + np.array([dx, dy]) - turn @ centre])


def photograph(reference, matrix, size=None):
    """Resample by scikit-image (spline of order 5, another kernel than the library's)."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    planes = [
        transform.warp(plane, transform.AffineTransform(back), output_shape=size, order=5, mode="edge")
        for plane in reference.double().numpy()
    ]
    return torch.from_numpy(np.stack(planes)).float().clamp(0, 1)


def greatest_error(found, matrix):
    """Greatest distance, over the corners and the centre, between two maps; photo pixels."""
    height, width = found.raw_size
    points = np.array(
        [[x, y, 1] for x in (0, (width - 1) / 2, width - 1) for y in (0, (height - 1) / 2, height - 1)]
    )
    return float(np.hypot(*(points @ (found.matrix - matrix).T).T).max())


def alignment(matrix, raw_size=(64, 96), photo_size=(64, 96), flow=None, trusted=None, unlike=None, **noise):
    rows, columns = (np.linspace(8, side - 8, 4) for side in raw_size)
    return Alignment(
        symmetry=Symmetry(),
        matrix=np.asarray(matrix, float),
        raw_size=raw_size,
        photo_size=photo_size,
        rows=rows,
        columns=columns,
        flow=np.zeros((4, 4, 2)) if flow is None else flow,
        trusted=np.ones((4, 4), bool) if trusted is None else trusted,
        unlike=np.zeros((4, 4), bool) if unlike is None else unlike,
        **noise,
    )


class TestGeometry:
    def test_identity_is_an_integer_crop_that_keeps_every_pixel(self):
        reference = scene()
        found = align(reference, reference)
        assert found.symmetry == Symmetry()
        assert found.integer_shift == (0, 0)
        assert torch.equal(found.warp(reference, HEIGHT, WIDTH), reference)
        assert found.valid(HEIGHT, WIDTH).all()
        assert found.residual_p95 < 0.02

    def test_a_cropped_photo_is_laid_back_by_whole_pixels(self):
        reference = scene()
        photo = reference[:, 6:-4, 10:-6].contiguous()
        found = align(photo, reference)
        assert found.integer_shift == (-6, -10)
        laid, valid = found.warp(photo, HEIGHT, WIDTH), found.valid(HEIGHT, WIDTH)
        assert torch.equal(laid[:, 6:-4, 10:-6], photo)
        assert valid[0, 6:-4, 10:-6].all()
        assert valid.sum() == photo[0].numel()
        np.testing.assert_allclose(found.window, (6, 10, HEIGHT - 4, WIDTH - 6), atol=0.05)

    @pytest.mark.parametrize(
        ("dx", "dy", "scale", "degrees"),
        [
            (0.5, -0.5, 1.0, 0.0),
            (-2.3, 3.7, 1.0, 0.0),
            (0.25, 0.1, 1.001, 0.0),
            (1.2, -0.8, 0.992, 0.4),
            (0.0, 0.0, 1.012, -1.0),
        ],
    )
    def test_shift_scale_and_rotation_are_found_without_bias(self, dx, dy, scale, degrees):
        reference = scene()
        matrix = affine(dx, dy, scale, degrees)
        photo = photograph(reference, matrix)
        found = align(photo, reference)
        assert greatest_error(found, matrix) < 0.05
        np.testing.assert_allclose(found.offset, (dy, dx), atol=0.02)
        assert found.scale == pytest.approx(scale, abs=1e-4)
        assert found.rotation == pytest.approx(degrees, abs=0.01)
        assert found.residual_p95 < 0.1
        inner = (..., slice(12, -12), slice(12, -12))
        assert (found.warp(photo, HEIGHT, WIDTH) - reference)[inner].abs().mean() < 0.004

    @pytest.mark.parametrize("symmetry", SYMMETRIES)
    def test_all_eight_symmetries_are_found(self, symmetry):
        reference = scene(seed=1)
        photo = symmetry.apply(reference)[:, 3:, :-2].contiguous()
        found = align(photo, reference)
        assert found.symmetry == symmetry
        np.testing.assert_allclose(found.offset, (-3, 0), atol=0.02)
        turned = symmetry.apply(reference)
        assert found.raw_size == tuple(turned.shape[-2:])
        assert torch.equal(found.warp(photo, *found.raw_size)[:, 3:, :-2], photo)

    @settings(max_examples=4, deadline=None, derandomize=True)
    @given(
        gamma=st.floats(0.5, 1.8),
        contrast=st.floats(0.0, 1.0),
        shading=st.floats(0.0, 0.5),
        noise=st.floats(0.0, 0.02),
        dx=st.floats(-3, 3),
        dy=st.floats(-3, 3),
    )
    def test_tone_colour_shading_and_noise_do_not_matter(self, gamma, contrast, shading, noise, dx, dy):
        reference = scene(seed=2)
        matrix = affine(dx, dy)
        x = photograph(reference, matrix) ** gamma
        x = (1 - contrast) * x + contrast * x.square() * (3 - 2 * x)
        x = torch.stack([x[0], 0.3 * x[0] + 0.7 * x[1], 0.6 * x[2] + 0.2])
        x = x * (1 - shading * torch.linspace(-1, 1, WIDTH).square())
        x = x + noise * torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
        found = align(x.clamp(0, 1), reference)
        assert greatest_error(found, matrix) < 0.1

    def test_sharpening_does_not_shift(self):
        reference = scene(seed=4)
        matrix = affine(0.4, -0.3)
        photo = photograph(reference, matrix)
        blurred = torch.from_numpy(ndimage.gaussian_filter(photo.numpy(), (0, 1, 1)))
        found = align((photo + 1.5 * (photo - blurred)).clamp(0, 1), reference)
        assert greatest_error(found, matrix) < 0.05

    def test_a_known_window_is_a_hint_only(self):
        reference = scene(seed=5)
        photo = reference[:, 40:-20, 30:-50].contiguous()
        for window in ((40, 30, HEIGHT - 60, WIDTH - 80), (38, 33, HEIGHT - 64, WIDTH - 80)):
            assert align(photo, reference, window=window).integer_shift == (-40, -30)

    def test_a_wide_crop_is_found_at_equal_pitch(self):
        reference = scene(480, 640, seed=6)
        photo = reference[:, 60:-60].contiguous()
        assert align(photo, reference).integer_shift == (-60, 0)


class TestResiduals:
    def test_smooth_lens_correction_is_measured(self):
        reference = scene(480, 640, seed=7)
        y, x = np.indices((480, 640), float)
        radius = ((x - 319.5) ** 2 + (y - 239.5) ** 2) / 400**2
        bend = 2.5 * radius  # photo content lies inwards by up to 2.5 pixels times the radius
        where = np.stack([y + bend * (y - 239.5) / 400, x + bend * (x - 319.5) / 400])
        photo = torch.from_numpy(
            np.stack([ndimage.map_coordinates(p, where, order=3, mode="nearest") for p in reference.numpy()])
        )
        found = align(photo.float().clamp(0, 1), reference)
        assert found.trusted.mean() > 0.95
        # A block's content lies where matrix and flow together put it: the photo was drawn there from its place.
        ys, xs = np.meshgrid(found.rows, found.columns, indexing="ij")
        at = np.stack([xs, ys], -1) + found.flow
        at = at @ found.matrix[:, :2].T + found.matrix[:, 2]
        drawn = [ndimage.map_coordinates(v, [at[..., 1], at[..., 0]], order=1, mode="nearest") for v in where]
        error = np.hypot(drawn[0] - ys, drawn[1] - xs)[found.trusted]
        assert np.median(error) < 0.05
        assert np.quantile(error, 0.95) < 0.25
        assert found.residual_edge > 2 * found.residual_median

    def test_what_moved_or_changed_is_not_valid(self):
        reference = scene(480, 640, seed=8)
        photo = reference.clone()
        photo[:, 100:220, 100:260] = reference[:, 103:223, 102:262]  # moved by (2, 3) pixels
        photo[:, 280:420, 380:560] = scene(140, 180, seed=99)  # something else
        found = align(photo, reference)
        valid = found.valid(480, 640)[0].bool()
        assert not valid[125:195, 125:235].any()
        assert not valid[305:395, 405:535].any()
        assert valid[:60].all()
        assert valid[:, :60].all()
        assert valid.float().mean() > 0.75
        assert found.unlike.any()

    def test_blocks_without_texture_inherit_from_their_neighbours(self):
        reference = scene(480, 640, seed=9)
        reference[:, 150:330, 200:420] = 0.5
        found = align(reference, reference)
        assert not found.trusted.all()
        assert found.valid(480, 640).all()


class TestResult:
    @pytest.mark.parametrize("degrees", [0.0, 0.8])
    def test_warp_of_a_plane_is_exact(self, degrees):
        matrix = affine(0.4, -0.3, 1.003, degrees, 64, 96)
        y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
        photo = torch.stack([x / 100, y / 100, (x + y) / 200])
        found = alignment(matrix)
        at = np.einsum("ij,jhw->ihw", matrix, np.stack([x.numpy(), y.numpy(), np.ones((64, 96))]))
        expected = torch.from_numpy(np.stack([at[0] / 100, at[1] / 100, at.sum(0) / 200])).float()
        inner = (slice(None), slice(6, -6), slice(6, -6))
        torch.testing.assert_close(found.warp(photo, 64, 96)[inner], expected[inner], atol=1e-3, rtol=0)

    def test_a_quarter_pixel_decides_between_crop_and_interpolation(self):
        assert alignment(affine(3.2, -1.8, height=64, width=96)).integer_shift == (-2, 3)
        assert alignment(affine(3.3, -1.8, height=64, width=96)).integer_shift is None
        assert alignment(affine(3.0, -2.0, 1.01, height=64, width=96)).integer_shift is None

    def test_the_photo_is_clamped_and_its_border_repeated(self):
        photo = (torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0)) > 0.5).float()
        warped = alignment(affine(0.5, 0.5, height=64, width=96)).warp(photo, 64, 96)
        assert warped.min() >= 0
        assert warped.max() <= 1
        shifted = alignment(affine(-3, 0, height=64, width=96))
        assert torch.equal(shifted.warp(photo, 64, 96)[..., :3], photo[..., :1].expand(3, 64, 3))
        assert shifted.valid(64, 96)[0].sum(0).tolist() == [0.0] * 3 + [64.0] * 93

    def test_valid_follows_the_blocks(self):
        flow = np.zeros((4, 4, 2))
        flow[0, 0] = (1.2, 0.9)  # 1.5 pixels
        flow[3, 3] = (0.5, -0.5)
        found = alignment(affine(height=64, width=96), flow=flow)
        valid = found.valid(64, 96)[0]
        assert not valid[:10, :10].any()
        assert valid[20:].all()
        unlike = np.zeros((4, 4), bool)
        unlike[1, 2] = True
        assert not alignment(affine(height=64, width=96), unlike=unlike).valid(64, 96)[0, 24, 60]

    def test_untrusted_surroundings_take_over_the_nearest_verdict(self):
        trusted = np.zeros((4, 4), bool)
        trusted[0, 0] = True
        good = alignment(affine(height=64, width=96), trusted=trusted)
        assert good.valid(64, 96).all()
        flow = np.full((4, 4, 2), 2.0)
        assert not alignment(affine(height=64, width=96), flow=flow, trusted=trusted).valid(64, 96).any()

    def test_another_size_is_refused(self):
        found = alignment(affine(height=64, width=96))
        with pytest.raises(ShapeError, match="photo must be"):
            found.warp(torch.zeros(3, 64, 95), 64, 96)
        with pytest.raises(ShapeError, match="floating point"):
            found.warp(torch.zeros(3, 64, 96, dtype=torch.uint8), 64, 96)
        with pytest.raises(ShapeError, match="raw must be"):
            found.reduced(torch.zeros(3, 64, 95))


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


class TestRefusals:
    def test_another_photo(self):
        with pytest.raises(AlignmentError, match=r"does not (show|fit)"):
            align(scene(seed=20), scene(seed=21))

    def test_no_texture(self):
        flat = torch.full((3, HEIGHT, WIDTH), 0.5)
        with pytest.raises(AlignmentError, match=r"correlation|texture"):
            align(flat, flat)

    def test_texture_in_one_corner_only(self):
        x = torch.full((3, 480, 640), 0.5)
        x[:, :170, :170] = scene(170, 170, seed=22)
        with pytest.raises(AlignmentError, match="texture"):
            align(x, x)

    def test_a_straightened_photo(self):
        reference = scene(480, 640, seed=23)
        matrix = affine(degrees=3.0, height=480, width=640)
        with pytest.raises(AlignmentError, match=r"rotation 3\.0|does not"):
            align(photograph(reference, matrix), reference)

    def test_an_enlarged_photo(self):
        reference = scene(240, 320, seed=25)
        with pytest.raises(AlignmentError, match=r"enlargement: 2\.00 times"):
            align(F.interpolate(reference[None], scale_factor=2, mode="bicubic")[0].clamp(0, 1), reference)

    def test_another_framing(self):
        wide = scene(480, 760, seed=24)
        with pytest.raises(AlignmentError, match=r"framing|does not"):
            align(wide[..., 120:].contiguous(), wide[..., :640].contiguous())

    def test_integers_and_wrong_shapes(self):
        with pytest.raises(ShapeError, match="floating point"):
            align(torch.zeros(3, 64, 64, dtype=torch.uint8), scene())
        with pytest.raises(ShapeError, match="photo"):
            align(torch.zeros(1, 64, 64), scene())
        with pytest.raises(ShapeError, match="one picture"):
            align(scene()[None], scene())
