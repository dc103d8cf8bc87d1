"""Run the README's trainings without data, and print their figures or put them into the README.

python benchmarks/main_job.py                  # trains twice, ten minutes on two cores, and prints both tables
python benchmarks/main_job.py recipe --readme  # the second one alone, and replaces its table in the README
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from _report import provenance
from torch import Tensor

import revisp
from revisp.camera.target import as_camera
from revisp.cfa import pack
from revisp.config import as_dict, compose
from revisp.data import create_data
from revisp.evaluation.scores import score_pair
from revisp.mask import overexposure_mask
from revisp.mosaic import mosaic

README = Path(__file__).resolve().parents[1] / "README.md"
JOBS = {
    "figures": ("+backbone=unet",),
    "recipe": ("+backbone=unet", "experiment=default", "data=photo_scenes"),
}
"""Words of `revisp-train` by the name of their table in the README."""
RIVALS = {
    "val": "**fused pipeline**",
    "oe": "OE branch alone",
    "noe": "NOE branch alone",
    "upi": "UPI unprocessing, true colour matrix and white balance",
    "upi_fitted": "UPI, its brightness fitted to the training pairs too",
    "classical": "fitted classical inverse: curve, matrix, headroom",
    "package": "the model in the package, for any camera; true colour matrix, brightness fitted",
}
COLUMNS = {
    "psnr": "PSNR",
    "psnr_oe": "PSNR OE",
    "psnr_noe": "PSNR NOE",
    "ssim": "SSIM",
    "ssim_oe": "SSIM OE",
    "ssim_noe": "SSIM NOE",
}


def run_job(words: Sequence[str], folder: Path) -> tuple[dict[str, float | None], float]:
    """Train in a folder; return the metrics and wall-clock seconds."""
    started = time.monotonic()
    command = Path(sys.executable).with_name("revisp-train")  # of this environment, activated or not
    subprocess.run([command, *words, f"hydra.run.dir={folder}"], check=True)
    return json.loads((folder / "metrics.json").read_text()), time.monotonic() - started


@torch.inference_mode()
def score_package(words: Sequence[str]) -> dict[str, float]:
    """Score the model in the package on the validation photographs of a training.

    Its RAW is that of the canonical sensor, and `as_camera` makes it that of the training's camera. A photo does
    not tell the exposure: it is fitted to the training photographs.
    """
    settings = as_dict(compose(list(words)).data)
    model, data = revisp.from_pretrained(), create_data(settings.pop("name"), **settings)
    data.setup()

    def predict(srgb: Tensor) -> Tensor:
        assert model.profile is not None
        return as_camera(revisp.predict(model, srgb).raw_rgb, model.profile, data.profile)

    ratios = []
    for sample in data.training_samples():
        unclipped = (overexposure_mask(sample.srgb) == 0).expand_as(sample.target)
        ratios.append(sample.target[unclipped].median() / predict(sample.srgb)[unclipped].median())
    brightness = statistics.median(map(float, ratios))
    found = [
        score_pair(
            pack(mosaic((predict(srgb) * brightness).clamp(max=1), cfa), cfa), pack(bayer, cfa), srgb, cfa=cfa
        )
        for srgb, bayer in ((batch.srgb[0], batch.bayer[0]) for batch in data.test_dataloader())
        for cfa in [data.profile.cfa]
    ]
    known = {name: [scores[name] for scores in found if not math.isnan(scores[name])] for name in COLUMNS}
    return {f"package/{name}": statistics.fmean(values) for name, values in known.items()}


def table(name: str, metrics: dict[str, float | None], seconds: float) -> str:
    """Return the figures as Markdown, with the machine, the versions and the command."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|" + " --- |" * (len(COLUMNS) + 1)]
    for group, title in RIVALS.items():
        if f"{group}/psnr" in metrics:
            cells = [_cell(metrics[f"{group}/{column}"], 2 if "psnr" in column else 3) for column in COLUMNS]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += [
        "",
        f"`revisp-train {' '.join(JOBS[name])}` took {seconds / 60:.1f} minutes on {provenance()}; "
        f"printed by `python benchmarks/main_job.py`.",
    ]
    return "\n".join(lines) + "\n"


def place(name: str) -> re.Pattern[str]:
    """Return the pattern of what stands between the marks of a table."""
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(JOBS)}; default: all")
    parser.add_argument("--readme", action="store_true", help="update README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.tables) - set(JOBS):
        parser.error(f"no table {min(unknown)!r}: there are {', '.join(JOBS)}")
    for name in arguments.tables or JOBS:
        with tempfile.TemporaryDirectory() as folder:
            metrics, seconds = run_job(JOBS[name], Path(folder) / "run")
        filled = table(name, metrics | score_package(JOBS[name]), seconds)
        sys.stdout.write(filled)
        if arguments.readme:
            README.write_text(place(name).sub(lambda _, filled=filled: filled, README.read_text()))


if __name__ == "__main__":
    main()
