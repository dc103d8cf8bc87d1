"""JSON of others: every wrong value is one line that names the field, and what was loaded is saved unchanged."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from revisp.benchmark.results import RESULT_FILE, CellResult, read_result, write_result
from revisp.camera.fitted import FittedCamera, as_tuples, plain_curve
from revisp.camera.noise import NoiseLevels
from revisp.camera.profile import CameraProfile
from revisp.camera.scene_rendering import SceneRendering
from revisp.camera.simulate import SIMULATED
from revisp.data.entry import Entry, Reject, outcome_of
from revisp.data.manifest import MANIFEST, read_manifest, write_manifest
from revisp.errors import ConfigError, DataError, RevispError
from revisp.export.graph import GraphInfo
from revisp.io.camera_file import load_camera, load_curve, load_profile, save_camera
from revisp.pipeline import ReverseISP
from revisp.prepare.journal import Journal
from revisp.schema import parse

FITTED = FittedCamera(as_tuples(plain_curve().numpy()), matrix=((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)), psnr=33.0)
ENTRY = Entry(
    "one", "pair", "room", "train", "Maker One", SIMULATED.profile, 64, 96, 0.25,
    ({"path": "caf\udce9.dng", "size": 10**10, "mtime_ns": -1},), "abc", alignment={"offset": [0.5, -1.0]},
)  # fmt: skip
REJECT = Reject("two", (), "abc", "it is damaged")
CELL = CellResult(
    "unet", "embedded", 0, ("backbone=unet",), {"psnr": 31.5},
    {"parameters": 1000, "gmac": 2.5, "seconds": 0.25, "training": 60.0}, 256, 8,
    {"edges": [0.0, 1.0], "weight": [[1.0]] * 5, "bias": [[0.5]] * 5, "rmse": [[0.5]] * 5},
    (("a", {"psnr": 30.0}),), SIMULATED.profile.to_dict(), {"torch": "2"},
)  # fmt: skip
GRAPH = GraphInfo("m", "unet", "shared", SIMULATED.profile.cfa, SIMULATED.profile, 12, 4, True)


def _cell_of(values: Any, folder: Path) -> CellResult:
    (folder / RESULT_FILE).write_text(json.dumps(values))
    found = read_result(folder)
    assert found is not None
    return found


def _cell_values(cell: CellResult, folder: Path) -> Any:
    write_result(cell, folder)
    return json.loads((folder / RESULT_FILE).read_text())


KINDS: dict[str, tuple[Any, Callable[[Any, Path], Any], Callable[[Any, Path], Any]]] = {
    "profile": (SIMULATED.profile, lambda x, _: x.to_dict(), lambda v, _: CameraProfile.from_dict(v)),
    "fitted": (FITTED, lambda x, _: x.to_dict(), lambda v, _: FittedCamera.from_dict(v)),
    "rendering": (SceneRendering(), lambda x, _: x.to_dict(), lambda v, _: SceneRendering.from_dict(v)),
    "entry": (ENTRY, lambda x, _: x.to_dict(), lambda v, _: outcome_of(v)),
    "reject": (REJECT, lambda x, _: x.to_dict(), lambda v, _: outcome_of(v)),
    "cell": (CELL, _cell_values, _cell_of),
    "graph": (GRAPH, lambda x, _: json.loads(x.to_json()), lambda v, _: GraphInfo.from_json(json.dumps(v), "a")),
}


def _places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value; of lists the first one."""
    if at:
        yield at
    if isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else list(enumerate(values))[:1]
        for key, value in items:
            yield from _places(value, (*at, key))


def _with(values: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(values)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return changed


WRONG = (None, True, "x", -1, 0, 1.5, 1e300, 10**400, [], {}, [[1]], {"a": 1}, "x" * 20_000, "\x1b[2J")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_loaded_is_saved_and_loaded_unchanged(kind: str, tmp_path: Path) -> None:
    item, save, load = KINDS[kind]
    values = save(item, tmp_path)
    again = load(json.loads(json.dumps(values)), tmp_path)
    assert save(again, tmp_path) == values
    if kind not in ("fitted", "cell"):  # those hold NaN, or the folder that they were read from
        assert again == item


@pytest.mark.parametrize("kind", KINDS)
def test_any_value_in_any_place_is_refused_in_one_line_or_kept(kind: str, tmp_path: Path) -> None:
    item, save, load = KINDS[kind]
    values = json.loads(json.dumps(save(item, tmp_path)))
    for place in _places(values):
        for wrong in WRONG:
            message = ""
            try:
                again = load(_with(values, place, wrong), tmp_path)
            except RevispError as error:
                message = str(error)
            else:
                kept = save(again, tmp_path)
                assert save(load(json.loads(json.dumps(kept)), tmp_path), tmp_path) == kept
            assert len(message) < 700
            assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"make": 5}, "make must be a text, got 5"),
        ({"white_level": "high"}, "white_level must be a finite number, got 'high'"),
        ({"color_matrix": [[1e12, 0, 0], [0, 1e12, 0], [0, 0, 1e12]]}, "color_matrix .* up to 1000"),
        ({"color_matrix": [[10**400, 0, 0]] * 3}, r"color_matrix\[0\]\[0\] must be"),
        ({"bits": 10.5}, "bits must be a whole number"),
        ({"black_level": [1, 2, 3]}, r"black_level\[3\] is incomplete"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_the_message_names_the_field(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({**SIMULATED.profile.to_dict(), **change}))
    for load in (CameraProfile.load, load_profile):
        with pytest.raises(ConfigError, match=rf"p\.json: not a camera profile: {message}"):
            load(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" * 65 + "]" * 65, "nested too deeply"),
        ("9" * 5000, "not JSON"),
        ("1e400", "1e400 is too large"),
        ("[NaN]", "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        (b"\xff\xfe{", "not JSON"),
        ('{"a": 1', "not JSON"),
        ("", "not JSON"),
    ],
)
def test_documents_beyond_the_limits_are_refused(text: str | bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for load in (CameraProfile.load, load_camera, load_profile, load_curve):
        with pytest.raises(ConfigError, match=r"a\.json: not a "):
            load(path)
    (tmp_path / MANIFEST).write_bytes(path.read_bytes() + b"\n")
    (tmp_path / "journal.jsonl").write_bytes(path.read_bytes() + b"\n")
    for read in (lambda: read_manifest(tmp_path), lambda: Journal(tmp_path).read()):
        if text:  # an empty line is no line
            with pytest.raises(DataError):
                read()


def test_the_deepest_document_is_read() -> None:
    assert parse("[" * 60 + "]" * 60)


def test_numbers_of_numpy_are_taken_and_saved_as_numbers(tmp_path: Path) -> None:
    changes = {
        "black_level": np.full(4, 64, np.float32),
        "white_level": np.uint16(1023),
        "bits": np.int64(10),
        "color_matrix": np.eye(3, dtype=np.float32),
        "as_shot_neutral": np.array([0.5, 1, 0.5]),
    }
    profile = SIMULATED.profile.replace(**changes)
    assert json.loads(json.dumps(profile.to_dict()))["black_level"] == [64.0] * 4
    save_camera(tmp_path / "c.json", profile, FITTED, NoiseLevels(1e-4, 1e-6))
    assert load_camera(tmp_path / "c.json").profile == profile


def test_a_manifest_keeps_names_that_are_not_utf_8(tmp_path: Path) -> None:
    write_manifest(tmp_path, [ENTRY], [REJECT])
    found = read_manifest(tmp_path)
    assert (found.entries, found.rejects) == ((ENTRY,), (REJECT,))


def test_a_graph_of_a_model_describes_itself(tmp_path: Path) -> None:
    info = GraphInfo.of(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}), "small")
    assert GraphInfo.from_json(info.to_json(), "a") == info
