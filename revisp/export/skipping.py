"""Graphs that skip the network for overexposed pixels where there are none: an ``If`` of ONNX, with the fusion."""

from __future__ import annotations

from collections import Counter
from typing import Any

from revisp.export.runtime import require

__all__ = ["FUSED_NAME", "OTHER_NAME", "TAKEN_NAME", "skip_fusion"]

FUSED_NAME, OTHER_NAME, TAKEN_NAME = "fused", "noe", "any_oe"
"""Names of what a graph tells before it skips: the fused RAW, the part of the network that always runs, and
whether any pixel takes the other part."""


def skip_fusion(model: Any) -> None:
    """Let a graph compute `FUSED_NAME` only if `TAKEN_NAME` is true; else it is `OTHER_NAME`.

    Nodes that nothing else needs move into the ``If``, with their weights. The three outputs are removed.

    Args:
        model: an ``onnx.ModelProto`` with these outputs, which is changed; one without them stays as it is.
    """
    graph = model.graph
    outputs = {value.name: value for value in graph.output}
    if not {FUSED_NAME, OTHER_NAME, TAKEN_NAME} <= set(outputs):
        return
    graph.output.remove(outputs[FUSED_NAME])
    inside = _nodes_of(graph, FUSED_NAME)
    for name in (OTHER_NAME, TAKEN_NAME):
        graph.output.remove(outputs[name])
    helper = require("onnx").helper
    moved = [node for node in graph.node if node.name in inside]
    for node in moved:
        node.output[:] = [f"{name}_computed" if name == FUSED_NAME else name for name in node.output]
    outer = Counter(name for node in graph.node if node.name not in inside for name in node.input)
    weights = [weight for weight in graph.initializer if outer[weight.name] == 0 and _uses(moved, weight.name)]
    kind = outputs[FUSED_NAME].type.tensor_type.elem_type
    fused, other = (
        helper.make_tensor_value_info(f"{FUSED_NAME}_{how}", kind, None) for how in ("computed", "skipped")
    )
    same = helper.make_node("Identity", [OTHER_NAME], [other.name], name="take_other")
    choose = helper.make_node(
        "If",
        [TAKEN_NAME],
        [FUSED_NAME],
        name="choose_fused",
        then_branch=helper.make_graph(moved, "fuse", [], [fused], weights),
        else_branch=helper.make_graph([same], "skip_fusion", [], [other]),
    )
    known = {value.name for value in graph.input} | {weight.name for weight in graph.initializer}
    waiting = [*(node for node in graph.node if node.name not in inside), choose]
    needs = {choose.name: {name for node in moved for name in node.input} - {n for m in moved for n in m.output}}
    needs[choose.name] |= {TAKEN_NAME, OTHER_NAME}
    ordered = _in_order(waiting, known, needs)
    kept = [weight for weight in graph.initializer if weight not in weights]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(ordered)
    graph.initializer.extend(kept)


def _nodes_of(graph: Any, result: str) -> set[str]:
    """Return the names of the nodes that only one tensor depends on."""
    users: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.name)
    told = {value.name for value in graph.output}
    inside: set[str] = set()
    for node in reversed(graph.node):
        makes_result = result in node.output
        needed = {user for name in node.output if name != result for user in users.get(name, ())}
        if told.isdisjoint(node.output) and needed <= inside and (needed or makes_result):
            inside.add(node.name)
    return inside


def _uses(nodes: list[Any], name: str) -> bool:
    return any(name in node.input for node in nodes)


def _in_order(nodes: list[Any], known: set[str], needs: dict[str, set[str]]) -> list[Any]:
    """Return nodes in an order in which each finds what it needs; as they were where that does not matter.

    Nodes of a graph that has no such order come last, and ONNX's own check names them.
    """
    ordered, ready, waiting = [], set(known) | {""}, list(nodes)
    while waiting:
        later = []
        for node in waiting:
            if needs.get(node.name, set(node.input)) <= ready:
                ordered.append(node)
                ready.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            return ordered + later
        waiting = later
    return ordered
