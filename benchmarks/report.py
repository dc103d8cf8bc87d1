"""Make docs/performance.md of the figures that the benchmarks left in benchmarks/results.

python benchmarks/report.py

The figures are taken by, each with ``--json benchmarks/results/NAME.json``: folder.py (folder), commands.py
(commands), dng_write.py (dng_write, of the photos that its table names), memory_curve.py (memory; paper_photo),
predict.py (ladder; paper, compiled too; networks, by model and size), agreement.py (agreement), training_step.py
(training), time_to_figure.py (time_to_figure), loader_wait.py (loader_wait), export.py (export; export_photo, by
--megapixels 12), scaling.py (scaling), crops.py (crops) and augment.py (augment). Those whose table names an
earlier commit take a checkout of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _report import medians, ratio

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = RESULTS.parents[1] / "docs" / "performance.md"
TEMPLATE = Path(__file__).with_name("performance.md")


def page(template: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the page: a template's ``{{ NAME }}`` replaced by the table, the machine and the command of each."""
    parts = {name: f"{x['table']}\n\n{x['machine']}: `{x['command']}`." for name, x in results.items()}
    parts["highlights"] = "\n".join(f"- {line}" for line in highlights(results))
    return re.sub(r"{{ (\w+) }}", lambda found: parts[found[1]], template)


def highlights(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return the figures that matter most, one sentence each."""
    return [*_photo(results["folder"]), _sizes(results["memory"]), *_paper(results["paper"]), _exactness(results)]


def _photo(folder: dict[str, Any]) -> list[str]:
    rounds, (width, height) = folder["figures"]["rounds"], folder["figures"]["size"]
    plain, fast, overlapped = (rounds[way] for way in ("plain", "fast", "fast, overlapped"))
    return [
        f"{width * height / 1e6:.0f} megapixels from JPEG to DNG: {medians(fast)['s']:.1f} s, "
        f"{ratio(plain, fast):.1f} times faster than plain eager fp32 of the whole photo; "
        f"{medians(overlapped)['s']:.1f} s in a folder of several.",
        f"Memory for that: {medians(fast)['MiB']:.0f} MiB; plain {medians(plain)['MiB'] / 1024:.1f} GiB.",
    ]


def _sizes(memory: dict[str, Any]) -> str:
    rows = [row for row in memory["figures"] if row["way"] == "fast"]
    sizes = sorted({row["megapixels"] for row in rows})
    middle = [medians([row["figures"] for row in rows if row["megapixels"] == size]) for size in sizes]
    beyond = max(figures["peak_mib"] - figures["result_mib"] for figures in middle)
    return (
        f"From {sizes[0]:g} to {sizes[-1]:g} megapixels: {min(x['s'] for x in middle):.2f} to "
        f"{max(x['s'] for x in middle):.2f} s a megapixel, and at most {beyond:.0f} MiB beyond the result."
    )


def _paper(paper: dict[str, Any]) -> Iterator[str]:
    cases = {tuple(case["case"]): case["rounds"] for case in paper["figures"]["cases"]}
    for (model, side, share, step), rows in cases.items():
        if (model, step) == ("paper", "all"):
            faster = ratio(cases[model, side, share, "plain"], rows)
            yield (
                f"The paper's two networks on a tile of {side} x {side}, {float(share):.0%} overexposed: "
                f"{faster:.1f} times faster than eager fp32."
            )


def _exactness(results: dict[str, dict[str, Any]]) -> str:
    values = [row["auto"] for row in results["agreement"]["figures"]]
    return f"Fast and plain predictions of {len(values)} real photos agree to {min(values):.1f} dB or better."


def read_results() -> dict[str, dict[str, Any]]:
    """Return what each benchmark left, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def main() -> None:
    """Run the script."""
    results = read_results()
    PAGE.write_text(page(TEMPLATE.read_text(), results))
    print(f"{PAGE.name}: {', '.join(results)}")


if __name__ == "__main__":
    main()
