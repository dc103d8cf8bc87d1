"""Programs of torch.export against the pipeline, read back as a user without revisp would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, OutputError, WeightsError
from revisp.export import graph
from revisp.export.program import export_program
from revisp.pipeline import ReverseISP

SIZES = ((1, 16, 16), (2, 17, 31), (1, 48, 64), (3, 65, 30))


def build(**options: object) -> ReverseISP:
    torch.manual_seed(0)
    return ReverseISP(
        "unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile, **options
    ).eval()


@pytest.mark.parametrize("uint8", [False, True])
def test_a_program_gives_what_the_model_gives_at_any_size(tmp_path: Path, uint8: bool) -> None:
    model = build(branches="shared" if uint8 else "separate")
    check = export_program(model, tmp_path / "m.pt2", name="mine", uint8=uint8)
    assert check.difference <= check.tolerance
    extra = {"revisp.json": ""}
    program = torch.export.load(tmp_path / "m.pt2", extra_files=extra).module()
    assert json.loads(extra["revisp.json"])["name"] == "mine"
    for batch, height, width in SIZES:
        stored = torch.randint(0, 256, (batch, height, width, 3), dtype=torch.uint8)
        srgb = stored.permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            bayer = model(srgb).bayer
            assert bayer.std() > 0.01
            found = program(stored if uint8 else srgb)
        if uint8:
            wanted = torch.from_numpy(SIMULATED.profile.quantise(bayer[:, 0].numpy()))
            assert (found.int() - wanted.int()).abs().max() <= 1
        else:
            torch.testing.assert_close(found, bayer, rtol=0, atol=1e-5)
    assert str(Path(torch.__file__).parent).encode() not in (tmp_path / "m.pt2").read_bytes()


def test_a_network_that_asks_for_one_size_is_named(tmp_path: Path) -> None:
    class Picky(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :3] if int(x.mean()) > 7 else x[:, 1:]

    model = ReverseISP("classical", branches="plain")
    model.branches["plain"] = Picky()
    with pytest.raises(ConfigError, match="classical cannot be exported: "):
        export_program(model, tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReverseISP("classical", branches="plain").eval()
    with pytest.raises(OutputError, match="cannot write"):
        export_program(model, tmp_path / "none" / "m.pt2")
    monkeypatch.setattr(graph, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(WeightsError, match="is not written"):
        export_program(model, tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())
