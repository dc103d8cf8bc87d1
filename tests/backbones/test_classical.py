"""The classical inverse as a network: fitted in closed form it is the fitted camera; trained further it learns."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from revisp.backbones import create_backbone, resolve_spec
from revisp.backbones.classical import Classical
from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.fitted import FittedCamera, plain_curve
from revisp.camera.isp import ISPSettings, apply_isp, srgb_to_linear
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, DataError
from revisp.mask import overexposure_mask

PROFILE = SIMULATED.profile


def pair(seed: int) -> FitPair:
    """Photo and demosaiced RAW ``[3, 128, 128]`` of random colours, the brightest of which the photo clips."""
    generator = torch.Generator().manual_seed(seed)
    light = torch.rand(1, 16, 16, generator=generator) * (0.6 + 0.3 * torch.rand(3, 16, 16, generator=generator))
    white = torch.tensor(PROFILE.as_shot_neutral).view(3, 1, 1)
    raw = F.interpolate((light * white)[None], size=(128, 128), mode="bilinear")[0]
    return FitPair(apply_isp(raw, PROFILE, ISPSettings(exposure=0.8, contrast=0.3)), raw)


@pytest.fixture(scope="module")
def camera() -> FittedCamera:
    return fit_camera([pair(0), pair(1)], shading=False)


def test_before_fitting_it_is_the_inverse_of_the_srgb_curve() -> None:
    srgb = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Classical()(0.9 * srgb), srgb_to_linear(0.9 * srgb), atol=0.01, rtol=0)


@pytest.mark.parametrize("in_channels", [3, 4])
@pytest.mark.parametrize("out_channels", [3, 6])
def test_fitted_it_is_the_fitted_camera_in_every_head(
    camera: FittedCamera, in_channels: int, out_channels: int
) -> None:
    network = create_backbone("classical", in_channels=in_channels, out_channels=out_channels)
    assert network.fit([pair(0), pair(1)]) == camera
    srgb = pair(2)[0][None]
    x = torch.cat([srgb, overexposure_mask(srgb)], dim=1) if in_channels == 4 else srgb
    assert overexposure_mask(srgb).mean() > 0.01
    with torch.no_grad():
        raw = network(x)
    for head in raw.split(3, dim=1):
        torch.testing.assert_close(head.clamp(0, 1), camera.unprocess(srgb), atol=1e-5, rtol=0)


def test_training_starts_from_the_fit_and_improves_on_it() -> None:
    srgb, raw, *_ = pair(3)
    network = Classical()
    network.fit([pair(0)])
    wanted = 0.8 * raw[None] + 0.02  # another exposure than the fit saw
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.mse_loss(network(srgb[None]), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_its_curve_always_rises() -> None:
    network = Classical()
    torch.nn.init.normal_(network.slopes, std=10, generator=torch.Generator().manual_seed(0))
    torch.nn.init.zeros_(network.head.weight)
    network.head.weight.data[:, 0] = 1
    ramp = torch.linspace(0, 1, 500).expand(1, 3, 1, 500)
    assert (network(ramp).diff(dim=-1) >= 0).all()


def test_an_output_pixel_depends_on_its_own_pixel_alone() -> None:
    network = create_backbone("classical")
    x = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network(x)[..., 2, 3].sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().sum(dim=(0, 1)).nonzero().tolist()
    assert touched == [[2, 3]]
    assert resolve_spec(network, "classical").receptive_field == 1


def test_it_exports_with_free_sizes(camera: FittedCamera) -> None:
    network = Classical().eval()
    network.load(camera)
    sizes = {2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    program = torch.export.export(network, (torch.rand(1, 3, 16, 24),), dynamic_shapes=(sizes,))
    srgb = torch.rand(1, 3, 9, 13)
    torch.testing.assert_close(program.module()(srgb), network(srgb))


def test_what_it_cannot_be_is_refused(camera: FittedCamera) -> None:
    with pytest.raises(ConfigError, match="multiple of 3"):
        Classical(out_channels=4)
    with pytest.raises(ConfigError, match="3 to 8"):
        Classical(in_channels=9)
    coarse = FittedCamera(tuple(plain_curve(8).tolist()), camera.matrix)
    with pytest.raises(ConfigError, match="65 knots, got 9"):
        Classical().load(coarse)
    with pytest.raises(DataError, match="no camera can be fitted"):
        Classical().fit([FitPair(torch.ones(3, 16, 16), torch.ones(3, 16, 16))])


@pytest.mark.parametrize("in_channels", [4, 7])
def test_it_is_the_same_in_training_in_every_memory_format(in_channels: int) -> None:
    """Values and gradients of the weights."""
    network = Classical(in_channels).double()
    x = torch.rand(2, in_channels, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    results = []
    for training, layout in ((False, torch.contiguous_format), (True, torch.channels_last)):
        network.train(training).to(memory_format=layout)
        raw = network(x.contiguous(memory_format=layout))
        results.append([raw, *torch.autograd.grad(raw.square().sum(), [*network.parameters()])])
    torch.testing.assert_close(*results)
