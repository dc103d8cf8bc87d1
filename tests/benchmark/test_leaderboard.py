"""The tables: means, gains seed by seed, failures."""

from __future__ import annotations

import csv
import math
import statistics
from pathlib import Path

import pytest

from revisp.benchmark.leaderboard import leaderboard, markdown, write_leaderboard
from revisp.benchmark.plan import plan_cells

A, B = "unet, plain", "unet, fusion"
PSNR = {A: (30.0, 31.0), B: (33.0, 31.5)}


@pytest.fixture
def cells(settings, finish, tmp_path: Path) -> list:
    made = plan_cells(settings("pipelines=[plain,fusion]", "seeds=[0,1]", "gains=pipeline"))
    for cell in made:
        psnr = PSNR[cell.method][cell.seed]
        finish(cell, tmp_path, psnr, math.nan if cell.seed else 20.0, pictures=2)
    return made


def test_means_deviations_and_gains_are_those_of_the_seeds(cells, tmp_path: Path) -> None:
    (rows,) = leaderboard(cells, tmp_path).values()
    table = markdown({"embedded": rows})
    line = next(line for line in table.splitlines() if line.startswith(f"| {B} "))
    shown = [cell.strip() for cell in line.strip("|").split("|")]
    deviation = statistics.stdev(PSNR[B])
    assert shown[1:6] == ["100", "2.5", "0.25", "12", f"{statistics.mean(PSNR[B]):.2f} ± {deviation:.2f}"]
    assert shown[6] == "20.00"  # the only seed that has one
    gains = [b - a for a, b in zip(PSNR[A], PSNR[B], strict=True)]
    assert shown[9] == f"+{statistics.mean(gains):.2f} ± {statistics.stdev(gains):.2f}"


def test_methods_are_sorted_unless_compared_in_their_order(settings, finish, tmp_path: Path) -> None:
    words = ("backbones=[unet,mialgo,upi]", "budget=3 steps")
    for cell, psnr in zip(plan_cells(settings(*words)), (30.0, 35.0, 20.0), strict=True):
        finish(cell, tmp_path, psnr, 1.0)

    def names(*more: str) -> list[str]:
        (rows,) = leaderboard(plan_cells(settings(*words, *more)), tmp_path).values()
        return [row.method for row in rows]

    assert names() == ["mialgo", "unet", "upi"]
    assert names("gains=previous") == ["unet", "mialgo", "upi"]


def test_the_csv_has_a_line_for_each_cell(cells, tmp_path: Path) -> None:
    paths = write_leaderboard(leaderboard(cells, tmp_path), tmp_path)
    with next(path for path in paths if path.suffix == ".csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {(line["method"], int(line["seed"])): float(line["psnr"]) for line in lines} == {
        (method, seed): value for method, values in PSNR.items() for seed, value in enumerate(values)
    }
    assert {line["psnr_oe"] for line in lines} == {"20.0", ""}


def test_the_page_has_all_methods_plots_and_the_pictures_of_the_best(cells, tmp_path: Path) -> None:
    paths = write_leaderboard(leaderboard(cells, tmp_path), tmp_path, configuration="budget: 256 steps", photos=1)
    page = next(path for path in paths if path.suffix == ".html").read_text()
    assert A in page
    assert B in page
    assert page.count('class="best"') >= 1
    assert "photo 0" in page
    assert "photo 1" not in page
    assert "budget: 256 steps" in page


def test_what_is_not_done_or_failed_is_said(cells, settings, tmp_path: Path) -> None:
    more = plan_cells(settings("backbones=[unet,mialgo]", "seeds=[0,5]"))  # unet with seed 0 is done
    failed = next(cell for cell in more if cell.method == "mialgo").folder(tmp_path)
    failed.with_name(f"{failed.name}.error.txt").write_text("Traceback\nValueError: it broke\n")
    (rows,) = tables = leaderboard(more, tmp_path).values()
    table = markdown(dict(zip(["embedded"], tables, strict=True)))
    assert [row.method for row in rows] == ["unet", "mialgo"]
    assert "- mialgo: ValueError: it broke" in table
    assert "- unet: not done" in table
    assert "3 cells failed" in table
