"""Building blocks that several networks share."""

from revisp.backbones.blocks.attention import ChannelAttention, SpatialAttention
from revisp.backbones.blocks.basic import ConvNormAct, DoubleConv, Norm, check_input, make_norm
from revisp.backbones.blocks.head import Head, RawHead, check_head

__all__ = [
    "ChannelAttention",
    "ConvNormAct",
    "DoubleConv",
    "Head",
    "Norm",
    "RawHead",
    "SpatialAttention",
    "check_head",
    "check_input",
    "make_norm",
]
