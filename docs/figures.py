"""Fill the table of figures in README.md from the ``metrics.json`` of a training.

python docs/figures.py runs/train/.../metrics.json
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
RIVALS = {"val": "fused pipeline", "oe": "OE branch alone", "noe": "NOE branch alone", "upi": "UPI unprocessing"}
COLUMNS = ("psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe")
TITLES = ("", "PSNR", "PSNR OE", "PSNR NOE", "SSIM", "SSIM OE", "SSIM NOE")
PLACE = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def table(metrics: dict[str, float | None]) -> str:
    """Return the figures as a Markdown table: a row for each rival, a dash where a region was empty."""
    lines = ["| " + " | ".join(TITLES).strip() + " |", "|" + " --- |" * len(TITLES)]
    for group, name in RIVALS.items():
        cells = [_cell(metrics[f"{group}/{column}"], 2 if "psnr" in column else 4) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", type=Path, help="metrics.json of a run")
    filled = table(json.loads(parser.parse_args().metrics.read_text()))
    README.write_text(PLACE.sub(lambda _: filled, README.read_text()))


if __name__ == "__main__":
    main()
