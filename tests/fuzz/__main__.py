"""``python -m tests.fuzz --minutes 30``: mutated inputs through every door, and a table of what happened."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

from .campaign import Report, campaign, enter_once
from .doors import DOORS


def main() -> int:
    """Run a campaign or one input; return 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="length of the campaign")
    parser.add_argument("--seed", type=int, default=0, help="first seed; with --door: the only one")
    parser.add_argument("--door", help="run one input of this door, and show what happens")
    given = parser.parse_args()
    if given.door:
        door = next(each for each in DOORS if each.name == given.door)
        with tempfile.TemporaryDirectory() as place:
            outcome = enter_once(door, given.seed, Path(place))
        print(outcome)  # noqa: T201
        return int(outcome not in ("read", "refused"))
    report = campaign(60 * given.minutes, first=given.seed)
    print(table(report))  # noqa: T201
    return int(bool(report.findings))


def table(report: Report) -> str:
    """Return the counts by door as Markdown, and each kind of finding once, with its seed."""
    lines = ["| door | inputs | read | refused | findings |", "| --- | ---: | ---: | ---: | ---: |"]
    found = Counter(finding.door for finding in report.findings)
    rows = [(each.name, report.read[each.name], report.refused[each.name], found[each.name]) for each in DOORS]
    for name, read, refused, wrong in (*rows, ("all", *(sum(row[n] for row in rows) for n in (1, 2, 3)))):
        lines.append(f"| {name} | {read + refused + wrong} | {read} | {refused} | {wrong} |")
    kinds: dict[tuple[str, str], int] = {}
    for finding in report.findings:
        last = finding.text.strip().splitlines()[-1:] or [""]
        frames = [line.strip() for line in finding.text.splitlines() if line.strip().startswith("File ")]
        ours = [line for line in frames if "/revisp/" in line][-1:]
        kind = re.sub(r"0x\w+|\d+|'[^']*'", "_", last[0][:160])
        kinds.setdefault((finding.door, f"{finding.kind}: {kind} {ours}"), finding.seed)
    lines += ["", *(f"{door} --seed {seed}: {kind}" for (door, kind), seed in kinds.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        traceback.print_exc(limit=0)
        sys.exit(130)
