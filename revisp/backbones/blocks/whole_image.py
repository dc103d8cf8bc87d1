"""Modules for statistics of the whole image inside a network, so that tiles can use those of the photo."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["GroupNorm", "WholeImage"]


class WholeImage(nn.Module):
    """A module through which a statistic of the whole image passes unchanged.

    Every mean, maximum or matrix of products over all pixels goes through its own `WholeImage`. Prediction in
    tiles can watch them by forward hooks and give all tiles the photo's values. The rest of the network then sees
    only a neighbourhood of each pixel (`revisp.inference.whole_photo`). It has no parameters.

    Shape:
        ``[B, ...]`` to the same.
    """

    @property
    def watched(self) -> bool:
        """Whether a forward hook gathers or replaces the statistic."""
        return bool(self._forward_hooks)

    def forward(self, value: Tensor) -> Tensor:
        """Return the statistic."""
        return value


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` whose moments, statistics of the whole image, pass through a `WholeImage`."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels)
        self.moments = WholeImage()

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised ``[B, C, H, W]``."""
        if not self.moments.watched:
            return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        groups = x.unflatten(1, (self.num_groups, -1)).flatten(2)
        moments = torch.stack(torch.var_mean(groups, dim=-1, correction=0), dim=1)
        variance, mean = self.moments(moments)[..., None].unbind(dim=1)
        normal = (groups - mean) * torch.rsqrt(variance + self.eps)
        return normal.view_as(x) * self.weight[:, None, None] + self.bias[:, None, None]
