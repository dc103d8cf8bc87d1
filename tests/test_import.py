"""`import revisp` is light, quiet, and offers what it names."""

from __future__ import annotations

import subprocess
import sys

import revisp


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
