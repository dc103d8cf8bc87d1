"""The command as a user meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from revisp.camera.simulate import SIMULATED
from revisp.cli import export as cli
from revisp.model_folder import from_pretrained, save_pretrained
from revisp.pipeline import ReverseISP


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, untrained."""
    folder = tmp_path_factory.mktemp("model") / "mine"
    return save_pretrained(ReverseISP("classical", branches="plain", profile=SIMULATED.profile), folder)


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        cli.app([str(word) for word in words], prog_name="revisp-export")
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_help_loads_no_torch() -> None:
    code = "import revisp.cli.export, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_model_becomes_a_file_that_runs_without_it(model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "new" / "m.onnx"
    code, out, err = call(capsys, model, "-o", path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("largest difference from torch ")
    assert lines[1].startswith(f"{path}: ")
    assert len(lines) == 2
    srgb = torch.rand(1, 3, 41, 37)
    (bayer,) = onnxruntime.InferenceSession(path).run(None, {"srgb": srgb.numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(bayer), from_pretrained(model)(srgb).bayer, rtol=0, atol=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ["m.onnx"]


def test_a_program_is_written(model: Path, tmp_path: Path, capsys) -> None:
    assert call(capsys, model, "-o", tmp_path / "m.pt2", "--uint8")[0] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["m.pt2"]


def bad(model: Path, folder: Path) -> dict[str, tuple[object, ...]]:
    (folder / "file").write_text("")
    (folder / "empty").mkdir()
    (folder / "taken.onnx").mkdir()
    return {
        "no such model folder": (folder / "none", "-o", folder / "new" / "deep" / "m.onnx"),
        "is missing, so this is not a whole model folder": (folder / "empty", "-o", folder / "m.onnx"),
        "it must end in .onnx (ONNX) or .pt2": (model, "-o", folder / "m.pth"),
        "cannot make the folder": (model, "-o", folder / "file" / "m.onnx"),
        "it is a folder": (model, "-o", folder / "taken.onnx"),
        "--int8 is for .onnx": (model, "-o", folder / "m.pt2", "--int8"),
        "--calibrate belongs to --int8": (model, "-o", folder / "m.onnx", "--calibrate", folder),
        "no photos in this folder": (model, "-o", folder / "m.onnx", "--int8", "--calibrate", folder / "empty"),
        "No such file": (model, "-o", folder / "m.onnx", "--int8", "--calibrate", "a.jpg", "--calibrate", "b.jpg"),
    }


def test_what_cannot_work_is_one_line_and_exit_2(model: Path, tmp_path: Path, capsys) -> None:
    cases = bad(model, tmp_path)
    before = sorted(tmp_path.iterdir())
    for message, words in cases.items():
        code, out, err = call(capsys, *words)
        assert (code, out) == (2, ""), err
        assert err.startswith("error: ")
        assert message in err
        assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_missing_packages_name_the_extra(model: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, err = call(capsys, model, "-o", tmp_path / "m.onnx")
    assert (code, out) == (2, "")
    assert 'pip install "revisp[onnx]"' in err
    assert not list(tmp_path.iterdir())
