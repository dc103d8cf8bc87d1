"""Pictures and facts as HTML, for notebooks and for the report."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LONGEST_SIDE", "cfa_pattern", "data_uri", "figure", "rich_display", "shrink", "swatch", "viewable"]

LONGEST_SIDE = 1024
"""Most pixels of the longer side of a picture; larger pictures are reduced."""

LOSSLESS_SIDE = 640
"""Pictures whose longer side has at most this number of pixels are stored without loss."""

NOTEBOOK_SIDE = 360
"""Longer side of a picture in a notebook."""

BRIGHT_SHARE, BRIGHT = 0.98, 0.9
"""Which share of a RAW is at most this bright where it is shown."""

_FILTERS = {"R": "#d64545", "G": "#3f9b56", "B": "#3f74c9"}


def shrink(picture: Tensor, longest: int = LONGEST_SIDE) -> Tensor:
    """Return a picture ``[C, H, W]``, reduced if a side has more than ``longest`` pixels."""
    from torch.nn import functional as F

    scale = longest / max(picture.shape[-2:])
    if scale >= 1:
        return picture
    size = [max(1, round(side * scale)) for side in picture.shape[-2:]]
    return F.interpolate(picture[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def data_uri(picture: Tensor) -> str:
    """Encode a picture ``[1 or 3, H, W]`` in [0, 1] as a WebP data URI, without loss if it is small or a mask."""
    from PIL import Image

    pixels = (picture.clamp(0, 1) * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()
    exact = picture.shape[0] == 1 or max(picture.shape[-2:]) <= LOSSLESS_SIDE
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=exact, quality=70 if exact else 92, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def viewable(raw_rgb: Tensor) -> Tensor:
    """Make camera RGB of an unknown camera fit to look at: grey on average, bright, by the sRGB curve.

    Args:
        raw_rgb: demosaiced RAW ``[3, H, W]``, linear, black 0.

    Returns:
        A picture of the same shape in [0, 1].

    Example:
        >>> import torch
        >>> [round(value, 2) for value in viewable(torch.full((3, 8, 8), 0.01))[:, 0, 0].tolist()]
        [0.95, 0.95, 0.95]
    """
    import torch

    raw_rgb = shrink(raw_rgb.detach().float().cpu(), NOTEBOOK_SIDE).clamp_min(0)
    means = raw_rgb.mean((1, 2), keepdim=True).clamp_min(1e-6)
    grey = raw_rgb * (means.max() / means)
    level = torch.quantile(grey.amax(0).flatten(), BRIGHT_SHARE).clamp_min(1e-6)
    light = (grey * BRIGHT / level).clamp(0, 1)
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def figure(picture: Tensor, title: str) -> str:
    """Return a small picture ``[1 or 3, H, W]`` in [0, 1] with its title.

    Example:
        >>> import torch
        >>> figure(torch.ones(3, 8, 8), "photo & mask").count("photo &amp; mask")
        2
    """
    small = shrink(picture.detach().float().cpu(), NOTEBOOK_SIDE)
    return (
        '<figure style="margin:0 12px 8px 0;display:inline-block;vertical-align:top">'
        f'<img src="{data_uri(small)}" alt="{escape(title)}" style="max-width:100%;display:block">'
        f'<figcaption style="font-size:85%;opacity:.8">{escape(title)}</figcaption></figure>'
    )


def cfa_pattern(letters: str) -> str:
    """Return the 2x2 tile of a colour filter array, such as ``"RGGB"``, as a drawing.

    Example:
        >>> cfa_pattern("GRBG").count("<rect"), 'aria-label="GRBG"' in cfa_pattern("GRBG")
        (4, True)
    """
    cells = "".join(
        f'<rect x="{16 * (place % 2)}" y="{16 * (place // 2)}" width="15" height="15" fill="{_FILTERS[letter]}"/>'
        f'<text x="{16 * (place % 2) + 7.5}" y="{16 * (place // 2) + 11.5}" font-size="10" fill="#fff" '
        f'text-anchor="middle" font-family="sans-serif">{letter}</text>'
        for place, letter in enumerate(letters)
    )
    return f'<svg width="32" height="32" viewBox="0 0 31 31" role="img" aria-label="{letters}">{cells}</svg>'


def swatch(colour: Sequence[float], title: str) -> str:
    """Return a field of a colour, linear in [0, 1], by the sRGB curve.

    Example:
        >>> "#ffbc00" in swatch((1.0, 0.5, 0.0), "orange")
        True
    """
    values = (min(max(float(value), 0.0), 1.0) for value in colour)
    encoded = (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055 for value in values)
    code = "#" + "".join(f"{round(255 * value):02x}" for value in encoded)
    return (
        '<span style="display:inline-block;text-align:center;font-size:80%;margin-right:6px">'
        f'<svg width="44" height="28" role="img" aria-label="{escape(title)}">'
        f'<rect width="44" height="28" rx="4" fill="{code}"/></svg><br>{escape(title)}</span>'
    )


def rich_display(title: str, facts: Iterable[tuple[str, str]], pictures: Iterable[str] = ()) -> str:
    """Return what a notebook shows of an object.

    Args:
        title: what it is.
        facts: names, as text, and what is known, as markup.
        pictures: markup of pictures.

    Example:
        >>> rich_display("RAW", [("size", "32 x 48")]).count("<tr ")
        1
    """
    rows = "".join(
        f'<tr style="text-align:left"><th scope="row">{escape(name)}</th><td>{value}</td></tr>'
        for name, value in facts
    )
    return f"<div><strong>{escape(title)}</strong><div>{''.join(pictures)}</div><table>{rows}</table></div>"
