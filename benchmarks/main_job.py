"""Run the README's main job and print its figures, or put them into the README.

python benchmarks/main_job.py           # trains, about 5 minutes on two cores, and prints the table
python benchmarks/main_job.py --readme  # and replaces the README's table
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import provenance

README = Path(__file__).resolve().parents[1] / "README.md"
JOB = ["revisp-train", "+backbone=unet"]
RIVALS = {
    "val": "**fused pipeline**",
    "oe": "OE branch alone",
    "noe": "NOE branch alone",
    "upi": "UPI unprocessing, true colour matrix and white balance",
    "upi_fitted": "UPI, its brightness fitted to the training pairs too",
    "classical": "fitted classical inverse: curve, matrix, headroom",
}
COLUMNS = {
    "psnr": "PSNR",
    "psnr_oe": "PSNR OE",
    "psnr_noe": "PSNR NOE",
    "ssim": "SSIM",
    "ssim_oe": "SSIM OE",
    "ssim_noe": "SSIM NOE",
}
PLACE = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def run_job(folder: Path) -> tuple[dict[str, float | None], float]:
    """Run the main job in a folder; return its metrics and wall-clock seconds."""
    started = time.monotonic()
    command = Path(sys.executable).with_name(JOB[0])  # of this environment, activated or not
    subprocess.run([command, *JOB[1:], f"hydra.run.dir={folder}"], check=True)
    return json.loads((folder / "metrics.json").read_text()), time.monotonic() - started


def table(metrics: dict[str, float | None], seconds: float) -> str:
    """Return the figures as Markdown, with the machine, the versions and the command."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|" + " --- |" * (len(COLUMNS) + 1)]
    for group, name in RIVALS.items():
        cells = [_cell(metrics[f"{group}/{column}"], 2 if "psnr" in column else 3) for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"`{' '.join(JOB)}` took {seconds / 60:.1f} minutes on {provenance()}; "
        f"printed by `python benchmarks/main_job.py`.",
    ]
    return "\n".join(lines) + "\n"


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readme", action="store_true", help="update README.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        filled = table(*run_job(run))
        sys.stdout.write(filled)
        if arguments.readme:
            README.write_text(PLACE.sub(lambda _: filled, README.read_text()))


if __name__ == "__main__":
    main()
