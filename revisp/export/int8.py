"""Export graphs in 8-bit integers, calibrated on photos and measured on other photos."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from revisp.camera.place import Place
from revisp.errors import ConfigError
from revisp.export.doubling import double_by_gather
from revisp.export.graph import INPUT_NAME, Check, GraphInfo
from revisp.export.onnx import build_onnx, check_packages, pack_metadata, quiet
from revisp.export.runtime import named_inputs, open_session, predict_session, require
from revisp.io.atomic import atomic_write
from revisp.io.photo import read_srgb
from revisp.wording import counted

if TYPE_CHECKING:
    from revisp.pipeline import ReverseISP

__all__ = ["CalibrationPiece", "Loss", "cut_samples", "export_int8", "photo_samples"]

PIECE_SIDE = 256
"""Side of a calibration piece, in pixels."""
MOST_CALIBRATED, MOST_MEASURED = 48, 16
"""Most windows for calibration, and for measurement."""

_INTEGER_OPERATORS = ("Conv", "Relu", "MaxPool", "Resize", "Concat")
"""Operators that stay in integers between two convolutions."""


class CalibrationPiece(NamedTuple):
    """A piece of a photo.

    Attributes:
        srgb: its pixels ``[3, h, w]``.
        bayer: its RAW ``[1, h, w]``, if it is known.
        place: where it lies in the photo; None: it is the photo.
    """

    srgb: Tensor
    bayer: Tensor | None = None
    place: Place | None = None


@dataclass(frozen=True)
class Loss:
    """The loss by 8-bit integers: mean PSNR in dB over the measured pieces of photos.

    Attributes:
        calibrated: number of pieces that were used for calibration.
        measured: number of other pieces, on which the PSNR is measured.
        to_fp32: PSNR of the int8 graph against the fp32 graph.
        int8: PSNR of the int8 graph against the true RAW; None if that is unknown.
        fp32: PSNR of the fp32 graph against the true RAW; None if that is unknown.
    """

    calibrated: int
    measured: int
    to_fp32: float
    int8: float | None = None
    fp32: float | None = None

    def __str__(self) -> str:
        text = f"int8, calibrated on {counted(self.calibrated, 'piece of a photo', 'pieces of photos')}: on "
        text += f"{counted(self.measured, 'other')} "
        text += f"{self.to_fp32:.2f} dB from fp32"
        if self.int8 is None or self.fp32 is None:
            return text
        return f"{text}; {self.int8:.2f} dB from the true RAW, fp32 {self.fp32:.2f} dB"


def export_int8(
    model: ReverseISP,
    path: str | Path,
    samples: Callable[[], tuple[Sequence[CalibrationPiece], Sequence[CalibrationPiece]]],
    *,
    name: str = "",
    uint8: bool = False,
    gain: bool = False,
) -> tuple[Check, Loss]:
    """Write a pipeline as an ONNX file whose networks compute in 8-bit integers.

    Weights have a scale for each channel, activations a scale for each tensor: its range on the calibration
    photos. The first and the last convolution of each network, mask, fusion and mosaic stay in floating point.

    Args:
        model: the pipeline, on the CPU; it is put into evaluation mode.
        path: the file, usually ``.onnx``.
        samples: returns the pieces for calibration and those for measurement, as `photo_samples` and `cut_samples`
            do. It is called after the check that all packages are installed.
        name: of the model, for the metadata.
        uint8: input and output are integers, too; see `revisp.export.graph.PhotoToBayer`.
        gain: the graph takes what the photos' gain maps say. The pieces have none, so that the range of values is
            that of photos without.

    Returns:
        The comparison of the fp32 graph with the pipeline, and the loss by int8.

    Raises:
        ConfigError: a package is missing, or the networks have no convolutions.
        WeightsError: the fp32 graph differs from the pipeline or fails; no file is written.
        OutputError: the file cannot be written.
    """
    check_packages()
    calibrate, measure = samples()
    content, check, whole = build_onnx(model, str(path), name=name, uint8=uint8, gain=gain)
    info = replace(GraphInfo.of(model, name, uint8=uint8, gain=gain), precision="int8")
    with quiet():
        quantised = _quantise(whole, info, calibrate, path)
    loss = _measure(content, quantised, info, measure)
    with atomic_write(path) as file:
        file.write(quantised)
    return check, replace(loss, calibrated=len(calibrate))


def cut_samples(
    calibrate: Sequence[CalibrationPiece], measure: Sequence[CalibrationPiece]
) -> tuple[list[CalibrationPiece], list[CalibrationPiece]]:
    """Cut pieces from photos; if there are many photos, an evenly spread selection is used.

    Args:
        calibrate: photos for calibration.
        measure: other photos, for measurement.

    Returns:
        The pieces for calibration and the pieces for measurement.
    """
    kinds = ((calibrate, MOST_CALIBRATED), (measure, MOST_MEASURED))
    pieces = [list(_windows(whole[:: -(-len(whole) // most)], most)) for whole, most in kinds]
    return pieces[0], pieces[1]


def photo_samples(photos: Sequence[Path]) -> tuple[list[CalibrationPiece], list[CalibrationPiece]]:
    """Cut pieces from photos. The second of every four photos is for measurement, the others for calibration.

    A photo that is given twice counts once, so that no photo has both roles.

    Returns:
        The pieces for calibration and the pieces for measurement.

    Raises:
        ConfigError: there are fewer than two photos.
        ImageError: a photo cannot be read or is too small.
    """
    photos = list({photo.resolve(): photo for photo in photos}.values())
    if len(photos) < 2:
        raise ConfigError("int8 needs at least two photos: one to calibrate, one to measure the loss")
    held = [photo for index, photo in enumerate(photos) if index % 4 == 1]
    rest = [photo for index, photo in enumerate(photos) if index % 4 != 1]
    pieces = []
    for files, most in ((rest, MOST_CALIBRATED), (held, MOST_MEASURED)):
        chosen = files[:: -(-len(files) // most)]
        each = most // len(chosen)
        pieces.append([piece for file in chosen for piece in _windows([CalibrationPiece(read_srgb(file))], each)])
    return pieces[0], pieces[1]


def _windows(pictures: Sequence[CalibrationPiece], most: int) -> Iterator[CalibrationPiece]:
    """Cut up to ``most`` windows, the same number from each picture, at even positions drawn with a seed."""
    for index, (srgb, bayer, _) in enumerate(pictures):
        generator = torch.Generator().manual_seed(index)
        height, width = (min(PIECE_SIDE, side) for side in srgb.shape[-2:])
        fits = (height, width) == tuple(srgb.shape[-2:])
        for _ in range(1 if fits else max(1, most // len(pictures))):
            top, left = (
                int(torch.randint((side - extent) // 2 + 1, (), generator=generator)) * 2
                for side, extent in zip(srgb.shape[-2:], (height, width), strict=True)
            )
            window = (..., slice(top, top + height), slice(left, left + width))
            place = Place(top, left, srgb.shape[-2], srgb.shape[-1])
            yield CalibrationPiece(srgb[window].clone(), None if bayer is None else bayer[window].clone(), place)


class _Feed:
    """The calibration pieces, in the interface of onnxruntime."""

    def __init__(self, info: GraphInfo, samples: Sequence[CalibrationPiece]) -> None:
        self._info = info
        self._samples = iter(samples)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input; None after the last."""
        sample = next(self._samples, None)
        if sample is None:
            return None
        inputs = named_inputs(self._info, sample.srgb[None], place=sample.place)
        return {name: value.numpy() for name, value in inputs.items()}


def _quantise(model: Any, info: GraphInfo, samples: Sequence[CalibrationPiece], path: str | Path) -> bytes:
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    inside = _inside_networks(model.graph)
    inside += double_by_gather(model.graph, inside)
    if not inside:
        raise ConfigError(f"{info.backbone} has no convolutions that int8 would speed up: export it without int8")
    with tempfile.TemporaryDirectory(prefix="revisp-int8-") as folder:
        target = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            model,
            target,
            _Feed(info, samples),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[*_INTEGER_OPERATORS, "Transpose", "Gather"],
            nodes_to_quantize=inside,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        return pack_metadata(onnx.load(target), info, str(path))


def _inside_networks(graph: Any) -> list[str]:
    """Return the nodes of each network between its first convolution and the last.

    The outputs of a network and of the refinement are clipped. Fusion and mosaic lie between a clipping and the
    next first convolution. Convolutions to one channel belong to the blur of the fusion. An estimated base sees
    the photo alone and not the tile, and stays in floating point.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    channels = {weight.name: weight.dims[0] for weight in graph.initializer if weight.dims}
    ends = [name for node in graph.node if node.op_type == "Clip" for name in node.input]
    last = {node.name: node for node in _upstream(made_by, ends, "Conv") if node.op_type == "Conv"}
    before = _upstream(made_by, [name for node in last.values() for name in node.input], "Clip")
    after: set[str] = set()
    of_tile = {INPUT_NAME}
    for node in graph.node:  # in the order of computation
        if of_tile.intersection(node.input):
            of_tile.update(node.output)
        reached = node.op_type != "Clip" and any(name in after for name in node.input)
        if reached or (node.op_type == "Conv" and channels.get(node.input[1], 0) > 1):
            after.update(node.output)
    first = {
        name
        for node in graph.node
        if node.op_type == "Conv" and node.input[0] not in after
        for name in node.output
    }
    first |= {
        name for node in graph.node if node.op_type == "Relu" and node.input[0] in first for name in node.output
    }
    inside = [node for node in before if node.op_type in _INTEGER_OPERATORS]
    wanted = after & of_tile - first
    return [node.name for node in inside if node.name not in last and node.output[0] in wanted]


def _upstream(made_by: Mapping[str, Any], names: Sequence[str], stop: str) -> list[Any]:
    """Return the nodes that some tensors depend on, back to the nearest nodes of type ``stop``."""
    found: dict[str, Any] = {}
    todo = list(names)
    while todo:
        node = made_by.get(todo.pop())
        if node is not None and node.name not in found:
            found[node.name] = node
            if node.op_type != stop:
                todo.extend(node.input)
    return list(found.values())


def _measure(exact: bytes, rough: bytes, info: GraphInfo, samples: Sequence[CalibrationPiece]) -> Loss:
    sessions = [open_session(content, ["CPUExecutionProvider"]) for content in (exact, rough)]
    distances, truths = [], []
    for srgb, bayer, place in samples:
        float_, integer = (predict_session(session, info, srgb[None], place=place)[0] for session in sessions)
        distances.append(_psnr(integer, float_))
        if bayer is not None:
            truths.append((_psnr(integer, bayer), _psnr(float_, bayer)))
    loss = Loss(0, len(samples), math.fsum(distances) / len(distances))
    if not truths:
        return loss
    int8, fp32 = (math.fsum(column) / len(column) for column in zip(*truths, strict=True))
    return replace(loss, int8=int8, fp32=fp32)


def _psnr(a: Tensor, b: Tensor) -> float:
    """Return 10 log10(1 / MSE); 100 dB for equal tensors."""
    error = (a - b).double().square().mean().item()
    return 10 * math.log10(1 / max(error, 1e-10))
