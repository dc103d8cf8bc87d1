"""The check of channels of networks that treat the photo's colours and its mask differently."""

from __future__ import annotations

from revisp.errors import ConfigError

__all__ = ["check_channels"]


def check_channels(in_channels: int, out_channels: int, name: str, planes: int = 3) -> None:
    """Require a photo, with or without a mask, and whole predictions.

    Args:
        in_channels: channels of the input, 3 for sRGB or 4 for sRGB and the overexposure mask.
        out_channels: channels of the output, a multiple of ``planes``.
        name: name of the network.
        planes: channels of one prediction: 3 for R, G, B, or 4 for R, Gr, Gb, B.

    Raises:
        ConfigError: another number of channels.
    """
    if in_channels not in (3, 4) or out_channels < planes or out_channels % planes:
        raise ConfigError(
            f"{name}: in_channels must be 3 or 4 and out_channels a multiple of {planes}, got "
            f"{in_channels} and {out_channels}"
        )
