"""CIEDE2000 against colour-science and scikit-image, and its mean over developed pictures."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from revisp.camera.cameras import typical_profile
from revisp.camera.develop import develop
from revisp.cfa import CFA, unpack
from revisp.errors import ShapeError
from revisp.metrics import ciede2000, developed_delta_e, srgb_to_lab

SHARMA = [  # of table 1 of Sharma, Wu and Dalal
    (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
    (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
    (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
    (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
    (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
    (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
    (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
]


@pytest.fixture(scope="module")
def profile():
    return typical_profile()


def raws(seed=0, batch=3, channels=4, size=12):
    generator = torch.Generator().manual_seed(seed)
    target = 0.05 + 0.4 * torch.rand(batch, channels, size, size, generator=generator, dtype=torch.float64)
    return target + 0.03 * torch.randn(target.shape, generator=generator, dtype=torch.float64), target


def as_image(colours):
    return torch.as_tensor(np.asarray(colours), dtype=torch.float64).T[:, None]


def test_ciede2000_of_the_papers_pairs():
    table = np.array(SHARMA)
    first, second = as_image(table[:, :3]), as_image(table[:, 3:6])
    np.testing.assert_allclose(ciede2000(first, second)[0], table[:, 6], atol=5.1e-5)
    np.testing.assert_allclose(ciede2000(second, first)[0], table[:, 6], atol=5.1e-5)


def test_ciede2000_is_colour_sciences():
    colour = pytest.importorskip("colour")
    rng = np.random.default_rng(0)
    first, second = rng.uniform([0, -100, -100], [100, 100, 100], (2, 5000, 3))
    second[:1000] = first[:1000] + rng.normal(0, 2, (1000, 3))
    first[1000:1100, 1:] = 0  # grey
    expected = colour.delta_E(first, second, method="CIE 2000")
    np.testing.assert_allclose(ciede2000(as_image(first), as_image(second))[0], expected, atol=1e-9)


def test_lab_is_scikit_images():
    srgb = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2
    expected = rgb2lab(srgb.movedim(-3, -1).numpy())
    np.testing.assert_allclose(srgb_to_lab(srgb).movedim(-3, -1), expected, atol=0.02)  # its matrix has 6 digits
    white = srgb_to_lab(torch.ones(3, 1, 1))
    np.testing.assert_allclose(white.flatten(), [100, 0, 0], atol=1e-9)


def directly(prediction, target, profile):
    """Differences of developed pictures ``[B,3,H,W]`` by scikit-image."""
    from skimage.color import deltaE_ciede2000

    labs = [srgb_to_lab(develop(x, profile)).movedim(-3, -1).numpy() for x in (prediction, target)]
    return deltaE_ciede2000(*labs)


def halved(planes):
    return torch.stack([planes[:, 0], planes[:, 1:3].mean(1), planes[:, 3]], dim=1)


def test_mean_of_each_image(profile):
    prediction, target = raws(channels=3)
    expected = directly(prediction, target, profile).mean((1, 2))
    np.testing.assert_allclose(developed_delta_e(prediction, target, profile), expected, atol=1e-9)
    planes = raws(1)
    expected = directly(halved(planes[0]), halved(planes[1]), profile).mean((1, 2))
    np.testing.assert_allclose(developed_delta_e(*planes, profile), expected, atol=1e-9)


@pytest.mark.parametrize("cfa", list(CFA))
def test_a_mosaic_has_the_profiles_phase(profile, cfa):
    planes = raws(2)
    own = profile.replace(cfa=cfa)
    mosaics = [unpack(x, cfa) for x in planes]
    torch.testing.assert_close(developed_delta_e(*mosaics, own), developed_delta_e(*planes, own))


def test_region_weighs_pixels_by_their_samples(profile):
    prediction, target = raws(3)
    region = torch.rand(prediction.shape, generator=torch.Generator().manual_seed(1)).double()
    difference = directly(halved(prediction), halved(target), profile)
    expected = np.average(difference, axis=(1, 2), weights=region.mean(1).numpy())
    np.testing.assert_allclose(developed_delta_e(prediction, target, profile, region), expected, atol=1e-9)
    full = unpack(region, profile.cfa)
    np.testing.assert_allclose(developed_delta_e(prediction, target, profile, full), expected, atol=1e-9)
    big = raws(4, channels=3, size=24)
    pair = [developed_delta_e(*big, profile, x) for x in (region, full)]
    expected = np.average(directly(*big, profile), axis=(1, 2), weights=full[:, 0].numpy())
    np.testing.assert_allclose(pair, [expected, expected], atol=1e-9)
    assert developed_delta_e(prediction, target, profile, torch.zeros(3, 1, 24, 24)).isnan().all()


def test_extremes(profile):
    prediction, target = raws(7)
    assert developed_delta_e(target, target, profile).tolist() == [0, 0, 0]
    dark = torch.zeros(1, 4, 4, 4)
    assert developed_delta_e(dark + 1, dark, profile).item() == pytest.approx(100, abs=1e-6)
    prediction[0, 0, 0, 0] = float("nan")
    assert developed_delta_e(prediction, target, profile).isnan().tolist() == [True, False, False]


def test_wrong_shapes_are_refused(profile):
    x = torch.rand(1, 4, 8, 8)
    with pytest.raises(ShapeError, match="one shape"):
        developed_delta_e(x, x[..., :6], profile)
    with pytest.raises(ShapeError, match="region"):
        developed_delta_e(x, x, profile, torch.ones(1, 1, 8, 10))
    with pytest.raises(ShapeError, match="floating"):
        developed_delta_e(x, x, profile, torch.ones(1, 1, 8, 8, dtype=torch.bool))
    with pytest.raises(ShapeError, match="mosaic"):
        developed_delta_e(x[0], x[0], profile)
