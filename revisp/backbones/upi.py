"""Unprocessing (UPI) as a network: the analytic inverse of a camera with a few trainable parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from revisp.backbones.blocks import check_input
from revisp.backbones.blocks.photo import check_channels
from revisp.camera.fit import FitPair
from revisp.camera.isp import inverse_tone_curve
from revisp.camera.unprocess import UPICamera, mean_camera
from revisp.checks import check_image, check_same_size
from revisp.errors import DataError

__all__ = ["UPI"]

PROTECTED_FROM = 0.9
"""Mean of R, G, B above which a pixel's gains are reduced (`revisp.camera.unprocess.safe_inverse_gains`)."""

USABLE_RANGE = 2 / 255, 0.98
"""Range of photo values that count in a fit. The upper bound also holds for the RAW."""

_MOST_PIXELS = 1_000_000
_FEW_PIXELS = 100


class UPI(nn.Module):
    r"""Undo tone curve, gamma, colour matrix and gains, pixel by pixel (Brooks et al., arXiv 1811.11127).

    The steps are those of `revisp.camera.unprocess.unprocess` without its final clip, and with two more terms:

    .. math:: d = D\big(A\, t(p)^{2.2};\; e^{-l}\big) + h\, m + b

    :math:`t` is the inverse smoothstep and :math:`A` the matrix from linear sRGB to white-balanced camera RGB.
    :math:`D` divides by the gains and protects highlights (section 3 of the paper). :math:`m` is the overexposure
    mask, if there is one. :math:`h` is the additional RAW of overexposed pixels, and :math:`b` the rest of the
    black level, both for each channel. The parameters :math:`l` are logarithms, which keep the three gains
    positive.

    It starts as UPI's mean camera, so it works without training: the mean of the four published matrices, its
    rows summing to 1, gains 1.25 (all channels), 2.15 (red) and 1.7 (blue), black 0, and the excess near 0. `fit`
    measures the gains. All parameters can be trained, 15 numbers with three inputs. Rows of a trained matrix need
    not sum to 1.

    Args:
        in_channels: 3 for sRGB, 4 for sRGB and the overexposure mask. It does not look at a gain map behind the
            mask, nor at a place.
        out_channels: 3, or a multiple of 3: heads that share the matrix, each with its gains, excess and black.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``.

    Raises:
        ConfigError: a number of channels that it does not support.
    """

    def __init__(self, in_channels: int = 3, out_channels: int = 3) -> None:
        super().__init__()
        check_channels(in_channels, out_channels, "upi")
        self.in_channels = in_channels
        heads = out_channels // 3
        self.srgb_to_camera = nn.Parameter(torch.empty(3, 3))
        self.log_gains = nn.Parameter(torch.empty(heads, 3))
        """Logarithms ``[heads, 3]`` of the gains of all channels, of red and of blue."""
        self.black = nn.Parameter(torch.zeros(heads, 3))
        self.excess = nn.Parameter(1e-3 * torch.randn(heads, 3)) if in_channels % 3 else None
        """Additional RAW ``[heads, 3]`` where the mask is 1; None without mask."""
        self.load(mean_camera())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, in_channels, H, W]`` to ``[B, out_channels, H, W]``, unclamped.

        Raises:
            ShapeError: wrong channel count, or an integer input.
        """
        check_input(x, self.in_channels, 1, "upi")
        camera_rgb = _camera_rgb(x[:, :3], self.srgb_to_camera)[:, None]
        everything, red, blue = self.log_gains.unbind(dim=1)
        inverse = torch.stack([-everything - red, -everything, -everything - blue], dim=1).exp()[..., None, None]
        near_white = (
            (camera_rgb.mean(dim=2, keepdim=True) - PROTECTED_FROM).clamp_min(0) / (1 - PROTECTED_FROM)
        ).square()
        raw = camera_rgb * torch.maximum(near_white + (1 - near_white) * inverse, inverse)
        raw = raw + self.black[..., None, None]
        if self.excess is not None:
            raw = raw + self.excess[..., None, None] * x[:, None, 3:4]
        return raw.flatten(1, 2)

    def fit(self, pairs: Sequence[FitPair]) -> UPICamera:
        """Fit the three gains to pairs of photo and RAW, and load them. The colour matrix is kept.

        The gain of a channel minimises the absolute error over all pixels that are neither clipped nor protected:
        it is the median of photo over RAW, weighted by the photo. At most a million pixels are used, evenly
        spread. The black level becomes 0.

        Args:
            pairs: photo ``[3, H, W]`` in [0, 1], its demosaiced RAW ``[3, H, W]``, and the pixels that count
                ``[1, H, W]`` or None.

        Raises:
            ShapeError: wrong shapes or dtypes.
            DataError: too few usable pixels, or black RAW.
        """
        matrix = self.srgb_to_camera.detach().cpu().double()
        step = max(1, sum(pair.srgb[0].numel() for pair in pairs) // _MOST_PIXELS)
        colours = [_usable(*pair[:3], matrix, step) for pair in pairs]
        camera_rgb, raw = torch.cat(colours, dim=2) if colours else torch.zeros(2, 3, 0)
        if camera_rgb.shape[1] < _FEW_PIXELS:
            raise DataError(
                f"only {camera_rgb.shape[1]} pixels are valid and neither black nor clipped: the gains of UPI "
                "cannot be fitted to these pairs"
            )
        red, green, blue = (_scale(*channel) for channel in zip(camera_rgb, raw, strict=True))
        if min(red, green, blue) <= 0:
            raise DataError("the gains of UPI cannot be fitted: the RAW of these pairs is black")
        camera = UPICamera(matrix.numpy(), 1 / green, green / red, green / blue)
        self.load(camera)
        return camera

    @torch.no_grad()
    def load(self, camera: UPICamera) -> None:
        """Copy a camera into every head; the black level becomes 0."""
        gains = (camera.rgb_gain, camera.red_gain, camera.blue_gain)
        self.srgb_to_camera.copy_(torch.as_tensor(camera.srgb_to_camera))
        self.log_gains.copy_(torch.tensor([math.log(gain) for gain in gains]))
        self.black.zero_()


def _camera_rgb(srgb: Tensor, matrix: Tensor) -> Tensor:
    """Undo tone curve, gamma and colour matrix: return white-balanced camera RGB of the shape of ``srgb``.

    The matrix is applied column by column. Autocast would round a matrix product to bfloat16, which is too coarse
    for the protection of highlights.
    """
    linear = inverse_tone_curve(srgb, 1.0).clamp_min(1e-8) ** 2.2
    columns = matrix[..., None, None].unbind(dim=1)
    red, green, blue = (column * light for column, light in zip(columns, linear.split(1, dim=-3), strict=True))
    return red + green + blue


def _usable(srgb: Tensor, raw_rgb: Tensor, valid: Tensor | None, matrix: Tensor, step: int) -> Tensor:
    """Return white-balanced camera RGB and RAW of every step-th pixel, if usable: ``[2, 3, N]`` float64."""
    for x, channels, name in ((srgb, 3, "srgb"), (raw_rgb, 3, "raw_rgb"), (valid, 1, "valid")):
        if x is not None:
            check_image(x, channels, name)
            check_same_size(srgb, x, ("srgb", name))
    photo, raw = (x.detach().cpu().double().flatten(-2)[..., ::step] for x in (srgb, raw_rgb))
    camera_rgb = _camera_rgb(photo[..., None], matrix)[..., 0]
    usable = (photo > USABLE_RANGE[0]).all(0) & (photo < USABLE_RANGE[1]).all(0) & (raw < USABLE_RANGE[1]).all(0)
    usable &= (camera_rgb > 0).all(0) & (camera_rgb.mean(0) < PROTECTED_FROM) & raw.isfinite().all(0)
    if valid is not None:
        usable &= valid.detach().cpu().flatten()[::step] > 0
    return torch.stack([camera_rgb, raw])[..., usable]


def _scale(base: Tensor, target: Tensor) -> float:
    """Return the factor s that minimises ``sum |s * base - target|``: the median of ratios, weighted by base."""
    ratio, order = (target / base).sort()
    share = base[order].cumsum(0)
    return float(ratio[torch.searchsorted(share, share[-1] / 2)])
