"""Mutated inputs through the doors, in a process that may die, hang or grow: what happened, counted by door."""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from revisp.errors import RevispError

from .doors import DOORS, Door
from .mutations import mutate

ROUNDS = 8
"""Rounds of which a slow door is in one."""

__all__ = ["HANG", "LARGE", "Finding", "Report", "campaign", "enter_once"]

HANG = 20.0
"""Seconds after which an input counts as a hang, without those in which other programs have the processors."""

LARGE = 2 << 30
"""Bytes of resident memory above which an input counts as too large."""


@dataclass(frozen=True)
class Finding:
    """An input that did what none may do.

    Attributes:
        door: name of the door.
        seed: seed of the mutation: ``python -m tests.fuzz --door DOOR --seed SEED`` does it again.
        kind: ``"exception"``, ``"death"``, ``"hang"`` or ``"memory"``.
        text: the traceback, or what was measured.
    """

    door: str
    seed: int
    kind: str
    text: str = ""


@dataclass
class Report:
    """What a campaign found.

    Attributes:
        read: inputs by door that were read all the same.
        refused: inputs by door that one of our exceptions refused.
        findings: the others.
    """

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def count(self, door: str, seed: int, outcome: str) -> None:
        """Add the outcome of an input."""
        if outcome in ("read", "refused"):
            getattr(self, outcome)[door] += 1
        else:
            self.findings.append(Finding(door, seed, "exception", outcome))


def enter_once(door: Door, seed: int, place: Path) -> str:
    """Damage one file of a door and enter it.

    Returns:
        ``"read"``, ``"refused"``, or the traceback of an exception that is not one of ours.
    """
    rng = random.Random(f"{door.name}/{seed}")
    files = door.files()
    chosen = rng.choice(door.mutated(files))
    files = {**files, chosen: mutate(files[chosen], rng)}
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
            warnings.simplefilter("ignore")
            door.enter(place)
    except RevispError as error:
        return "refused" if str(error).strip() else f"a {type(error).__name__} without a message"
    except Exception:
        return traceback.format_exc()
    return "read"


def schedule(doors: tuple[Door, ...]) -> list[tuple[Door, int]]:
    """Return the doors of eight rounds with the number of the round; slow doors are in the first one only."""
    return [(door, number) for number in range(ROUNDS) for door in doors if number == 0 or not door.slow]


def campaign(seconds: float, *, first: int = 0, doors: tuple[Door, ...] = DOORS) -> Report:
    """Go round through the doors with seed after seed, until the time is over."""
    report, until, at, plan = Report(), time.monotonic() + seconds, 0, schedule(doors)
    context = multiprocessing.get_context("fork")
    while time.monotonic() < until:
        ours, theirs = context.Pipe()
        child = context.Process(target=_serve, args=(theirs, plan, first, at), daemon=True)
        child.start()
        theirs.close()
        at = _watch(child, ours, report, plan, (first, at), until)
        child.kill()
        child.join()
    return report


def _input(plan: list[tuple[Door, int]], first: int, at: int) -> tuple[Door, int]:
    """Return door and seed of the input of a number."""
    door, number = plan[at % len(plan)]
    return door, first + number + ROUNDS * (at // len(plan))


def _serve(pipe: Connection, plan: list[tuple[Door, int]], first: int, start: int) -> None:
    faulthandler.disable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    at = start
    with tempfile.TemporaryDirectory() as folder:
        while True:
            door, seed = _input(plan, first, at)
            door.files()  # made once; it is not the time of the input
            pipe.send(("begin", at))
            place = Path(folder, "input")
            place.mkdir()
            pipe.send(("end", at, door.name, seed, enter_once(door, seed, place)))
            shutil.rmtree(place)
            at += 1


def _watch(
    child: multiprocessing.process.BaseProcess,
    pipe: Connection,
    report: Report,
    plan: list[tuple[Door, int]],
    begun: tuple[int, int],
    until: float,
) -> int:
    """Count what a child reports until it dies, hangs, grows or the time is over; return the next number."""
    first, at = begun
    since, running, base = 0.0, False, 0

    def found(kind: str, text: str) -> int:
        door, seed = _input(plan, first, at)
        report.findings.append(Finding(door.name, seed, kind, text))
        print(f"{kind}: {door.name} --seed {seed}: {text}", file=sys.stderr)  # noqa: T201
        return at + 1

    while time.monotonic() < until:
        try:
            if pipe.poll(0.05):
                message = pipe.recv()
                if message[0] == "begin":
                    at, since, running, base = message[1], _seconds(child.pid), True, _resident(child.pid)
                else:
                    report.count(message[2], message[3], message[4])
                    at, running = at + 1, False
                continue
        except (EOFError, OSError):
            child.join(5)
            return found("death", f"exit code {child.exitcode}")
        if running and _seconds(child.pid) - since > HANG:
            return found("hang", f"more than {HANG:.0f} s")
        if running and (now := _resident(child.pid)) > LARGE:
            return found("memory", f"{now >> 20} MiB, {base >> 20} before")
    return at


def _seconds(pid: int | None) -> float:
    """Return the time, less that for which a process has waited for a processor, as Linux tells it."""
    try:
        waited = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        waited = 0.0
    return time.monotonic() - waited


def _resident(pid: int | None) -> int:
    """Return the resident bytes of a process; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
