"""Graphs in 8-bit integers: near the others, and in floating point where it counts."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from skimage import data

from revisp.camera.simulate import SIMULATED
from revisp.cli.export import embedded_samples
from revisp.convert.onnx import OnnxPipeline
from revisp.data.embedded import EmbeddedPhotos
from revisp.data.picture import Pair
from revisp.errors import ConfigError, ImageError
from revisp.export import int8
from revisp.export.int8 import Loss, export_int8, photo_samples
from revisp.pipeline import ReverseISP


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Four photos of 90x70 pixels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    cat = data.chelsea()
    for number in range(4):
        Image.fromarray(cat[40 * number :][:70, 60 * number :][:, :90]).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def build(name: str = "unet", **options: object) -> ReverseISP:
    torch.manual_seed(0)
    kwargs = {"width": 8, "depth": 2} if name == "unet" else {}
    model = ReverseISP(name, backbone_kwargs=kwargs, profile=SIMULATED.profile, **options).eval()
    for key, parameter in model.branches.named_parameters():
        if key.endswith("head.bias"):
            torch.nn.init.constant_(parameter, 0.4)  # else clipped to black
    return model


def test_integers_stay_near_and_inside_the_networks(photos: list[Path], tmp_path: Path) -> None:
    model = build(branches="shared", refine={"width": 8, "depth": 2}, fusion={"kind": "feathered"})
    path = tmp_path / "int8.onnx"
    check, loss = export_int8(model, path, partial(photo_samples, photos), name="mine", uint8=True)
    assert check.difference <= check.tolerance
    assert (loss.calibrated, loss.measured, loss.int8) == (3, 1, None)
    pipeline = OnnxPipeline(path)
    assert (pipeline.info.precision, pipeline.info.name) == ("int8", "mine")

    stored = np.array(Image.open(photos[1]))[None]  # the photo that measures, small enough to be one window
    with torch.inference_mode():
        bayer = model(torch.from_numpy(stored).permute(0, 3, 1, 2) / 255).bayer[:, 0].numpy()
    assert bayer.std() > 0.05
    (found,) = onnxruntime.InferenceSession(path).run(None, {"srgb": stored})
    error = (found.astype(float) - SIMULATED.profile.quantise(bayer)) / (1023 - 64)
    assert loss.to_fp32 == pytest.approx(-10 * np.log10((error**2).mean()), abs=0.1)
    assert loss.to_fp32 > 30

    graph = onnx.load(path).graph
    integers = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    floating = [node for node in graph.node if node.op_type == "Conv" and node.input[1] not in integers]
    assert len(floating) == 6  # first and last of network and refinement; the fusion's blur in rows and columns
    assert not [node for node in graph.node if node.op_type == "Resize" and set(node.input) & integers]
    joined = [node for node in graph.node if node.op_type == "Concat" and set(node.input) & integers]
    assert len(joined) == 2  # skip connections, one a U-Net
    steps = {"GreaterOrEqual", "ScatterND", "Clip", "Split", "Cast"}
    assert not [node for node in graph.node if node.op_type in steps and set(node.input) & integers]


def test_embedded_photos_know_the_truth_of_the_simulated_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(self: EmbeddedPhotos, count: int) -> list[Pair]:
        return [
            Pair(str(n), torch.full((3, 300, 310), n / 60), torch.full((1, 300, 310), n / 60))
            for n in range(count)
        ]

    monkeypatch.setattr(EmbeddedPhotos, "train_pairs", lambda self: pairs(self, 54))
    monkeypatch.setattr(EmbeddedPhotos, "val_pairs", lambda self: pairs(self, 6))
    calibrate, measure = embedded_samples(build())
    assert 24 <= len(calibrate) <= 48
    assert len(measure) == 12
    assert all(torch.equal(srgb[:1], bayer) and srgb.shape == (3, 256, 256) for srgb, bayer, _ in measure)
    other = ReverseISP(profile=SIMULATED.profile.replace(make="Other"), backbone_kwargs={"width": 4, "depth": 2})
    assert all(sample.bayer is None for sample in embedded_samples(other)[1])


def test_photos_that_measure_do_not_calibrate(photos: list[Path]) -> None:
    calibrate, measure = photo_samples(photos)
    assert all(piece.srgb.shape == (3, 70, 90) for piece in calibrate + measure)
    assert not any(torch.equal(a.srgb, b.srgb) for a in calibrate for b in measure)


def test_a_photo_that_is_named_twice_does_not_do_both(photos: list[Path]) -> None:
    with pytest.raises(ConfigError, match="at least two photos"):
        photo_samples([photos[0], photos[0].parent / ".." / "photos" / photos[0].name])


def test_pieces_of_large_photos_are_as_many_as_that_and_no_more(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for path in paths:
        Image.fromarray(data.chelsea()).save(path)
    calibrate, measure = photo_samples(paths)  # 7 and 2 of them
    assert 40 <= len(calibrate) <= 48
    assert len(measure) == 16


def test_a_missing_package_is_said_before_photos_are_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match="onnxscript is needed"):
        export_int8(build(), tmp_path / "x.onnx", partial(photo_samples, [tmp_path / "none.jpg"] * 2))


def test_bad_photos_are_refused(photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least two photos"):
        photo_samples(photos[:1])
    Image.new("RGB", (20, 12)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"small\.png: 20x12 pixels"):
        photo_samples([*photos, tmp_path / "small.png"])


def test_what_has_no_convolutions_gains_nothing(photos: list[Path], tmp_path: Path, monkeypatch) -> None:
    value = onnx.helper.make_tensor_value_info("srgb", onnx.TensorProto.FLOAT, [1, 3, 16, 16])
    content = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [value], [value])).SerializeToString()
    monkeypatch.setattr(int8, "build_onnx", lambda *_, **__: (content, None, onnx.load_model_from_string(content)))
    with pytest.raises(ConfigError, match="classical has no convolutions"):
        export_int8(build("classical", branches="plain"), tmp_path / "x.onnx", partial(photo_samples, photos))
    assert not (tmp_path / "x.onnx").exists()


def test_a_loss_is_one_line() -> None:
    assert str(Loss(48, 12, 50.0)).endswith("on 12 others 50.00 dB from fp32")
    assert str(Loss(48, 12, 50.0, 34.5, 35.0)).endswith("; 34.50 dB from the true RAW, fp32 35.00 dB")
