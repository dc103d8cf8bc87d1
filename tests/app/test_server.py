"""The page's server, as a browser meets it: photos in, RAW out, one sentence for errors, nothing left over."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rawpy
import torch

import revisp
from revisp.camera.develop import develop
from revisp.convert import Choice, Conversion, convert_photos, load_engine

if TYPE_CHECKING:
    from starlette.testclient import TestClient

Finish = Callable[["TestClient", str], dict[str, Any]]


def _send(client: TestClient, data: bytes, name: str = "photo.jpg", **wish: Any) -> str:
    answer = client.post("/api/photos", params={"name": name, "wish": json.dumps(wish)}, content=data)
    assert answer.status_code == 200, answer.text
    return f"/api/photos/{answer.json()['id']}"


@pytest.mark.parametrize(
    ("wish", "download", "choice"),
    [
        ({}, {"ending": ".dng"}, {}),
        ({}, {"ending": ".npy", "bits": 12}, {"bits": 12}),
        ({"camera": "Nikon D850"}, {"ending": ".tiff"}, {}),
        ({"linear": True}, {"ending": ".dng", "compression": "none"}, {"linear_dng": True, "compression": "none"}),
        ({"headroom": 2.5}, {"ending": ".dng", "plain_dng": True}, {"plain_dng": True}),
    ],
)
def test_a_download_is_the_file_that_a_conversion_writes(
    client: TestClient,
    finish: Finish,
    photo_bytes: bytes,
    tmp_path: Path,
    wish: dict[str, Any],
    download: dict[str, Any],
    choice: dict[str, Any],
) -> None:
    address = _send(client, photo_bytes, **wish)
    assert finish(client, address)["task"]["error"] == ""
    answer = client.post(f"{address}/raw", json=download)
    assert answer.status_code == 200, answer.text
    assert f'filename="photo{download["ending"]}"' in answer.headers["content-disposition"]

    (tmp_path / "photo.jpg").write_bytes(photo_bytes)
    told = {"camera": wish.get("camera"), "headroom": wish.get("headroom")}
    job = Conversion(tmp_path / "photo.jpg", tmp_path / f"expected{download['ending']}")
    (done,) = convert_photos(load_engine(device="cpu", **told), [job], Choice(**choice), workers=0)
    assert done.error is None
    assert answer.content == job.output.read_bytes()


def test_the_page_shows_what_the_file_declares_and_the_model_assumes(
    client: TestClient, finish: Finish, photo_bytes: bytes
) -> None:
    found = finish(client, _send(client, photo_bytes, "../../etc/my photo.jpg"))
    assert found["name"] == "my photo.jpg"
    predicted = found["predicted"]
    declared, assumed = dict(predicted["declared"]), dict(predicted["assumed"])
    assert declared["Size"].startswith("96 × 64")
    assert (declared["Camera"], declared["Colours"], declared["Gain map"]) == ("Google Pixel 6", "sRGB", "none")
    assert 5 < float(assumed["Overexposed"].split()[0]) < 20  # 600 of 6144 pixels are white
    assert revisp.from_pretrained().profile.name == assumed["Sensor"]
    histograms = predicted["histograms"]
    assert sum(histograms["photo"]) == pytest.approx(1)
    assert sum(histograms["raw"]) == pytest.approx(1)


def test_windows_hold_the_means_of_the_pixels(client: TestClient, finish: Finish, photo_bytes: bytes) -> None:
    from revisp.io import decode_srgb

    address = _send(client, photo_bytes)
    finish(client, address)
    window = {"top": 0, "left": 32, "height": 64, "width": 64, "rows": 8, "columns": 8}
    found = np.frombuffer(client.get(f"{address}/layers/photo", params=window).content, np.uint8)
    srgb = decode_srgb(photo_bytes, "photo.jpg")[:, :, 32:]
    expected = (srgb * 255).reshape(3, 8, 8, 8, 8).mean((2, 4)).permute(1, 2, 0).numpy()
    assert np.abs(found.reshape(8, 8, 4)[..., :3] - expected).max() <= 1
    raw = np.frombuffer(client.get(f"{address}/layers/raw", params=window).content, "<u2").reshape(8, 8, 3)
    bayer = revisp.predict(revisp.from_pretrained(), decode_srgb(photo_bytes, "photo.jpg")).bayer[0, :, 32:]
    green = (bayer[0::2, 1::2] + bayer[1::2, 0::2]) / 2  # RGGB
    assert np.abs(raw[..., 1] / 65535 - green.reshape(8, 4, 8, 4).mean((1, 3)).numpy()).max() < 1e-4


def test_the_numbers_of_the_page_develop_as_the_library_does(
    client: TestClient, finish: Finish, photo_bytes: bytes
) -> None:
    known = finish(client, _send(client, photo_bytes))["predicted"]["develop"]
    profile = revisp.from_pretrained().profile
    raw = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    gains = torch.tensor(known["gains"]).view(3, 1, 1)
    light = torch.einsum(
        "ij,jhw->ihw", torch.tensor(known["matrix"]).float(), (raw * gains / gains.min()).clamp(0, 1)
    )
    encoded = torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp_min(1e-9) ** (1 / 2.4) - 0.055)
    assert torch.allclose(encoded.clamp(0, 1), develop(raw, profile), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("text.jpg", b"this is no photo at all, but a text of some length", "text.jpg:"),
        ("empty.png", b"", "empty.png:"),
        ("cut.jpg", None, "cut.jpg:"),
    ],
)
def test_a_broken_file_gives_one_sentence(
    client: TestClient,
    finish: Finish,
    photo_bytes: bytes,
    uploads_folder: Path,
    name: str,
    data: bytes | None,
    words: str,
) -> None:
    found = finish(client, _send(client, photo_bytes[:900] if data is None else data, name))
    assert found["predicted"] is None
    message = found["task"]["error"]
    assert message.startswith(words)
    assert "\n" not in message
    assert str(uploads_folder) not in message


def test_a_wish_that_cannot_be_fulfilled_gives_one_sentence(
    client: TestClient, finish: Finish, photo_bytes: bytes
) -> None:
    address = _send(client, photo_bytes)
    finish(client, address)
    for wish, words in [
        ({"model": "no/such/folder"}, "no such model folder"),
        ({"camera": "Nikkon D850"}, "did you mean 'Nikon D850'"),
        ({"headroom": 40}, "headroom"),
    ]:
        assert client.post(f"{address}/predict", json=wish).status_code == 200
        assert words in finish(client, address)["task"]["error"]
    for wish in ({"headroom": "2"}, {"stops": 2}, [], "x"):
        answer = client.post(f"{address}/predict", json=wish)
        assert (answer.status_code, answer.json()["error"][:9]) == (400, "settings:")
    assert client.post(f"{address}/predict", content=b"{" * 20_000).status_code == 400
    assert client.post(f"{address}/raw", json={"ending": ".exe"}).status_code == 400


def test_a_window_beyond_the_picture_is_refused(client: TestClient, finish: Finish, photo_bytes: bytes) -> None:
    address = _send(client, photo_bytes)
    finish(client, address)
    window = {"top": 0, "left": 0, "height": 64, "width": 96, "rows": 64, "columns": 96}
    for change in ({"left": 1}, {"rows": 0}, {"rows": 65}, {"top": -1}, {"height": 10**12}, {"width": "x"}):
        answer = client.get(f"{address}/layers/raw", params={**window, **change})
        assert answer.status_code == 400, change
        assert answer.json()["error"]


def test_a_large_upload_is_refused_and_leaves_nothing(client: TestClient, uploads_folder: Path) -> None:
    def pieces() -> Any:  # without a length in the header
        for _ in range(10):
            yield bytes(10_000)

    for content in (bytes(60_000), pieces()):
        answer = client.post("/api/photos", params={"name": "large.png"}, content=content)
        assert answer.status_code == 400
        assert "larger than" in answer.json()["error"]
    assert list(uploads_folder.rglob("large.png")) == []


def test_nothing_is_left_when_photos_are_removed_and_when_the_server_ends(
    own_client: contextlib.AbstractContextManager[TestClient], finish: Finish, photo_bytes: bytes, tmp_path: Path
) -> None:
    with own_client as client:
        first, second = (_send(client, photo_bytes, name) for name in ("first.jpg", "second.jpg"))
        finish(client, second)
        assert client.post(f"{second}/raw", json={"ending": ".dng"}).status_code == 200
        assert not list(tmp_path.rglob("*.dng"))
        client.delete(first)
        assert client.get(first).status_code == 404
        assert {path.name for path in tmp_path.rglob("*.jpg")} == {"second.jpg"}
    assert list(tmp_path.iterdir()) == []


def test_other_pages_and_other_names_are_refused(client: TestClient, photo_bytes: bytes) -> None:
    evil = {"origin": "http://evil.example"}
    assert client.post("/api/photos", content=photo_bytes, headers=evil).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    answer = client.get("/")
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_the_page_offers_what_the_library_can_do(client: TestClient) -> None:
    offer = client.get("/api/offer").json()
    assert offer["models"] == ["default"]
    assert "Nikon D850" in offer["cameras"]
    assert client.get("/api/example").content.startswith(b"\xff\xd8\xff")  # a JPEG


def test_the_page_names_no_other_host(client: TestClient) -> None:
    from importlib import resources

    for file in resources.files("revisp.app").joinpath("page").iterdir():
        answer = client.get(f"/page/{file.name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0].split("/")[0] in ("text", "image")
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", ""), file.name
    assert client.get("/page/server.py").status_code == 404
    assert client.get("/page/..%2fserver.py").status_code == 404


def test_a_server_for_others_offers_only_its_own_folders(tmp_path: Path) -> None:
    testclient = pytest.importorskip("starlette.testclient", reason="the extra app is not installed")
    from revisp.app.server import Offer, create_app

    app = create_app(Offer(any_folder=False, device="cpu", hosts=("box",)))
    with testclient.TestClient(app, base_url="http://box") as client:
        for path, values in [
            ("/api/pairs", {"source": str(tmp_path), "model": ""}),
            ("/api/pairs", {"source": "embedded", "model": str(tmp_path)}),
        ]:
            answer = client.post(path, json=values)
            assert (answer.status_code, "does not offer" in answer.json()["error"]) == (400, True)
        for wish in ({"model": "/etc"}, {"camera": "/etc/passwd"}):
            answer = client.post("/api/photos", params={"wish": json.dumps(wish)}, content=b"x")
            assert (answer.status_code, "does not offer" in answer.json()["error"]) == (400, True)


def test_the_dng_opens_in_libraw(client: TestClient, finish: Finish, photo_bytes: bytes, tmp_path: Path) -> None:
    address = _send(client, photo_bytes)
    finish(client, address)
    (tmp_path / "a.dng").write_bytes(client.post(f"{address}/raw", json={}).content)
    with rawpy.imread(str(tmp_path / "a.dng")) as file:
        assert file.raw_image_visible.shape == (64, 96)
