"""The edit-aware loss against a rendering in NumPy and against the library's own camera, and what it promises."""

import numpy as np
import pytest
import torch

from revisp.camera.isp import ISPSettings, apply_isp
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, ShapeError
from revisp.losses import create_loss
from revisp.losses.edit_aware import Edit, grey_world, random_edits, render

RANGES = {"exposure": (-1.0, 2.0), "white_balance": 0.3, "contrast": (0.0, 0.7), "gamma": (0.85, 1.1)}


def images(seed=0, channels=3, size=12, batch=3):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, channels, size, size, generator=generator, dtype=torch.float64)
    noise = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    return target + 0.05 * noise, target


def develop(raw, gains, edit):
    """The same rendering for values that nothing clips but black and white, straight from its formula."""
    balanced = np.clip(raw * (np.asarray(gains) * edit.gains)[:, None, None], 0, 1)
    linear = np.clip(np.einsum("ij,jhw->ihw", edit.matrix, balanced) * 2**edit.exposure, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) ** edit.gamma
    return srgb + edit.contrast * (3 * srgb**2 - 2 * srgb**3 - srgb)


def test_value_is_the_difference_of_two_renderings():
    x, y = images()
    weight = torch.zeros(3, 1, 12, 12, dtype=torch.float64)
    weight[0, :, :5], weight[1, :, 3:, 2:7] = 1, 1  # the third sample has no region
    torch.manual_seed(5)
    value = create_loss("edit_aware", leak=0.0)(x, y, weight)
    torch.manual_seed(5)
    expected = []
    for sample, edit in enumerate(random_edits(2, **RANGES)):
        inside = weight[sample, 0].numpy() > 0
        mean = y[sample].numpy()[:, inside].mean(axis=1)
        a, b = (develop(image[sample].numpy(), mean[1] / mean, edit) for image in (x, y))
        expected.append(np.abs(a - b)[:, inside].mean())
    assert value.item() == pytest.approx(np.mean(expected), rel=1e-9)


def test_rendering_is_the_librarys_camera():
    raw = images(1)[1][0]
    profile = SIMULATED.profile
    edit = Edit(0.7, (1.0, 1.0, 1.0), profile.camera_to_srgb, 0.4, 0.9)
    expected = apply_isp(raw, profile, ISPSettings(exposure=0.7, contrast=0.4, gamma=0.9))
    torch.testing.assert_close(render(raw, raw.new_tensor(profile.gains), edit, 0.0), expected)
    leaky = render(raw, raw.new_tensor(profile.gains), edit, 0.1)
    assert (leaky - expected).abs().max() < 1
    assert not torch.equal(leaky, expected)


def test_edits_come_from_the_global_random_numbers_one_for_each_sample():
    x, y = images(2)
    loss = create_loss("edit_aware")
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(loss(x, y).item())
    assert values[0] == values[1]
    assert values[0] != values[2]
    torch.manual_seed(0)
    edits = random_edits(50, **RANGES)
    assert len({edit.exposure for edit in edits}) == 50
    for edit in edits:
        assert -1 <= edit.exposure <= 2
        assert 2**-0.3 <= min(edit.gains) <= 1 <= max(edit.gains) <= 2**0.3
        assert 0 <= edit.contrast <= 0.7
        assert 0.85 <= edit.gamma <= 1.1
        np.testing.assert_allclose(edit.matrix.sum(axis=1), 1, atol=1e-9)  # white stays white


def test_packed_planes_count_as_colours_with_the_mean_green():
    x, y = images(3, channels=4)
    as_rgb = [torch.stack([p[:, 0], (p[:, 1] + p[:, 2]) / 2, p[:, 3]], dim=1) for p in (x, y)]
    loss = create_loss("edit_aware")
    torch.manual_seed(0)
    packed = loss(x, y)
    torch.manual_seed(0)
    torch.testing.assert_close(packed, loss(*as_rgb))


def test_what_lies_outside_the_region_does_not_matter():
    x, y = images(4)
    weight = (torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(1)) > 0.5).double()
    spoilt = [torch.where(weight > 0, image, value) for image, value in ((x, 7.0), (y, -3.0))]
    loss = create_loss("edit_aware")
    torch.manual_seed(0)
    expected = loss(x, y, weight)
    torch.manual_seed(0)
    assert loss(*spoilt, weight).item() == pytest.approx(expected.item(), rel=1e-12)
    nothing = loss(x.requires_grad_(), y, torch.zeros_like(weight))
    nothing.backward()
    assert nothing.item() == 0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_the_truth_costs_nothing_and_every_prediction_learns():
    _, y = images(5)
    loss = create_loss("edit_aware")
    assert loss(y, y).item() == 0
    assert loss(torch.zeros_like(y), torch.zeros_like(y)).item() == 0
    x = torch.linspace(-0.5, 2.5, y.numel(), dtype=y.dtype).view_as(y).requires_grad_()  # most of it is clipped
    loss(x, y).backward()
    assert x.grad.isfinite().all()
    assert (x.grad != 0).float().mean() > 0.99


def test_gradient_descent_on_it_finds_the_raw():
    _, y = images(6, size=6, batch=2)
    x = torch.full_like(y, 0.5).requires_grad_()
    loss = create_loss("edit_aware")
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([x], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss(x, y).backward()
        optimizer.step()
    assert (x - y).abs().mean() < 0.25 * (0.5 - y).abs().mean()


def test_grey_world_makes_the_mean_grey_within_bounds():
    y = torch.tensor([0.2, 0.4, 0.3]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    torch.testing.assert_close(grey_world(y), torch.tensor([[2.0, 1.0, 4 / 3]]))
    assert torch.equal(grey_world(torch.zeros(1, 3, 4, 4)), torch.ones(1, 3))
    red = torch.tensor([0.9, 0.01, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert grey_world(red).tolist() == [[0.25, 1.0, 4.0]]


def test_half_precision_is_computed_in_float32():
    x, y = (image.bfloat16() for image in images(7))
    loss = create_loss("edit_aware")
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, y)
    torch.manual_seed(0)
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(x.float(), y.float()))


def test_wrong_arguments_are_refused():
    x, y = images(8)
    with pytest.raises(ShapeError, match="3 channels or 4 packed"):
        create_loss("edit_aware")(x[:, :2], y[:, :2])
    for wrong in (
        {"exposure": [2, 1]}, {"contrast": [0, 2]}, {"gamma": [0, 1]}, {"white_balance": -1}, {"leak": 2},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            create_loss("edit_aware", **wrong)
