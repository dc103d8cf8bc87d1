"""Optical flow against known shifts of photographs, and warping against SciPy."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter, map_coordinates, shift
from skimage import data

from revisp.errors import WeightsError
from revisp.losses.flow import LucasKanade, RaftFlow, halve_flow, lucas_kanade, valid_after, warp


def photograph(name, size=176, moved=(0.0, 0.0)):
    """A part of a photograph whose content was moved by (x, y) pixels, ``[1,3,H,W]``."""
    image = shift(getattr(data, name)() / 255, (moved[1], moved[0], 0), order=3, mode="nearest")
    part = np.clip(image[60 : 60 + size, 60 : 60 + size], 0, 1)
    return torch.from_numpy(part).float().permute(2, 0, 1)[None]


def textured(image):
    """Where a photograph has structure, by its mean gradient."""
    grey = image[0].mean(dim=0).numpy()
    dy, dx = np.gradient(grey)
    return torch.from_numpy(gaussian_filter(dx**2 + dy**2, 3) > 0.02**2)


def recoloured(image):
    """Another rendering of a photograph: darker, steeper, and of other colours."""
    return (0.3 * image**2 * torch.tensor([0.5, 1.0, 0.7]).view(3, 1, 1)) ** (1 / 2.2)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
@pytest.mark.parametrize("moved", [(0.4, -0.3), (1.3, 2.7), (5.2, -3.6)])
@pytest.mark.parametrize("change", [lambda x: x, recoloured], ids=["same", "recoloured"])
def test_known_shift_is_found(name, moved, change):
    fixed = photograph(name)
    flow = lucas_kanade(fixed, change(photograph(name, moved=moved)))
    error = (flow - torch.tensor(moved).view(1, 2, 1, 1)).square().sum(dim=1).sqrt()
    inner = textured(fixed)[8:-8, 8:-8]
    assert inner.float().mean() > 0.4
    assert error[0, 8:-8, 8:-8][inner].mean() < 0.15
    assert error[0, 8:-8, 8:-8].median() < 0.1


def test_a_batch_is_its_samples_and_a_varying_flow_is_found():
    fixed = torch.cat([photograph("chelsea"), photograph("astronaut")])
    y, x = torch.meshgrid(torch.linspace(-1, 1, 176), torch.linspace(-1, 1, 176), indexing="ij")
    truth = torch.stack([1.5 * x + 0.5 * y, 0.8 - 1.2 * x * y])[None].expand(2, -1, -1, -1)
    flow = LucasKanade()(warp(fixed, truth, mode="bicubic"), fixed)
    inner = (..., slice(12, -12), slice(12, -12))
    assert (flow - truth)[inner].abs().mean() < 0.1
    alone = lucas_kanade(warp(fixed[:1], truth[:1], mode="bicubic"), fixed[:1])
    torch.testing.assert_close(alone, flow[:1], atol=1e-3, rtol=1e-3)


def test_nothing_moves_where_nothing_differs_or_nothing_is_seen():
    fixed = photograph("coffee", size=64)
    assert lucas_kanade(fixed, fixed).abs().max() < 1e-4
    flat = torch.full((2, 3, 33, 57), 0.5)
    assert lucas_kanade(flat, 0.2 * flat).abs().max() < 1e-6
    black = torch.zeros(1, 3, 5, 6)
    assert torch.equal(lucas_kanade(black, black), torch.zeros(1, 2, 5, 6))


def test_warping_is_scipys_interpolation():
    image = photograph("chelsea", size=40)
    flow = 3 * torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(0))
    y, x = np.mgrid[:40, :40]
    places = [y + flow[0, 1].numpy(), x + flow[0, 0].numpy()]
    expected = [map_coordinates(channel, places, order=1, mode="nearest") for channel in image[0].numpy()]
    np.testing.assert_allclose(warp(image, flow)[0], expected, atol=1e-4)
    inside = (places[0] >= 0) & (places[0] <= 39) & (places[1] >= 0) & (places[1] <= 39)
    assert (valid_after(flow)[0, 0].numpy() == inside).mean() > 0.995  # but for a rim of a thousandth


def test_half_flow_moves_a_half_picture_alike():
    flow = torch.tensor([3.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 8, 12)
    assert torch.equal(halve_flow(flow), torch.tensor([1.5, -0.5]).view(1, 2, 1, 1).expand(1, 2, 4, 6))


def test_raft_takes_a_file_of_weights_and_any_size(tmp_path):
    from torchvision.models.optical_flow import raft_small

    path = tmp_path / "raft.safetensors"
    reference = raft_small().eval()
    save_file(reference.state_dict(), path)
    flow = RaftFlow(path)
    assert list(flow.parameters()) == []
    assert flow.state_dict() == {}
    fixed, moving = photograph("coffee", size=128), photograph("coffee", size=128, moved=(2, 0))
    with torch.no_grad():
        expected = reference(2 * fixed - 1, 2 * moving - 1)[-1]
    torch.testing.assert_close(flow.train()(fixed, moving), expected, atol=0.02, rtol=1e-3)
    assert flow(fixed[..., :50, :90], moving[..., :50, :90]).shape == (1, 2, 50, 90)


def test_raft_without_usable_weights_is_refused(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="download"):
        RaftFlow()
    with pytest.raises(WeightsError, match="not a file"):
        RaftFlow(tmp_path / "missing.pth")
    save_file({"nothing": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="cannot load RAFT's weights"):
        RaftFlow(tmp_path / "other.safetensors")

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsError, match="no network"):
        RaftFlow(download=True)
