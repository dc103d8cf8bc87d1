"""The classical inverse of a camera's rendering as a network: one curve, then one matrix, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.blocks import check_input
from revisp.backbones.blocks.photo import check_channels
from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.fitted import INTERVALS, FittedCamera, clipping, decode, plain_curve
from revisp.camera.place import PLACE_CHANNELS
from revisp.camera.shading import shading_at
from revisp.errors import ConfigError

__all__ = ["Classical"]

LEAST_GAIN = 0.05
"""Least gain of a shading, against division by zero outside the frame."""


class Classical(nn.Module):
    r"""Undo tone curve, colour matrix, white balance and exposure; estimate the values of clipped pixels.

    The network is the model of `revisp.camera.fitted.FittedCamera` with trainable parameters:

    .. math:: d = A\, f^{-1}(p) / s(r) + K\, [c(p), m] + b, \qquad s(r) = 1 + s_1 r^2 + s_2 r^4

    The curve :math:`f^{-1}` is shared by all channels and rises: its steps are the softplus of its parameters.
    :math:`A` is the colour matrix. :math:`K` weighs the measures `revisp.camera.fitted.clipping` and the mask m in
    clipped pixels. The shading :math:`s` is fitted, never trained; without the place of the pixels as input there
    is none. The network starts as the inverse of the sRGB curve. `fit` sets it in closed form, so it needs no
    training.

    Args:
        in_channels: 3 for sRGB, 1 more for the overexposure mask, 1 for the gain map, which is treated as the mask
            is, and 3 for the place of the pixels in the whole photo (`revisp.camera.place.place_map`).
        out_channels: 3, or a multiple of 3: heads that share the curve.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        ConfigError: a number of channels that it does not support.
    """

    shading: Tensor

    def __init__(self, in_channels: int = 3, out_channels: int = 3) -> None:
        super().__init__()
        check_channels(in_channels, out_channels, "classical")
        self.in_channels = in_channels
        self.slopes = nn.Parameter(_slopes(plain_curve()))
        self.placed = in_channels >= 3 + PLACE_CHANNELS
        if self.placed:
            self.register_buffer("shading", torch.zeros(2))
        self.head = nn.Conv2d(4 + in_channels - PLACE_CHANNELS * self.placed, out_channels, kernel_size=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.head.weight[:, :3, 0, 0] += torch.eye(3).repeat(out_channels // 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, or an integer input.
        """
        check_input(x, self.in_channels, 1, "classical")
        srgb, told = x[:, :3], x[:, 3 : self.head.in_channels - 4]
        light, told = self.shaded_light(x), torch.cat([clipping(srgb), told], dim=1)
        if not self.training:
            raw: Tensor = self.head(torch.cat([light, told], dim=1))
            return raw
        assert self.head.bias is not None  # as matrices: a gradient for what learns alone, and no change of layout
        of_light, of_told = self.head.weight.flatten(1).expand(len(x), -1, -1).tensor_split([3], dim=2)
        mixed = torch.baddbmm(self.head.bias[:, None], of_told, told.flatten(2))
        return torch.baddbmm(mixed, of_light, light.flatten(2)).unflatten(2, x.shape[-2:])

    @property
    def curve(self) -> Tensor:
        """Linear light ``[65]`` at evenly spaced sRGB values, rising from 0."""
        return F.pad((F.softplus(self.slopes) / INTERVALS).cumsum(0), (1, 0))

    def shaded_light(self, x: Tensor) -> Tensor:
        """Return the light ``[B, 3, H, W]`` of the input of `forward`: by the curve, divided by the shading."""
        light = decode(x[:, :3], self.curve)
        return light / shading_at(x[:, -1:].square(), self.shading).clamp_min(LEAST_GAIN) if self.placed else light

    def fit(self, pairs: Sequence[FitPair]) -> FittedCamera:
        """Fit the camera to pairs of photo and RAW by `fit_camera`, and load it.

        The shading is measured if the network has the place as input, and all pairs tell theirs.

        Raises:
            ShapeError: wrong shapes or dtypes.
            DataError: too few usable pixels.
        """
        told = self.placed and all(pair.place is not None for pair in pairs)
        camera = fit_camera(pairs, shading=told)
        self.load(camera)
        return camera

    @torch.no_grad()
    def load(self, camera: FittedCamera) -> None:
        """Copy a fitted camera into every head; without the place as input, its shading is left out.

        Raises:
            ConfigError: its curve has another number of knots.
        """
        if len(camera.curve) != INTERVALS + 1:
            raise ConfigError(f"classical: a curve must have {INTERVALS + 1} knots, got {len(camera.curve)}")
        heads = self.head.out_channels // 3
        weight = torch.zeros(3, self.head.in_channels, dtype=torch.float64)
        weight[:, :3] = torch.from_numpy(camera.inverse_matrix)
        weight[:, 3:7] = torch.tensor(camera.headroom)
        self.slopes.copy_(_slopes(torch.tensor(camera.curve, dtype=torch.float64)))
        self.head.weight.copy_(weight.repeat(heads, 1)[..., None, None])
        if self.placed:
            self.shading.copy_(torch.tensor(camera.shading))
        assert self.head.bias is not None
        self.head.bias.copy_(torch.tensor(camera.black).repeat(heads))


def _slopes(curve: Tensor) -> Tensor:
    """Return the parameters whose softplus gives the slopes between the knots of a curve ``[n + 1]``."""
    return (curve.diff() * (len(curve) - 1)).expm1().log().float()
