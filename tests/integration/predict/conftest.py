"""A photo, a model with a camera, and ways to run `revisp-predict`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from skimage import data

from revisp.camera.profile import CameraProfile
from revisp.cli import predict as cli
from revisp.model_folder import save_pretrained
from revisp.pipeline import ReverseISP


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a camera, untrained."""
    torch.manual_seed(0)
    profile = CameraProfile(
        make="Acme",
        model="One",
        cfa="GRBG",
        black_level=(60, 64, 66, 62),
        white_level=1023,
        bits=10,
        color_matrix=((0.8606, -0.2573, -0.0949), (-0.8237, 1.5489, 0.2974), (-0.2649, 0.3076, 0.91)),
        as_shot_neutral=(0.6, 1.0, 0.65),
    )
    folder = tmp_path_factory.mktemp("model") / "m"
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=profile), folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 80x61 pixels with EXIF, held sideways."""
    path = tmp_path / "cat.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0x829A: IFDRational(1, 250), 0x9003: "2021:04:08 14:51:29", 0xA434: "Lens 35mm"})
    Image.fromarray(data.chelsea()[:61, :80]).save(path, exif=exif, quality=95)
    return path


@pytest.fixture
def command() -> Path:
    return Path(sys.executable).parent / "revisp-predict"


@pytest.fixture
def run(command: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a process of its own."""

    def run(*words: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(list(map(str, [command, *words])), capture_output=True, text=True, check=False)
        assert done.returncode == expect, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; return exit code, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words], prog_name="revisp-predict")
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call
