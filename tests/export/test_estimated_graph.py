"""Graphs on an estimated base: all tiles of a photo are judged as the photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from revisp import predict
from revisp.backbones.estimated import Estimated
from revisp.camera.canonical import canonical_profile
from revisp.convert import OnnxPipeline, load_engine
from revisp.errors import ConfigError
from revisp.export.graph import PhotoToBayer
from revisp.export.int8 import _inside_networks
from revisp.export.onnx import export_onnx
from revisp.export.program import trace
from revisp.pipeline import ReverseISP


def build(branches: str) -> ReverseISP:
    torch.manual_seed(0)
    kwargs = {"width": 4, "depth": 2, "norm": "none"}
    model = ReverseISP(
        "unet",
        backbone_kwargs=kwargs,
        branches=branches,  # type: ignore[arg-type]
        base="estimated",
        profile=canonical_profile(),
    ).eval()
    assert isinstance(model.base, Estimated)
    torch.nn.init.normal_(model.base.judge[-1].weight, std=0.3)
    for gain in model.gains.values():
        torch.nn.init.constant_(gain, 0.3)
    return model


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "fused.onnx"
    export_onnx(build("separate"), path)
    return path


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    """Bytes as floats, dark on the left and overexposed on the right."""
    noise = torch.rand(3, 97, 203, generator=torch.Generator().manual_seed(0))
    return ((0.3 * noise + torch.linspace(-0.1, 1, 203)).clamp(0, 1) * 255).round() / 255


def test_tiles_of_a_graph_are_judged_as_the_whole_photo(fused: Path, photo: torch.Tensor) -> None:
    model, graph = build("separate"), OnnxPipeline(fused)
    assert graph.info.photo
    done: list[int] = []
    tiled = graph.bayer(photo, tile=64, progress=lambda number, _: done.append(number))
    assert len(done) > 4
    torch.testing.assert_close(tiled, predict(model, photo, tile=64).bayer, rtol=0, atol=1e-4)
    torch.testing.assert_close(tiled, predict(model, photo).bayer, rtol=0, atol=1e-4)


def test_onnxruntime_alone_takes_the_photo_twice(fused: Path, photo: torch.Tensor) -> None:
    session, model = onnxruntime.InferenceSession(fused), build("separate")
    assert [value.name for value in session.get_inputs()] == ["srgb", "photo"]
    reach = OnnxPipeline(fused).info.reach
    assert reach is not None
    whole = photo[None].numpy()
    (bayer,) = session.run(["bayer"], {"srgb": whole, "photo": whole})
    expected = predict(model, photo).bayer.numpy()
    np.testing.assert_allclose(bayer[0], expected, atol=1e-4)
    left = np.ascontiguousarray(whole[..., :64])
    inside = slice(0, 64 - reach)
    (part,) = session.run(["bayer"], {"srgb": left, "photo": whole})
    np.testing.assert_allclose(part[0, ..., inside], expected[..., inside], atol=1e-4)
    (alone,) = session.run(["bayer"], {"srgb": left, "photo": left})
    assert np.abs(alone[0, ..., inside] - expected[..., inside]).max() > 1e-4  # the photo matters


def test_bytes_of_a_plain_graph_are_judged_whole(photo: torch.Tensor, tmp_path: Path) -> None:
    model = build("plain")
    check = export_onnx(model, tmp_path / "plain.onnx", uint8=True)
    assert check.difference <= check.tolerance
    graph, profile = OnnxPipeline(tmp_path / "plain.onnx"), canonical_profile()
    stored = profile.quantise(graph.bayer(photo, tile=64)[0].numpy()).astype(int)
    expected = profile.quantise(predict(model, photo).bayer[0].numpy())
    assert np.abs(stored - expected).max() <= 1 + 1e-4 * profile.white_level


def test_a_program_takes_tile_and_photo(photo: torch.Tensor) -> None:
    graph = PhotoToBayer(build("plain")).eval()
    module, whole = trace(graph).module(), photo[None]
    tile = whole[..., :70]
    torch.testing.assert_close(module(tile, whole), graph(tile, whole))
    assert (module(tile, whole) - module(tile, tile)).abs().max() > 1e-4


def test_int8_leaves_the_judge_alone(fused: Path) -> None:
    graph = onnx.load(fused).graph
    of_photo = {"photo"}
    for node in graph.node:
        if of_photo.intersection(node.input):
            of_photo.update(node.output)
    judging = {node.name for node in graph.node if node.op_type == "Conv" and of_photo.intersection(node.input)}
    inside = set(_inside_networks(graph))
    assert len(judging) >= 5
    assert inside
    assert not judging & inside


def test_a_graph_cannot_be_told(fused: Path) -> None:
    with pytest.raises(ConfigError, match="headroom is a setting of the engine torch"):
        load_engine(fused, headroom=0.0)
