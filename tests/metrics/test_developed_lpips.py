"""LPIPS of developed RAW: what the network is shown, and its score of each image."""

import pytest
import torch
from torch import nn

from revisp.camera.cameras import typical_profile
from revisp.camera.develop import develop
from revisp.cfa import CFA, unpack
from revisp.errors import ConfigError, ShapeError
from revisp.losses.base import checked, region_mean
from revisp.losses.perceptual import LPIPSLoss
from revisp.metrics import developed_lpips


class Distance(nn.Module):
    """Stands for LPIPS: the squared difference, averaged over the region of an image."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, prediction, target, weight=None):
        self.seen.append((prediction, target, weight))
        prediction, target, weight = checked(prediction, target, weight)
        return region_mean((prediction - target).square(), weight)


@pytest.fixture(scope="module")
def profile():
    return typical_profile()


def raws(seed=0, batch=3, channels=4, size=8):
    generator = torch.Generator().manual_seed(seed)
    return tuple(0.4 * torch.rand(2, batch, channels, size, size, generator=generator))


def test_the_network_sees_developed_pictures_one_by_one(profile):
    prediction, target = raws(channels=3)
    network = Distance()
    scores = developed_lpips(prediction, target, profile, network, exposure=1)
    assert (scores.dtype, scores.shape) == (torch.float64, (3,))
    for i, (first, second, weight) in enumerate(network.seen):
        torch.testing.assert_close(first[0], develop(prediction[i], profile, exposure=1))
        torch.testing.assert_close(second[0], develop(target[i], profile, exposure=1))
        assert weight is None
        assert scores[i].item() == pytest.approx((first - second).square().mean().item())


@pytest.mark.parametrize("cfa", list(CFA))
def test_planes_and_mosaics_are_developed_at_half_size(profile, cfa):
    planes, own = raws(1), profile.replace(cfa=cfa)
    rgb = [torch.stack([x[:, 0], x[:, 1:3].mean(1), x[:, 3]], 1) for x in planes]
    expected = developed_lpips(*rgb, own, Distance())
    torch.testing.assert_close(developed_lpips(*planes, own, Distance()), expected)
    mosaics = [unpack(x, cfa) for x in planes]
    torch.testing.assert_close(developed_lpips(*mosaics, own, Distance()), expected)


def test_a_region_is_that_of_each_image(profile):
    prediction, target = raws(2)
    region = (torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    region[1] = 0
    network = Distance()
    scores = developed_lpips(prediction, target, profile, network, region)
    assert scores.isnan().tolist() == [False, True, False]
    assert torch.equal(network.seen[0][2][0, 0], torch.nn.functional.avg_pool2d(region, 2)[0, 0])


def test_perfect_and_failed_predictions(profile):
    prediction, target = raws(3)
    assert developed_lpips(target, target, profile, Distance()).tolist() == [0, 0, 0]
    assert developed_lpips(prediction * float("nan"), target, profile, Distance()).isnan().all()


def test_with_lpips_itself(profile, sample_data):
    trunk = sample_data / "weights" / "alexnet_features_fp16.safetensors"
    if not trunk.is_file():
        pytest.skip("no AlexNet trunk among the sample data")
    generator = torch.Generator().manual_seed(0)
    target = 0.3 * torch.rand(1, 3, 72, 72, generator=generator)
    near, far = (target + s * torch.randn(target.shape, generator=generator) for s in (0.01, 0.1))
    network = LPIPSLoss("alex", trunk)
    scores = [developed_lpips(x, target, profile, network).item() for x in (target, near, far)]
    assert 0 == scores[0] < scores[1] < scores[2] < 1


def test_bad_arguments_are_refused(profile):
    x = torch.rand(2, 4, 8, 8)
    with pytest.raises(ConfigError, match="LPIPSLoss"):
        developed_lpips(x, x, profile, None)
    with pytest.raises(ShapeError, match="size"):
        developed_lpips(x, x[..., :6], profile, Distance())
    with pytest.raises(ShapeError, match="number"):
        developed_lpips(x, x[:1], profile, Distance())
