"""Scenes are never divided, and stay where they were when more are added."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.camera.simulate import SIMULATED
from revisp.data.entry import Entry
from revisp.errors import DataError
from revisp.prepare.options import PrepareOptions
from revisp.prepare.split import assign_splits


def entry(name: str, scene: str, split: str = "train") -> Entry:
    return Entry(name, "simulated", scene, split, "x", SIMULATED.profile, 64, 64, 0.0, (), "mark")


scenes = st.lists(st.integers(0, 60).map(str), min_size=2, max_size=40, unique=True)


@settings(max_examples=60)
@given(scenes, st.integers(1, 39), st.floats(0.01, 0.9))
def test_scenes_stay_whole_and_where_they_were(names, cut, share):
    options = PrepareOptions(val_share=share)
    entries = [entry(f"{name}_{tile}", name) for name in names for tile in range(3)]
    first = assign_splits(entries[: 3 * max(2, cut)], [], options)
    second = assign_splits(entries, first, options)
    for found in (first, second):
        sides = {name: {e.split for e in found if e.scene == name} for name in {e.scene for e in found}}
        assert all(len(side) == 1 for side in sides.values())
        assert {"train"} in sides.values()
        assert {"val"} in sides.values()
    assert [e.split for e in second[: len(first)]] == [e.split for e in first]


def test_the_share_is_that_of_the_scenes():
    found = assign_splits([entry(str(n), str(n)) for n in range(50)], [], PrepareOptions(val_share=0.2))
    assert sum(e.split == "val" for e in found) == 10


def test_named_scenes_win_over_what_was():
    before = [dataclasses.replace(entry(str(n), str(n)), split="val" if n == 0 else "train") for n in range(3)]
    found = assign_splits(before, before, PrepareOptions(val=("2",)))
    assert [e.split for e in found] == ["train", "train", "val"]


def test_unknown_or_all_scenes_are_refused():
    entries = [entry("a", "a"), entry("b", "b")]
    with pytest.raises(DataError, match="unknown scene 'c'"):
        assign_splits(entries, [], PrepareOptions(val=("c",)))
    with pytest.raises(DataError, match="none is left to train"):
        assign_splits(entries, [], PrepareOptions(val=("a", "b")))


def test_a_single_scene_is_for_training_with_a_warning():
    with pytest.warns(UserWarning, match="single scene"):
        found = assign_splits([entry("a", "a")], [], PrepareOptions())
    assert found[0].split == "train"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assign_splits([entry("a", "a")], [], PrepareOptions(val_share=0))
