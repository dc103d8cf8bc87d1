"""Mosaicing, against the definition, OpenCV and colour-demosaicing."""

from __future__ import annotations

import colour_demosaicing
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.cfa import CFA, sample_mask
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ShapeError
from revisp.mosaic import Mosaic, mosaic

cfas = st.sampled_from(list(CFA))
sides = st.integers(3, 12)

# OpenCV names a phase by pixel (1, 1) and its right neighbour.
OPENCV = {
    CFA.RGGB: cv2.COLOR_BayerBG2RGB,
    CFA.GRBG: cv2.COLOR_BayerGB2RGB,
    CFA.GBRG: cv2.COLOR_BayerGR2RGB,
    CFA.BGGR: cv2.COLOR_BayerRG2RGB,
}


def image(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides)
def test_mosaic_keeps_the_measured_colour(cfa, height, width):
    x = image(2, 3, height, width) * 3 - 1
    expected = (x * sample_mask(cfa, height, width)).sum(1, keepdim=True)
    assert torch.equal(mosaic(x, cfa), expected)


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides, st.sampled_from(["bilinear", "malvar"]))
def test_mosaic_undoes_demosaic(cfa, height, width, method):
    bayer = image(1, 1, height, width) * 3 - 1
    assert torch.equal(mosaic(demosaic(bayer, cfa, method, gains=(2.0, 1.0, 1.7)), cfa), bayer)


@settings(deadline=None, derandomize=True)
@given(cfas, sides, sides)
def test_adjoint(cfa, height, width):
    """<mosaic(x), y> == <x, adjoint(y)>, where the adjoint spreads each sample to its own colour."""
    x, y = image(3, height, width, dtype=torch.float64), image(1, height, width, dtype=torch.float64)
    x.requires_grad_()
    inner = (mosaic(x, cfa) * y).sum()
    (adjoint,) = torch.autograd.grad(inner, x)
    assert torch.equal(adjoint, y * sample_mask(cfa, height, width))
    torch.testing.assert_close(inner, (x * adjoint).sum())


@pytest.mark.parametrize("cfa", CFA)
def test_gradcheck(cfa):
    x = image(1, 3, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: mosaic(x, cfa), x)


@pytest.mark.parametrize("cfa", CFA)
def test_phase_agrees_with_opencv(cfa):
    """OpenCV develops our mosaic of smooth colours to what we develop it to."""
    x = (image(3, 16, 18) * 65535).round()
    bayer = mosaic(x, cfa)
    theirs = cv2.cvtColor(bayer[0].numpy().astype(np.uint16), OPENCV[cfa]).astype(np.float32)
    ours = demosaic(bayer, cfa).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=0.76)  # they round to integers


@pytest.mark.parametrize("cfa", CFA)
def test_agrees_with_colour_demosaicing(cfa):
    x = image(3, 15, 18, dtype=torch.float64)
    bayer = mosaic(x, cfa)
    sampled = colour_demosaicing.mosaicing_CFA_Bayer(x.permute(1, 2, 0).numpy(), cfa.value)
    np.testing.assert_array_equal(bayer[0].numpy(), sampled)
    theirs = colour_demosaicing.demosaicing_CFA_Bayer_bilinear(sampled, cfa.value)
    np.testing.assert_allclose(
        demosaic(bayer, cfa).permute(1, 2, 0).numpy()[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=1e-12
    )


def test_integers_and_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match="floating point"):
        mosaic(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), "RGGB")
    with pytest.raises(ShapeError, match=r"\[\.\.\., 3, H, W\]"):
        mosaic(torch.zeros(1, 4, 4, 4), "RGGB")
    with pytest.raises(ConfigError, match="unknown CFA"):
        Mosaic("XTRANS")


def test_module_exports_at_any_size():
    size = {2: torch.export.Dim("h", min=4), 3: torch.export.Dim("w", min=4)}
    module = Mosaic("GRBG")
    program = torch.export.export(module, (image(1, 3, 8, 10),), dynamic_shapes=(size,)).module()
    x = image(1, 3, 11, 7)
    assert torch.equal(program(x), mosaic(x, "GRBG"))
    assert "GRBG" in repr(module)
