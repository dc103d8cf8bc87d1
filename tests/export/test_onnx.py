"""Exported graphs against the pipeline, by onnxruntime as a user without revisp would run it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from google.protobuf.message import EncodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED
from revisp.convert.onnx import OnnxPipeline
from revisp.errors import ConfigError, OutputError, ShapeError, WeightsError
from revisp.export.graph import GraphInfo, PhotoToBayer, check_graph
from revisp.export.onnx import export_onnx, pack_metadata
from revisp.inference.plan import Limits
from revisp.pipeline import ReverseISP

PROFILE = SIMULATED.profile.replace(cfa="GRBG", black_level=(60, 64, 66, 62))
UNET = {"width": 4, "depth": 2}
SMALL = {"width": 4, "depth": 1}
PIPELINES: dict[str, dict[str, Any]] = {
    "paper": {"backbone_kwargs": UNET, "padding": "ones4", "mask": {"dilation": 1}},
    "shared, refined": {
        "backbone_kwargs": SMALL,
        "branches": "shared",
        "base": "classical",
        "refine": SMALL,
        "fusion": {"kind": "feathered"},
    },
    "Bayer planes": {"backbone": "zeronoise", "backbone_kwargs": {"channels": 8}, "branches": "plain"},
}
BYTES = ("shared, refined",)
"""Which of them take and give integers."""

kinds = pytest.mark.parametrize("kind", PIPELINES)


def build(kind: str) -> ReverseISP:
    torch.manual_seed(0)
    model = ReverseISP(profile=PROFILE, **PIPELINES[kind]).eval()
    if model.refine is not None:
        torch.nn.init.normal_(model.refine.network.head.weight, std=0.1)  # else it refines nothing yet
    for gain in model.gains.values():
        torch.nn.init.constant_(gain, 0.3)  # else the network adds nothing to the base yet
    for name, parameter in model.branches.named_parameters():
        if name.endswith("head.bias"):
            torch.nn.init.constant_(parameter, 0.4)  # else clipped to black
    return model


class Exported(dict[str, Path]):
    """Each pipeline's graph, made when it is asked for: the tests may be divided between processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __missing__(self, kind: str) -> Path:
        self[kind] = path = self.folder / f"{len(self)}.onnx"
        check = export_onnx(build(kind), path, name=kind, uint8=kind in BYTES)
        assert check.difference <= check.tolerance
        assert sorted(self.folder.iterdir()) == sorted(self.values())
        return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("onnx"))


def photo(batch: int, height: int, width: int) -> torch.Tensor:
    """Bytes as floats, with a clipped sky."""
    srgb = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(width))
    srgb[..., : height // 3, :] = 1
    return (srgb * 255).round() / 255


def expected(model: ReverseISP, srgb: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        bayer = model(srgb).bayer
    assert bayer.std() > 0.005
    return bayer


@kinds
def test_onnxruntime_gives_what_the_model_gives_at_any_size(files: Exported, kind: str) -> None:
    session, model = onnxruntime.InferenceSession(files[kind]), build(kind)

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(st.integers(1, 3), st.integers(16, 70), st.integers(16, 70))
    def check(batch: int, height: int, width: int) -> None:
        srgb = photo(batch, height, width)
        bayer = expected(model, srgb).numpy()
        if kind in BYTES:
            stored = (srgb * 255).round().byte().permute(0, 2, 3, 1).numpy()
            (found,) = session.run(["bayer"], {"srgb": stored})
            assert found.dtype.name == "uint16"
            assert abs(found.astype(int) - PROFILE.quantise(bayer[:, 0]).astype(int)).max() <= 1
        else:
            (found,) = session.run(["bayer"], {"srgb": srgb.numpy()})
            assert found.shape == bayer.shape
            assert abs(found - bayer).max() < 1e-5

    check()


@kinds
def test_the_file_says_what_an_engine_must_know(files: Exported, kind: str) -> None:
    model = onnx.load(files[kind])
    (entry,) = model.metadata_props
    values = json.loads(entry.value)
    assert entry.key == "revisp"
    assert CameraProfile.from_dict(values["profile"]) == PROFILE
    assert (values["cfa"], values["name"], values["uint8"]) == ("GRBG", kind, kind in BYTES)
    sizes = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == (["batch", "height", "width", 3] if kind in BYTES else ["batch", 3, "height", "width"])
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)  # what onnxruntime 1.14 reads
    assert str(Path(torch.__file__).parent).encode() not in files[kind].read_bytes()
    assert GraphInfo.from_json(entry.value, "x").to_json() == entry.value


@kinds
@pytest.mark.parametrize("tile", [None, 96])
def test_tiles_leave_no_seams(files: Exported, kind: str, tile: int | None) -> None:
    pipeline, srgb = OnnxPipeline(files[kind]), photo(1, 203, 170)
    assert pipeline.info.reach is not None
    assert 2 * pipeline.info.reach < 96 - pipeline.info.align
    calls: list[tuple[int, int]] = []
    bayer = pipeline.bayer(srgb[0], tile=tile, progress=lambda done, total: calls.append((done, total)))
    limit = 1 / (1023 - 66) if kind in BYTES else 1e-5
    assert (bayer - expected(build(kind), srgb)[0]).abs().max() < limit
    assert calls[-1][0] == calls[-1][1] == len(calls)
    assert tile is None or len(calls) > 1
    assert (pipeline.cfa, pipeline.profile) == ("GRBG", PROFILE)


def test_two_tiles_at_once_give_the_same(files: Exported) -> None:
    kind, srgb = "paper", photo(1, 203, 170)[0]
    pipeline, before = OnnxPipeline(files[kind]), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        calls: list[tuple[int, int]] = []
        both = pipeline.bayer(srgb, tile=96, progress=lambda *done: calls.append(done))
        torch.set_num_threads(1)
        alone = pipeline.bayer(srgb, tile=96)
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(both, alone, atol=1e-6)
    assert calls == [(done, len(calls)) for done in range(1, len(calls) + 1)]


def test_narrow_tiles_are_blended(files: Exported) -> None:
    kind, srgb = "paper", photo(1, 64, 90)
    bayer = OnnxPipeline(files[kind]).bayer(srgb[0], tile=16)
    assert (bayer - expected(build(kind), srgb)[0]).abs().mean() < 0.05


def test_what_is_no_photo_is_refused(files: Exported) -> None:
    pipeline = OnnxPipeline(files["Bayer planes"])
    with pytest.raises(ShapeError, match=r"\[3, H, W\]"):
        pipeline.bayer(torch.rand(1, 3, 20, 20))
    with pytest.raises(ShapeError, match="16"):
        pipeline.bayer(torch.rand(3, 20, 15))
    with pytest.raises(ConfigError, match="tile must be at least 16"):
        pipeline.bayer(torch.rand(3, 20, 20), tile=8)


def test_what_is_no_export_is_refused(files: Exported, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        OnnxPipeline(tmp_path / "none.onnx")
    (tmp_path / "damaged.onnx").write_bytes(files["shared, refined"].read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"damaged\.onnx: damaged"):
        OnnxPipeline(tmp_path / "damaged.onnx")
    with pytest.raises(ConfigError, match="onnxruntime has no Abacus"):
        OnnxPipeline(files["shared, refined"], ["Abacus"])
    model = onnx.load(files["shared, refined"])
    for text, message in ((None, "no revisp metadata"), ('{"format": 9}', "update revisp"), ("[]", "damaged")):
        del model.metadata_props[:]
        if text is not None:
            model.metadata_props.add(key="revisp", value=text)
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(WeightsError, match=message):
            OnnxPipeline(tmp_path / "other.onnx")


def test_a_graph_that_differs_is_refused() -> None:
    graph = PhotoToBayer(build("shared, refined")).eval()
    assert check_graph(graph, lambda inputs: graph(**inputs) + 2e-5, "x").difference == pytest.approx(
        2e-5, rel=0.1
    )
    with pytest.raises(WeightsError, match=r"x is not written: at 16x16 pixels its graph differs .* by 0\.001"):
        check_graph(graph, lambda inputs: graph(**inputs) + 1e-3, "x")
    with pytest.raises(WeightsError, match="differs"):
        check_graph(graph, lambda inputs: graph(**inputs) * float("nan"), "x")
    with pytest.raises(WeightsError, match=r"gives \[1, 1, 16, 15\] instead of \[1, 1, 16, 16\]"):
        check_graph(graph, lambda inputs: graph(**inputs)[..., :-1], "x")


class Pooled(torch.nn.Module):
    """What the exporter lays out for the size of its example alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        coarse = torch.nn.functional.adaptive_avg_pool2d(x[:, :3], 4)
        return torch.nn.functional.interpolate(coarse, size=x.shape[-2:])


class Deformed(torch.nn.Module):
    """What these operators of ONNX do not have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        offsets = x.new_zeros(x.shape[0], 18, *x.shape[-2:])
        return torchvision.ops.deform_conv2d(x[:, :3], offsets, x.new_ones(3, 3, 3, 3), padding=1)


@pytest.mark.parametrize(
    ("network", "kind", "message"),
    [
        (Pooled(), WeightsError, r"x\.onnx is not written: at 16x16 pixels its graph fails: "),
        (Deformed(), ConfigError, "classical cannot be exported to ONNX: No Op registered for DeformConv"),
    ],
)
def test_a_network_that_onnx_cannot_hold_is_one_line(network, kind, message, tmp_path: Path, capfd) -> None:
    model = ReverseISP("classical", branches="plain").eval()
    model.branches["plain"] = network
    with pytest.raises(kind, match=message):
        export_onnx(model, tmp_path / "x.onnx")
    assert capfd.readouterr().err == ""  # onnxruntime prints what it raises, unless told not to
    assert not list(tmp_path.iterdir())


def test_a_graph_that_onnxruntime_refuses_is_not_called_damaged(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("revisp.export.onnx.pack_metadata", lambda *_: b"no graph")
    with pytest.raises(ConfigError, match=r"classical cannot be exported to ONNX: (?!.*damaged)"):
        export_onnx(ReverseISP("classical", branches="plain"), tmp_path / "x.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_names_the_extra(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf'package {package} is needed: pip install "revisp\[onnx\]"'):
        export_onnx(build("shared, refined"), tmp_path / "x.onnx")
    if package == "onnxruntime":
        with pytest.raises(ConfigError, match=r"revisp\[onnx\]"):
            OnnxPipeline(tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_integers_need_a_camera(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no camera profile"):
        export_onnx(ReverseISP(backbone_kwargs=UNET), tmp_path / "x.onnx", uint8=True)


def test_a_graph_beyond_what_onnx_allows_is_an_output_error() -> None:
    """Nobody wants so large a graph in a test: this one fails as protobuf does then."""

    class Large:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def SerializeToString(self) -> bytes:
            raise EncodeError("Failed to serialize proto")

    value = onnx.helper.make_tensor_value_info("srgb", onnx.TensorProto.FLOAT, [1, 3, 16, 16])
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [value], [value]))
    with pytest.raises(OutputError, match=r"cannot write x\.onnx: its graph exceeds the 2 GiB that ONNX allows"):
        pack_metadata(Large(), GraphInfo.of(build("shared, refined"), "x"), "x.onnx")


def test_the_network_for_overexposed_pixels_runs_only_where_there_are_some(tmp_path: Path) -> None:
    """Its weights are poisoned in the file: a photo without such pixels must not notice."""
    torch.manual_seed(0)
    model = ReverseISP(backbone_kwargs=UNET, fusion={"kind": "feathered"}, profile=PROFILE).eval()
    export_onnx(model, tmp_path / "a.onnx")
    graph = onnx.load(tmp_path / "a.onnx")
    assert [value.name for value in graph.graph.output] == ["bayer"]
    (choice,) = (node for node in graph.graph.node if node.op_type == "If")
    (branch,) = (part.g for part in choice.attribute if part.name == "then_branch")
    weights = [weight for weight in branch.initializer if len(weight.dims) == 4]
    assert len(weights) == sum(weight.ndim == 4 for weight in model.branches["oe"].parameters())
    for weight in weights:
        weight.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(weight.dims), np.nan, np.float32), weight.name))
    onnx.save(graph, tmp_path / "b.onnx")
    exact, poisoned = (OnnxPipeline(tmp_path / name) for name in ("a.onnx", "b.onnx"))
    srgb = 0.9 * torch.rand(3, 80, 96, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(poisoned.bayer(srgb), exact.bayer(srgb))
    torch.testing.assert_close(exact.bayer(srgb)[None], expected(model, srgb[None]), atol=1e-4, rtol=0)
    srgb[:, 30:34, 40:44] = 1
    assert poisoned.bayer(srgb).isnan().any()
    torch.testing.assert_close(exact.bayer(srgb)[None], expected(model, srgb[None]), atol=1e-4, rtol=0)


def test_a_graph_moves_pixels_without_slow_steps(tmp_path: Path) -> None:
    """onnxruntime takes several times as long for these steps as for those that the graph has instead."""
    model = ReverseISP(backbone_kwargs={**UNET, "block": 2}, fusion={"kind": "hard"}).eval()
    export_onnx(model, tmp_path / "x.onnx")
    assert not {"DepthToSpace", "ScatterND"} & {node.op_type for node in onnx.load(tmp_path / "x.onnx").graph.node}
    srgb = photo(2, 37, 50)
    found = onnxruntime.InferenceSession(tmp_path / "x.onnx").run(None, {"srgb": srgb.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), expected(model, srgb), atol=1e-5, rtol=0)


def test_tiles_of_a_wider_network_are_smaller(tmp_path: Path) -> None:
    sizes = []
    for width in (4, 64):
        model = ReverseISP(backbone_kwargs={"width": width, "depth": 2}, branches="shared").eval()
        export_onnx(model, tmp_path / "x.onnx")
        engine = OnnxPipeline(tmp_path / "x.onnx")
        stage = engine._stage((3024, 4032), Limits())
        sizes.append(stage.at_once * max(tile.pixels for tile in stage.tiles((3024, 4032))))
        features = 2 * width * 4  # of two tensors at full size, at the least
        assert sizes[-1] * features < 2**30
    assert sizes[1] < sizes[0]
