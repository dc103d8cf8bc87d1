"""Graphs of models that know where in its photo a pixel lies: tiles agree with the whole photo."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch

from revisp.backbones.classical import Classical
from revisp.camera.place import place_map
from revisp.camera.simulate import SIMULATED
from revisp.convert import OnnxPipeline, load_engine
from revisp.errors import WeightsError
from revisp.export.graph import GraphInfo, PhotoToBayer
from revisp.export.int8 import CalibrationPiece, cut_samples, export_int8
from revisp.export.onnx import export_onnx
from revisp.export.program import trace
from revisp.pipeline import ReverseISP


@pytest.fixture(scope="module")
def model() -> ReverseISP:
    torch.manual_seed(0)
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    built = ReverseISP(
        "unet", backbone_kwargs=kwargs, branches="shared", base="classical", place=True, profile=SIMULATED.profile
    ).eval()
    assert isinstance(built.base, Classical)
    built.base.shading.copy_(torch.tensor([0.4, 0.2]))
    for gain in built.gains.values():
        torch.nn.init.constant_(gain, 0.3)
    return built


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.rand(3, 97, 131, generator=torch.Generator().manual_seed(0))


def test_tiles_of_an_onnx_graph_are_those_of_the_photo(
    model: ReverseISP, photo: torch.Tensor, tmp_path: Path
) -> None:
    export_onnx(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [value.name for value in session.get_inputs()] == ["srgb", "place"]
    with torch.no_grad():
        whole = model(photo[None]).bayer[0]
    torch.testing.assert_close(OnnxPipeline(tmp_path / "m.onnx").bayer(photo, tile=48), whole, atol=1e-5, rtol=0)


def test_a_graph_of_any_name_is_read_once_and_for_all(
    model: ReverseISP, photo: torch.Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "graph of mine"
    export_onnx(model, tmp_path / "m.onnx")
    (tmp_path / "m.onnx").rename(path)
    graph = load_engine(path)
    assert isinstance(graph, OnnxPipeline)
    graph.bayer(photo[:, :48, :48])
    before, threads = path.read_bytes(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        path.write_bytes(before + b"\n\x00")  # another graph, under the same name
        with pytest.raises(WeightsError, match="graph of mine: has changed since it was opened: start again"):
            graph.bayer(photo, tile=48)
        path.write_bytes(before)
        assert graph.bayer(photo, tile=48).shape == (1, 97, 131)
    finally:
        torch.set_num_threads(threads)


def test_a_program_takes_the_place_of_each_tile_of_a_batch(model: ReverseISP, photo: torch.Tensor) -> None:
    tiles = torch.stack([photo[:, :40, :50], photo[:, 20:60, 30:80]])
    places = torch.tensor([[0, 0, 97, 131], [20, 30, 97, 131]])
    found = trace(PhotoToBayer(model)).module()(tiles, place=places)
    for tile, (top, left, *_), bayer in zip(tiles, places.tolist(), found, strict=True):
        there = place_map(97, 131)[:, top : top + 40, left : left + 50]
        with torch.no_grad():
            torch.testing.assert_close(bayer, model(tile[None], place=there[None]).bayer[0], atol=1e-5, rtol=0)


def test_only_graphs_that_depend_on_the_place_ask_for_it(model: ReverseISP) -> None:
    assert GraphInfo.of(model, "").place
    even = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, base="classical").eval()
    assert GraphInfo.of(even, "").inputs == ("srgb",)
    even.base.load_state_dict({**even.base.state_dict(), "shading": torch.tensor([0.1, 0.0])})  # type: ignore[union-attr]
    assert GraphInfo.of(even, "").inputs == ("srgb", "place")


def test_integers_are_calibrated_at_the_places_of_the_pieces(model: ReverseISP, tmp_path: Path) -> None:
    photos = [
        CalibrationPiece(torch.rand(3, 300, 400, generator=torch.Generator().manual_seed(n))) for n in (1, 2)
    ]
    pieces = cut_samples(photos[:1], photos[1:])
    assert {piece.place[2:] for part in pieces for piece in part if piece.place} == {(300, 400)}
    _, loss = export_int8(model, tmp_path / "m.onnx", lambda: (pieces[0][:4], pieces[1][:4]))
    assert loss.to_fp32 > 35
    graph = OnnxPipeline(tmp_path / "m.onnx")
    assert graph.info.inputs == ("srgb", "place")
    for piece in pieces[1][:2]:
        place = piece.place
        assert place is not None
        window = (..., slice(place.top, place.top + 256), slice(place.left, place.left + 256))
        torch.testing.assert_close(photos[1].srgb[window], piece.srgb)
