"""What makes training fast: one step of the shipped model and of the paper's, plain and fast, side by side.

python benchmarks/training_step.py                             # batches of 8 crops, about ten minutes on two cores
python benchmarks/training_step.py default --crop 96 --rounds 7 --json training_step.json
python benchmarks/training_step.py --before CHECKOUT           # side by side with an earlier commit, too

A step is the prediction of a batch, the losses of both branches and their gradients, and Adam. The default stands
on its base, the paper's networks on none. ``fast`` is what revisp-train takes by itself on processors with bf16.
``plain`` is eager, fp32, channels first, with Adam weight by weight. Every way runs in a process of its own, and
rounds over all ways are repeated. ``--before`` also runs ``fast`` in another checkout (git worktree add --detach).
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import sys
from pathlib import Path

from _report import child, commit_of, keep, medians, ratio, spread, timed, to_table

WAYS = {
    "plain": (),
    "kept memory alone": ("keep",),
    "channels-last alone": ("last",),
    "bf16 alone": ("bf16",),
    "channels-last, bf16": ("last", "bf16"),
    "fast": ("keep", "last", "bf16", "fused"),
}

BEFORE = "before"
"""The way ``fast``, in another checkout."""

PAPER = ("backbone.width=64", "backbone.depth=5", "backbone.norm=batch", "backbone.block=1")


def measure(name: str, way: str, batch: int, crop: int) -> dict[str, float]:
    """Time training steps in this process."""
    import torch

    from revisp.config import as_dict, compose
    from revisp.hardware import keep_freed_memory
    from revisp.pipeline import ReverseISP
    from revisp.training.build import build_loss

    steps = WAYS["fast" if way == BEFORE else way]
    if "keep" in steps:
        keep_freed_memory()
    torch.manual_seed(0)
    settings = compose(["+backbone=unet", *PAPER] if name == "paper" else ["+backbone=unet"])
    network = {key: value for key, value in settings.backbone.items() if key != "name"}
    layout = torch.channels_last if "last" in steps else torch.contiguous_format
    base = None if name == "paper" else settings.pipeline.base
    model = ReverseISP("unet", backbone_kwargs=network, base=base).to(memory_format=layout).train()
    photos = torch.rand(batch, 3, crop, crop).contiguous(memory_format=layout)
    photos[..., : crop // 8] = 1
    target = torch.rand(batch, 3, crop, crop).contiguous(memory_format=layout)
    valid = torch.ones(batch, 1, crop, crop)
    loss = build_loss(as_dict(settings.loss), model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused="fused" in steps)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in steps):
            mask = model.overexposure_mask(photos)
            parts, _ = model.run_branches(photos, mask)
        total, _ = loss(parts["oe"], parts["noe"], target, mask, valid, {"oe": {}, "noe": {}})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = timed(step)
    return {**figures, "MiB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def table(rounds: dict[tuple[str, ...], list[dict[str, float]]]) -> str:
    """Return the figures as Markdown, one table for each model and size."""
    heads = ["way", "s a step", "spread", "x plain", "photos/s", "user, s", "system, s", "MiB"]
    parts = []
    for case in dict.fromkeys(key[:3] for key in rounds):
        name, batch, crop = case
        plain, lines = rounds[(*case, "plain")], []
        for key, rows in rounds.items():
            if key[:3] == case:
                middle = medians(rows)
                cells = [key[3], f"{middle['s']:.3f}", spread(rows), f"{ratio(plain, rows):.2f}"]
                cells += [f"{int(batch) / middle['s']:.1f}", f"{middle['user']:.2f}", f"{middle['system']:.2f}"]
                lines.append([*cells, f"{middle['MiB']:.0f}"])
        parts.append(f"`{name}`, {batch} crops of {crop} x {crop}\n\n{to_table(heads, lines)}")
        if before := rounds.get((*case, BEFORE)):
            parts.append(against(before, rounds[(*case, "fast")]))
    return "\n\n".join(parts)


def against(before: list[dict[str, float]], fast: list[dict[str, float]]) -> str:
    """Return one line: what a step takes of the time of the other checkout, in the same rounds."""
    pairs = list(zip(before, fast, strict=True))
    wall = statistics.median(new["s"] / old["s"] for old, new in pairs)
    processor = statistics.median(
        (new["user"] + new["system"]) / (old["user"] + old["system"]) for old, new in pairs
    )
    return f"fast over before: {wall:.3f} of the time, {processor:.3f} of the processor's time"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["default", "paper"], help="default or paper")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path, help="another checkout, whose fast way is measured, too")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, batch, crop, way = arguments.one
        print(json.dumps(measure(name, way, int(batch), int(crop))))
        return
    rounds: dict[tuple[str, ...], list[dict[str, float]]] = {}
    ways = [*WAYS, *([BEFORE] if arguments.before else [])]
    for number, name, way in itertools.product(range(arguments.rounds), arguments.models, ways):
        key = (name, str(arguments.batch), str(arguments.crop), way)
        checkout = arguments.before.resolve() if way == BEFORE else None
        rounds.setdefault(key, []).append(child(*key, checkout=checkout))
        print(f"round {number + 1}: {' '.join(key)} {rounds[key][-1]}", file=sys.stderr, flush=True)
    title = f"Before: commit {commit_of(arguments.before)}\n\n" if arguments.before else ""
    keep(arguments.json, title + table(rounds), [{"case": key, "rounds": rows} for key, rows in rounds.items()])


if __name__ == "__main__":
    main()
