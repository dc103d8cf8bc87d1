"""Sessions of onnxruntime (an optional package) that run exported graphs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from revisp.camera.place import Place
from revisp.errors import ConfigError, WeightsError
from revisp.export.graph import (
    GAIN_NAME,
    INPUT_NAME,
    OUTPUT_NAME,
    PHOTO_NAME,
    PLACE_NAME,
    GraphInfo,
    place_input,
)
from revisp.io.boundary import decoding

__all__ = [
    "METADATA_KEY",
    "named_inputs",
    "open_session",
    "predict_session",
    "read_info",
    "require",
    "run_session",
]

METADATA_KEY = "revisp"
"""Key of the metadata in an ONNX file: `GraphInfo` as JSON."""

_PREFERRED_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


def require(name: str) -> ModuleType:
    """Import a package of the extra ``onnx``.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f'the package {name} is needed: pip install "revisp[onnx]" ({error})') from error


def open_session(
    model: str | Path | bytes, providers: Sequence[str] | None = None, threads: int | None = None
) -> Any:
    """Open a graph.

    Args:
        model: an ONNX file, or its content.
        providers: execution providers of onnxruntime; None: CUDA if onnxruntime has it, else the CPU.
        threads: threads of each run on the CPU; None: as many as torch uses.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        ConfigError: onnxruntime is not installed or does not have a provider.
        WeightsError: the file is missing or damaged.
    """
    runtime = require("onnxruntime")
    available = runtime.get_available_providers()
    chosen = list(providers or [name for name in _PREFERRED_PROVIDERS if name in available])
    if missing := [name for name in chosen if name not in available]:
        raise ConfigError(f"onnxruntime has no {missing[0]} here: use {', '.join(available)}")
    if isinstance(model, Path | str) and not Path(model).is_file():
        raise WeightsError(f"{model}: no such file; revisp-export writes it")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 4  # onnxruntime would also print the errors that it raises
    name = "the graph" if isinstance(model, bytes) else model
    with decoding(name, "damaged or not an ONNX model of this onnxruntime", WeightsError):
        return runtime.InferenceSession(model, options, providers=chosen)


def read_info(session: Any, path: object) -> GraphInfo:
    """Return the metadata of a graph.

    Raises:
        WeightsError: revisp did not export the graph.
    """
    with decoding(str(path), "its metadata are damaged", WeightsError):
        found = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    info = GraphInfo.from_json(found, path)
    expected = list(info.inputs)
    names = [value.name for value in session.get_inputs()], [value.name for value in session.get_outputs()]
    if names != (expected, [OUTPUT_NAME]):
        raise WeightsError(
            f"{path}: its graph maps {', '.join(names[0])} to {', '.join(names[1])}, not "
            f"{', '.join(expected)} to {OUTPUT_NAME}: export it by revisp-export"
        )
    return info


def run_session(session: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Run a graph on its inputs by name, tensors on the CPU."""
    given = {name: value.contiguous().numpy() for name, value in inputs.items()}
    return torch.from_numpy(session.run([OUTPUT_NAME], given)[0])


def named_inputs(
    info: GraphInfo,
    srgb: Tensor,
    *,
    photo: Tensor | None = None,
    gain: Tensor | None = None,
    place: Place | None = None,
) -> dict[str, Tensor]:
    """Return the inputs of a graph by name, as tensors on the CPU: those that it takes.

    Args:
        info: the graph's metadata.
        srgb: photos, or tiles of photos, ``[B, 3, H, W]`` in [0, 1].
        photo: their whole photos, encoded by `GraphInfo.encode`; None: ``srgb`` is whole.
        gain: what the photos' gain maps say at these pixels, ``[B, 1, H, W]``; None: they have none.
        place: where ``srgb`` lies in the photos; None: it is whole.
    """
    tile = info.encode(srgb)
    told = {
        INPUT_NAME: tile,
        PHOTO_NAME: tile if photo is None else photo,
        GAIN_NAME: torch.full_like(srgb[:, :1], torch.nan) if gain is None else gain,
        PLACE_NAME: place_input(place or Place(0, 0, srgb.shape[-2], srgb.shape[-1]), len(srgb)),
    }
    return {name: told[name].cpu() for name in info.inputs}


def predict_session(session: Any, info: GraphInfo, srgb: Tensor, **told: Any) -> Tensor:
    """Predict mosaics by a graph with input of any kind.

    Args:
        session: of `open_session`.
        info: the graph's metadata.
        srgb: photos, or tiles of photos, ``[B, 3, H, W]`` in [0, 1].
        told: what else is known of them, as for `named_inputs`.

    Returns:
        Mosaics ``[B, 1, H, W]``, on the device of ``srgb``.
    """
    return info.decode(run_session(session, named_inputs(info, srgb, **told))).to(srgb.device)
