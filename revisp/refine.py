"""The optional last step: a RAW-to-RAW refinement of the mosaic, and the loss that trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from revisp.cfa import CFA, pack, unpack
from revisp.checks import check_image, check_same_size
from revisp.errors import ShapeError
from revisp.padding import pad_to_multiple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BayerRefiner", "bayer_to_yuv", "yuv_loss"]

RGB_TO_YUV = ((0.299, 0.587, 0.114), (-0.169, -0.331, 0.499), (0.499, -0.418, -0.0813))
"""Rows Y, U, V, as in the code of Overexposure Mask Fusion."""


class BayerRefiner(nn.Module):
    r"""Correct a mosaic by a network on its packed planes (arXiv 2210.11511, the optional refinement).

    .. math:: B' = B + \mathrm{unpack}(f(\mathrm{pack}(B)))

    The network gets four planes of half the size, always in the order R, Gr, Gb, B. They are reflect-padded to a
    size that the network takes, and the result is cropped, so odd sizes lose nothing.

    Args:
        network: maps ``[B, 4, h, w]`` to ``[B, 4, h, w]``. ``h`` and ``w`` must be multiples of its attribute
            ``multiple_of`` (1 without it). Its attribute ``receptive_field`` is in pixels (unknown without it).
        cfa: Bayer phase of the mosaics.

    Attributes:
        align: the first row and column and the size of a tile of a mosaic must be multiples of this.
        reach: farthest distance, in rows or columns, of a pixel of the mosaic that a refined pixel depends on;
            None if unknown.

    Shape:
        ``[B, 1, H, W]`` to ``[B, 1, H, W]``, any ``H`` and ``W`` of at least 3.

    Raises:
        ConfigError: not a Bayer phase.

    Example:
        >>> import torch
        >>> refiner = BayerRefiner(nn.Conv2d(4, 4, 3, padding=1))
        >>> refiner(torch.rand(1, 1, 15, 20)).shape
        torch.Size([1, 1, 15, 20])
    """

    def __init__(self, network: nn.Module, cfa: CFA | str = CFA.RGGB) -> None:
        super().__init__()
        self.network = network
        self.cfa = CFA.parse(cfa)
        self.multiple = int(getattr(network, "multiple_of", 1))
        self.align = 2 * self.multiple
        field: int | None = getattr(network, "receptive_field", None)
        # A pixel of a plane stands for two rows; the farthest row may be the second of its two.
        self.reach = None if field is None else 2 * (field // 2) + 1

    def forward(self, bayer: Tensor) -> Tensor:
        """Refine a mosaic.

        Args:
            bayer: ``[B, 1, H, W]``, normalised: black at 0, white at 1.

        Returns:
            The refined mosaic ``[B, 1, H, W]``, unclamped.

        Raises:
            ShapeError: not a floating tensor of one channel, or the network does not keep its input's shape.
        """
        check_image(bayer, 1, "bayer")
        height, width = bayer.shape[-2:]
        packed = pad_to_multiple(pack(pad_to_multiple(bayer, 2), self.cfa), self.multiple)
        correction: Tensor = self.network(packed)
        if correction.shape != packed.shape:
            raise ShapeError(
                f"the refinement network must keep its input's shape {list(packed.shape)}, "
                f"it gave {list(correction.shape)}"
            )
        return bayer + unpack(correction, self.cfa)[..., :height, :width]

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"cfa={self.cfa.value!r}, multiple={self.multiple}"


def bayer_to_yuv(bayer: Tensor, cfa: CFA | str) -> Tensor:
    """Turn a mosaic into luma and chroma at half resolution.

    The two greens of a 2x2 tile are averaged, which gives one RGB pixel a tile. A linear matrix turns it into Y,
    U, V. White balance and gamma stay as they are.

    Args:
        bayer: ``[..., 1, H, W]``; an odd last row or column is dropped, with a warning.
        cfa: its Bayer phase.

    Returns:
        Y, U, V as ``[..., 3, H//2, W//2]``; Y in [0, 1], U and V in about [-0.5, 0.5] for a mosaic in [0, 1].

    Raises:
        ShapeError: not a floating tensor of one channel.
        ConfigError: not a Bayer phase.

    Example:
        >>> import torch
        >>> y, u, v = bayer_to_yuv(torch.full((1, 4, 6), 0.5), "RGGB")
        >>> y.shape, round(y.mean().item(), 3)
        (torch.Size([2, 3]), 0.5)
    """
    check_image(bayer, 1, "bayer")
    matrix = bayer.new_tensor(RGB_TO_YUV)
    red, green, blue = (matrix[:, at, None, None] for at in range(3))
    r, gr, gb, b = pack(bayer, cfa).split(1, dim=-3)
    return red * r + green * (gr + gb) / 2 + blue * b


def yuv_loss(prediction: Tensor, target: Tensor, cfa: CFA | str) -> Tensor:
    """Return the mean absolute difference of two mosaics in YUV; the three components have equal weight.

    Args:
        prediction: mosaic ``[..., 1, H, W]``.
        target: mosaic of the same shape.
        cfa: Bayer phase of both.

    Returns:
        A scalar.

    Raises:
        ShapeError: not floating mosaics of one size.
        ConfigError: not a Bayer phase.

    Example:
        >>> import torch
        >>> even = torch.full((1, 2, 2), 0.5)
        >>> uneven = torch.tensor([[[0.5, 0.25], [0.75, 0.5]]])  # the mean of the greens is the same
        >>> yuv_loss(uneven, even, "RGGB").item()
        0.0
    """
    check_image(prediction, 1, "prediction")
    check_image(target, 1, "target")
    check_same_size(prediction, target, ("prediction", "target"))
    return (bayer_to_yuv(prediction, cfa) - bayer_to_yuv(target, cfa)).abs().mean()
