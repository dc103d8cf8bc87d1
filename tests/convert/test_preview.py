"""The preview is the developed RAW, with no trace of the tiles that it was made in."""

import torch

from revisp.camera.develop import develop
from revisp.camera.simulate import SIMULATED
from revisp.convert.engine import TorchEngine
from revisp.convert.formats import Choice, Origin, write_raw
from revisp.demosaic import demosaic
from revisp.io import read_srgb
from revisp.pipeline import ReverseISP


def test_a_large_preview_shows_no_tiles(tmp_path):
    engine = TorchEngine(ReverseISP(backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile))
    bayer = torch.rand(1, 1040, 48, generator=torch.Generator().manual_seed(0))
    files = write_raw(tmp_path / "a.dng", bayer, engine, Origin(), Choice(preview=True))
    whole = develop(demosaic(bayer, engine.cfa), SIMULATED.profile)
    assert (read_srgb(files[1]) - whole).abs().max() <= 0.501 / 255
