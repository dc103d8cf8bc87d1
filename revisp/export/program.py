"""Export a pipeline as a PyTorch program (``model.pt2``), which takes photos of any size without revisp."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx.experimental import _config as tracing_config

from revisp.errors import ConfigError
from revisp.export.graph import (
    GAIN_NAME,
    INPUT_NAME,
    PHOTO_NAME,
    PLACE_NAME,
    Check,
    GraphInfo,
    PhotoToBayer,
    check_graph,
    example,
)
from revisp.io.atomic import atomic_write
from revisp.io.boundary import first_line
from revisp.pipeline import MINIMUM_SIZE

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from revisp.pipeline import ReverseISP

__all__ = ["METADATA_FILE", "export_program", "symbolic_sizes", "trace"]

METADATA_FILE = "revisp.json"
"""Name of the metadata in the file (`GraphInfo` as JSON), for ``extra_files`` of `torch.export.load`."""

TRACED_SIZE = (2, 76, 101)
"""Photos, height and width of the example: numbers without special values, so that no branch depends on them."""

TRACED_PHOTO = (122, 143)
"""Height and width of the photo that the example is a tile of."""


def trace(graph: PhotoToBayer) -> ExportedProgram:
    """Trace a pipeline for any number of photos of any height and width.

    Sizes stay symbols. PyTorch asks questions about them, such as whether a cropped tensor is contiguous. The
    answers choose between computations with equal results. They hold for all sizes if possible, else for the size
    of the example. `check_graph` verifies the result at several sizes.

    Raises:
        ConfigError: the network cannot be traced so.
    """
    batch = torch.export.Dim("batch", min=1)
    examples = graph.inputs(example(*TRACED_SIZE, uint8=graph.uint8))
    if graph.judges:
        examples[PHOTO_NAME] = example(TRACED_SIZE[0], *TRACED_PHOTO, uint8=graph.uint8)
    first = 1 if graph.uint8 else 2
    sizes: dict[str, dict[int, Any]] = {name: {0: batch} for name in examples}
    for name in (INPUT_NAME, PHOTO_NAME) if graph.judges else (INPUT_NAME,):
        height, width = (torch.export.Dim(f"{name}_{side}", min=MINIMUM_SIZE) for side in ("height", "width"))
        sizes[name] |= {first: height, first + 1: width}
    if graph.gain:
        sizes[GAIN_NAME] |= {2: sizes[INPUT_NAME][first], 3: sizes[INPUT_NAME][first + 1]}
    positional, by_name = _arguments(examples)
    try:
        with torch.no_grad(), symbolic_sizes():
            program = torch.export.export(
                graph,
                positional,
                by_name,
                dynamic_shapes=sizes,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except ConfigError:
        raise
    except Exception as error:  # a network may raise any error if a size is a symbol
        raise ConfigError(f"{graph.model.config['backbone']} cannot be exported: {first_line(error)}") from error
    _tidy(program)
    return program


def _arguments(inputs: Mapping[str, Tensor]) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Divide the inputs of a program into positional ones and keywords: what a photo need not have."""
    keywords = {name: value for name, value in inputs.items() if name in (GAIN_NAME, PLACE_NAME)}
    return tuple(value for name, value in inputs.items() if name not in keywords), keywords


def symbolic_sizes() -> contextlib.AbstractContextManager[None]:
    """Trace without a look at the example's sizes where PyTorch can do without."""
    context: Any = tracing_config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    return context


def _tidy(program: ExportedProgram) -> None:
    """Remove file names of this machine, and guards that only record a choice between two equal computations."""
    for node in list(program.graph.nodes):
        node.meta.pop("stack_trace", None)
        if node.target is torch.ops.aten._assert_scalar.default:
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()


def export_program(
    model: ReverseISP, path: str | Path, *, name: str = "", uint8: bool = False, gain: bool = False
) -> Check:
    """Write a pipeline as a program of `torch.export`, after checking it.

    Args:
        model: the pipeline, on the CPU; it is put into evaluation mode.
        path: the file, usually ``.pt2``; ``torch.export.load(path).module()`` is the module.
        name: of the model, for the metadata.
        uint8: input and output are integers, see `PhotoToBayer`.
        gain: the program takes what the photos' gain maps say, see `PhotoToBayer`, as the keyword ``gain``.
            The place, for a model that depends on it, is the keyword ``place``.

    Returns:
        The comparison of the program, read from the file, with the pipeline.

    Raises:
        ConfigError: ``uint8`` is set and the model has no camera profile, ``gain`` is set and it does not see gain
            maps, or the network cannot be exported.
        WeightsError: the program differs from the pipeline or fails; no file is written.
        OutputError: the file cannot be written.
    """
    graph = PhotoToBayer(model.eval(), uint8=uint8, gain=gain).eval()
    content = io.BytesIO()
    info = GraphInfo.of(model, name, uint8=uint8, gain=gain)
    torch.export.save(trace(graph), content, extra_files={METADATA_FILE: info.to_json()})
    content.seek(0)
    module = torch.export.load(content).module()

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        positional, by_name = _arguments(inputs)
        result: Tensor = module(*positional, **by_name)
        return result

    check = check_graph(graph, run, str(path))
    with atomic_write(path) as file:
        file.write(content.getbuffer())
    return check
