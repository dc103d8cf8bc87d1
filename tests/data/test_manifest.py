"""The list of a prepared data set: it comes back as written, and nonsense is told by file and line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisp.data.entry import ARRAYS, Entry, Reject, array_path
from revisp.data.manifest import MANIFEST, read_manifest, write_manifest
from revisp.errors import DataError, OutputError
from revisp.io.file_names import natural_key

SOURCE = {"path": "a.jpg", "size": 10, "mtime_ns": 1_700_000_000_000_000_000}


def _lines(root) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / MANIFEST).read_text().splitlines()]


def _write(root, *lines: Any) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (root / MANIFEST).write_text("\n".join(texts) + "\n")


def test_what_is_written_comes_back_in_natural_order(tmp_path, make_entry):
    entries = [
        make_entry("img10", alignment={"scale": 1.5, "offset": [3, -4]}, fitted={"psnr": 31.4}, has_valid=True),
        make_entry("img9", developer="darktable", style="bright", split="val", oe_share=0.25),
        make_entry("Größe \udc80", sources=(SOURCE, SOURCE)),
    ]
    rejects = [Reject("img2", (SOURCE,), "f", "too blurred: 3 of 40 blocks")]
    assert write_manifest(tmp_path, entries, rejects) == tmp_path / MANIFEST
    found = read_manifest(tmp_path)
    assert found.entries == (entries[2], entries[1], entries[0])
    assert found.rejects == tuple(rejects)
    assert found.root == tmp_path
    assert [line["name"] for line in _lines(tmp_path)] == ["Größe \udc80", "img2", "img9", "img10"]
    assert [line["status"] for line in _lines(tmp_path)] == ["ok", "rejected", "ok", "ok"]
    before = (tmp_path / MANIFEST).read_bytes()
    write_manifest(tmp_path, found.entries, found.rejects)
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_an_editors_traces_are_no_error(tmp_path, make_entry):
    text = json.dumps(make_entry().to_dict())
    (tmp_path / MANIFEST).write_bytes(f"\ufeff\r\n{text}\r\n\r\n".encode())
    assert read_manifest(tmp_path).entries == (make_entry(),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "jpeg"}, "kind must be one of raw.jpeg"),
        ({"split": "test"}, "split must be one of train, val, got 'test'"),
        ({"split": ["train"]}, "split"),
        ({"scene": ""}, "scene must be a text of one line"),
        ({"camera": 7}, "camera"),
        ({"fingerprint": None}, "fingerprint"),
        ({"height": 41}, "height must be an even number"),
        ({"height": 40.0}, "height"),
        ({"width": True}, "width"),
        ({"width": 2}, "at least 24"),
        ({"oe_share": 1.5}, "oe_share must be at most 1, got 1.5"),
        ({"oe_share": "0.1"}, "oe_share"),
        ({"sources": {"path": "a"}}, "sources must be a list"),
        ({"sources": ["a.jpg"]}, r"sources\[0\] must be an object"),
        ({"sources": [{"path": "a.jpg"}]}, "sources"),
        ({"sources": [{**SOURCE, "size": -1}]}, "sources"),
        ({"sources": [{**SOURCE, "mtime_ns": 1.5}]}, "sources"),
        ({"alignment": "none"}, "alignment must be an object"),
        ({"fitted": [1]}, "fitted"),
        ({"developer": 3}, "developer must be a text"),
        ({"has_valid": 1}, "has_valid must be true or false"),
        ({"profile": 3}, "profile must be an object"),
        ({"profile": {"make": "x"}}, "camera profile: the field .* is missing"),
        ({"status": "fine"}, "status must be 'ok' or 'rejected', got 'fine'"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_a_wrong_field_is_told_with_its_line(tmp_path, make_entry, change, message):
    _write(tmp_path, make_entry("first").to_dict(), {**make_entry("second").to_dict(), **change})
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / MANIFEST}:2: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a\\b", "/etc/x", "C:x", "a\nb", "a\0", "x" * 201, 5]
)
def test_a_name_cannot_lead_out_of_the_folder(tmp_path, make_entry, name):
    with pytest.raises(DataError, match="name must be a file name"):
        make_entry(name)
    _write(tmp_path, {**make_entry().to_dict(), "name": name})
    with pytest.raises(DataError, match=r"manifest\.jsonl:1: name must be a file name"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("field", ["name", "profile", "sources", "has_valid", "alignment"])
def test_a_missing_field_is_named(tmp_path, make_entry, field):
    values = make_entry().to_dict()
    del values[field]
    _write(tmp_path, values)
    with pytest.raises(DataError, match=rf"manifest\.jsonl:1: the field '{field}' is missing"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ('{"status": "ok", "name": ', "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ("17", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ('{"oe_share": NaN}', "not JSON: NaN is not a number"),
        ('{"status": "rejected", "name": "x"}', "the field 'fingerprint' is missing"),
        ({"status": "rejected", "name": "x", "sources": [], "fingerprint": "f", "reason": " "}, "reason"),
    ],
)
def test_a_line_that_is_no_entry_is_told(tmp_path, make_entry, line, message):
    _write(tmp_path, make_entry().to_dict(), "", line)
    with pytest.raises(DataError, match=rf"manifest\.jsonl:3: {message}") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_name_is_there_once(tmp_path, make_entry):
    reject = Reject("img1", (), "f", "why")
    _write(tmp_path, make_entry().to_dict(), reject.to_dict())
    with pytest.raises(DataError, match=r":2: the name 'img1' occurs twice"):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match="'img1' occurs twice"):
        write_manifest(tmp_path, [make_entry()], [reject])


def test_missing_and_unreadable_lists_are_told(tmp_path):
    with pytest.raises(DataError, match="no prepared data set here"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).unlink()
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(tmp_path)


def test_what_is_not_json_is_not_written(tmp_path, make_entry):
    write_manifest(tmp_path, [make_entry()])
    before = (tmp_path / MANIFEST).read_bytes()
    for nonsense in (float("nan"), 10**30, {1}):
        with pytest.raises(DataError, match="fitted"):
            write_manifest(tmp_path, [make_entry(fitted={"psnr": nonsense})])
    with pytest.raises(OutputError):
        write_manifest(tmp_path / "nowhere", [make_entry()])
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_a_dictionary_of_the_other_kind_is_refused(make_entry):
    with pytest.raises(DataError, match="status"):
        Reject.from_dict(make_entry().to_dict())
    with pytest.raises(DataError, match="status"):
        Entry.from_dict(Reject("x", (), "f", "why").to_dict())


def test_arrays_lie_in_one_folder(tmp_path):
    assert [array_path(tmp_path, "a.b", what).name for what in ARRAYS] == [
        "a.b.raw.npy", "a.b.srgb.npy", "a.b.target.npy", "a.b.valid.npy", "a.b.oe.npy"
    ]  # fmt: skip
    assert array_path(tmp_path, "x", "raw").parent == tmp_path / "arrays"


def test_natural_order():
    names = ["img10", "img2", "img", "a10b2", "a10b10", "a9", "img02", "²", "x٣"]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["a9", "a10b2", "a10b10", "img", "img02", "img2", "img10", "x٣", "²"]


@given(st.lists(st.text(max_size=6), max_size=6), st.randoms())
def test_natural_order_does_not_depend_on_the_order_before(names, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    assert sorted(names, key=natural_key) == sorted(shuffled, key=natural_key)
