"""What a preparation will need is told from headers alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.prepare import PrepareOptions, prepare
from revisp.prepare.items import PlainPhoto
from revisp.prepare.needs import affordable_workers, bytes_needed


@pytest.fixture
def item(tmp_path: Path) -> PlainPhoto:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return PlainPhoto("photo", (tmp_path / "photo.png",))


@pytest.mark.parametrize("cameras", [1, 3])
def test_disk_need_is_near_what_is_written_and_not_below(item, tmp_path, cameras):
    options = PrepareOptions(demosaic="bilinear", workers=1, cameras=cameras)
    prepare([item.files[0]], tmp_path / "set", options)
    written = sum(file.stat().st_size for file in (tmp_path / "set" / "arrays").iterdir())
    assert written <= bytes_needed([item], options) <= 1.5 * written


def test_workers_fit_into_the_memory(item, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    sizes = {"SC_PHYS_PAGES": 8 * 2**30 // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert affordable_workers([item]) == 9
    sizes["SC_PHYS_PAGES"] = 10
    assert affordable_workers([item]) == 1
    monkeypatch.setattr(os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert affordable_workers([item]) == 16
