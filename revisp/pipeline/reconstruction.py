"""The input and the results of the pipeline."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from revisp.checks import check_image
from revisp.display import cfa_pattern, figure, rich_display, viewable
from revisp.errors import ShapeError
from revisp.mosaic import sampled_phase

__all__ = ["MINIMUM_SIZE", "Auxiliary", "Parts", "Reconstruction", "check_photos"]

MINIMUM_SIZE = 16
"""Least height and width of a photo, in pixels."""

Parts = dict[str, Tensor]
"""The networks' predictions by part: ``oe`` and ``noe`` ``[B, 3, H, W]``; or ``plain``, the whole RAW."""

Auxiliary = dict[str, dict[str, Tensor]]
"""Additional predictions (`BackboneSpec.auxiliary`), by part (``oe``, ``noe``, ``plain``) and name."""


class Reconstruction(NamedTuple):
    """The result of `ReverseISP`.

    Attributes:
        raw_rgb: demosaiced RAW ``[B, 3, H, W]``: camera RGB, linear, black 0, white 1, not white-balanced. For a
            plain network that predicts Bayer planes, it is their bilinear interpolation.
        bayer: the RAW mosaic ``[B, 1, H, W]``, after the refinement if the model has one.
        mask: overexposure mask ``[B, 1, H, W]`` in [0, 1], 1 = overexposed.
        oe: demosaiced RAW ``[B, 3, H, W]`` of the branch for overexposed pixels; None for a plain model, and from
            `revisp.predict` unless it is requested.
        noe: demosaiced RAW ``[B, 3, H, W]`` of the branch for all other pixels; None in the same cases.
        mosaiced: the mosaic before the refinement; without one, the same tensor as ``bayer``.

    Example:
        >>> import torch
        >>> from revisp.pipeline import ReverseISP
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, branches="plain").eval()
        >>> out = model(torch.rand(1, 3, 24, 32))
        >>> out.bayer.shape, out.mosaiced is out.bayer, out.oe
        (torch.Size([1, 1, 24, 32]), True, None)
    """

    raw_rgb: Tensor
    bayer: Tensor
    mask: Tensor
    oe: Tensor | None
    noe: Tensor | None
    mosaiced: Tensor

    def _repr_html_(self) -> str:
        """Show the first photo in a notebook: RAW, mask, and the ranges of all tensors."""
        first = Reconstruction(*(None if x is None else x.detach().reshape(-1, *x.shape[-3:])[0] for x in self))  # type: ignore[arg-type]
        cfa = sampled_phase(first.raw_rgb, first.mosaiced)
        facts = [
            (name, f"{list(x.shape)}, {float(x.min()):.4f} to {float(x.max()):.4f}")
            for name, x in self._asdict().items()
            if x is not None and not (name == "mosaiced" and x is self.bayer)
        ]
        facts.append(("overexposed", f"{100 * float(self.mask.float().mean()):.3g} % of the pixels"))
        if cfa is not None:
            facts.append(("CFA", cfa_pattern(cfa.value)))
        pictures = [
            figure(viewable(first.raw_rgb), "raw_rgb, as if grey on average"),
            figure(first.mask, "mask"),
        ]
        return rich_display("Reconstruction", facts, pictures)


def check_photos(srgb: Tensor) -> None:
    """Require photos ``[B, 3, H, W]`` that are large enough.

    Raises:
        ShapeError: wrong shape or dtype, or smaller than 16 pixels.

    Example:
        >>> import torch
        >>> check_photos(torch.zeros(1, 3, 8, 40))
        Traceback (most recent call last):
        revisp.errors.ShapeError: srgb must be [B, 3, H, W] with H, W >= 16, got [1, 3, 8, 40]
    """
    check_image(srgb, 3, "srgb")
    if srgb.ndim != 4 or min(srgb.shape[-2:]) < MINIMUM_SIZE:
        raise ShapeError(f"srgb must be [B, 3, H, W] with H, W >= {MINIMUM_SIZE}, got {list(srgb.shape)}")
