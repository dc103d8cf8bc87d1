"""``python -m tests.fuzz.kills --minutes 30``: commands killed at random moments, and what was left and lost.

Each command works in a folder beside files that are not its own. It is killed (SIGKILL, SIGTERM or SIGINT) at a
random moment of the time that it takes when nobody disturbs it, and then run again to its end. Wrong is:

- a file under its final name that is neither the old nor the finished one, right after the kill,
- a file of others that has changed or gone,
- a second run that fails, or ends with other results than a run that nobody disturbed,
- a hidden file of revisp that is left after the second run,
- a process that runs on,
- another end than by the signal or with exit code 130, once a signal that can be handled has come.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

from . import app_visit, seeds
from .processes import Process

FOREIGN = ("notes.txt", ".hidden", "out/mine.txt", "out/.mine.part")
"""Files of others, beside and inside the folder that a command writes to."""

GIVEN = ("photos", "maps", "raws", "scenes", "model")
"""Folders that commands read."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PHOTOS = 6

BEGUN = 2.0
"""Seconds after which a command has begun; before, Python or Typer may be interrupted, which end otherwise."""

Contents = dict[str, str]


@dataclass(frozen=True)
class Command:
    """A command, how it goes on, and what must be the same in the end.

    Attributes:
        name: of the row in the table.
        words: the command.
        again: words that are added in the second run, for the folder that it works in.
        same: the files whose bytes must be the same, by patterns; none for a command that only prints.
        visit: uses a server and ends it; None for a command that ends by itself.
    """

    name: str
    words: tuple[str, ...]
    same: tuple[str, ...]
    again: Callable[[Path], tuple[str, ...]] = lambda folder: ()
    visit: Callable[[Process, Path], None] | None = None


def _resumed(pattern: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda folder: ("--resume",) if list((folder / "out").glob(pattern)) else ()


def _last(folder: Path) -> tuple[str, ...]:
    return ("resume=last",) if (folder / "out" / "checkpoints" / "last.ckpt").exists() else ()


TRAIN = (
    "revisp-train", "backbone=unet", "backbone.width=4", "backbone.depth=2", "data.crop=32", "data.batch_size=2",
    "data.crops_per_epoch=8", "demosaic=bilinear", "trainer.max_epochs=4", "trainer.precision=32-true",
    "hydra.run.dir=out",
)  # fmt: skip

COMMANDS = (
    Command(
        "predict to DNG",
        ("revisp-predict", "photos", "-o", "out"),
        ("out/*.dng",),
        again=_resumed("*.dng"),
    ),
    Command(
        "predict with gain maps",
        ("revisp-predict", "maps", "-o", "out", "--preview", "--dng", "linear"),
        ("out/*.dng", "out/*.preview.png"),
        again=_resumed("*.dng"),
    ),
    Command(
        "predict to arrays",
        ("revisp-predict", "photos", "-o", "out", "--format", "npy", "--bits", "10"),
        ("out/*.npy",),
        again=_resumed("*.npy"),
    ),
    Command(
        "prepare",
        ("revisp-prepare", "photos", "-o", "out/set", "--demosaic", "malvar", "--workers", "1"),
        ("out/set/arrays/*.npy",),
    ),
    Command(
        "prepare in processes",
        ("revisp-prepare", "raws", "-o", "out/set", "--demosaic", "malvar", "--workers", "2", "--preview"),
        ("out/set/arrays/*.npy", "out/set/cameras/*.json"),
    ),
    Command("prepare scenes", ("revisp-prepare", "scenes", "-o", "out/set"), ("out/set/**/*.npy",)),
    Command("train", TRAIN, ("out/model/model.safetensors", "out/model/config.json"), again=_last),
    Command(
        "export",
        ("revisp-export", "model", "-o", "out/model.onnx"),
        ("out/model.onnx",),
    ),
    Command(
        "evaluate",
        ("revisp-evaluate", "model=model", "data=simulated", "data.photos=photos", "hydra.run.dir=out/scores"),
        ("out/scores/scores.csv",),
    ),
    Command(
        "evaluate a cycle",
        ("revisp-evaluate", "--cycle", "model=model", "photos=photos", "hydra.run.dir=out/scores"),
        ("out/scores/scores.csv",),
    ),
    Command(
        "benchmark",
        (
            "revisp-benchmark", 'backbones=["unet backbone.width=4 backbone.depth=2"]', "seeds=[0,1]",
            'datasets=["simulated data.photos=photos"]',
            'words=["data.crop=32","data.batch_size=2","demosaic=bilinear","trainer.precision=32-true"]',
            "budget=1 steps",
        ),
        ("runs/benchmark/cells/*/model/model.safetensors",),
    ),
    Command("models", ("revisp-models", "--json"), ()),
    Command(
        "app",
        ("revisp-app", "--no-browser", "--port", app_visit.PORT),
        ("out/*.dng",),
        visit=app_visit.visit,
    ),
)  # fmt: skip


def main() -> int:
    """Run the kills; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="time after which no more is killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", action="append", help="only these commands")
    given = parser.parse_args()
    chosen = [each for each in COMMANDS if not given.command or each.name in given.command]
    rng = random.Random(given.seed)
    done: Counter[str] = Counter()
    stopped: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        undisturbed = {each.name: _undisturbed(each, root) for each in chosen}
        start = time.monotonic()
        while time.monotonic() - start < 60 * given.minutes:
            command = min(chosen, key=lambda each: done[each.name] * math.sqrt(undisturbed[each.name][1]))
            reference, seconds = undisturbed[command.name]
            number_of_signal, moment = rng.choice(SIGNALS), rng.uniform(0.1, 1.0) * seconds
            folder = _folder(root / "work")
            ended, found = _kill(command, folder, reference, number_of_signal, moment)
            done[command.name] += 1
            stopped[command.name] += not ended
            for what in found:
                wrong.append(f"{command.name}, {number_of_signal.name} after {moment:.2f} s: {what}")
                print(wrong[-1], file=sys.stderr, flush=True)  # noqa: T201
            shutil.rmtree(folder)
    print(_table(done, stopped, wrong))  # noqa: T201
    return int(bool(wrong))


def _undisturbed(command: Command, root: Path) -> tuple[Contents, float]:
    """Return what a command makes when nobody disturbs it, and the seconds it takes."""
    folder = _folder(root / "work")
    start = time.monotonic()
    code, said = _finish(command, command.words, folder)
    seconds = time.monotonic() - start
    if code:
        raise RuntimeError(f"{command.name}: {said[-500:]}")
    made = _contents(folder, command.same)
    if command.same and not made:
        raise RuntimeError(f"{command.name}: made none of {command.same}")
    shutil.rmtree(folder)
    return made, seconds


def _kill(
    command: Command, folder: Path, reference: Contents, number: signal.Signals, moment: float
) -> tuple[bool, list[str]]:
    """Kill a command and run it again; return whether it ended before the kill, and what went wrong."""
    found = []
    foreign = _foreign(folder)
    with forked(command, command.words, folder) as process:
        ended = process.wait(moment)
        if not ended:
            process.send_signal(number)
            process.wait(300)
        found += [f"left running: {pid}" for pid in process.survivors()]
    said = process.said()
    if not ended and process.returncode not in (0, 130, -number) and moment > BEGUN:
        found.append(f"ended with exit code {process.returncode}")
    if "Traceback" in said and moment > BEGUN:
        found.append(f"a traceback: {said.strip().splitlines()[-1]}")
    left = _contents(folder, command.same)
    found += [f"{name} is not whole" for name, digest in left.items() if reference.get(name) != digest]
    found += _changed(folder, foreign, "by the kill")
    code, said = _finish(command, (*command.words, *command.again(folder)), folder)
    if code:
        found.append(f"the second run failed: {said.strip().splitlines()[-1:]}")
    elif _contents(folder, command.same) != reference:
        found.append("the second run ended otherwise than one that nobody disturbed")
    found += _changed(folder, foreign, "by the second run")
    found += [f"left behind: {path.relative_to(folder)}" for path in folder.rglob(".revisp-*")]
    return ended, found


def _finish(command: Command, words: tuple[str, ...], folder: Path) -> tuple[int | None, str]:
    """Run a command to its end; return its exit code and what it said."""
    with forked(command, words, folder) as process:
        process.wait(300)
    return process.returncode, process.said()


@contextlib.contextmanager
def forked(command: Command, words: tuple[str, ...], folder: Path) -> Iterator[Process]:
    """Start a command in a folder, and whoever visits it."""
    process = Process(words, folder)
    visitor = threading.Thread(target=command.visit or (lambda *_: None), args=(process, folder))
    visitor.start()
    try:
        yield process
    finally:
        process.end()
        visitor.join()


def _folder(folder: Path) -> Path:
    """Make a folder with photos, RAW files, scenes, a small model, and files that are not ours."""
    for name, ending, seed in (
        ("maps", "jpg", "ultrahdr.jpeg"),
        ("raws", "png", "mosaic.png"),
        ("scenes", "hdr", "hdr"),
    ):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / f"{name}/{number}.{ending}").write_bytes(seeds.file(seed))
    (folder / "raws/profile.json").write_bytes(seeds.file("profile"))
    (folder / "photos").mkdir(parents=True)
    for seed in range(PHOTOS):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((192, 128), Image.Resampling.BICUBIC).save(folder / f"photos/p{seed}.png")
    for name in FOREIGN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"not of revisp: {name}")
    _small_model(folder / "model")
    for path in folder.rglob("*"):  # scenes are named after the time of their file
        os.utime(path, (1e9, 1e9))
    return folder


def _small_model(folder: Path) -> None:
    import torch

    from revisp import ReverseISP, save_pretrained
    from revisp.camera import SIMULATED

    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    save_pretrained(model, folder)


def _contents(folder: Path, patterns: tuple[str, ...]) -> Contents:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in folder.glob(pattern)
        if not path.name.startswith(".") and not any(part.endswith(".part") for part in path.parts)
    }


def _foreign(folder: Path) -> Contents:
    photos = [f"{place}/{path.name}" for place in GIVEN for path in (folder / place).iterdir()]
    return {name: (folder / name).read_bytes().hex() for name in (*FOREIGN, *photos)}


def _changed(folder: Path, before: Contents, when: str) -> list[str]:
    return [
        f"{name} was changed or deleted {when}"
        for name, bytes_ in before.items()
        if not (folder / name).exists() or (folder / name).read_bytes().hex() != bytes_
    ]


def _table(done: Counter[str], stopped: Counter[str], wrong: list[str]) -> str:
    lines = ["| command | kills | in its course | wrong |", "| --- | ---: | ---: | ---: |"]
    for name, count in done.items():
        bad = sum(line.startswith(f"{name}, ") for line in wrong)
        lines.append(f"| {name} | {count} | {stopped[name]} | {bad} |")
    lines.append(f"| all | {done.total()} | {stopped.total()} | {len(wrong)} |")
    return "\n".join([*lines, "", *wrong])


if __name__ == "__main__":
    sys.exit(main())
