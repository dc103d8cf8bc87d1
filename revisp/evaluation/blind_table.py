"""The judgement of a method on unknown cameras as text: by camera, in highlights, and against the baselines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

from revisp.evaluation.score_blind import COMPARED_FIGURES, BlindEvaluation
from revisp.evaluation.write_scores import in_columns

__all__ = ["blind_table"]

CAMERA_COLUMNS = (
    *("psnr_e0", "psnr_e1", "psnr_e2", "psnr_e3", "stops_e3", "angle_e3", "slope", "nonlin", "shadow_highlight"),
    *("style_cross", "style_drop", "edit_psnr", "edit_delta_e"),
)
"""Figures by camera; all others are in the files."""

HIGHLIGHT_COLUMNS = ("bias", "mae", "texture", "near", "rank")


def blind_table(evaluation: BlindEvaluation) -> str:
    """Return the figures as text.

    Each camera with a row for each method; then highlights by the number of clipped channels, where there are any;
    then the differences to the baselines.

    Example:
        >>> from revisp.evaluation.scores import ImageScores
        >>> labels = {"camera": "A", "exposure": "room"}
        >>> highlights = {f"constant_h{n}_mae": math.nan for n in (1, 2, 3)}
        >>> image = ImageScores("room", {"psnr_e3": 31.5, **highlights}, labels)
        >>> print(blind_table(BlindEvaluation((image,), methods=("model",))))
                 psnr_e3
        A (1)
          model    31.50
    """
    blocks = [in_columns([*_by_camera(evaluation)])]
    highlights = [*_highlights(evaluation)]
    if len(highlights) > 1:
        blocks.append(in_columns(highlights))
    if len(evaluation.methods) > 1:
        blocks.append([*_differences(evaluation)])
    return "\n\n".join("\n".join(block) for block in [*blocks, [*evaluation.notes]] if block)


def _by_camera(evaluation: BlindEvaluation) -> Iterator[tuple[str, ...]]:
    columns = [name for name in CAMERA_COLUMNS if name in evaluation.names]
    counts = Counter(evaluation.cameras)
    groups = [(f"{camera} ({n})", evaluation.of_camera(camera)) for camera, n in sorted(counts.items())]
    if len(groups) > 1:
        groups.append((f"mean of {len(groups)} cameras", evaluation))
    yield ("", *columns)
    for title, group in groups:
        mean = group.mean
        yield (title, *("" for _ in columns))
        for method in evaluation.methods:
            yield (f"  {method}", *(_cell(mean[_prefix(evaluation, method) + name]) for name in columns))


def _highlights(evaluation: BlindEvaluation) -> Iterator[tuple[str, ...]]:
    mean = evaluation.mean
    yield ("highlights", "pixels", *HIGHLIGHT_COLUMNS)
    for n in (1, 2, 3):
        if math.isnan(mean[f"constant_h{n}_mae"]):
            continue
        yield (f"{n} clipped", f"{mean[f'h{n}_share']:.1%}", *("" for _ in HIGHLIGHT_COLUMNS))
        for method in (*evaluation.methods, "constant"):
            prefix = "constant_" if method == "constant" else _prefix(evaluation, method)
            yield (f"  {method}", "", *(_cell(mean[f"{prefix}h{n}_{name}"]) for name in HIGHLIGHT_COLUMNS))


def _differences(evaluation: BlindEvaluation) -> Iterator[str]:
    method = evaluation.methods[0]
    for baseline in evaluation.methods[1:]:
        for name in COMPARED_FIGURES:
            found = evaluation.difference(name, baseline)
            if found.exposures:
                interval = f" (95 %: {found.low:+.2f} to {found.high:+.2f})" if found.exposures > 1 else ""
                shots = "exposures" if found.exposures > 1 else "exposure"
                yield (
                    f"{name}, {method} less {baseline}: {found.mean:+.2f}{interval}, above on {found.above} of "
                    f"{found.exposures} {shots}"
                )


def _prefix(evaluation: BlindEvaluation, method: str) -> str:
    return "" if method == evaluation.methods[0] else f"{method}_"


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
