"""Figures and tables as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = ["amount", "best_of", "facts", "figure_cell", "figure_text", "html_table", "row", "small", "words"]

NO_FIGURE = '<span aria-label="none">–</span>'

_DISPLAY_WORDS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "oe": "OE",
    "noe": "NOE",
    "ev": "(EV)",
    "gmac": "GMAC",
    "delta": "ΔE",
    "e": "",
    "ntire": "NTIRE",
}


def words(name: str) -> str:
    """Return the display name of a figure, not escaped: ``psnr_oe`` is "PSNR OE (dB)"."""
    parts = [word for part in name.split("_") if (word := _DISPLAY_WORDS.get(part, part))]
    text = " ".join(parts)
    return (text[:1].upper() + text[1:]) + (" (dB)" if "PSNR" in parts else "")


def figure_text(name: str, value: float) -> str:
    """Return a figure as text: SSIM and other small figures with four decimals, others with three."""
    if not math.isfinite(value):
        return NO_FIGURE
    digits = 3 if "psnr" in name or abs(value) >= 10 else 4
    return f"{value:.{digits}f}".replace("-", "−")


def figure_cell(name: str, value: float, best: float | None = None) -> str:
    """Return a table cell, in bold if the figure is the best."""
    text = figure_text(name, value)
    return f"<td><strong>{text}</strong></td>" if value == best else f"<td>{text}</td>"


def best_of(name: str, values: Iterable[float]) -> float | None:
    """Return the largest PSNR or SSIM; None for other figures, for which more may not be better."""
    known = [value for value in values if math.isfinite(value)]
    return max(known) if known and ("psnr" in name or "ssim" in name) else None


def amount(value: float) -> str:
    """Return a cost as text with three to four digits, such as 1.25 M."""
    if not math.isfinite(value):
        return NO_FIGURE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if abs(value) < 1000 * size else f"{value / size:.0f} {unit}"
    return f"{value:.4g}"


def small(value: float) -> str:
    """Return an error of RAW as text with six decimals."""
    return f"{value:.6f}".replace("-", "−") if math.isfinite(value) else NO_FIGURE


def row(head: str, cells: Iterable[str]) -> str:
    """Return a table's row.

    Args:
        head: markup of the first cell.
        cells: the other cells, each a complete ``<td>``.
    """
    return f'<tr><th scope="row">{head}</th>{"".join(cells)}</tr>'


def html_table(caption: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    """Return a table that scrolls sideways, also by keyboard.

    Args:
        caption: caption, as text.
        heads: heading of each column, as text.
        rows: markup of the rows.
    """
    columns = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead><tbody>{''.join(rows)}</tbody>"
        "</table></div>"
    )


def facts(values: Mapping[str, str]) -> str:
    """Return a list of names and values, both text."""
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in values.items())
