"""8 bits and JPEG against Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from revisp.camera.jpeg import compress_jpeg, round_to_8_bits
from revisp.errors import ConfigError, ShapeError


def _picture() -> torch.Tensor:
    return torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("chroma", "code"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_jpeg_is_that_of_pillow(chroma, code):
    srgb = _picture()
    pixels = (srgb * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80, subsampling=code)
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(compress_jpeg(srgb, 80, chroma).numpy(), expected, atol=1e-6)


def test_less_chroma_and_less_quality_cost_more():
    smooth = torch.nn.functional.interpolate(_picture()[None, :, :6, :8], scale_factor=4, mode="bicubic")[0]
    smooth = smooth.clamp(0, 1)

    def error(*args) -> float:
        return (compress_jpeg(smooth, *args) - smooth).square().mean().item()

    assert error(95, "4:4:4") < error(95, "4:2:2") < error(95, "4:2:0")
    assert error(95) < error(40)


def test_rounding_gives_8_bits():
    rounded = round_to_8_bits(torch.tensor([-0.1, 0.0019, 0.0021, 0.5, 1.3]))
    torch.testing.assert_close(rounded * 255, torch.tensor([0.0, 0.0, 1.0, 128.0, 255.0]))


def test_gradient_ends_here():
    assert not compress_jpeg(_picture().requires_grad_(), 90).requires_grad


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="jpeg_quality"):
        compress_jpeg(_picture(), 100)
    with pytest.raises(ConfigError, match="4:1:1"):
        compress_jpeg(_picture(), 90, "4:1:1")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="single"):
        compress_jpeg(_picture()[None], 90)
