"""What the benchmarks share: processes of their own, medians, and what is printed and kept beside the figures."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["child", "keep", "medians", "provenance", "ratio", "spread", "timed", "to_table"]

Figures = dict[str, float]


def provenance(*packages: str) -> str:
    """Return one line on cores, processor, date and versions."""
    names = ("revisp", "torch", "pytorch-lightning", *packages)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores ({_processor()}); {datetime.date.today()}, Python {platform.python_version()}, "
        f"{versions}"
    )


def commit_of(checkout: Path) -> str:
    """Return the short name of the commit that a checkout is at."""
    words = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def child(*words: object, checkout: Path | None = None) -> Any:
    """Run the script anew, with ``--one WORDS...``, and return the JSON of its last line.

    With a ``checkout`` it measures the package there.
    """
    command = [sys.executable, sys.argv[0], "--one", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)} if checkout else None
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def timed(action: Callable[[], object], repeats: int = 3) -> Figures:
    """Return medians of wall, user and system time of an action, in seconds, after one that warms up."""
    action()
    rows = []
    for _ in range(repeats):
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        action()
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        rows.append(
            {"s": wall, "user": after.ru_utime - before.ru_utime, "system": after.ru_stime - before.ru_stime}
        )
    return medians(rows)


def medians(rows: Sequence[Figures]) -> Figures:
    """Return the median of each figure over rounds."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def ratio(reference: Sequence[Figures], rows: Sequence[Figures]) -> float:
    """Return the median over rounds of how many times less time one takes than the other in the same round."""
    return statistics.median(one["s"] / other["s"] for one, other in zip(reference, rows, strict=True))


def spread(rows: Sequence[Figures], digits: int = 3) -> str:
    """Return the least and the most seconds of all rounds."""
    seconds = [row["s"] for row in rows]
    return f"{min(seconds):.{digits}f} to {max(seconds):.{digits}f}"


def to_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def keep(path: Path | None, table: str, figures: Any, *packages: str) -> None:
    """Print a table with the machine, and write both and all figures as JSON where the user asks for it.

    ``benchmarks/report.py`` makes docs/performance.md of such files.
    """
    words = sys.argv[1:]
    if path is not None and str(path) in words:
        at = words.index(str(path))
        del words[at - 1 : at + 1]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_quoted(words)])
    machine = provenance(*packages)
    print(f"{table}\n\n{machine}; `{command}`.")
    if path is not None:
        content = {"command": command, "machine": machine, "table": table, "figures": figures}
        path.write_text(json.dumps(content, indent=1) + "\n")


def _quoted(words: list[str]) -> list[str]:
    """Quote what has blanks, and name files by their last part: where they lay here is nobody's business."""
    short = [Path(word).name if Path(word).is_absolute() else word for word in words]
    return [f"'{word}'" if " " in word else word for word in short]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
