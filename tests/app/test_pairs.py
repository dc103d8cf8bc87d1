"""The tab of one's own pairs: scored as an evaluation scores them, the worst first, with the truth beside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from simulated_pairs import write_simulated_pairs

import revisp
from revisp.app.pairs import PairSets
from revisp.app.uploads import Uploads
from revisp.app.work import Worker
from revisp.camera.simulate import SIMULATED
from revisp.config import data_of_run
from revisp.data import create_data
from revisp.errors import ConfigError, DataError
from revisp.evaluation.score_model import score_model

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Finish = Callable[["TestClient", str], dict[str, Any]]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_simulated_pairs(tmp_path_factory.mktemp("pairs"), count=4, val=(1, 2, 3))


def _open(client: TestClient, finish: Finish, source: Path | str, model: str = "") -> dict[str, Any]:
    answer = client.post("/api/pairs", json={"source": str(source), "model": model})
    assert answer.status_code == 200, answer.text
    return finish(client, f"/api/pairs/{answer.json()['id']}")


def test_pairs_are_scored_as_an_evaluation_scores_them_and_sorted(
    client: TestClient, finish: Finish, pairs: Path
) -> None:
    found = _open(client, finish, pairs)
    assert found["task"] == {"state": "done", "finished": 3, "total": 3, "error": ""}
    with pytest.warns(UserWarning, match="made for"):
        expected = score_model(revisp.from_pretrained(), create_data("prepared", root=str(pairs)))
    assert {row["name"]: pytest.approx(row["scores"]["psnr"]) for row in found["pairs"]} == {
        image.name: image.scores["psnr"] for image in expected.images
    }
    order = [row["scores"]["psnr"] for row in found["pairs"]]
    assert order == sorted(order)


def test_a_pair_shows_the_stored_truth_beside_the_prediction(
    client: TestClient, finish: Finish, pairs: Path
) -> None:
    found = _open(client, finish, pairs)
    worst = found["pairs"][0]
    address = f"/api/pairs/{found['id']}/{worst['index']}"
    shown = client.get(address).json()
    assert (shown["name"], shown["width"], shown["height"]) == (worst["name"], 96, 64)
    assert shown["scores"] == worst["scores"]
    window = {"top": 0, "left": 0, "height": 64, "width": 96, "rows": 16, "columns": 24}
    truth = np.frombuffer(client.get(f"{address}/layers/truth", params=window).content, "<u2")
    raw = SIMULATED.profile.normalise(np.load(pairs / "arrays" / f"{worst['name']}.raw.npy")).clip(0, 1)
    red = raw[0::2, 0::2].reshape(16, 2, 24, 2).mean((1, 3))  # RGGB
    assert np.abs(truth.reshape(16, 24, 3)[..., 0] / 65535 - red).max() < 1e-4
    predicted = np.frombuffer(client.get(f"{address}/layers/raw", params=window).content, "<u2")
    assert not np.array_equal(predicted, truth)
    assert client.get(f"/api/pairs/{found['id']}/99").status_code == 404


def test_a_run_folder_shows_its_own_data_with_its_own_model(
    client: TestClient, finish: Finish, pairs: Path, tmp_path: Path
) -> None:
    model = revisp.ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    revisp.save_pretrained(model, tmp_path / "model")
    (tmp_path / ".hydra").mkdir()
    cfg = revisp.compose(["data=prepared", f"data.root={pairs}"])
    OmegaConf.save(cfg, tmp_path / ".hydra" / "config.yaml")
    found = _open(client, finish, tmp_path)
    expected = score_model(model, create_data("prepared", root=str(pairs)))
    scores = {image.name: image.scores["psnr"] for image in expected.images}
    assert {row["name"]: row["scores"]["psnr"] for row in found["pairs"]} == pytest.approx(scores, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "data: {name: prepared, root: '${oc.env:HOME}'}\nseed: 0\ndemosaic: {}",
        "data: !!python/object/apply:os.getcwd []\nseed: 0\ndemosaic: {}",
        "a: &a [x, x]\nb: &b [*a, *a]\ndata: {name: prepared, root: *b}\nseed: 0\ndemosaic: {}",
        "data: {name: prepared, crop: .nan}\nseed: 0\ndemosaic: {}",
        "data: {name: prepared, 5: 6}\nseed: 0\ndemosaic: {}",
        "data: {root: x}\nseed: 0\ndemosaic: {}",
        "data: [prepared]\nseed: 0\ndemosaic: {}",
        "data: {name: prepared}\nseed: -1\ndemosaic: {}",
        "data: {name: prepared}",
        "data: " + "[" * 60_000,
        "#" * 2**20 + "\ndata: {}",
    ],
)
def test_a_configuration_of_strangers_is_plain_values_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: not the configuration of a training") as caught:
        data_of_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_folder_sends_nobody_to_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(
        "data: {name: stream, root: 's3://bucket/shards'}\nseed: 0\ndemosaic: {}"
    )
    monkeypatch.setattr("revisp.app.pairs.create_data", lambda **_: pytest.fail("the data set was opened"))
    with Uploads() as uploads, pytest.raises(DataError, match="packed from"):
        PairSets(uploads, Worker()).add(str(tmp_path), "")


def test_what_is_no_data_set_gives_one_sentence(client: TestClient, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "broken" / ".hydra").mkdir(parents=True)
    (tmp_path / "broken" / ".hydra" / "config.yaml").write_text("data: [")
    for values, words in [
        ({"source": str(tmp_path)}, "give a data set of revisp-prepare"),
        ({"source": ""}, "give a data set"),
        ({"source": str(tmp_path / "run")}, "config.yaml"),
        ({"source": str(tmp_path / "broken")}, "not the configuration of a training"),
        ({"source": str(pairs), "model": str(tmp_path / "none")}, "no such model folder"),
        ({"source": 3}, "as text"),
    ]:
        answer = client.post("/api/pairs", json=values)
        assert answer.status_code == 400
        assert words in answer.json()["error"]
        assert "\n" not in answer.json()["error"]


def test_layers_of_pairs_are_removed_with_the_server(
    own_client: contextlib.AbstractContextManager[TestClient], finish: Finish, pairs: Path, tmp_path: Path
) -> None:
    with own_client as client:
        found = _open(client, finish, pairs)
        for row in found["pairs"]:
            client.get(f"/api/pairs/{found['id']}/{row['index']}")
        assert list(tmp_path.rglob("truth.npy"))
    assert list(tmp_path.iterdir()) == []
