"""ResNet-18 that describes an image by one vector."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

__all__ = ["ResNet18"]


class ResNet18(nn.Module):
    """The network of He et al. (CVPR 2016, arXiv 1512.03385, table 1) with 18 layers and random parameters.

    It is built of torchvision's blocks and has their names: with 3 input channels and a width of 64 it can load
    the weights of ``torchvision.models.resnet18``.

    Args:
        in_channels: channels of the image.
        outputs: length of the vector.
        width: channels of the first stage, published 64; the others have 2, 4 and 8 times as many.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, outputs]``.
    """

    def __init__(self, in_channels: int, outputs: int, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.fc = nn.Linear(8 * width, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors ``[B, outputs]`` of images ``[B, in_channels, H, W]``."""
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        vector: Tensor = self.fc(x.mean(dim=(-2, -1)))
        return vector


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return two blocks of two 3x3 convolutions; the first has this stride."""
    shortcut = None
    if stride > 1:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
        shortcut = nn.Sequential(conv, nn.BatchNorm2d(out_channels))
    first = BasicBlock(in_channels, out_channels, stride, shortcut)
    return nn.Sequential(first, BasicBlock(out_channels, out_channels))
