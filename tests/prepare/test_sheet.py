"""Contact sheets: readable pictures with a row for each pair, and none that is out of date."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.data.manifest import Manifest
from revisp.io.contact_sheet import LINE_HEIGHT, LONGEST_SIDE, ROW_GAP
from revisp.prepare import PrepareOptions, prepare, sheet, write_sheets

ROW = LINE_HEIGHT + round(LONGEST_SIDE * 64 / 96) + ROW_GAP


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "фото", "c"):
        Image.new("RGB", (96, 64), (255, 255, 255) if name == "c" else (90, 120, 60)).save(folder / f"{name}.png")
    return prepare(
        [folder], tmp_path_factory.mktemp("set"), PrepareOptions(demosaic="bilinear", workers=1)
    ).manifest


def test_a_sheet_has_a_row_for_each_picture(manifest: Manifest) -> None:
    [path] = write_sheets(manifest)
    assert path == manifest.root / "sheet.png"
    with Image.open(path) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (
        LINE_HEIGHT + 3 * ROW,
        4 * (LONGEST_SIDE + ROW_GAP),
        3,
    )
    middles = [LINE_HEIGHT + ROW * k + ROW // 2 for k in range(3)]
    assert [entry.name for entry in manifest.entries] == ["a", "c", "фото"]
    assert (pixels[middles[1], LONGEST_SIDE // 2] >= 250).all()  # the white photo
    assert (
        abs(pixels[middles[0], LONGEST_SIDE // 2].astype(int) - pixels[middles[2], LONGEST_SIDE // 2]).max() < 128
    )
    assert (pixels[middles[1], -LONGEST_SIDE // 2] == 255).all()  # all of it is overexposed


def test_many_pictures_take_several_sheets_and_stale_ones_go(manifest: Manifest, monkeypatch) -> None:
    root: Path = manifest.root
    monkeypatch.setattr(sheet, "MOST_ROWS", 1)
    (root / "sheet-notes.png").write_bytes(b"somebody's own")
    assert [path.name for path in write_sheets(manifest)] == ["sheet.png", "sheet-2.png", "sheet-3.png"]
    assert len(write_sheets(manifest, limit=2)) == 2
    fewer = dataclasses.replace(manifest, entries=manifest.entries[:1])
    write_sheets(fewer)
    assert sorted(path.name for path in root.glob("*.png")) == ["sheet-notes.png", "sheet.png"]
