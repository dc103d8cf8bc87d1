"""Large manifests: columns say what lines say, an index is never trusted, and images cost no objects."""

from __future__ import annotations

import json
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisp.data import create_data, manifest_index, prepared
from revisp.data.columns import ROW, item_of, scan
from revisp.data.crops import CropDataset
from revisp.data.entry import KINDS, SPLITS, Reject, array_path
from revisp.data.manifest import MANIFEST, read_entries, read_manifest, write_manifest
from revisp.data.manifest_index import INDEX
from revisp.data.picture import PHASES
from revisp.data.prepared import PreparedSource
from revisp.errors import DataError

NUMBERS = [0, 1, 2, 24, 40, 41, 2**20, 2**20 + 2, 2**63 - 1, 2**63, -1, 0.0, 0.5, 1.5, -0.1, 40.0, 1e308]
TEXTS = [
    "",
    " ",
    "a",
    "a\nb",
    "\x1c",
    "ok",
    "val",
    "pair",
    "..",
    "x/y",
    "RGGB",
    "rggb",
    "é" * 60,
    "\udc80",
    "x" * 10_001,
]
LISTS = [[], [0], [1, 2, 3], [0.5, 1, 0], [0.5, 1, 1001], [0, 0, 0, 1023], [1, 2, 3, 4], [[1, 1, 1]] * 3]
MATRICES = [
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[1e-3, 0, 0], [0, 1e-3, 0], [0, 0, 1]],
    [[1001, 0, 0], [0, 1, 0], [0, 0, 1]],
]
OBJECTS = [
    {},
    {"a": 1},
    {"a": [2**63]},
    {"a": {"b": [[[0.5]]]}},
    {"a": "x" * 10_001},
    {"a": json.loads("[" * 70 + "]" * 70)},
]
VALUES = st.sampled_from([None, True, False, *NUMBERS, *TEXTS, *LISTS, *MATRICES, *OBJECTS])
FIELDS = (
    "status", "name", "kind", "scene", "split", "camera", "height", "width", "oe_share", "sources", "fingerprint",
    "alignment", "developer", "style", "fitted", "has_valid", "extra", "profile",
)  # fmt: skip
PROFILE = ("make", "model", "cfa", "black_level", "white_level", "bits", "color_matrix", "as_shot_neutral", "more")


@pytest.fixture
def small_is_large(monkeypatch):
    """Every manifest gets an index, and few images are opened before a training."""
    monkeypatch.setattr(manifest_index, "INDEXED_BYTES", 1)
    monkeypatch.setattr(prepared, "MOST_OPENED", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lines")


def _outcome(read) -> Any:
    try:
        return read()
    except DataError as error:
        return str(error)


@given(st.data())
def test_columns_take_and_refuse_what_entries_do(folder, data):
    """The compiled rules may only be stricter: whatever a line holds, `Entry` has the last word."""
    from tests.data.conftest import entry

    values = entry().to_dict()
    part = data.draw(st.sampled_from(["entry", "profile", "source"]))
    holder = {"entry": values, "profile": values["profile"], "source": values["sources"][0]}[part]
    names = {"entry": FIELDS, "profile": PROFILE, "source": ("path", "size", "mtime_ns", "more")}[part]
    holder[data.draw(st.sampled_from(names))] = data.draw(VALUES)
    line = json.dumps(values)
    (folder / MANIFEST).write_text(line)
    expected = _outcome(lambda: item_of(line.encode()))
    found = _outcome(lambda: list(read_entries(folder)) or None)
    if isinstance(expected, str):
        assert found == f"{folder / MANIFEST}:1: {expected}"
    else:
        assert found == [expected]


@pytest.mark.parametrize("token", ["NaN", "1e999", "-Infinity", "9223372036854775808"])
def test_numbers_that_are_not_finite_are_refused_in_metadata_too(tmp_path, make_entry, token):
    text = json.dumps(make_entry(fitted={"psnr": 31.25}).to_dict())
    (tmp_path / MANIFEST).write_text(text.replace("31.25", token))
    with pytest.raises(DataError, match=rf"{MANIFEST}:1: "):
        read_manifest(tmp_path)


def test_the_columns_of_a_line_are_its_fields(tmp_path, make_entry):
    entries = [
        make_entry("a", camera="One", scene="s", oe_share=0.5, kind="raw+jpeg"),
        make_entry("b", camera="Two", scene="s", split="val", height=24, has_valid=True),
        make_entry("c", camera="One", profile=make_entry().profile.replace(as_shot_neutral=(0.25, 1, 0.5))),
        make_entry("Größe \udc80", camera="Two", profile=make_entry().profile.replace(cfa="BGGR")),
    ]
    write_manifest(tmp_path, entries)
    found = read_entries(tmp_path)
    names = ("height", "width", "split", "kind", "cfa", "overexposed", "has_valid", "neutral")
    for at, item in enumerate(found):
        row = {name: found.column(name)[at] for name in names}
        assert (row["height"], row["width"]) == (item.height, item.width)
        assert (SPLITS[row["split"]], KINDS[row["kind"]]) == (item.split, item.kind)
        assert PHASES[row["cfa"]] is item.profile.cfa
        assert (row["overexposed"], row["has_valid"]) == (item.oe_share > 0, item.has_valid)
        assert tuple(row["neutral"]) == item.profile.as_shot_neutral
    for name in ("name", "scene", "camera"):
        texts = [getattr(item, name) for item in found]
        same = np.equal.outer(found.column(name), found.column(name))
        assert (same == [[one == two for two in texts] for one in texts]).all()
    unbalanced = [item.profile.replace(as_shot_neutral=(1, 1, 1)) for item in found]
    same = np.equal.outer(found.column("constants"), found.column("constants"))
    assert (same == [[one == two for two in unbalanced] for one in unbalanced]).all()


def test_a_large_manifest_opens_by_its_index(tmp_path, make_entry, small_is_large, monkeypatch):
    entries = [make_entry(f"img{n}") for n in range(5)]
    write_manifest(tmp_path, entries, [Reject("no", (), "f", "why")])
    assert (tmp_path / INDEX).is_file()
    monkeypatch.setattr(manifest_index, "scan", None)  # from here on, no line is checked
    found = read_manifest(tmp_path)
    assert found.entries == tuple(entries)
    assert [reject.reason for reject in found.rejects] == ["why"]


@pytest.mark.parametrize("harm", ["manifest", "rows", "bit", "cut", "empty", "header", "other"])
def test_an_index_that_does_not_fit_is_made_again(tmp_path, make_entry, small_is_large, harm):
    write_manifest(tmp_path, [make_entry("a"), make_entry("b")])
    index = tmp_path / INDEX
    harmed = whole = index.read_bytes()
    if harm == "manifest":  # edited by hand, to the same size
        text = (tmp_path / MANIFEST).read_text()
        (tmp_path / MANIFEST).write_text(text.replace('"name": "b"', '"name": "c"'))
    else:
        harmed = {
            "rows": whole[: -ROW.itemsize] + b"\xff" * ROW.itemsize,
            "bit": whole[:-1] + bytes([whole[-1] ^ 1]),  # whether the last line was refused
            "cut": whole[:-20],
            "empty": b"",
            "header": whole.replace(b'"U8"', b'"F4"'),
            "other": whole.replace(b'"format":"1"', b'"format":"0"'),
        }[harm]
        assert harmed != whole
        index.write_bytes(harmed)
    names = ["a", "c" if harm == "manifest" else "b"]
    assert [entry.name for entry in read_manifest(tmp_path).entries] == names
    assert [entry.name for entry in read_manifest(tmp_path).entries] == names
    assert index.read_bytes() != harmed


@pytest.mark.parametrize(
    "rows",
    [
        {"data_offsets": ["0", 172]},
        {"data_offsets": [-8, 172]},
        {"shape": {"0": 2, "1": 86}},
        {"shape": ["2", 86]},
    ],
)
def test_a_header_of_other_values_is_no_header(tmp_path, make_entry, small_is_large, rows):
    write_manifest(tmp_path, [make_entry("a"), make_entry("b")])
    index = tmp_path / INDEX
    whole = index.read_bytes()
    (size,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + size])
    header["rows"] |= rows
    changed = json.dumps(header).encode()
    harmed = struct.pack("<Q", len(changed)) + changed + whole[8 + size :]
    index.write_bytes(harmed)
    assert [entry.name for entry in read_manifest(tmp_path).entries] == ["a", "b"]
    assert index.read_bytes() != harmed  # made again


def test_a_folder_that_takes_no_index_is_read_all_the_same(tmp_path, make_entry, small_is_large):
    (tmp_path / INDEX).mkdir()
    write_manifest(tmp_path, [make_entry()])
    assert read_manifest(tmp_path).entries == (make_entry(),)


def test_workers_map_the_index_instead_of_copying_rows(root, small_is_large):
    read_manifest(root)
    pictures = PreparedSource(root).train_pictures()
    packed = pickle.dumps(CropDataset(pictures, 16))
    assert pictures.entries.column("name").tobytes() not in packed
    again = pickle.loads(packed).pictures
    assert (again.entries.column("name") == pictures.entries.column("name")).all()
    assert [one.name for one in again] == [one.name for one in pictures]


def test_a_training_reads_the_same_crops_with_an_index(root, small_is_large):
    crops = []
    for _ in range(2):
        data = create_data("prepared", root=root, crop=16, batch_size=2, crops_per_epoch=8)
        data.setup("fit")
        crops.append([list(batch.name) for batch in data.train_dataloader()])
        assert (root / INDEX).is_file()
    assert crops[0] == crops[1]


@pytest.mark.parametrize("what", ["raw", "srgb", "target", "oe", "valid"])
def test_a_missing_file_is_told_before_the_training(root, small_is_large, what):
    gone = array_path(root, "img2", what)
    gone.unlink()
    with pytest.raises(DataError, match=rf"{gone.name} is missing, but manifest\.jsonl names it"):
        PreparedSource(root).train_pictures()


def test_a_line_that_changes_meanwhile_is_told(root):
    entries = read_entries(root)
    lines = (root / MANIFEST).read_text().splitlines(keepends=True)
    (root / MANIFEST).write_text("".join([lines[1], lines[0], *lines[2:]]))
    with pytest.raises(DataError, match=rf"{MANIFEST}:1: has changed since it was opened"):
        _ = entries[0]


def test_duplicates_far_apart_are_told_with_the_line(tmp_path, make_entry):
    lines = [json.dumps(make_entry(f"img{n}").to_dict()) for n in (*range(600), 3)]
    (tmp_path / MANIFEST).write_text("\n".join(lines))
    with pytest.raises(DataError, match=r":601: the name 'img3' occurs twice"):
        scan(tmp_path / MANIFEST)
