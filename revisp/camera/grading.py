"""Random gradings: looks that an editor gives a developed RAW. One RAW has many photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from revisp.camera.isp import apply_ccm, apply_gains, linear_to_srgb
from revisp.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Grading", "random_grading"]


@dataclass(frozen=True)
class Grading:
    r"""A look: white balance, tone curve and contrast.

    .. math:: s = \tfrac12 + c\,\big(\gamma(T(C\,(g \odot E))) - \tfrac12\big), \quad
              T(x) = \frac{(1 + \beta)\,x^\gamma}{\beta + x^\gamma}

    Attributes:
        gains: factors of the white balance for R, G, B.
        beta: position of the tone curve's middle. Small values brighten; for large values only the power remains.
        gamma: exponent of the tone curve.
        contrast: factor of the encoded values' distance from 0.5.

    Raises:
        ConfigError: a value that is not positive.

    Example:
        >>> grey = torch.full((3, 1, 1), 0.18)
        >>> [round(Grading(contrast=c).develop(grey, torch.eye(3))[0].item(), 2) for c in (0.8, 1.2)]
        [0.64, 0.72]
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    beta: float = 0.6
    gamma: float = 0.9
    contrast: float = 1.0

    def __post_init__(self) -> None:
        if min(*self.gains, self.beta, self.gamma, self.contrast) <= 0:
            raise ConfigError(f"all numbers of a grading must be positive, got {self}")

    def develop(self, light: Tensor, matrix: Any) -> Tensor:
        """Develop white-balanced camera RGB to sRGB in [0, 1].

        Args:
            light: ``[..., 3, H, W]``, linear, 1 at display white.
            matrix: camera to linear sRGB ``[3, 3]``.

        Raises:
            ShapeError: not floating-point of three channels.

        Example:
            >>> light = torch.tensor([0.0, 0.18, 1.0]).view(3, 1, 1)
            >>> [round(v, 2) for v in Grading().develop(light, torch.eye(3)).flatten().tolist()]
            [0.0, 0.68, 1.0]
        """
        powered = apply_ccm(apply_gains(light, self.gains), matrix).clamp_min(0) ** self.gamma
        toned = ((1 + self.beta) * powered / (self.beta + powered)).clamp(0, 1)
        return (0.5 + self.contrast * (linear_to_srgb(toned) - 0.5)).clamp(0, 1)


def random_grading(generator: torch.Generator) -> Grading:
    """Draw a grading from the ranges that RawGen trains with (arXiv 2604.00093).

    Gains of red and blue ~ U(0.7, 1.3); β ~ N(0.6, 0.1) in [0.1, 2]; γ ~ N(0.9, 0.1) in [0.5, 1.5]; contrast
    ~ U(0.7, 1.3).

    Args:
        generator: source of randomness, on the CPU.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> grading = random_grading(generator)
        >>> 0.7 <= grading.contrast <= 1.3
        True
    """
    red, blue, contrast = (0.7 + 0.6 * torch.rand(3, generator=generator, dtype=torch.float64)).tolist()
    beta, gamma = torch.randn(2, generator=generator, dtype=torch.float64).tolist()
    return Grading(
        gains=(red, 1.0, blue),
        beta=min(max(0.6 + 0.1 * beta, 0.1), 2.0),
        gamma=min(max(0.9 + 0.1 * gamma, 0.5), 1.5),
        contrast=contrast,
    )
