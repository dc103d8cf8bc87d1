"""DemosaicNet: the learned demosaicker of Gharbi et al., with its published weights."""

from __future__ import annotations

import importlib.metadata
from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import torch
from torch import nn

from revisp.cfa import CFA, sample_mask
from revisp.checks import check_image
from revisp.errors import WeightsError
from revisp.padding import reflect_pad

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DemosaicNet"]

DISTRIBUTION, WEIGHTS_FILE = "demosaicnet", "demosaicnet/data/bayer.pth"

TRAINED_PHASE = CFA.GRBG
"""The only phase that the published weights were trained on."""

NETWORK_MARGIN = 31
"""Pixels that the network removes at each side: 15 convolutions at half resolution and one at full."""

TILE_SIDE = 1024
"""Side of a tile in pixels, even to keep the phase. A tile takes about 0.6 GB in float32."""


class DemosaicNet(nn.Module):
    r"""The Bayer network of "Deep Joint Demosaicking and Denoising" (SIGGRAPH Asia 2016), frozen.

    A 2x2 convolution of stride two packs the sparse colour mosaic. Then 15 3x3 convolutions of 64 channels run at
    half resolution. The two halves of the last one's 128 channels are multiplied and upsampled, and one more 3x3
    convolution joins them with the mosaic. The network has 560,886 parameters and pads nothing.

    This class adapts mosaics to the published weights:

    * The weights were trained on GRBG only. One more row or column of padding shifts another phase to GRBG.
    * The network removes 31 pixels at each side. The mosaic is reflected about its edges (`reflect_pad`), and the
      result is cropped.

    The weights expect values like those of photos: white-balanced, display-referred, in [0, 1].
    `revisp.demosaic.demosaic` converts a linear RAW to that domain and back.

    Args:
        weights: file of the published state dict; None takes it from the installed ``demosaicnet`` distribution,
            whose code is never imported.

    Shape:
        ``[..., 1, H, W]`` to ``[..., 3, H, W]``, any ``H`` and ``W`` of at least 2.

    Raises:
        WeightsError: the weights are missing, damaged, or of another network.

    Example:
        >>> network = DemosaicNet()
        >>> sum(weight.numel() for weight in network.parameters())
        560886
        >>> network(torch.rand(1, 16, 20), "RGGB").shape
        torch.Size([3, 16, 20])
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        # The weights file fixes the names of the submodules.
        layers: OrderedDict[str, nn.Module] = OrderedDict(pack_mosaic=nn.Conv2d(3, 4, 2, stride=2))
        for at in range(1, 16):
            layers[f"conv{at}"] = nn.Conv2d(4 if at == 1 else 64, 128 if at == 15 else 64, 3)
            layers[f"relu{at}"] = nn.ReLU(inplace=True)
        self.main_processor = nn.Sequential(layers)
        self.residual_predictor = nn.Conv2d(64, 12, 1)
        self.upsampler = nn.ConvTranspose2d(12, 3, 2, stride=2, groups=3)
        self.fullres_processor = nn.Sequential(
            OrderedDict(post_conv=nn.Conv2d(6, 64, 3), post_relu=nn.ReLU(inplace=True), output=nn.Conv2d(64, 3, 1))
        )
        self._load(Path(weights) if weights is not None else _published_weights())
        self.to(memory_format=torch.channels_last)  # 1.4 times as fast on a CPU
        self.requires_grad_(False)
        self.eval()

    def forward(self, bayer: Tensor, cfa: CFA | str) -> Tensor:
        """Demosaic mosaics of one phase.

        Args:
            bayer: mosaic ``[..., 1, H, W]`` of white-balanced, display-referred values in [0, 1].
            cfa: its Bayer phase.

        Returns:
            ``[..., 3, H, W]`` in the same domain, unclamped; measured samples are not reproduced exactly.

        Raises:
            ShapeError: not a floating tensor of one channel, or a side shorter than two pixels.
            ConfigError: not a Bayer phase.
        """
        check_image(bayer, 1, "bayer")
        height, width = bayer.shape[-2:]
        sparse = bayer.reshape(-1, 1, height, width) * sample_mask(cfa, height, width, device=bayer.device)
        top, left = (NETWORK_MARGIN + 1 + shift for shift in CFA.parse(cfa).offset_to(TRAINED_PHASE))
        bottom = NETWORK_MARGIN + (top + height + NETWORK_MARGIN) % 2
        right = NETWORK_MARGIN + (left + width + NETWORK_MARGIN) % 2
        output = self._tiled(reflect_pad(sparse, top, bottom, left, right))
        output = output[..., top - NETWORK_MARGIN :, left - NETWORK_MARGIN :][..., :height, :width]
        return output.reshape(*bayer.shape[:-3], 3, height, width)

    def _tiled(self, sparse: Tensor) -> Tensor:
        """Run the network on tiles that overlap by its margins. The result is the same; memory stays bounded."""
        height, width = (size - 2 * NETWORK_MARGIN for size in sparse.shape[-2:])
        reach = TILE_SIDE + 2 * NETWORK_MARGIN
        rows = [
            torch.cat(
                [self._network(sparse[..., y : y + reach, x : x + reach]) for x in range(0, width, TILE_SIDE)], -1
            )
            for y in range(0, height, TILE_SIDE)
        ]
        return torch.cat(rows, -2)

    def _network(self, sparse: Tensor) -> Tensor:
        filters, masks = self.main_processor(sparse).chunk(2, dim=1)
        upsampled = self.upsampler(self.residual_predictor(filters * masks))
        inner = sparse[..., NETWORK_MARGIN - 1 : 1 - NETWORK_MARGIN, NETWORK_MARGIN - 1 : 1 - NETWORK_MARGIN]
        output: Tensor = self.fullres_processor(torch.cat([inner, upsampled], dim=1))
        return output

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.load_state_dict(state)
        except (OSError, EOFError, RuntimeError, TypeError, ValueError, UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise WeightsError(f"{path}: not the weights of DemosaicNet's Bayer network: {reason}") from error


def _published_weights() -> Path:
    advice = f"install it (pip install {DISTRIBUTION}==0.0.14), pass weights=FILE, or demosaic by 'malvar'"
    try:
        files = importlib.metadata.files(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"DemosaicNet's weights come with the distribution {DISTRIBUTION!r}, which is not installed: {advice}"
        ) from None
    for file in files:
        if file.as_posix() == WEIGHTS_FILE:
            return Path(str(file.locate()))
    raise WeightsError(f"the installed {DISTRIBUTION!r} holds no {WEIGHTS_FILE}: {advice}")
