"""A short run of the fuzzer: each door with a few damaged inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from .campaign import enter_once
from .doors import DOORS, Door

SEEDS = range(4)

SECONDS = ("prepare RAW files", "prepare mosaics", "prepare pairs", "Shards")
"""Doors that take a second; the long run goes through them."""


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_a_damaged_input_is_read_or_refused_in_one_line(door: Door, tmp_path: Path) -> None:
    if door.name.startswith(SECONDS):
        pytest.skip("takes a second for each input: python -m tests.fuzz goes through it")
    for seed in SEEDS[:1] if door.slow else SEEDS:
        place = tmp_path / str(seed)
        place.mkdir()
        assert enter_once(door, seed, place) in ("read", "refused")
