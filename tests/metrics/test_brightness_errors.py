"""Bias and RMS error by brightness against NumPy's histograms."""

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from revisp.cfa import CFA, unpack
from revisp.errors import ConfigError, ShapeError
from revisp.metrics import BrightnessErrors, bin_errors, brightness_edges


def data(seed=0, batch=3):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(batch, 4, 20, 24, generator=generator, dtype=torch.float64) ** 3
    prediction = target + 0.1 * torch.randn(target.shape, generator=generator, dtype=torch.float64) - 0.05 * target
    return prediction, target, torch.rand(target.shape, generator=generator, dtype=torch.float64)


def expected(prediction, target, weight, edges):
    """Weight, bias and RMS error ``[5,n]`` by NumPy."""
    rows = []
    for plane in (*range(4), slice(None)):
        truth, error, w = (x[:, plane].numpy().ravel() for x in (target, prediction - target, weight))

        def total(quantity, truth=truth):
            return np.histogram(truth, edges.numpy(), weights=quantity)[0]

        count = total(w)
        rows.append((count, total(w * error) / count, np.sqrt(total(w * error**2) / count)))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("spacing", ["linear", "log"])
@pytest.mark.parametrize("bins", [1, 6, 10])
def test_errors_are_numpys(spacing, bins):
    prediction, target, weight = data()
    for region in (None, weight):
        result = bin_errors(prediction, target, region, bins=bins, spacing=spacing)
        numbers = expected(prediction, target, torch.ones_like(weight) if region is None else region, result.edges)
        for ours, theirs in zip(result[1:], numbers, strict=True):
            assert (ours.dtype, ours.shape) == (torch.float64, (5, bins))
            np.testing.assert_allclose(ours, theirs, rtol=1e-11)


def test_edges():
    np.testing.assert_allclose(brightness_edges(), np.linspace(0, 1, 11), atol=1e-15)
    assert brightness_edges(4, "log").tolist() == [0, 0.125, 0.25, 0.5, 1]
    assert brightness_edges(1, "log").tolist() == brightness_edges(1).tolist() == [0, 1]


def test_known_errors():
    target = torch.tensor([0.0, 0.3, 0.5, 1.0]).view(1, 1, 1, 4).expand(1, 4, 3, 4)
    error = torch.tensor([0.0, 0.1, -0.2, -0.3]).view(1, 1, 1, 4)
    result = bin_errors(target + error, target, bins=2)
    assert result.weight.tolist() == [[6, 6]] * 4 + [[24, 24]]
    np.testing.assert_allclose(result.bias, [[0.05, -0.25]] * 5, atol=1e-7)
    np.testing.assert_allclose(result.rmse, [[0.005**0.5, 0.065**0.5]] * 5, atol=1e-7)


def test_values_outside_and_empty_bins():
    dark = torch.zeros(1, 4, 3, 3)
    result = bin_errors(dark + 0.25, dark)
    assert result.bias[:, 0].tolist() == [0.25] * 5
    assert result.bias[:, 1:].isnan().all()
    assert result.weight[-1].tolist() == [36] + [0] * 9
    outside = bin_errors(dark, torch.cat([dark - 0.1, dark + 1.1], dim=-1)[..., :3], bins=3)
    assert outside.weight[-1].tolist() == [36, 0, 0]
    assert bin_errors(dark, dark + 1.1, bins=3).weight[-1].tolist() == [0, 0, 36]
    assert bin_errors(dark * float("nan"), dark).bias[0, 0].isnan()


def test_batches_and_processes_add_up(merged):
    prediction, target, weight = data(1)
    once = bin_errors(prediction, target, weight, spacing="log")
    one, two = BrightnessErrors(spacing="log"), BrightnessErrors(spacing="log")
    stream = BrightnessErrors(spacing="log")
    for i in range(3):
        part = prediction[i : i + 1], target[i : i + 1], weight[i : i + 1]
        stream.update(*part)
        (one if i < 1 else two).update(*part)
    for result in (stream.compute(), merged(one, two).compute()):
        for ours, theirs in zip(result, once, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("cfa", list(CFA))
def test_mosaics_are_packed_by_their_phase(cfa):
    planes = data(2)
    metric = BrightnessErrors(cfa=cfa)
    metric.update(*(unpack(x, cfa) for x in planes))
    torch.testing.assert_close(metric.compute().bias, bin_errors(*planes).bias, equal_nan=True)


def test_collection_keeps_settings_apart():
    prediction, target, _ = data(3)
    scores = MetricCollection({"a": BrightnessErrors(), "b": BrightnessErrors(spacing="log")})
    dark = torch.zeros(1, 4, 4, 4)
    scores.update(dark, dark)
    scores.update(prediction, target)
    result = scores.compute()
    assert not torch.equal(result["a"].weight, result["b"].weight)


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="bins"):
        BrightnessErrors(bins=0)
    with pytest.raises(ConfigError, match="spacing"):
        brightness_edges(3, "cubic")
    with pytest.raises(ShapeError, match="target"):
        bin_errors(torch.rand(1, 4, 8, 8), torch.rand(1, 4, 8, 9))
