"""`import revisp` is light, quiet, and offers what it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

import revisp

NOT_TO_PREDICT = (
    "hydra lightning lightning_fabric matplotlib onnx onnxscript pandas pytorch_lightning rawpy scipy "
    "skimage segmentation_models_pytorch sklearn sympy tensorboard timm torch._dynamo torch._inductor torchmetrics"
)
"""What takes long to import, and is of no use in a prediction by the default model."""


def test_import_loads_no_heavy_library_and_says_nothing() -> None:
    heavy = "{'torch', 'numpy', 'kornia', 'timm', 'lpips', 'hydra', 'pytorch_lightning', 'rawpy'}"
    probe = f"import sys, revisp; assert not {heavy} & set(sys.modules), sorted({heavy} & set(sys.modules))"
    command = [sys.executable, "-W", "error", "-c", probe]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_public_name_resolves() -> None:
    assert {"CFA", "ReverseISP", "from_pretrained", "predict", "train"} <= set(revisp.__all__)
    for name in revisp.__all__:
        assert getattr(revisp, name) is not None


def test_a_prediction_loads_no_library_that_it_does_not_use(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (255, 130, 60)).save(tmp_path / "photo.jpg")
    probe = f"""
import sys
from revisp.cli.predict import app
app(["photo.jpg", "-o", "photo.dng"], standalone_mode=False)
assert "torch" in sys.modules
assert not set("{NOT_TO_PREDICT}".split()) & set(sys.modules), set("{NOT_TO_PREDICT}".split()) & set(sys.modules)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "photo.dng").is_file()
