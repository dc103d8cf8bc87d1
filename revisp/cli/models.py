"""``revisp-models``: list the networks, their cost and their source."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from revisp.backbones import describe_backbones
from revisp.cli._limits import LIMIT_SENTENCE, take_limits
from revisp.cli._main import report_errors, say

__all__ = ["main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

TILE_MEGAPIXELS = 504 * 504 / 1e6
"""Megapixels of the tile for which costs are given."""


@app.command(epilog=LIMIT_SENTENCE)
def command(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Shell pattern of names, such as 'hit_*'.", show_default="all")
    ] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print all facts as JSON.")] = False,
) -> None:
    """List the networks: size, cost, receptive field, published results.

    Sizes and costs are those of the published network. "sees" is the side in pixels of the square that an output
    pixel depends on; "photo" means the whole photo. PSNR is the reported figure for AIM 2022 Test1 (S7, P20), in
    dB.
    """
    with report_errors():
        rows = describe_backbones(pattern)
        if as_json:
            say(json.dumps(rows, indent=2))
            return
        lines = [_line(row) for row in rows]
        widths = [max(map(len, column)) for column in zip(TABLE_HEADER, *lines, strict=True)]
        for line in (TABLE_HEADER, *lines):
            say("  ".join(_pad(*cell) for cell in zip(line, widths, range(len(line)), strict=True)).rstrip())


def main() -> None:
    """Run the command."""
    take_limits()
    app()


TABLE_HEADER = ("name", "parameters", "GMAC/504²", "GMAC/MP", "predicts", "sees", "S7", "P20", "from")
NUMBER_COLUMNS = range(1, 8)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    gmac, reported = row["gmac"], row["reported"]
    sees = "photo" if row["global_context"] else f"{row['receptive_field']} px" if row["receptive_field"] else "?"
    return (
        row["name"],
        "?" if row["parameters"] is None else f"{row['parameters']:,}",
        "?" if gmac is None else f"{gmac:.1f}",
        "?" if gmac is None else f"{gmac / TILE_MEGAPIXELS:.0f}",
        row["native"],
        sees,
        *(f"{reported[key]:.2f}" if key in reported else "-" for key in ("s7/psnr", "p20/psnr")),
        f"{row['paper']} (plugin {row['plugin']})".lstrip() if row["plugin"] else row["paper"],
    )


def _pad(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in NUMBER_COLUMNS else text.ljust(width)
