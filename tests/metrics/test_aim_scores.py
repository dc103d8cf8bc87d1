"""AIM 2022 scores against NumPy and SciPy, by region, and their mean over batches and processes."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics import MetricCollection

from revisp.cfa import CFA, pack, unpack
from revisp.errors import ShapeError
from revisp.metrics import AIMPSNR, AIMSSIM, aim_psnr, aim_ssim, region_psnr, region_ssim


def pair(seed=0, batch=3, height=40, width=34):
    """Smooth RAW planes ``[B,4,h,w]`` in [0,1] and noisy copies, float64."""
    rng = np.random.default_rng(seed)
    x = gaussian_filter(rng.random((batch, 4, height, width)), (0, 0, 3, 3))
    x = (x - x.min()) / (x.max() - x.min())
    noise = rng.normal(0, 1, x.shape) * np.array([0.01, 0.05, 0.1])[:batch, None, None, None]
    return x, np.clip(x + noise, 0, 1)


def psnr_directly(x, y, where=None):
    errors = (x - y) ** 2 if where is None else ((x - y) ** 2)[where]
    return 10 * np.log10(1 / errors.mean())


def ssim_map_directly(x, y):
    """SSIM map of one plane by SciPy's filter, as the challenge's script computes it."""
    mean_x, mean_y = gaussian_filter(x, 1.5), gaussian_filter(y, 1.5)
    variance_x = gaussian_filter(x * x, 1.5) - mean_x**2
    variance_y = gaussian_filter(y * y, 1.5) - mean_y**2
    covariance = gaussian_filter(x * y, 1.5) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return numerator / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))


def ssim_directly(x, y):
    return np.mean([ssim_map_directly(a, b)[5:-5, 5:-5].mean() for a, b in zip(x, y, strict=True)])


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


@pytest.mark.parametrize("size", [(40, 34), (11, 11), (13, 60)])
def test_scores_are_numpys_and_scipys(size):
    x, y = pair(1, 3, *size)
    psnr, ssim = aim_psnr(*tensors(x, y)), aim_ssim(*tensors(x, y))
    assert (psnr.dtype, ssim.dtype) == (torch.float64, torch.float64)
    np.testing.assert_allclose(psnr, [psnr_directly(a, b) for a, b in zip(x, y, strict=True)], atol=1e-9)
    np.testing.assert_allclose(ssim, [ssim_directly(a, b) for a, b in zip(x, y, strict=True)], atol=1e-9)


def test_known_values():
    x = torch.full((1, 4, 16, 16), 0.5)
    assert aim_psnr(x, x + 0.1).item() == pytest.approx(20, abs=1e-5)
    assert aim_psnr(x, x).item() == 999
    assert aim_ssim(x, x).item() == pytest.approx(1, abs=1e-12)
    assert aim_psnr(x, x * float("nan")).isnan().all()


def test_region_scores_count_the_regions_samples():
    x, y = pair(2)
    region = np.random.default_rng(3).random(x.shape) > 0.7
    weights = region.astype(np.float64)
    psnr = region_psnr(*tensors(x, y, weights))
    ssim = region_ssim(*tensors(x, y, weights))
    for image in range(3):
        assert psnr[image].item() == pytest.approx(psnr_directly(x[image], y[image], region[image]), abs=1e-9)
        maps = np.stack([ssim_map_directly(a, b) for a, b in zip(x[image], y[image], strict=True)])[:, 5:-5, 5:-5]
        assert ssim[image].item() == pytest.approx(maps[region[image][:, 5:-5, 5:-5]].mean(), abs=1e-9)
    everywhere = torch.ones(x.shape)
    torch.testing.assert_close(region_psnr(*tensors(x, y), everywhere), aim_psnr(*tensors(x, y)))
    torch.testing.assert_close(region_ssim(*tensors(x, y), everywhere), aim_ssim(*tensors(x, y)))


def test_region_psnr_ignores_all_else_and_is_nan_when_empty():
    x, y = tensors(*pair(4))
    region = torch.zeros(x.shape)
    region[0, :, 6:20, 6:9] = 1
    elsewhere = torch.where(region > 0, x, 1 - x)
    psnr = region_psnr(x, y, region)
    assert torch.equal(region_psnr(elsewhere, y, region)[:1], psnr[:1])
    assert psnr[1:].isnan().all()
    assert region_ssim(x, y, region)[1:].isnan().all()
    assert region_ssim(x, y, region)[0].isfinite()


def test_mask_is_packed_like_the_mosaic():
    planes, error = torch.rand(1, 4, 12, 12), torch.zeros(1, 4, 12, 12)
    error[:, 2] = 1  # one sample of each quad
    bayer, wrong, mask = (unpack(x, CFA.GRBG) for x in (planes, planes + 0.1 * error, error))
    metric = AIMPSNR()
    metric.update(wrong, bayer, mask)
    assert metric.compute().item() == pytest.approx(20, abs=1e-4)
    metric.reset()
    metric.update(wrong, bayer, 1 - mask)
    assert metric.compute().item() == 999


@pytest.mark.parametrize(("metric", "score"), [(AIMPSNR, region_psnr), (AIMSSIM, region_ssim)])
def test_metric_is_the_mean_over_images_with_the_region(metric, score):
    x, y = tensors(*pair(5))
    region = (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    region[1] = 0
    stream = metric()
    stream.update(x[:1], y[:1], region[:1])
    stream.update(x[1:], y[1:], region[1:])
    expected = score(x, y, region)[[0, 2]].mean()
    assert stream.compute().item() == pytest.approx(expected.item(), rel=1e-6)
    assert stream.higher_is_better


def test_metric_takes_mosaics_of_any_cfa_and_planes_alike():
    x, y = torch.rand(2, 2, 1, 36, 36, generator=torch.Generator().manual_seed(0))
    for metric in (AIMPSNR(), AIMSSIM()):
        scores = {metric(x, y).item()}
        scores |= {metric(pack(x, cfa), pack(y, cfa)).item() for cfa in CFA}
        assert max(scores) - min(scores) < 1e-5


def test_metric_is_nan_when_no_image_has_the_region():
    x, y = tensors(*pair(6))
    metric = AIMPSNR()
    metric.update(x, y, torch.zeros(x.shape))
    assert metric.compute().isnan()


def test_region_within_the_border_does_not_count_for_ssim():
    x, y = tensors(*pair(7))
    region = torch.zeros(x.shape)
    region[:, :, :5] = 1
    region[0] = 1
    metric = AIMSSIM()
    metric.update(x, y, region)
    assert metric.compute().item() == pytest.approx(aim_ssim(x[:1], y[:1]).item(), rel=1e-6)


def test_prediction_that_is_nan_does_not_hide_as_an_empty_region():
    x, y = tensors(*pair(8))
    x[1, 0, 8, 8] = float("nan")
    metric = AIMPSNR()
    metric.update(x, y, torch.ones(x.shape))
    assert metric.compute().isnan()


def test_collection_keeps_scores_apart_when_the_first_batch_has_no_region():
    x, y = tensors(*pair(9))
    scores = MetricCollection({"psnr": AIMPSNR(), "ssim": AIMSSIM()})
    scores.update(x, y, torch.zeros(x.shape))
    scores.update(x, y, torch.ones(x.shape))
    result = scores.compute()
    assert result["psnr"].item() == pytest.approx(aim_psnr(x, y).mean().item(), rel=1e-6)
    assert result["ssim"].item() == pytest.approx(aim_ssim(x, y).mean().item(), rel=1e-6)


def test_states_of_processes_add_up():
    x, y = tensors(*pair(10))
    one, two, both = AIMPSNR(), AIMPSNR(), AIMPSNR()
    one.update(x[:1], y[:1])
    two.update(x[1:], y[1:])
    both.update(x, y)
    # what torch.distributed's all_gather and each state's reduction do
    for name, reduce in one._reductions.items():
        setattr(one, name, reduce(torch.stack([getattr(one, name), getattr(two, name)])))
    assert one.compute().item() == pytest.approx(both.compute().item(), rel=1e-6)


def challenge_scores(truth, submission):
    """Score stored tiles ``[h,w,4]`` of 10 bits as the challenge does: each over 1024, SSIM plane by plane."""
    x, y = truth.astype(np.float64) / 1024, submission.astype(np.float64) / 1024
    error = np.mean((x - y) ** 2)
    planes = [ssim_map_directly(x[..., c], y[..., c])[5:-5, 5:-5].mean() for c in range(4)]
    return (999.0 if error == 0 else 10 * np.log10(1 / error)), np.mean(planes)


def test_submissions_score_as_in_the_challenge():
    rng = np.random.default_rng(11)
    smooth = gaussian_filter(rng.random((4, 48, 52, 4)), (0, 2, 2, 0))
    truth = np.rint(1023 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint16)
    truth[3] = 0  # a tile without light
    step = np.array([0, 1, 9, 60])[:, None, None, None]  # errors of exactly these many units
    submission = np.where(truth >= 512, truth - step, truth + step).astype(np.uint16)
    psnr, ssim = AIMPSNR(precision=torch.float64), AIMSSIM(precision=torch.float64)
    scores = []
    for x, y in zip(truth, submission, strict=True):
        planes = [torch.from_numpy(tile.transpose(2, 0, 1)[None] / 1024) for tile in (y, x)]
        expected = challenge_scores(x, y)
        assert aim_psnr(*planes).item() == pytest.approx(expected[0], abs=1e-9)
        assert aim_ssim(*planes).item() == pytest.approx(expected[1], abs=1e-7)
        psnr.update(*planes)
        ssim.update(*planes)
        scores.append(expected)
    known = [999, *(20 * np.log10(1024 / step.ravel()[1:]))]
    np.testing.assert_allclose([score[0] for score in scores], known, atol=1e-9)
    assert psnr.compute().item() == pytest.approx(np.mean(known), abs=1e-9)
    assert ssim.compute().item() == pytest.approx(np.mean([score[1] for score in scores]), abs=1e-7)


def test_truth_without_light_scores():
    dark = torch.zeros(1, 4, 16, 16, dtype=torch.float64)
    assert aim_psnr(dark, dark).item() == 999
    assert aim_ssim(dark, dark).item() == 1
    assert aim_psnr(dark + 0.01, dark).item() == pytest.approx(40, abs=1e-9)
    assert aim_ssim(dark + 0.01, dark).item() == pytest.approx(0.5, abs=1e-9)  # C1 / (0.01² + C1)


def test_wrong_shapes_are_refused():
    x = torch.rand(1, 4, 16, 16)
    with pytest.raises(ShapeError, match="4"):
        aim_psnr(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))
    with pytest.raises(ShapeError, match="target"):
        aim_psnr(x, x[..., :8])
    with pytest.raises(ShapeError, match="region"):
        region_psnr(x, x, torch.ones(1, 4, 8, 8))
    with pytest.raises(ShapeError, match="floating"):
        aim_psnr((255 * x).byte(), (255 * x).byte())
    with pytest.raises(ShapeError, match="11 x 11"):
        aim_ssim(x[..., :10, :], x[..., :10, :])
