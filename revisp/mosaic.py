"""Mosaicing: keep the one colour of a demosaiced RAW that each photosite measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kornia.color import rgb_to_raw
from torch import nn

from revisp.cfa import CFA
from revisp.checks import check_image

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Mosaic", "mosaic", "sampled_phase"]


def mosaic(raw_rgb: Tensor, cfa: CFA | str) -> Tensor:
    r"""Sample a demosaiced RAW through a colour filter array.

    .. math:: B(y, x) = D_{c(y, x)}(y, x)

    where :math:`c(y, x)` is the colour of the filter at that photosite. Values are copied, never changed; the
    gradient flows to the sampled values only. Computed by `kornia.color.rgb_to_raw`.

    Convention:
        Plain values in, plain values out: black level and white balance are not touched.

    Args:
        raw_rgb: demosaiced RAW ``[..., 3, H, W]``, any range, any ``H`` and ``W``.
        cfa: Bayer phase of the result.

    Returns:
        The mosaic ``[..., 1, H, W]``.

    Raises:
        ShapeError: not a floating tensor of three channels.
        ConfigError: not a Bayer phase.

    Example:
        >>> import torch
        >>> mosaic(torch.rand(2, 3, 6, 8), "RGGB").shape
        torch.Size([2, 1, 6, 8])
    """
    check_image(raw_rgb, 3, "raw_rgb")
    bayer: Tensor = rgb_to_raw(raw_rgb, CFA.parse(cfa).kornia)
    return bayer


def sampled_phase(raw_rgb: Tensor, bayer: Tensor) -> CFA | None:
    """Return the Bayer phase by which a mosaic was sampled from demosaiced RAW.

    Args:
        raw_rgb: ``[..., 3, H, W]``.
        bayer: ``[..., 1, H, W]``.

    Returns:
        None if no phase gives this mosaic, or several do, as for a grey picture.

    Example:
        >>> import torch
        >>> raw_rgb = torch.rand(3, 6, 8)
        >>> sampled_phase(raw_rgb, mosaic(raw_rgb, "GBRG")).value, sampled_phase(raw_rgb, torch.rand(1, 6, 8))
        ('GBRG', None)
    """
    found = [cfa for cfa in CFA if bool((mosaic(raw_rgb, cfa) == bayer).all())]
    return found[0] if len(found) == 1 else None


class Mosaic(nn.Module):
    """Module form of `mosaic`.

    Args:
        cfa: Bayer phase of the result.

    Shape:
        ``[..., 3, H, W]`` to ``[..., 1, H, W]``.

    Example:
        >>> import torch
        >>> orange = torch.tensor([3.0, 2.0, 1.0]).view(3, 1, 1).expand(3, 2, 2)
        >>> Mosaic("GRBG")(orange).tolist()
        [[[2.0, 3.0], [1.0, 2.0]]]
    """

    def __init__(self, cfa: CFA | str = CFA.RGGB) -> None:
        super().__init__()
        self.cfa = CFA.parse(cfa)

    def forward(self, raw_rgb: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """Apply `mosaic` to a picture, or to the part of one that begins at a row and column."""
        return mosaic(raw_rgb, self.cfa.crop(top, left))

    def extra_repr(self) -> str:
        """Show the phase."""
        return f"cfa={self.cfa.value!r}"
