"""Whole commands from a cold start, side by side with those of another checkout, such as an earlier commit.

git worktree add --detach /tmp/before COMMIT
python benchmarks/commands.py /tmp/before                          # all jobs, three rounds
python benchmarks/commands.py /tmp/before --jobs 'one photo, 12 MP' --rounds 7 --json commands.json

Every run is a process of its own, with all that it imports, and the two checkouts take turns. Figures are medians
over rounds; ratios are taken within a round. *User* and *system* are the processor's time of the command and its
children, which depends less on other programs than the wall time; *MiB* is the peak of the largest process.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _report import commit_of, keep, medians, spread, to_table
from folder import make_photo

ROOT = Path(__file__).resolve().parents[1]
RUN = "import sys; from revisp.cli.{} import main; sys.argv[0] = 'revisp-{}'; sys.exit(main())"

LARGE, SMALL, MIDDLE = (4032, 3024), (576, 432), (3264, 2448)

JOBS: dict[str, tuple[tuple[int, int], int, Callable[[str, str], list[str]]]] = {
    "one photo, 0.25 MP": (SMALL, 1, lambda photos, out: ["predict", photos, "-o", out]),
    "one photo, 12 MP": (LARGE, 1, lambda photos, out: ["predict", photos, "-o", out]),
    "ten photos, 12 MP": (LARGE, 10, lambda photos, out: ["predict", photos, "-o", out]),
    "100 thumbnails": ((256, 192), 100, lambda photos, out: ["predict", photos, "-o", out]),
    "--cycle, one photo, 8 MP": (
        MIDDLE,
        1,
        lambda photos, out: ["evaluate", "--cycle", "model=default", f"photos={photos}", f"hydra.run.dir={out}"],
    ),
    "--cycle, three photos, 8 MP": (
        MIDDLE,
        3,
        lambda photos, out: ["evaluate", "--cycle", "model=default", f"photos={photos}", f"hydra.run.dir={out}"],
    ),
}
"""Size and number of the photos of each job, and the words of its command."""


def run(checkout: Path, words: list[str]) -> dict[str, float]:
    """Run a command of a checkout, and return what it took.

    Raises:
        RuntimeError: it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-P", "-c", RUN.format(words[0], words[0]), *words[1:]]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {said.decode()}")
    return {"s": wall, "user": used.ru_utime, "system": used.ru_stime, "MiB": _mib(used)}


def _mib(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def table(rounds: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """Return the figures as Markdown."""
    heads = ["job", "before, s", "spread", "now, s", "spread", "now / before"]
    heads += ["processor before, s", "now, s", "now / before", "MiB before", "now"]
    lines = []
    for job, sides in rounds.items():
        before, now = sides["before"], sides["now"]
        middle = {side: medians(rows) for side, rows in sides.items()}
        walls = statistics.median(new["s"] / old["s"] for new, old in zip(now, before, strict=True))
        busy = {side: figures["user"] + figures["system"] for side, figures in middle.items()}
        cells = [job, f"{middle['before']['s']:.2f}", spread(before, 2), f"{middle['now']['s']:.2f}"]
        cells += [spread(now, 2), f"{walls:.2f}", f"{busy['before']:.2f}", f"{busy['now']:.2f}"]
        cells += [f"{busy['now'] / busy['before']:.2f}", f"{middle['before']['MiB']:.0f}"]
        lines.append([*cells, f"{middle['now']['MiB']:.0f}"])
    return to_table(heads, lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--jobs", nargs="*", choices=JOBS, default=list(JOBS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve(), "now": ROOT}
    rounds: dict[str, dict[str, list[dict[str, float]]]] = {
        job: {side: [] for side in checkouts} for job in arguments.jobs
    }
    with tempfile.TemporaryDirectory() as scratch:
        folders = {job: Path(scratch, f"photos{index}") for index, job in enumerate(arguments.jobs)}
        for job, folder in folders.items():
            size, count, _ = JOBS[job]
            folder.mkdir()
            make_photo(size, folder / "0.jpg")
            for index in range(1, count):
                shutil.copy(folder / "0.jpg", folder / f"{index}.jpg")
        for number, job, side in itertools.product(range(arguments.rounds), arguments.jobs, checkouts):
            _, count, words = JOBS[job]
            photos = folders[job] / "0.jpg" if count == 1 else folders[job]
            out = Path(scratch, "out.dng" if count == 1 and "cycle" not in job else "out")
            rounds[job][side].append(run(checkouts[side], words(str(photos), str(out))))
            print(f"round {number + 1}: {job}, {side} {rounds[job][side][-1]}", file=sys.stderr, flush=True)
            shutil.rmtree(out, ignore_errors=True)
    commit = commit_of(checkouts["before"])
    title = f"Before: commit {commit}; {arguments.rounds} rounds"
    keep(arguments.json, f"{title}\n\n{table(rounds)}", {"before": commit, "rounds": rounds})


if __name__ == "__main__":
    main()
