"""Load a model folder onto a device, or an exported graph, and make it fast for this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from revisp.convert.engine import Engine, TorchEngine
from revisp.convert.settings import ModelFiles
from revisp.convert.target import find_camera
from revisp.errors import ConfigError
from revisp.inference.fast import optimise
from revisp.inference.precision import Precision
from revisp.io.camera_file import load_curve
from revisp.model_folder import DEFAULT, from_pretrained, model_files

if TYPE_CHECKING:
    from revisp.camera.fitted import FittedCamera
    from revisp.camera.profile import CameraProfile
    from revisp.pipeline import ReverseISP

__all__ = ["load_engine", "load_model"]

GRAPH_ENDING, PROGRAM_ENDING = ".onnx", ".pt2"


def load_model(folder: str | Path | None = None, device: str = "auto") -> ReverseISP:
    """Load a pipeline from a model folder onto a device, in evaluation mode.

    Args:
        folder: as for `revisp.from_pretrained`.
        device: a name that torch knows, or ``"auto"``: CUDA if it is available, else the CPU.

    Raises:
        WeightsError: the folder or one of its files is missing, damaged, or does not fit the network.
        ConfigError: the device does not exist.

    Example:
        >>> load_model("default", device="cpu").training
        False
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = from_pretrained(folder)
    try:
        torch.ones(1, device=device).item()  # some devices that torch knows, such as meta, compute nothing
        return model.to(device)
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # torch's reasons are long lists
        raise ConfigError(
            f"device {device}: torch cannot compute on it here: take auto, cpu or cuda (cuda:1: the second GPU)"
        ) from error


def _begins_as_graph(path: Path) -> bool:
    """Return whether a file begins as exported graphs do: with the first field of ONNX, a whole number."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"\x08"


def load_engine(
    model: str | Path | None = None,
    *,
    engine: Literal["torch", "onnx"] | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    compile: bool = False,
    memory: int | None = None,
    camera: str | Path | CameraProfile | None = None,
    headroom: float | None = None,
    curve: str | Path | Sequence[float] | FittedCamera | None = None,
) -> Engine:
    """Load an engine, made fast for the device that it runs on.

    Args:
        model: a model folder, or a graph that ``revisp-export`` wrote; None or ``"default"``: the small model in
            the package.
        engine: ``"torch"`` runs model folders, ``"onnx"`` runs graphs; None chooses by ``model``.
        device: as for `load_model`; for torch only.
        precision: as for `optimise`; for torch only.
        compile: as for `optimise`; for torch only.
        memory: bytes that a prediction may take, as for `revisp.predict`; for torch only.
        camera: another camera than the model's, whose RAW is wanted: make and model of a known one, a JSON file
            with its profile, or the profile itself; for torch only.
        headroom: told of all photos, as for `revisp.predict`; for torch only.
        curve: told of all photos, as for `revisp.predict`, or a JSON file (`load_curve`); for torch only.

    Raises:
        UnknownNameError: no known camera has this name.
        WeightsError: the model is missing, damaged, or does not fit.
        ConfigError: the engine does not have a setting or cannot fulfil it on this machine, the engine cannot run
            the model, or onnxruntime is not installed.

    Example:
        >>> engine = load_engine("default", device="cpu", precision="fp32")
        >>> engine.profile.name
        'revisp Canonical sensor in daylight of 5500 K'
        >>> load_engine("default", engine="onnx")
        Traceback (most recent call last):
        ...
        revisp.errors.ConfigError: the engine onnx runs exported graphs: revisp-export default -o model.onnx
    """
    ending = "" if model is None else Path(model).suffix.lower()
    if ending == PROGRAM_ENDING:
        raise ConfigError(f"{model} is a program for torch.export.load: predict with its model folder or an .onnx")
    is_graph = ending == GRAPH_ENDING or (model is not None and _begins_as_graph(Path(model)))
    if engine not in (None, "onnx" if is_graph else "torch"):
        if is_graph:
            raise ConfigError(f"{model} is an exported graph: take the engine onnx, or a model folder")
        raise ConfigError(f"the engine onnx runs exported graphs: revisp-export {model or 'MODEL'} -o model.onnx")
    if model is None or not is_graph:
        target = None if camera is None else find_camera(camera)
        known = load_curve(curve) if isinstance(curve, str | Path) else curve
        loaded = load_model(model, device)
        name = f"{Path(model or DEFAULT).name}: {loaded.description}"
        fast = optimise(loaded, precision, compile=compile)
        return TorchEngine(fast, memory, target, headroom, known, name, ModelFiles.of(model_files(model)))
    settings = {"device": device != "auto", "precision": precision != "auto", "compile": compile, "memory": memory}
    told = {"camera": camera, "headroom": headroom, "curve": curve}
    settings |= {name: value is not None for name, value in told.items()}
    if given := [name for name, value in settings.items() if value]:
        raise ConfigError(f"{given[0]} is a setting of the engine torch; {model} runs by onnxruntime")
    from revisp.convert.onnx import OnnxPipeline

    return OnnxPipeline(model)
