"""The pipeline as an ONNX file: everything from pixels to Bayer mosaic in one graph, for photos of any size."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from revisp.errors import ConfigError, OutputError
from revisp.export.graph import INPUT, OUTPUT, Check, GraphInfo, PhotoToBayer, check_graph
from revisp.export.program import first_line, symbolic_sizes, trace
from revisp.export.runtime import METADATA, open_session, require, run_session
from revisp.io.atomic import atomic_write

if TYPE_CHECKING:
    from revisp.pipeline import ReverseISP

__all__ = ["build_onnx", "export_onnx", "pack_metadata", "quiet"]

OPSET = 18
"""Of ONNX operators: read by onnxruntime 1.14 and later."""


def export_onnx(model: ReverseISP, path: str | Path, *, name: str = "", uint8: bool = False) -> Check:
    """Write a pipeline as an ONNX file, after checking it with onnxruntime.

    Args:
        model: the pipeline, on the CPU; put into evaluation mode.
        path: the file, by custom ``.onnx``.
        name: of the model, for the metadata.
        uint8: integers in and out, see `PhotoToBayer`.

    Returns:
        How the graph compares with the pipeline.

    Raises:
        ConfigError: a package is missing, integers are wanted of a model without a camera profile, or its network
            cannot be exported.
        WeightsError: the graph differs from the pipeline; nothing is written.
        OutputError: the file cannot be written, or would exceed the 2 GiB that ONNX allows.
    """
    content, check = build_onnx(model, str(path), name=name, uint8=uint8)
    with atomic_write(path) as file:
        file.write(content)
    return check


def build_onnx(model: ReverseISP, path: str, *, name: str = "", uint8: bool = False) -> tuple[bytes, Check]:
    """Make what `export_onnx` writes; ``path`` serves the messages."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package)
    graph = PhotoToBayer(model.eval(), uint8=uint8).eval()
    info = GraphInfo.of(model, name, uint8=uint8)
    with quiet(), symbolic_sizes():
        traced = trace(graph)
        try:
            program: Any = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = first_line(error.__cause__ or error)
            raise ConfigError(f"{info.backbone} cannot be exported to ONNX: {reason}") from error
    content = pack_metadata(program.model_proto, info, path)
    session = open_session(content, ["CPUExecutionProvider"])
    return content, check_graph(graph, lambda srgb: run_session(session, srgb), path)


def pack_metadata(model: Any, info: GraphInfo, path: str) -> bytes:
    """Return a graph as the content of a file: with its metadata, and nothing that names this machine.

    Args:
        model: an ``onnx.ModelProto``; changed.
        info: the metadata.
        path: for the message.

    Raises:
        OutputError: it would exceed the 2 GiB that ONNX allows.
    """
    onnx = require("onnx")
    _clean(model, uint8=info.uint8)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, info.to_json()
    model.producer_name, model.producer_version = "revisp", info.version
    try:
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
    except (ValueError, onnx.checker.ValidationError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def _clean(model: Any, *, uint8: bool) -> None:
    """Take off what names files of this machine, and name the sizes of input and output."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    del graph.value_info[:]
    photo = ("batch", "height", "width", None) if uint8 else ("batch", None, "height", "width")
    for value in (graph.input[0], graph.output[0]):
        for dim, name in zip(value.type.tensor_type.shape.dim, photo, strict=False):
            if name is not None:
                dim.dim_param = name


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's warnings, which are for who writes it, from who uses it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
