"""The inverse of one camera's rendering, fitted to its pairs, with corrections as on an estimated inverse."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from revisp.backbones.classical import Classical
from revisp.backbones.estimated import GAIN_EV, GREY, excess_by_map
from revisp.camera.fitted import decode
from revisp.camera.scene_rendering import MID_GREY

__all__ = ["Fitted"]


class Fitted(Classical):
    r"""Undo the rendering of one camera as `Classical` does, and let networks correct it as `Estimated` lets them.

    Networks that were trained on `Estimated` keep their meaning on this base: the camera's own curve, matrix and
    shading take the place of estimated ones. With the parts of `Classical`,

    .. math:: d_\mathrm{noe} = \mathrm{Classical}(p + u), \qquad
              d_\mathrm{oe} = h\, (2^{v} A\, f^{-1}(p) / s(r) + b) + (1 - h)\, \mathrm{Classical}(p)

    where u is a network's correction of the photo, and v is in EV above the white of the curve. The network
    predicts by how much clipped pixels exceed it; `Classical` adds their typical excess. The trust h, in [0, 1],
    says how far the network is believed in this. It starts at 1, and `revisp.training.pretrained.fit_trust` fits
    it. A gain map is trusted wholly.

    Args:
        in_channels: as for `Classical`.

    Example:
        >>> base = Fitted()
        >>> photo = torch.rand(1, 3, 4, 4)
        >>> torch.equal(base.compose("noe", photo, torch.zeros(1, 3, 4, 4)), base(photo))
        True
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__(in_channels)
        self.trust = nn.Parameter(torch.ones(()))

    def compose(self, part: str, x: Tensor, change: Tensor, gain: Tensor | None = None) -> Tensor:
        """Apply the prediction of a network of the fusion to the base.

        Args:
            part: meaning of the prediction, as for `Estimated.compose`. ``"oe"``: EV above the light of the curve
                or, where a gain map is known, above the HDR rendition. Any other: a correction of the photo.
            x: the base's input ``[B, in_channels, H, W]``: photo, mask and place.
            change: the network's prediction ``[B, 3, H, W]``.
            gain: what the photos' gain maps say ``[B, 1, H, W]``, NaN where there is none; None: nowhere.

        Returns:
            RAW of the camera ``[B, 3, H, W]``, unclamped.

        Raises:
            ShapeError: ``x`` has a wrong number of channels.
        """
        if part != "oe":
            raw: Tensor = self(torch.cat([x[:, :3] + change.float(), x[:, 3:]], dim=1))
            return raw
        light, exceeding = self.shaded_light(x), change.float().clamp(*GAIN_EV)
        if gain is not None:
            exceeding = exceeding + self._excess_by_map(x[:, :3], gain).clamp(*GAIN_EV)
        raised = F.conv2d(light * torch.exp2(exceeding), self.head.weight[:, :3], self.head.bias)
        trust = self.trust if gain is None else torch.where(gain.isnan(), self.trust, 1.0)
        return torch.lerp(self(x), raised, trust)

    def _excess_by_map(self, srgb: Tensor, gain: Tensor) -> Tensor:
        """Return by how many EV the HDR rendition exceeds the curve's light, before the lens shades it."""
        curve, knot = self.curve, int(GREY)
        grey = torch.lerp(curve[knot], curve[knot + 1], GREY - knot)
        return excess_by_map(srgb, decode(srgb, curve) * (MID_GREY / grey), gain)
