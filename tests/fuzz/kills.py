"""``python -m tests.fuzz.kills --minutes 30``: commands killed at random moments, and what was left and lost.

Each command works in a folder beside files that are not its own. It is killed (SIGKILL, SIGTERM or SIGINT) at a
random moment of the time that it takes when nobody disturbs it, and then run again to its end. Wrong is:

- a file under its final name that is neither the old nor the finished one, right after the kill,
- a file of others that has changed or gone,
- a second run that fails, or ends with other results than a run that nobody disturbed,
- a hidden file of revisp that is left after the second run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

FOREIGN = ("notes.txt", ".hidden", "out/mine.txt", "out/.mine.part")
"""Files of others, beside and inside the folder that a command writes to."""

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PHOTOS = 6

Contents = dict[str, str]


@dataclass(frozen=True)
class Command:
    """A command, how it goes on, and what must be the same in the end.

    Attributes:
        name: of the row in the table.
        words: the command.
        again: words that are added in the second run, for the folder that it works in.
        same: the files whose bytes must be the same, by patterns.
    """

    name: str
    words: tuple[str, ...]
    same: tuple[str, ...]
    again: Callable[[Path], tuple[str, ...]] = lambda folder: ()


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
        again=lambda folder: ("--resume",) if list((folder / "out").glob("*.dng")) else (),
    ),
    Command(
        "predict to arrays",
        ("revisp-predict", "photos", "-o", "out", "--format", "npy", "--bits", "10"),
        ("out/*.npy",),
        again=lambda folder: ("--resume",) if list((folder / "out").glob("*.npy")) else (),
    ),
    Command(
        "prepare",
        ("revisp-prepare", "photos", "-o", "out/set", "--demosaic", "malvar", "--workers", "1"),
        ("out/set/arrays/*.npy",),
    ),
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
        "benchmark",
        (
            "revisp-benchmark", 'backbones=["unet backbone.width=4 backbone.depth=2"]', "seeds=[0,1]",
            'datasets=["simulated data.photos=photos"]',
            'words=["data.crop=32","data.batch_size=2","demosaic=bilinear","trainer.precision=32-true"]',
            "budget=1 steps",
        ),
        ("runs/benchmark/cells/*/model/model.safetensors",),
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
            command = chosen[done.total() % len(chosen)]
            reference, seconds = undisturbed[command.name]
            number_of_signal, moment = rng.choice(SIGNALS), rng.uniform(0.1, 1.0) * seconds
            folder = _folder(root / "work")
            ended, found = _kill(command, folder, reference, number_of_signal, moment)
            done[command.name] += 1
            stopped[command.name] += not ended
            wrong += [f"{command.name}, {number_of_signal.name} after {moment:.2f} s: {what}" for what in found]
            shutil.rmtree(folder)
    print(_table(done, stopped, wrong))  # noqa: T201
    return int(bool(wrong))


def _undisturbed(command: Command, root: Path) -> tuple[Contents, float]:
    """Return what a command makes when nobody disturbs it, and the seconds it takes."""
    folder = _folder(root / "undisturbed")
    start = time.monotonic()
    ended = _run(command.words, folder)
    seconds = time.monotonic() - start
    if ended.returncode:
        raise RuntimeError(f"{command.name}: {ended.stderr[-500:]}")
    made = _contents(folder, command.same)
    if not made:
        raise RuntimeError(f"{command.name}: made none of {command.same}")
    shutil.rmtree(folder)
    return made, seconds


def _kill(
    command: Command, folder: Path, reference: Contents, number: signal.Signals, moment: float
) -> tuple[bool, list[str]]:
    """Kill a command and run it again; return whether it ended before the kill, and what went wrong."""
    found = []
    foreign = _foreign(folder)
    with subprocess.Popen(
        _words(command.words),
        cwd=folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            _, said = process.communicate(timeout=moment)
            ended = True
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            ended = False
    if "Traceback" in said and number is not signal.SIGKILL and not ended and moment > 5:
        found.append(f"a traceback: {said.strip().splitlines()[-1]}")
    left = _contents(folder, command.same)
    found += [f"{name} is not whole" for name, digest in left.items() if reference.get(name) != digest]
    found += _changed(folder, foreign, "by the kill")
    again = _run((*command.words, *command.again(folder)), folder)
    if again.returncode:
        found.append(f"the second run failed: {again.stderr.strip().splitlines()[-1:]}")
    elif _contents(folder, command.same) != reference:
        found.append("the second run ended otherwise than one that nobody disturbed")
    found += _changed(folder, foreign, "by the second run")
    hidden = [path for path in folder.rglob(".revisp-*") if path.is_file()]
    found += [f"left behind: {path.relative_to(folder)}" for path in hidden]
    return ended, found


def _folder(folder: Path) -> Path:
    """Make a folder with photos, a small model, and files that are not ours."""
    (folder / "photos").mkdir(parents=True)
    for seed in range(PHOTOS):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (8, 12, 3), np.uint8)
        Image.fromarray(coarse).resize((192, 128), Image.Resampling.BICUBIC).save(folder / f"photos/p{seed}.png")
    for name in FOREIGN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"not of revisp: {name}")
    _small_model(folder / "model")
    return folder


def _small_model(folder: Path) -> None:
    import torch

    from revisp import ReverseISP, save_pretrained
    from revisp.camera import SIMULATED

    torch.manual_seed(0)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    save_pretrained(model, folder)


def _words(words: tuple[str, ...]) -> list[str]:
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _run(words: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _words(words), cwd=folder, env=_environment(), capture_output=True, text=True, check=False, timeout=300
    )


def _contents(folder: Path, patterns: tuple[str, ...]) -> Contents:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in folder.glob(pattern)
        if not path.name.startswith(".") and not any(part.endswith(".part") for part in path.parts)
    }


def _foreign(folder: Path) -> Contents:
    photos = [str(path.relative_to(folder)) for path in (folder / "photos").iterdir()]
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
