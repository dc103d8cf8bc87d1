#!/usr/bin/env bash
# onnxscript's optimizer joins two Clip nodes that follow each other into one, whose limits it names after their input.
# If two such pairs read the same value, the limits of one are lost, and the graph is no longer valid. torch.onnx.export
# runs this optimizer. Bites who clamps a picture twice, on two branches; the message speaks of topological order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check onnxscript==0.7.2 onnx-ir==1.1.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import numpy as np
import onnx
import onnxscript.optimizer
from onnx.reference import ReferenceEvaluator

model = onnx.parser.parse_model("""
<ir_version: 10, opset_import: ["" : 18]>
branches (float[N] photo) => (float[N] left, float[N] right) {
    black = Constant <value_float = 0.0> ()
    white = Constant <value_float = 1.0> ()
    low = Constant <value_float = 0.1> ()
    high = Constant <value_float = 0.5> ()
    lower = Constant <value_float = 0.2> ()
    higher = Constant <value_float = 0.7> ()
    first = Clip (photo, black, white)
    left = Clip (first, low, high)
    second = Clip (photo, black, white)
    right = Clip (second, lower, higher)
}
""")
onnx.checker.check_model(model)
photo = np.linspace(-1, 2, 7, dtype=np.float32)
left, right = ReferenceEvaluator(model).run(None, {"photo": photo})
optimized = onnxscript.optimizer.optimize(model)
nodes = [f"{node.op_type}({', '.join(node.input)})" for node in optimized.graph.node]
known = sorted(tensor.name for tensor in optimized.graph.initializer)
try:
    onnx.checker.check_model(optimized)
    said = "valid"
except onnx.checker.ValidationError as error:
    said = str(error).splitlines()[0]

print("versions:", ", ".join(f"{p} {version(p)}" for p in ("onnxscript", "onnx-ir", "onnx", "numpy")))
print("behaviour: of two joined pairs of Clip on one input, the limits of one are no longer in the graph.")
print("expected: an optimizer gives a valid graph with the results of the one it was given.")
print("seen:")
print("  before:", left.round(2).tolist(), right.round(2).tolist())
print("  nodes after:", nodes)
print("  values that the graph still holds:", known)
print("  checker:", said)
wanted = {name for node in optimized.graph.node for name in node.input} - {"photo"}
assert len(nodes) == 2 and not wanted <= set(known), (nodes, known)
assert "topologically sorted" in said, said
EOF
