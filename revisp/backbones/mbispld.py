"""The reverse chain of MBISPLD: camera steps whose parameters are blends of learned dictionaries.

Conde, McDonagh, Maggioni, Leonardis, Pérez-Pellitero, "Model-Based Image Signal Processors via Learnable
Dictionaries" (AAAI 2022, arXiv 2201.03210).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from revisp.backbones.blocks import check_input
from revisp.backbones.blocks.dictionary import AtomWeights
from revisp.backbones.blocks.photo import check_channels
from revisp.camera.profile import SRGB_TO_XYZ
from revisp.camera.unprocess import UPI_XYZ_TO_CAMERA, random_camera
from revisp.errors import ConfigError

__all__ = ["MBISPLD"]

GAMMAS = (2.0, 2.2, 2.4, 2.6)
"""Exponents in the paper's figure."""

PUBLISHED_GAINS = ((1.44, 1.70, 1.85), (1.33, 1.72, 1.80))
"""Global, red and blue gains of the atoms in the paper's figure."""

CORNER_LIGHT = 0.66
"""Lens shading in the corners in the paper's figure."""

TONE_RANGE = 3.0
LEAST_LIGHT = 1e-8


class MBISPLD(nn.Module):
    r"""Undo a camera's steps one by one; each step takes its parameters from the result of the step before.

    For sRGB x, all steps are in closed form. For given parameters they are invertible:

    1. tone: :math:`x / (x + e^t (1 - x))`, with three maps t in (-3, 3) from a small convolutional network;
    2. gamma: :math:`x^\gamma`, with :math:`\gamma` a blend of a dictionary of exponents;
    3. colour: :math:`C x`, with C a blend of a dictionary of 3x3 matrices;
    4. white balance: x divided by a blend of a dictionary of (global, red, blue) gains;
    5. lens shading: x times a 2-D Gaussian of the position in the image times an attention map in (0, 1).

    The blends are convex, with weights from one encoder for each step. Values are multiplied only in this chain,
    and no network adds to them: black stays black. The Gaussian and the encoders see the whole image, so results
    of tiles depend on the tiling.

    From the paper: the steps and their order, the source of each step's parameters, the widths of the tone network
    (32, 32, 32, 3) and of the attention (32, 32, 1), and the exponents and the first two gain triples in its
    figure. Our reading, since the figure shows no more: the curve of the tone step, a blend of exponents by an
    encoder, the encoders' layers, one encoder for each step that emits all weights, plain division by the gains,
    and dictionaries of eight atoms. The colour dictionary starts at UPI's four matrices; the figure shows one of
    them. All further atoms start as cameras drawn by UPI's rule. The number of parameters is therefore that of our
    reading.

    Args:
        in_channels: 3 for sRGB as published, 4 for sRGB and the overexposure mask. Only the tone network sees the
            mask.
        out_channels: 3 as published, or a multiple of 3: predictions with their own gains and attention.
        colours: number of colour matrices.
        gains: number of gain triples.
        width: channels of the tone network and of the attention.

    Shape:
        ``[B, in_channels, H, W]`` in [0, 1] to ``[B, out_channels, H, W]``, any H and W.

    Raises:
        ConfigError: an argument is less than 1, or a number of channels is not supported.
    """

    def __init__(
        self, in_channels: int = 3, out_channels: int = 3, colours: int = 8, gains: int = 8, width: int = 32
    ) -> None:
        super().__init__()
        check_channels(in_channels, out_channels, "mbispld")
        if min(colours, gains, width) < 1:
            raise ConfigError(
                "mbispld: colours, gains and width must be at least 1, got "
                f"colours={colours}, gains={gains}, width={width}"
            )
        self.in_channels = in_channels
        heads = out_channels // 3
        self.tone = _convs(in_channels, [width, width, width, 3])
        self.log_gammas = _parameter(np.log(GAMMAS))
        """Logarithms of the exponents ``[4]``."""
        matrices, triples = _atoms(colours, gains)
        self.colours = _parameter(matrices)
        """Colour matrices, linear sRGB to white-balanced camera RGB, ``[K, 3, 3]``."""
        self.log_gains = _parameter(np.log(triples))
        """Logarithms of the global, red and blue gains ``[K, 3]``."""
        self.gamma_weights = AtomWeights(3, len(GAMMAS))
        self.colour_weights = AtomWeights(3, colours)
        self.gain_weights = AtomWeights(3, gains, heads)
        self.shading = _Shading(heads, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count or an integer input.
        """
        check_input(x, self.in_channels, 1, "mbispld")
        photo = x[:, :3].clamp(0, 1)
        strength = TONE_RANGE * torch.tanh(self.tone(x))
        photo = photo / (photo + strength.exp() * (1 - photo))
        gamma = self.gamma_weights(photo) @ self.log_gammas.exp()
        photo = photo.clamp_min(LEAST_LIGHT) ** gamma[..., None, None]
        matrix = torch.einsum("bk,kij->bij", self.colour_weights(photo)[:, 0], self.colours)
        camera = torch.einsum("bij,bjhw->bihw", matrix, photo)
        gains = self.gain_weights(camera) @ self.log_gains.exp()
        overall, red, blue = gains.unbind(dim=-1)
        divisors = overall[..., None] * torch.stack([red, torch.ones_like(red), blue], dim=-1)
        raw = camera[:, None] / divisors[..., None, None]
        return self.shading(raw.flatten(1, 2))


class _Shading(nn.Module):
    """Multiply predictions ``[B, 3 heads, H, W]`` by a Gaussian, and each by its own attention map.

    The Gaussian has a centre and a deviation in both directions, in units of half the image's diagonal. It starts
    circular, as in the paper's figure. The attention starts near 1.
    """

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.attention = _convs(3 * heads, [width, width, heads])
        nn.init.constant_(self.attention[-1].bias, 3.0)  # type: ignore[arg-type]
        self.centre = nn.Parameter(torch.zeros(2))
        """Row and column of the peak ``[2]``, from the image's centre."""
        self.log_deviation = nn.Parameter(torch.full((2,), -0.5 * math.log(-2 * math.log(CORNER_LIGHT))))
        """Logarithms of the deviations along rows and columns ``[2]``."""

    def forward(self, raw: Tensor) -> Tensor:
        attention = torch.sigmoid(self.attention(raw)).repeat_interleave(3, dim=1)
        return raw * attention * self.gaussian(*raw.shape[-2:])

    def gaussian(self, height: int, width: int) -> Tensor:
        """Return the Gaussian ``[H, W]``, 1 at its peak."""
        device, dtype = self.centre.device, self.centre.dtype
        half_diagonal = 0.5 * (height**2 + width**2) ** 0.5
        row, column = (
            ((torch.arange(size, device=device, dtype=dtype) - 0.5 * (size - 1)) / half_diagonal - centre)
            / deviation.exp()
            for size, centre, deviation in zip((height, width), self.centre, self.log_deviation, strict=True)
        )
        return torch.exp(-0.5 * row.square())[:, None] * torch.exp(-0.5 * column.square())


def _convs(in_channels: int, widths: list[int]) -> nn.Sequential:
    """Return 3x3 convolutions of these widths with ReLU between them; the last one starts near zero."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([in_channels, *widths]):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
    layers.pop()
    last = layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return nn.Sequential(*layers)


def _parameter(values: Any) -> nn.Parameter:
    """Return a parameter that starts at an array, on torch's current default device."""
    parameter = nn.Parameter(torch.empty(np.shape(values)))
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.asarray(values)))
    return parameter


def _atoms(colours: int, gains: int) -> tuple[Any, Any]:
    """Return the initial dictionaries: known values, then cameras drawn by UPI's rule.

    Returns:
        Colour matrices from linear sRGB ``[colours, 3, 3]``, and (global, red, blue) gains ``[gains, 3]``.
    """
    with torch.device("cpu"):
        generator = torch.Generator().manual_seed(0)
        cameras = [random_camera(generator) for _ in range(max(colours, gains))]
    upi = UPI_XYZ_TO_CAMERA @ SRGB_TO_XYZ
    upi = upi / upi.sum(axis=2, keepdims=True)
    matrices = [*upi, *(camera.srgb_to_camera for camera in cameras)]
    triples = [*PUBLISHED_GAINS, *((camera.rgb_gain, camera.red_gain, camera.blue_gain) for camera in cameras)]
    return np.stack(matrices[:colours]), np.array(triples[:gains])
