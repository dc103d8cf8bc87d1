"""Graphs that take what a photo's gain map says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from revisp import predict
from revisp.camera.canonical import canonical_profile
from revisp.convert import Choice, OnnxPipeline
from revisp.convert.formats import predict_raw
from revisp.errors import ConfigError, ShapeError
from revisp.export.graph import PhotoToBayer
from revisp.export.onnx import export_onnx
from revisp.export.program import trace
from revisp.io import PhotoMetadata
from revisp.io.photo import Photo
from revisp.pipeline import ReverseISP
from tests.helpers.gain_maps import ramp_map


def build(*, base: str | None, gain_channel: bool = True, place: bool = False) -> ReverseISP:
    torch.manual_seed(0)
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    model = ReverseISP(
        "unet",
        backbone_kwargs=kwargs,
        branches="plain",
        base=base,  # type: ignore[arg-type]
        gain_channel=gain_channel,
        place=place,
        profile=canonical_profile(),
    ).eval()
    for factor in model.gains.values():
        torch.nn.init.constant_(factor, 0.3)
    return model


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    noise = torch.rand(3, 81, 130, generator=torch.Generator().manual_seed(0))
    return ((0.3 * noise + torch.linspace(-0.1, 1, 130)).clamp(0, 1) * 255).round() / 255


def test_a_graph_sees_the_map_and_the_place_of_each_tile(photo: torch.Tensor, tmp_path: Path) -> None:
    model, gain = build(base="estimated", place=True), 4 * photo.mean(0, keepdim=True) - 1.5
    gain[photo.amin(0, keepdim=True) > 0.98] = -2  # darker than what is beside it, so that it is raised
    check = export_onnx(model, tmp_path / "model.onnx", gain=True)
    assert check.difference <= check.tolerance
    graph = OnnxPipeline(tmp_path / "model.onnx")
    assert graph.info.inputs == ("srgb", "photo", "gain", "place")
    expected = predict(model, photo, gain=gain).bayer
    torch.testing.assert_close(graph.bayer(photo, gain=gain, tile=64), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(graph.bayer(photo, tile=64), predict(model, photo).bayer, rtol=0, atol=1e-4)
    assert (expected - predict(model, photo).bayer).abs().max() > 1e-3
    with pytest.raises(ShapeError, match="gain"):
        graph.bayer(photo, gain=gain[:, 1:])
    stored = ramp_map(photo)
    found, note = predict_raw(graph, Photo(photo, PhotoMetadata(), stored), Choice())
    assert note == "with the gain map (a test)"
    expected = predict(model, photo, gain=stored.above_mid_grey(photo)).bayer
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_bytes_and_a_map(photo: torch.Tensor) -> None:
    graph = PhotoToBayer(build(base=None), uint8=True, gain=True).eval()
    module, gain = trace(graph).module(), torch.full((1, 1, 81, 130), 1.5)
    srgb = (photo * 255).byte().permute(1, 2, 0)[None].contiguous()
    found, without = (module(srgb, gain=x) for x in (gain, gain * torch.nan))
    assert torch.equal(found, graph(srgb, gain=gain))
    assert not torch.equal(found, without)


def test_a_graph_without_maps_says_so(photo: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not see gain maps"):
        PhotoToBayer(build(base=None, gain_channel=False), gain=True)
