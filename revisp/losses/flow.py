"""Optical flow between two pictures of one scene, and warping by a flow.

A flow ``[B,2,H,W]`` gives every pixel of the fixed picture its offset (x, y) to the same content in the moving
picture, in pixels. ``warp(moving, flow)`` samples there, so that the result resembles ``fixed``.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from revisp.errors import WeightsError
from revisp.losses.frozen import existing, freeze, read_weights
from revisp.losses.gaussian import blur

__all__ = ["LucasKanade", "RaftFlow", "halve_flow", "lucas_kanade", "valid_after", "warp"]

LEAST_SIDE = 24
"""Shortest side of a level of the pyramid, in pixels."""

CONTRAST_WINDOW = (4.0, 25)
"""Standard deviation and size of the window that normalises brightness and contrast, in pixels of a level."""

FLOW_WINDOW = (5.0, 31)
"""Standard deviation and size of the window in which the flow counts as constant, in pixels of a level."""

FAINT_DEVIATION = 0.01
"""Contrast (standard deviation of encoded values) below which a neighbourhood counts as flat."""

TENSOR_RIDGE = 0.005
"""Added to the structure tensor, so that steps are short where there is no texture."""


def warp(image: Tensor, flow: Tensor, *, mode: str = "bilinear") -> Tensor:
    """Sample an image at each pixel's position plus its flow.

    Args:
        image: ``[B,C,H,W]``; beyond the border its outermost pixels are repeated.
        flow: ``[B,2,H,W]``, x and y in pixels.
        mode: ``"bilinear"``, which stays in the image's range, or ``"bicubic"``.

    Returns:
        ``[B,C,H,W]``.
    """
    return F.grid_sample(image, _grid(flow), mode=mode, padding_mode="border", align_corners=False)


def valid_after(flow: Tensor) -> Tensor:
    """Return a mask of pixels that warping samples inside the image (Zhang et al., arXiv 2108.08119).

    Args:
        flow: ``[B,2,H,W]``.

    Returns:
        ``[B,1,H,W]``, 1 where a warped image of ones exceeds 0.999, else 0.
    """
    ones = torch.ones_like(flow[:, :1])
    return (F.grid_sample(ones, _grid(flow), padding_mode="zeros", align_corners=False) > 0.999).to(flow.dtype)


def halve_flow(flow: Tensor) -> Tensor:
    """Return the flow of a picture of half the size: half of the flow, averaged over 2x2 pixels."""
    return 0.5 * F.avg_pool2d(flow, 2)


@torch.no_grad()
def lucas_kanade(fixed: Tensor, moving: Tensor, *, levels: int = 4, iterations: int = 4) -> Tensor:
    """Estimate the flow by iterated least squares on a pyramid, coarse to fine.

    Lucas and Kanade, "An Iterative Image Registration Technique" (IJCAI 1981), in the pyramidal form of Bouguet
    ("Pyramidal Implementation of the Lucas Kanade Feature Tracker", Intel, 2001), at every pixel. Both pictures
    are averaged over colour and normalised locally to mean 0 and equal contrast, so that a difference of tone has
    no effect. The flow of a level is smoothed with weights that grow with texture: flat places take their
    neighbours' flow, and the flow of a picture without texture is 0.

    Args:
        fixed: ``[B,3,H,W]``, encoded values in about [0,1].
        moving: ``[B,3,H,W]`` of the same size.
        levels: greatest number of levels of the pyramid. Each doubles the longest displacement that can be found;
            4 levels find about 16 pixels.
        iterations: least-squares steps at each level.

    Returns:
        Flow ``[B,2,H,W]`` without a gradient.
    """
    pictures = torch.cat([fixed.mean(dim=1, keepdim=True), moving.mean(dim=1, keepdim=True)], dim=1)
    pyramid = [pictures]
    while len(pyramid) < levels and min(pyramid[-1].shape[-2:]) >= 2 * LEAST_SIDE:
        height, width = pyramid[-1].shape[-2:]
        pyramid.append(F.interpolate(pyramid[-1], size=((height + 1) // 2, (width + 1) // 2), mode="area"))
    flow = torch.zeros_like(pyramid[-1])
    for level in reversed(pyramid):
        flow = _resize_flow(flow, level)
        flow = _refine(_even_contrast(level), flow, iterations)
    return flow


class LucasKanade(nn.Module):
    """Module of `lucas_kanade`.

    Args:
        levels: greatest number of levels of the pyramid.
        iterations: least-squares steps at each level.
    """

    def __init__(self, levels: int = 4, iterations: int = 4) -> None:
        super().__init__()
        self.levels = levels
        self.iterations = iterations

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """See `lucas_kanade`."""
        return lucas_kanade(fixed, moving, levels=self.levels, iterations=self.iterations)


class RaftFlow(nn.Module):
    """Flow by torchvision's small RAFT network (Teed and Deng, ECCV 2020), with frozen weights.

    It adds no parameters and nothing to a state dict.

    Args:
        weights: file of its weights with torchvision's names, ``.safetensors`` or saved by torch.
        download: whether torchvision's weights may be downloaded if no file is given.

    Raises:
        WeightsError: no file and no download, or weights that do not fit or cannot be read or downloaded.
    """

    def __init__(self, weights: str | os.PathLike[str] | None = None, download: bool = False) -> None:
        super().__init__()
        if weights is None and not download:
            raise WeightsError("flow 'raft' needs weights: name torchvision's raft_small file, or set download")
        self.network = _raft(weights)
        freeze(self.network)

    @torch.no_grad()
    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Estimate the flow of ``[B,3,H,W]`` in [0,1], padded to a size that the network takes."""
        height, width = fixed.shape[-2:]
        margin = [max(128, -(-side // 8) * 8) - side for side in (width, height)]
        pair = (F.pad(2 * x.clamp(0, 1) - 1, (0, margin[0], 0, margin[1]), "replicate") for x in (fixed, moving))
        flow: Tensor = self.network(*pair)[-1]
        return flow[..., :height, :width]


def _raft(weights: str | os.PathLike[str] | None) -> Any:
    """Return the network with weights, leaving the random state as it was."""
    from torchvision.models.optical_flow import Raft_Small_Weights, raft_small

    with torch.random.fork_rng(devices=[]):
        network = raft_small()
    try:
        if weights is None:
            state = Raft_Small_Weights.DEFAULT.get_state_dict(progress=False, check_hash=True)
        else:
            state = read_weights(existing(weights, "the setting weights of flow 'raft'"), "RAFT's weights")
        network.load_state_dict(state)
    except (OSError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        first_line = " ".join(str(error).split())[:200]
        raise WeightsError(f"cannot load RAFT's weights: {first_line}") from error
    return network.eval()


def _grid(flow: Tensor) -> Tensor:
    """Return sampling positions ``[B,H,W,2]`` in grid_sample's coordinates."""
    height, width = flow.shape[-2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)
    return torch.stack(
        [(2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1],
        dim=-1,
    )


def _resize_flow(flow: Tensor, like: Tensor) -> Tensor:
    """Resize a flow; its vectors scale with the picture."""
    (height, width), (old_height, old_width) = like.shape[-2:], flow.shape[-2:]
    if (height, width) == (old_height, old_width):
        return flow
    scale = flow.new_tensor([width / old_width, height / old_height]).view(1, 2, 1, 1)
    return scale * F.interpolate(flow, size=(height, width), mode="bilinear", align_corners=False)


def _even_contrast(pictures: Tensor) -> Tensor:
    """Subtract the local mean of each channel and divide by its local deviation."""
    area = blur(torch.ones_like(pictures[:1, :1]), *CONTRAST_WINDOW)
    centred = pictures - blur(pictures, *CONTRAST_WINDOW) / area
    variance = blur(centred.square(), *CONTRAST_WINDOW) / area
    return centred / (variance + FAINT_DEVIATION**2).sqrt()


def _refine(pictures: Tensor, flow: Tensor, iterations: int) -> Tensor:
    """Improve a flow at one level; pixels whose flow leaves the picture have weight 0."""
    fixed, moving = pictures.split(1, dim=1)
    for _ in range(iterations):
        valid = valid_after(flow)
        warped = warp(moving, flow, mode="bicubic")
        dx, dy = _gradient(0.5 * (fixed + warped))
        change = warped - fixed
        products = torch.cat([dx * dx, dx * dy, dy * dy, dx * change, dy * change], dim=1)
        xx, xy, yy, xt, yt = blur(valid * products, *FLOW_WINDOW).split(1, dim=1)
        xx, yy = xx + TENSOR_RIDGE, yy + TENSOR_RIDGE
        determinant = xx * yy - xy * xy
        step = torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / determinant
        flow = flow + step.clamp(-1, 1)
    texture = determinant / (xx + yy) - 0.5 * TENSOR_RIDGE + 1e-4
    return blur(texture * flow, *FLOW_WINDOW) / blur(texture, *FLOW_WINDOW)


def _gradient(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return central differences along x and y; the border repeats its outermost pixels."""
    padded = F.pad(picture, (1, 1, 1, 1), "replicate")
    height, width = picture.shape[-2:]
    dx = 0.5 * (padded[..., 1:-1, 2:] - padded[..., 1:-1, :width])
    dy = 0.5 * (padded[..., 2:, 1:-1] - padded[..., :height, 1:-1])
    return dx, dy
