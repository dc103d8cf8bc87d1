"""Registration of photos to RAW: known geometry is found, pixels are kept, what cannot be trusted is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from registration import HEIGHT, WIDTH, affine, alignment, greatest_error, photograph, scene
from scipy import ndimage

from revisp.align import align
from revisp.errors import AlignmentError, ShapeError
from revisp.symmetry import SYMMETRIES, Symmetry


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
