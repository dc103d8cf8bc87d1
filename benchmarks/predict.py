"""What makes prediction fast: each step alone and all together, against plain eager fp32, side by side.

python benchmarks/predict.py                          # shipped model and the paper's networks, one tile each
python benchmarks/predict.py default --sizes 504 2016 --rounds 7 --json predict.json
python benchmarks/predict.py default paper --steps plain all --sizes 504 --overexposed 0 0.01

Every step runs in a process of its own, for what the allocator keeps is the process's; rounds over all are
repeated, so that all see the same machine. Figures are medians of rounds, with the least and the most,
and user and system time apart. The rate is the arithmetic of the plain path, both networks everywhere, over the
time: what skips arithmetic exceeds the machine. The peak is that of one 3x3 convolution of 64 channels.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from _report import child, keep, medians, ratio, spread, timed, to_table

ORDER = ("keep", "last", "rewrite", "bf16", "tiles", "compile")
"""Kept memory, channels-last, rewritten layers, bf16, tiles that skip branches, compiled networks."""

STEPS = {
    "plain": (),
    **{f"{step} alone": (step,) for step in ("keep", "last", "rewrite", "bf16", "tiles")},
    **{f"up to {ORDER[at - 1]}": ORDER[:at] for at in (2, 3, 4)},
    "all": ORDER[:5],
    "all, fp32": ("keep", "last", "rewrite", "tiles"),
    "all, compiled": ORDER,
}


def build(name: str) -> Any:
    """Return a pipeline: ``default``, ``paper`` (its U-Nets, random weights), a model folder, or a backbone."""
    import torch

    from revisp.model_folder import from_pretrained
    from revisp.pipeline import ReverseISP

    if name == "default" or Path(name).is_dir():
        return from_pretrained(None if name == "default" else name)
    torch.manual_seed(0)
    return ReverseISP("unet" if name == "paper" else name).eval()


def prepare(model: Any, steps: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return what predicts a photo ``[1, 3, H, W]`` with these steps."""
    import torch

    from revisp.hardware import keep_freed_memory
    from revisp.inference.predict import predict
    from revisp.inference.rewrites import fold_norms, rewrite

    if "keep" in steps:
        keep_freed_memory()
    model = copy.deepcopy(model, {id(model.spec): model.spec}).requires_grad_(False)
    if "rewrite" in steps:
        fold_norms(model, lambda: model(torch.rand(1, 3, 64, 64)))
        rewrite(model)
    for key, network in model.branches.items():
        model.branches[key] = _wrap(network, steps)
    return (lambda photo: predict(model, photo)) if "tiles" in steps else model


def _wrap(network: Any, steps: tuple[str, ...]) -> Any:
    import torch

    from revisp.backbones.base import run_part

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.to(memory_format=torch.channels_last) if "last" in steps else network
            self.run = torch.compile(self.network) if "compile" in steps else self.network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self._run(self.run, x)

        def forward_part(self, x: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
            if "compile" in steps:
                return self(x)[..., rows, columns]
            return self._run(partial(run_part, self.network), x, rows, columns)

        def _run(self, run: Callable[..., torch.Tensor], x: torch.Tensor, *part: slice) -> torch.Tensor:
            x = x.contiguous(memory_format=torch.channels_last) if "last" in steps else x
            with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in steps):
                return run(x, *part).float()

    return Network()


def picture(side: int, overexposed: float) -> Any:
    """Return a photo ``[1, 3, side, side]``: smooth colours, noise, and a square of clipped white."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(0)
    smooth = F.interpolate(torch.rand(1, 3, 16, 16, generator=generator), (side, side), mode="bilinear")
    photo = (0.85 * smooth + 0.02 * torch.randn(1, 3, side, side, generator=generator)).clamp(0, 0.95)
    white = round(side * overexposed**0.5)
    photo[..., side // 3 : side // 3 + white, side // 3 : side // 3 + white] = 1
    return photo


def measure(name: str, steps: tuple[str, ...], side: int, overexposed: float) -> dict[str, float]:
    """Time predictions of a photo in this process."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model, photo = build(name), picture(side, overexposed)
    abstract = copy.deepcopy(model, {id(model.spec): model.spec}).to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        abstract.run_branches(photo.to("meta"), photo[:, :1].to("meta"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = prepare(model, steps)
    with torch.inference_mode():
        figures = timed(lambda: run(photo))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = counter.get_total_flops() / figures["s"] / 1e9
    return {**figures, "GFLOP/s": rate, "MiB": (after - before) / 1024}


def peak(dtype: str) -> dict[str, float]:
    """Return the rate of a convolution that processors like."""
    import torch

    from revisp.hardware import keep_freed_memory

    keep_freed_memory()
    kind = getattr(torch, dtype)
    conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(kind).to(memory_format=torch.channels_last)
    x = torch.rand(1, 64, 256, 256).to(kind).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        figures = timed(lambda: [conv(x) for _ in range(10)])
    return {**figures, "GFLOP/s": 10 * 2 * 9 * 64 * 64 * 256 * 256 / figures["s"] / 1e9}


def table(rounds: dict[tuple[str, ...], list[dict[str, float]]], peaks: dict[str, float]) -> str:
    """Return the figures as Markdown, one table for each model, size and share of overexposed pixels."""
    parts = []
    for case in dict.fromkeys(key[:3] for key in rounds):
        model, side, share = case
        heads = ["step", "s", "spread", "x plain", "user, s", "system, s", "GFLOP/s", "of peak", "MiB"]
        lines = []
        plain = rounds.get((*case, "plain"))
        for key, rows in rounds.items():
            if key[:3] != case:
                continue
            middle = medians(rows)
            best = peaks["bfloat16" if "bf16" in STEPS[key[3]] else "float32"]
            cells = [key[3], f"{middle['s']:.3f}", spread(rows), f"{ratio(plain, rows):.2f}" if plain else ""]
            cells += [f"{middle['user']:.3f}", f"{middle['system']:.3f}", f"{middle['GFLOP/s']:.0f}"]
            lines.append([*cells, f"{middle['GFLOP/s'] / best:.0%}", f"{middle['MiB']:.0f}"])
        title = f"`{model}`, {side} x {side} pixels, {float(share):.0%} of them overexposed"
        parts.append(f"{title}\n\n{to_table(heads, lines)}")
    peak = f"Peaks: {peaks['float32']:.0f} GFLOP/s in fp32, {peaks['bfloat16']:.0f} in bf16."
    return "\n\n".join([*parts, peak])


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", default=["default", "paper"], help="default, paper, folders or backbones"
    )
    parser.add_argument("--sizes", nargs="*", type=int, default=[504], help="sides of the photos, in pixels")
    parser.add_argument("--overexposed", nargs="*", type=float, default=[0.01], help="shares of clipped pixels")
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=[x for x in STEPS if "compiled" not in x])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        first, *rest = arguments.one
        one = peak(first) if not rest else measure(first, STEPS[rest[2]], int(rest[0]), float(rest[1]))
        print(json.dumps(one))
        return
    peaks = {dtype: child(dtype)["GFLOP/s"] for dtype in ("float32", "bfloat16")}
    cases = list(itertools.product(arguments.models, arguments.sizes, arguments.overexposed, arguments.steps))
    rounds: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for number, case in itertools.product(range(arguments.rounds), cases):
        key = tuple(map(str, case))
        rounds.setdefault(key, []).append(child(*key))
        print(f"round {number + 1}: {' '.join(key)} {rounds[key][-1]}", file=sys.stderr, flush=True)
    figures = {"peaks": peaks, "cases": [{"case": key, "rounds": rows} for key, rows in rounds.items()]}
    keep(arguments.json, table(rounds, peaks), figures)


if __name__ == "__main__":
    main()
