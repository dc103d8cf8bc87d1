"""Does the paper's pipeline help a network, and where: each network alone, in the fusion, with a shared trunk.

python benchmarks/generalizability.py runs/general              # all cells, resumable; prints the table
python benchmarks/generalizability.py runs/general --seeds 1 --crops 512 --backbones unet smp:Unet

All cells see the same photographs, the same number of crops of the same size (a crop counts once, whether one
network learns from it or two), the same optimiser and schedule, and are scored on the same whole photos. A plain
network learns packed Bayer planes; the others demosaiced RAW, by region.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from _report import provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from revisp.data.picture import Picture, PictureSource

BACKBONES: dict[str, list[str]] = {
    "unet": ["backbone.width=12", "backbone.depth=4", "backbone.block=1"],
    "zeronoise": [],
    "mialgo": ["backbone.width=16", "backbone.blocks=2"],
    "cycleisp": [],
    "smp:Unet": [],
}
"""Networks, and the words that make them narrow enough for two cores."""

PIPELINES = {"plain": "alone", "fusion": "fusion", "fusion_shared": "fusion, shared trunk"}
FIGURES = ("psnr", "psnr_oe", "psnr_noe", "ssim")


class Cell(NamedTuple):
    """One training."""

    backbone: str
    pipeline: str
    seed: int
    crops: int

    def file(self, root: Path) -> Path:
        """Return where its figures are kept."""
        return root / f"{self.backbone.replace(':', '-')}_{self.pipeline}_{self.crops}_{self.seed}.json"


class Kept:
    """A source whose pictures are prepared once for all cells of a process."""

    def __init__(self, source: PictureSource) -> None:
        self.profile = source.profile
        self.train, self.val = source.train_pictures(), source.val_pictures()

    def train_pictures(self) -> Sequence[Picture]:
        """Return the pictures to learn from."""
        return self.train

    def val_pictures(self) -> Sequence[Picture]:
        """Return the pictures to validate with."""
        return self.val


KEPT: list[Kept] = []


def work(cell: Cell, root: Path, threads: int) -> None:
    """Train and score a cell, unless that was done before."""
    import pytorch_lightning as pl
    import torch

    from revisp.config import compose
    from revisp.training import run as training

    if cell.file(root).exists():
        return
    torch.set_num_threads(threads)
    logging.disable(logging.WARNING)
    words = [f"backbone={cell.backbone}", f"pipeline={cell.pipeline}", *BACKBONES[cell.backbone]]
    words += [f"seed={cell.seed}", f"data.crops_per_epoch={cell.crops}", "trainer.max_epochs=1"]
    words += ["trainer.check_val_every_n_epoch=1000", "~logger", "~callbacks", f"hydra.run.dir={root}"]
    words += [f"+trainer.{key}=false" for key in ("enable_checkpointing", "enable_progress_bar")]
    cfg = compose(words)
    pl.seed_everything(cell.seed, workers=True, verbose=False)
    trainer, data = training.build_trainer(cfg), training.build_data(cfg)
    if not KEPT:
        KEPT.append(Kept(data.source))
    data.source = KEPT[0]
    task = training.build_task(cfg, training.build_model(cfg, data.profile))
    task.baselines.clear()
    started = time.monotonic()
    trainer.fit(task, datamodule=data)
    seconds = time.monotonic() - started
    trainer.test(task, datamodule=data, verbose=False)
    figures = {
        name: float(value) for name, value in trainer.callback_metrics.items() if "/ps" in name or "/ss" in name
    }
    parameters = sum(p.numel() for p in task.model.parameters())
    part = cell.file(root).with_suffix(".part")
    part.write_text(json.dumps({**cell._asdict(), "parameters": parameters, "seconds": seconds, **figures}))
    part.rename(cell.file(root))
    print(f"{cell}: {figures['val/psnr']:.2f} dB in {seconds:.0f} s", file=sys.stderr, flush=True)


def table(cells: list[Cell], root: Path) -> str:
    """Return the figures as Markdown: mean and deviation over seeds, and the gain over the network alone."""
    head = "| network | | parameters | PSNR | OE | NOE | SSIM | gain | OE | NOE |"
    lines = [head, "|" + " --- |" * 10]
    for backbone, pipeline in dict.fromkeys((cell.backbone, cell.pipeline) for cell in cells):
        mine, alone = (
            [json.loads(c.file(root).read_text()) for c in cells if (c.backbone, c.pipeline) == (backbone, which)]
            for which in (pipeline, "plain")
        )
        shown = [_spread([run[f"val/{name}"] for run in mine], 2 if "psnr" in name else 3) for name in FIGURES]
        gains = [
            "" if pipeline == "plain" else _spread(_differences(mine, alone, f"val/{name}"), 2, sign="+")
            for name in FIGURES[:3]
        ]
        row = [f"`{backbone}`", PIPELINES[pipeline], f"{mine[0]['parameters']:,}", *shown, *gains]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _differences(mine: list[dict[str, float]], alone: list[dict[str, float]], key: str) -> list[float]:
    """Seed by seed: the same seed draws the same crops."""
    return [a[key] - b[key] for a, b in zip(mine, alone, strict=True)]


def _spread(values: list[float], digits: int, sign: str = "") -> str:
    mean = f"{statistics.mean(values):{sign}.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the figures of each cell are kept")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES), choices=list(BACKBONES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--crops", type=int, default=2048, help="training crops of 96 x 96 pixels")
    parser.add_argument("--jobs", type=int, default=2, help="cells at once, one thread each")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    cells = [
        Cell(backbone, pipeline, seed, arguments.crops)
        for seed, backbone, pipeline in itertools.product(range(arguments.seeds), arguments.backbones, PIPELINES)
    ]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        list(pool.map(work, cells, itertools.repeat(arguments.folder.resolve()), itertools.repeat(1)))
    print(table(sorted(cells, key=lambda cell: arguments.backbones.index(cell.backbone)), arguments.folder))
    print(f"\n{arguments.crops} crops of 96 x 96, {arguments.seeds} seeds; {provenance()}.")


if __name__ == "__main__":
    main()
