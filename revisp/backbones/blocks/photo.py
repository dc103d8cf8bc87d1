"""The check of channels of networks that treat the photo's colours and its mask differently."""

from __future__ import annotations

from revisp.camera.place import PLACE_CHANNELS
from revisp.errors import ConfigError

__all__ = ["check_channels"]


def check_channels(in_channels: int, out_channels: int, name: str, planes: int = 3) -> None:
    """Require a photo, with or without mask, gain map and place, and whole predictions.

    Args:
        in_channels: channels of the input: 3 for sRGB, 1 more for the overexposure mask, 1 for the gain map
            (`revisp.pipeline.gain_channel`), and 3 for the place (`revisp.camera.place.place_map`), in this order.
        out_channels: channels of the output, a multiple of ``planes``.
        name: name of the network.
        planes: channels of one prediction: 3 for R, G, B, or 4 for R, Gr, Gb, B.

    Raises:
        ConfigError: another number of channels.
    """
    most = 3 + 1 + 1 + PLACE_CHANNELS
    if not 3 <= in_channels <= most or out_channels < planes or out_channels % planes:
        raise ConfigError(
            f"{name}: in_channels must be 3 to {most} and out_channels a multiple of {planes}, got "
            f"{in_channels} and {out_channels}"
        )
