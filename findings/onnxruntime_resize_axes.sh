#!/usr/bin/env bash
# onnxruntime cannot run a quantised graph whose Resize names its axes (opset 18) between two integer convolutions, as
# in a U-Net. Its default optimisations put the channels last and reorder the four scales that they expect of the node,
# which has two. Without optimisations the same graph runs. Bites who exports a decoder with axes and quantises it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
venv/bin/python -W ignore - <<'EOF'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
generator = np.random.default_rng(0)
x = generator.random((1, 8, 6, 10), dtype=np.float32)


def quantised(name, source):
    """Return a pair of nodes that rounds a tensor to bytes and back."""
    return [
        helper.make_node("QuantizeLinear", [source, "scale", "zero"], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [name]),
    ]


def graph(*, axes):
    scales = [2.0, 2.0] if axes else [1.0, 1.0, 2.0, 2.0]
    named = {"axes": [2, 3]} if axes else {}
    nodes = [
        *quantised("x_", "x"),
        helper.make_node("DequantizeLinear", ["weight", "scale", "weight_zero"], ["weight_"]),
        helper.make_node("Conv", ["x_", "weight_"], ["convolved"], pads=[1, 1, 1, 1]),
        *quantised("convolved_", "convolved"),
        helper.make_node("Resize", ["convolved_", "", "scales"], ["doubled"], **NEAREST, **named),
        *quantised("doubled_", "doubled"),
        helper.make_node("Conv", ["doubled_", "weight_"], ["joined"], pads=[1, 1, 1, 1]),
        *quantised("y", "joined"),
    ]
    weights = {
        "weight": generator.integers(0, 9, (8, 8, 3, 3)).astype(np.int8),
        "weight_zero": np.int8(0), "scale": np.float32(0.05), "zero": np.uint8(0), "scales": np.float32(scales),
    }
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8, "height", "width"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, "doubled_height", "doubled_width"])]
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    made = helper.make_graph(nodes, "graph", inputs, outputs, initial)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def run(content, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    try:
        found = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})
        return f"result of shape {found[0].shape}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).split('. ')[0]}"


levels = onnxruntime.GraphOptimizationLevel
print("versions: onnxruntime", onnxruntime.__version__, "onnx", onnx.__version__)
print("behaviour: a valid quantised graph with Resize on named axes fails at run time under the default optimisations.")
print("expected: the same result with and without optimisations, and with scales for two axes as with four.")
seen = {}
for axes in (False, True):
    for name, level in (("none", levels.ORT_DISABLE_ALL), ("default", levels.ORT_ENABLE_ALL)):
        seen[axes, name] = run(graph(axes=axes), level)
        print(f"seen, {'two scales on named axes' if axes else 'four scales'}, optimisations {name}: {seen[axes, name]}")
shape = "result of shape (1, 8, 12, 20)"
assert seen[False, "none"] == seen[False, "default"] == seen[True, "none"] == shape
assert "Gather" in seen[True, "default"]
EOF
