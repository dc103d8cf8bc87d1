"""Model folders: what is saved comes back, and damage is named."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from revisp import model_folder
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, OutputError, WeightsError
from revisp.io import atomic
from revisp.limits import max_parameters
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP

TINY = {"width": 4, "depth": 2, "norm": "batch"}


@pytest.fixture
def model() -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP("unet", backbone_kwargs=TINY, fusion={"kind": "feathered"}, profile=SIMULATED.profile).eval()


def test_round_trip(model: ReverseISP, tmp_path: Path) -> None:
    folder = save_pretrained(model, tmp_path / "a" / "model", card="Made in a test.", metrics={"val/psnr": 31.25})
    again = from_pretrained(folder)
    srgb = torch.rand(1, 3, 20, 24)
    assert torch.equal(again(srgb).bayer, model(srgb).bayer)
    assert again.profile == SIMULATED.profile
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    card = (folder / "README.md").read_text()
    assert "Made in a test." in card
    assert "31.25" in card
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_half_precision_weights_load_as_float32(model: ReverseISP, tmp_path: Path) -> None:
    whole = save_pretrained(model, tmp_path / "whole")
    half = save_pretrained(model, tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.75 * sizes[0]
    again = from_pretrained(half)
    assert all(p.dtype == torch.float32 for p in again.parameters())
    srgb = torch.rand(1, 3, 20, 24)
    torch.testing.assert_close(again(srgb).bayer, model(srgb).bayer, atol=2e-3, rtol=0)


def test_a_model_folder_is_replaced_but_nothing_else(model: ReverseISP, tmp_path: Path) -> None:
    folder = save_pretrained(model, tmp_path / "model")
    save_pretrained(model, folder, card="second")
    assert "second" in (folder / "README.md").read_text()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpg").touch()
    with pytest.raises(OutputError, match="photos"):
        save_pretrained(model, tmp_path / "photos")
    assert (tmp_path / "photos" / "dear.jpg").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", "mine"),
        ("config.json", '{"theme": "dark"}'),
        ("config.json", '{"format": 1, "revisp": "0", "pipeline": {}, "mine": 1}'),
        ("config.json", "["),
        ("README.md", "# My project"),
    ],
)
def test_a_folder_that_holds_anything_else_is_left_alone(
    model: ReverseISP, tmp_path: Path, name: str, content: str
) -> None:
    folder = save_pretrained(model, tmp_path / "model")
    (folder / name).write_text(content)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(OutputError, match=r"model (exists|holds).*choose another name"):
        save_pretrained(model, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("exchanged", [True, False], ids=["exchanged", "renamed"])
def test_an_interrupt_leaves_the_old_or_the_new_folder(
    model: ReverseISP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanged: bool
) -> None:
    """The old one is gone from its name at no moment that is followed by deleting."""
    folder = save_pretrained(model, tmp_path / "model", card="old")
    if not exchanged:
        monkeypatch.setattr(atomic, "_exchange", lambda one, two: False)
    monkeypatch.setattr(atomic.shutil, "rmtree", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_pretrained(model, folder, card="new")
    assert "new" in (folder / "README.md").read_text()
    from_pretrained(folder)


def test_a_folder_that_cannot_follow_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    monkeypatch.setattr(atomic, "_exchange", lambda one, two: False)
    with pytest.raises(FileNotFoundError):
        atomic.replace_folder(tmp_path / "none", tmp_path / "old")
    assert (tmp_path / "old" / "file").exists()


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_failed_write_leaves_nothing(model: ReverseISP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        save_pretrained(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def _drop(name: str):
    return lambda folder: (folder / name).unlink()


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _widen(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["pipeline"]["backbone_kwargs"]["width"] = 8
    (folder / "config.json").write_text(json.dumps(config))


def _future(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": 99}))


def _garble(folder: Path) -> None:
    (folder / "config.json").write_text("{not json")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_drop("config.json"), "config.json is missing"),
        (_drop("model.safetensors"), "model.safetensors is missing"),
        (_truncate, "damaged"),
        (_widen, "has shape"),
        (_future, "format 99"),
        (_garble, "damaged"),
    ],
)
def test_damage_is_named(model: ReverseISP, tmp_path: Path, damage, words: str) -> None:
    folder = save_pretrained(model, tmp_path / "model")
    damage(folder)
    with pytest.raises(WeightsError, match=words) as caught:
        from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such model folder"):
        from_pretrained(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="file: a file, not a model folder; it must hold"):
        from_pretrained(tmp_path / "file")


def test_initial_encoder_weights_are_not_fetched_again(tmp_path: Path) -> None:
    """A network that began from downloaded weights loads from its folder alone."""
    model = ReverseISP("smp", backbone_kwargs={"encoder_name": "tu-mobilenetv3_small_050"}).eval()
    model.config["backbone_kwargs"]["encoder_weights"] = "a-name-that-would-have-to-be-downloaded"
    again = from_pretrained(save_pretrained(model, tmp_path / "model"))
    srgb = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(srgb).bayer, model(srgb).bayer)


def _changed(folder: Path, **pipeline: object) -> Path:
    config = json.loads((folder / "config.json").read_text())
    config["pipeline"] |= pipeline
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"encoder_weights": "imagenet"}, "encoder_weights"),
        ({"encoder_weights": "../../other.pth"}, "encoder_weights"),
        ({"pretrained": True}, "pretrained"),
        ({"checkpoint_path": "x.pth"}, "checkpoint_path"),
        ({"encoder_name": "tu-hf-hub:someone/network"}, "encoder_name"),
        ({"encoder_name": "/etc/passwd"}, "encoder_name"),
    ],
)
def test_a_config_cannot_reach_outside_its_folder(
    model: ReverseISP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kwargs: dict, message: str
) -> None:
    folder = _changed(save_pretrained(model, tmp_path / "model"), backbone="smp:Unet", backbone_kwargs=kwargs)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("it went online"))
    with pytest.raises(WeightsError, match=rf"config\.json: .*{message}"):
        from_pretrained(folder)


@pytest.mark.parametrize("kwargs", [{"width": 10**6}, {"depth": 10**6}, {"width": 4000, "depth": 12}])
def test_an_absurd_network_takes_no_memory(model: ReverseISP, tmp_path: Path, kwargs: dict) -> None:
    folder = _changed(save_pretrained(model, tmp_path / "model"), backbone_kwargs=kwargs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=r"config\.json: "):
        from_pretrained(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_the_limit_of_parameters_is_raised_by_a_variable(
    model: ReverseISP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kwargs = {"width": 160, "depth": 3}
    folder = save_pretrained(ReverseISP("unet", backbone_kwargs=kwargs), tmp_path / "model")
    monkeypatch.setenv("REVISP_MAX_MILLION_PARAMETERS", "1")
    with pytest.raises(WeightsError, match=r"more than 1 million parameters.*REVISP_MAX_MILLION_PARAMETERS"):
        from_pretrained(folder)
    monkeypatch.setenv("REVISP_MAX_MILLION_PARAMETERS", "100")
    assert from_pretrained(folder).config["backbone_kwargs"] == kwargs
    monkeypatch.setenv("REVISP_MAX_MILLION_PARAMETERS", "many")
    with pytest.raises(ConfigError, match="REVISP_MAX_MILLION_PARAMETERS must be a whole number"):
        max_parameters()


def test_folders_and_links_with_names_of_ours_are_left_alone(model: ReverseISP, tmp_path: Path) -> None:
    folder = save_pretrained(model, tmp_path / "model")
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()
    (folder / "README.md" / "mine.txt").touch()
    with pytest.raises(OutputError, match=r"README\.md that revisp did not write"):
        save_pretrained(model, folder)
    assert (folder / "README.md" / "mine.txt").exists()
    shutil.rmtree(folder / "README.md")
    (folder / "README.md").symlink_to(tmp_path / "other.md")
    with pytest.raises(OutputError, match=r"README\.md that revisp did not write"):
        save_pretrained(model, folder)
    assert (folder / "README.md").is_symlink()


@pytest.mark.parametrize("part", ["mask", "fusion", "refine", "backbone_kwargs"])
@pytest.mark.parametrize(
    "value", [{"x": 10**9}, {"x": [[1, 10**9]]}, {"x": {"encoder_weights": "imagenet"}}, {"x": ["https://a.b"]}]
)
def test_no_part_of_a_config_holds_huge_numbers_or_addresses(
    model: ReverseISP, tmp_path: Path, part: str, value: dict
) -> None:
    folder = _changed(save_pretrained(model, tmp_path / "model"), **{part: value})
    with pytest.raises(WeightsError, match=rf"config\.json: .*pipeline\.{part}.* must not "):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (torch.complex64, "holds torch.complex64, the network needs torch.float32"),
        (torch.float8_e4m3fn, "holds torch.float8_e4m3fn"),
        (torch.int64, "holds torch.int64"),
        (torch.float64, "not finite"),
    ],
)
def test_weights_of_other_kinds_of_numbers_are_refused(
    model: ReverseISP, tmp_path: Path, dtype: torch.dtype, words: str
) -> None:
    folder = save_pretrained(model, tmp_path / "model")
    state = load_file(folder / "model.safetensors")
    name = next(name for name, value in sorted(state.items()) if value.is_floating_point())
    state[name] = torch.full(state[name].shape, 1e300 if dtype is torch.float64 else 1.0, dtype=torch.float64)
    state[name] = state[name].to(dtype)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=rf"tensor {name} .*{words}"):
        from_pretrained(folder)


def test_a_name_that_no_file_can_have_is_one_of_our_errors(model: ReverseISP) -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(WeightsError):
            from_pretrained(name)
        with pytest.raises(OutputError):
            save_pretrained(model, name)


def test_weights_that_are_not_finite_are_refused(model: ReverseISP, tmp_path: Path) -> None:
    next(model.parameters()).data[0] = float("nan")
    folder = save_pretrained(model, tmp_path / "model")
    with pytest.raises(WeightsError, match=r"model\.safetensors: tensor .* not finite"):
        from_pretrained(folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from revisp.io.atomic import unfinished_folder
with unfinished_folder(Path(sys.argv[1])) as folder:
    (folder / "config.json").write_text("{")
    print(folder, flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_save_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """Only a folder of our name, with our files, that no living process holds."""

    def start(how: str) -> tuple[subprocess.Popen[str], Path]:
        words = [sys.executable, "-c", KILLED, str(tmp_path), how]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return process, Path(process.stdout.readline().strip())

    dead, left = start("die")
    alive, at_work = start("wait")
    dead.wait()
    other = tmp_path / ".revisp-0123456789ab.part"
    other.mkdir()
    (other / "notes.txt").write_text("not of revisp")
    named = tmp_path / ".model.x1y2z3"
    named.mkdir()
    link = tmp_path / ".revisp-ba9876543210.part"
    link.symlink_to(named, target_is_directory=True)
    assert left.is_dir()
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}), tmp_path / "model")
    assert not left.exists()
    assert all(path.is_dir() for path in (at_work, named, link))
    assert (other / "notes.txt").is_file()
    alive.communicate("go on")
    assert at_work.is_dir()
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}), tmp_path / "model")
    assert not at_work.exists()
