"""Doubling by gathered rows and columns is what ONNX's own step does."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from revisp.export.doubling import double_by_gather

NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def graph_of(scales: tuple[float, ...] = (1, 1, 2, 2), **how: str) -> onnx.ModelProto:
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], name="enlarge", **{**NEAREST, **how})
    sides = ["batch", 3, "height", "width"]
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name in ("x", "y"))
    weights = [numpy_helper.from_array(np.array(scales, np.float32), "scales")]
    graph = helper.make_graph([node], "graph", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


@pytest.mark.parametrize("size", [(1, 3, 1, 1), (2, 3, 5, 8)])
def test_the_pixels_are_those_of_the_step(size: tuple[int, ...]) -> None:
    model, x = graph_of(), np.random.default_rng(0).random(size, dtype=np.float32)
    wanted = run(model, x)
    names = double_by_gather(model.graph, {"enlarge"})
    onnx.checker.check_model(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert sorted(kinds[name] for name in names) == ["Gather", "Gather", "Transpose", "Transpose"]
    assert "Resize" not in kinds.values()
    assert "scales" not in [weight.name for weight in model.graph.initializer]
    np.testing.assert_array_equal(run(model, x), wanted)
    np.testing.assert_array_equal(wanted, x.repeat(2, axis=2).repeat(2, axis=3))


@pytest.mark.parametrize(
    "model",
    [
        graph_of((1, 1, 2, 3)), graph_of((1, 2, 2, 2)), graph_of(mode="linear"),
        graph_of(nearest_mode="round_prefer_floor"), graph_of(coordinate_transformation_mode="half_pixel"),
    ],
)  # fmt: skip
def test_other_enlargements_stay(model: onnx.ModelProto) -> None:
    before = model.SerializeToString()
    assert double_by_gather(model.graph, {"enlarge"}) == []
    assert model.SerializeToString() == before


def test_nodes_outside_the_networks_stay() -> None:
    model = graph_of()
    assert double_by_gather(model.graph, {"another"}) == []
    assert [node.op_type for node in model.graph.node] == ["Resize"]
