"""Export a pipeline as ONNX: one graph from pixels to Bayer mosaic, for photos of any size."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from revisp.errors import ConfigError, OutputError, WeightsError
from revisp.export.graph import GAIN_NAME, OUTPUT_NAME, PHOTO_NAME, Check, GraphInfo, PhotoToBayer, check_graph
from revisp.export.program import symbolic_sizes, trace
from revisp.export.runtime import METADATA_KEY, open_session, require, run_session
from revisp.export.skipping import FUSED_NAME, OTHER_NAME, TAKEN_NAME, skip_fusion
from revisp.io.atomic import atomic_write
from revisp.io.boundary import first_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from revisp.pipeline import ReverseISP

__all__ = ["build_onnx", "check_packages", "export_onnx", "pack_metadata", "quiet"]

OPSET, IR_VERSION = 18, 8
"""Versions of the ONNX operators and of the file format; onnxruntime 1.14 and later reads them."""


PLANES = ("batch", None, "height", "width")
"""Names of the dimensions of floating-point pictures."""


def export_onnx(
    model: ReverseISP, path: str | Path, *, name: str = "", uint8: bool = False, gain: bool = False
) -> Check:
    """Write a pipeline as an ONNX file, after checking it with onnxruntime.

    Args:
        model: the pipeline, on the CPU; it is put into evaluation mode.
        path: the file, usually ``.onnx``.
        name: of the model, for the metadata.
        uint8: input and output are integers, see `PhotoToBayer`.
        gain: the graph takes what the photos' gain maps say, see `PhotoToBayer`.

    Returns:
        The comparison of the graph with the pipeline.

    Raises:
        ConfigError: a package is missing, ``uint8`` is set and the model has no camera profile, ``gain`` is set
            and it does not see gain maps, or the network cannot be exported.
        WeightsError: the graph differs from the pipeline or fails; no file is written.
        OutputError: the file cannot be written, or would exceed the 2 GiB that ONNX allows.
    """
    content, check, _ = build_onnx(model, str(path), name=name, uint8=uint8, gain=gain)
    with atomic_write(path) as file:
        file.write(content)
    return check


def build_onnx(
    model: ReverseISP, path: str, *, name: str = "", uint8: bool = False, gain: bool = False
) -> tuple[bytes, Check, Any]:
    """Return the bytes that `export_onnx` writes, the check, and the graph before it skips a part.

    ``path`` is only for messages.
    """
    check_packages()
    graph = PhotoToBayer(model.eval(), uint8=uint8, gain=gain, parts=True).eval()
    info = GraphInfo.of(model, name, uint8=uint8, gain=gain)
    with quiet(), symbolic_sizes():
        traced = trace(graph)
        try:
            told = [FUSED_NAME, OTHER_NAME, TAKEN_NAME] if graph.parts else []
            translated = _translate(traced, told)
            whole = type(translated)()
            whole.CopyFrom(translated)
            content = pack_metadata(translated, info, path)
            session = open_session(content, ["CPUExecutionProvider"])
        except (torch.onnx.OnnxExporterError, WeightsError) as error:
            reason = first_line(error.__cause__ or error)
            raise ConfigError(f"{info.backbone} cannot be exported to ONNX: {reason}") from error
    return content, check_graph(graph, lambda inputs: run_session(session, inputs), path), whole


def check_packages() -> None:
    """Require all packages that export needs, before any work is done.

    Raises:
        ConfigError: a package is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package)


def _translate(program: ExportedProgram, told: Sequence[str]) -> Any:
    """Return a traced pipeline as an ``onnx.ModelProto``; ``told`` are outputs after the mosaic."""
    translated: Any = torch.onnx.export(
        program,
        dynamo=True,
        input_names=[*program.graph_signature.user_inputs],
        output_names=[OUTPUT_NAME, *told],
        opset_version=OPSET,
        custom_translation_table={torch.ops.aten.pixel_shuffle.default: _pixel_shuffle},
        verbose=False,
    )
    return translated.model_proto


def _pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """Translate `torch.nn.functional.pixel_shuffle`: pixels join columns, then rows.

    onnxruntime takes two to three times as long on a CPU for ONNX's own step, which moves both at once.
    """
    op: Any = require("onnxscript").opset18
    block = op.Constant(value_ints=[upscale_factor])
    batch, channels, height, width = (op.Shape(x, start=axis, end=axis + 1) for axis in range(4))
    rows, colours = op.Div(channels, block), op.Div(channels, op.Mul(block, block))
    wide, high = op.Mul(width, block), op.Mul(height, block)
    parts = op.Reshape(x, op.Concat(batch, rows, block, height, width, axis=0))
    columns = op.Reshape(
        op.Transpose(parts, perm=[0, 1, 3, 4, 2]), op.Concat(batch, colours, block, height, wide, axis=0)
    )
    return op.Reshape(op.Transpose(columns, perm=[0, 1, 3, 2, 4]), op.Concat(batch, colours, high, wide, axis=0))


def pack_metadata(model: Any, info: GraphInfo, path: str) -> bytes:
    """Return a graph as the content of a file: with its metadata, and without paths of this machine.

    Args:
        model: an ``onnx.ModelProto``; it is changed.
        info: the metadata.
        path: name of the file in messages.

    Raises:
        OutputError: the file would exceed the 2 GiB that ONNX allows.
        ConfigError: the graph holds an operation that ONNX does not have.
    """
    onnx, protobuf = require("onnx"), require("google.protobuf.message")
    skip_fusion(model)
    _clean(model, uint8=info.uint8)
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, info.to_json()
    model.producer_name, model.producer_version = "revisp", info.version
    model.ir_version = IR_VERSION
    try:
        content = bytes(model.SerializeToString())
    except (protobuf.EncodeError, ValueError) as error:  # which one depends on the build of protobuf
        raise OutputError(f"cannot write {path}: its graph exceeds the 2 GiB that ONNX allows") from error
    try:
        onnx.checker.check_model(content)
    except onnx.checker.ValidationError as error:
        raise ConfigError(f"{info.backbone} cannot be exported to ONNX: {first_line(error)}") from error
    return content


def _clean(model: Any, *, uint8: bool) -> None:
    """Remove file names of this machine, and name the dimensions of input and output."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    del graph.value_info[:]
    sides = ("batch", "height", "width", None) if uint8 else PLANES
    for value in (*graph.input, *graph.output):
        of_photo = "photo_" if value.name == PHOTO_NAME else ""
        named = PLANES if value.name == GAIN_NAME else sides
        for dim, name in zip(value.type.tensor_type.shape.dim, named, strict=False):
            if name is not None:
                dim.dim_param = name if name == "batch" else of_photo + name


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings of the exporter that are meant for its developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
