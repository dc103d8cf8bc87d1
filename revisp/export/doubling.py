"""Nearest-neighbour doubling in 8-bit integers: by copies of whole pixels, several times faster in onnxruntime."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from revisp.export.runtime import require

__all__ = ["double_by_gather"]

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
"""Orders of axes that put the channels last, and back."""


def double_by_gather(graph: Any, names: Collection[str]) -> list[str]:
    """Replace nodes that double height and width: with channels last, rows are gathered, then columns.

    onnxruntime computes quantised convolutions with channels last. It has a fast ``Resize`` only for channels
    first, and takes its general one between such convolutions. The new transpositions cancel those of the
    convolutions when onnxruntime opens the graph.

    Args:
        graph: an ``onnx.GraphProto``, which is changed.
        names: the nodes to look at; others stay.

    Returns:
        The names of the new nodes that handle pixels.
    """
    onnx = require("onnx")
    constants = {weight.name: weight for weight in graph.initializer}
    nodes, made, scales = [], [], set()
    for node in graph.node:
        if node.name in names and _doubles(node, constants):
            pixels, sizes = _steps(node)
            nodes += sizes + pixels
            made += [step.name for step in pixels]
            scales.add(node.input[2])
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [weight for weight in graph.initializer if weight.name not in scales - used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    if made:
        graph.initializer.extend(
            onnx.numpy_helper.from_array(np.array(number), f"doubling_{number}") for number in range(3)
        )
    return made


def _doubles(node: Any, constants: dict[str, Any]) -> bool:
    if node.op_type != "Resize" or len(node.input) != 3 or node.input[2] not in constants:
        return False
    onnx = require("onnx")
    asked = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    scales = onnx.numpy_helper.to_array(constants[node.input[2]]).tolist()
    how = asked.get("mode"), asked.get("coordinate_transformation_mode"), asked.get("nearest_mode")
    return scales == [1, 1, 2, 2] and how == (b"nearest", b"asymmetric", b"floor")


def _steps(node: Any) -> tuple[list[Any], list[Any]]:
    """Return the nodes that handle pixels, and those before them that count rows and columns."""
    make, name = require("onnx").helper.make_node, node.name
    pixels = [make("Transpose", [node.input[0]], [f"{name}_last"], name=f"{name}_to_last", perm=_TO_LAST)]
    sizes = []
    for axis, side in ((1, "rows"), (2, "columns")):
        said = f"{name}_{side}"
        sizes += [
            make("Shape", [node.input[0]], [f"{said}_shape"], name=f"{said}_shape", start=axis + 1, end=axis + 2),
            make("Squeeze", [f"{said}_shape"], [f"{said}_size"], name=f"{said}_size"),
            make("Mul", [f"{said}_size", "doubling_2"], [f"{said}_end"], name=f"{said}_end"),
            make("Range", ["doubling_0", f"{said}_end", "doubling_1"], [f"{said}_all"], name=f"{said}_all"),
            make("Div", [f"{said}_all", "doubling_2"], [f"{said}_from"], name=f"{said}_from"),
        ]
        pixels.append(
            make("Gather", [pixels[-1].output[0], f"{said}_from"], [said], name=f"{said}_gather", axis=axis)
        )
    pixels.append(make("Transpose", [pixels[-1].output[0]], [node.output[0]], name=f"{name}_back", perm=_TO_FIRST))
    return pixels, sizes
