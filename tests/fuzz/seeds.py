"""Small valid files of every format, which mutations begin from; each is made once."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import photo_writers as writers
import scene_files
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file

import revisp
from revisp.benchmark.results import RESULT_FILE, CellResult, write_result
from revisp.camera.fitted import FittedCamera, as_tuples, plain_curve
from revisp.camera.noise import NoiseLevels
from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.entry import Entry, Reject, array_path
from revisp.data.manifest import write_manifest
from revisp.io import write_dng
from revisp.io.camera_file import IsoNoise, save_camera
from revisp.io.dng.provenance import Provenance
from revisp.io.exif import PhotoMetadata
from revisp.io.mosaic_file import write_mosaic
from revisp.io.photo import write_png

from .photo_seeds import HEIGHT, PHOTOS, WIDTH, pixels

__all__ = ["SMALL_MODEL", "file", "folder"]

SMALL_MODEL = {"backbone_kwargs": {"width": 4, "depth": 2}}

Files = dict[str, bytes]


@functools.cache
def file(name: str) -> bytes:
    """Return the content of a file."""
    return _FILES[name]()


@functools.cache
def folder(name: str) -> Files:
    """Return the files of a folder by their relative paths."""
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _FOLDERS[name](Path(place))
        return {path.relative_to(place).as_posix(): path.read_bytes() for path in _all_files(Path(place))}


def _all_files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def _mosaic() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(1)
    return rng.integers(64, int(SIMULATED.profile.white_level), (HEIGHT, WIDTH)).astype(np.uint16)


def _written(name: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(place, name)
        write(path)
        return path.read_bytes()


def _dng(**options: Any) -> bytes:
    return _written(
        "a.dng",
        lambda path: write_dng(
            path, _mosaic(), SIMULATED.profile, metadata=PhotoMetadata(model="One", iso=100),
            provenance=Provenance("model", "photo.jpg", "0" * 64, "camera", 0.5), **options,
        ),
    )  # fmt: skip


def _linear_dng() -> bytes:
    from revisp.io.dng.write import write_linear_dng

    planes = np.random.default_rng(2).random((3, HEIGHT, WIDTH), np.float32)
    return _written("a.dng", lambda path: write_linear_dng(path, planes, SIMULATED.profile))


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        held.writestr("a.npy", _npy(_mosaic()))
    return out.getvalue()


def _camera_file() -> bytes:
    curve = as_tuples(plain_curve().numpy())
    fitted = FittedCamera(curve, matrix=((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
    more = {"noise_by_iso": [IsoNoise(100, 1e-4, 1e-6)], "ceilings": (0.9, None, 1.0, 1.1), "size": (3000, 4000)}
    noise = NoiseLevels(1e-4, 1e-6)
    return _written("a.json", lambda path: save_camera(path, SIMULATED.profile, fitted, noise, **more))


def _hdr() -> bytes:
    body = scene_files.coded(scene_files.rgbe(scene_files.random_light()))
    return _written("a.hdr", lambda path: scene_files.write_hdr(path, body, "-Y 20 +X 48", "EXPOSURE=2"))


def _exr() -> bytes:
    return _written(
        "a.exr", lambda path: scene_files.write_exr(path, scene_files.halves(scene_files.random_light()))
    )


def _torch_file(values: Any) -> bytes:
    out = io.BytesIO()
    torch.save(values, out)
    return out.getvalue()


def _state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {f"layer{n}.weight": torch.randn(4, 4, generator=generator) for n in range(3)}


def _pair(place: Path, name: str, split: str, seed: int) -> Entry:
    rng = np.random.default_rng(seed)
    arrays = {
        "raw": _mosaic(),
        "srgb": pixels(seed=seed),
        "target": rng.random((3, HEIGHT, WIDTH)).astype(np.float16),
        "oe": np.array([[0, 0], [20, 30]], np.int32),
        "valid": np.ones((HEIGHT // 32, WIDTH // 32), np.uint8),
    }
    (place / "arrays").mkdir(exist_ok=True)
    for what, array in arrays.items():
        np.save(array_path(place, name, what), array)
    return Entry(
        name=name, kind="pair", scene=name, split=split, camera="Maker One", profile=SIMULATED.profile,
        height=HEIGHT, width=WIDTH, oe_share=0.01, sources=({"path": "a.dng", "size": 1, "mtime_ns": 2},),
        fingerprint="abc", alignment={"offset": [0.25, 0.0]}, fitted={"psnr": 33.0}, has_valid=True,
    )  # fmt: skip


def _dataset(place: Path) -> None:
    place.mkdir(exist_ok=True)
    entries = [_pair(place, "one", "train", 1), _pair(place, "two", "train", 2), _pair(place, "val", "val", 3)]
    write_manifest(place, entries, [Reject("bad", (), "def", "it is damaged")])


def _journal() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        entry = _pair(Path(place), "one", "train", 1)
    lines = [[entry.to_dict()], [Reject("bad", (), "def", "damaged").to_dict()], {"anew": ["one"]}]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _model(place: Path) -> None:
    torch.manual_seed(0)
    revisp.save_pretrained(revisp.ReverseISP("unet", profile=SIMULATED.profile, **SMALL_MODEL), place / "model")


def _estimated_model(place: Path) -> None:
    torch.manual_seed(0)
    model = revisp.ReverseISP("unet", base="estimated", profile=SIMULATED.profile, **SMALL_MODEL)
    revisp.save_pretrained(model, place / "model")


def _cell(place: Path) -> None:
    costs = {"parameters": 1000, "gmac": 2.5, "seconds": 0.25, "training": 60.0}
    result = CellResult(
        "unet", "embedded", 0, ("backbone=unet",), {"psnr": 31.5, "psnr_oe": float("nan")}, costs, 256, 8,
        {"edges": [0.0, 1.0], "weight": [[1.0]] * 5, "bias": [[0.5]] * 5, "rmse": [[0.5]] * 5},
        [("a", {"psnr": 30.0})],
        SIMULATED.profile.to_dict(), {"torch": "2"},
    )  # fmt: skip
    write_result(result, place)
    assert (place / RESULT_FILE).is_file()


def _shards(place: Path) -> None:
    from revisp.data.packing import write_shards

    with tempfile.TemporaryDirectory() as root:
        _dataset(Path(root))
        write_shards(root, place / "shards", tile=64, overlap=16, val_tile=64)


def _shard_tile() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        _shards(Path(place))
        from revisp.data.shards import Shards

        blob: bytes = bytes(Shards(Path(place) / "shards").random_access("val").dataset[0])
        return blob


def _scenes(place: Path) -> None:
    from revisp.prepare.scenes import prepare_scenes

    with tempfile.TemporaryDirectory() as given:
        light = np.exp2(np.random.default_rng(0).uniform(-6, 6, (64, 64, 3)))
        scene_files.write_hdr(Path(given, "a.hdr"), scene_files.coded(scene_files.rgbe(light)), "-Y 64 +X 64")
        prepare_scenes([Path(given)], place)


def _gain_map_folder(place: Path) -> None:
    Image.fromarray(pixels()).save(place / "env.webp")
    Image.fromarray(pixels(seed=1)).save(place / "env-gainmap.webp")
    fields = {
        "gainMapMin": [0, 0, 0], "gainMapMax": [12, 12, 12], "gamma": [1, 1, 1], "offsetSdr": [0.015] * 3,
        "offsetHdr": [0.015] * 3, "hdrCapacityMin": 0, "hdrCapacityMax": 12,
    }  # fmt: skip
    (place / "env.json").write_text(json.dumps(fields))


def _pairs(place: Path) -> None:
    for part in ("srgb", "raw"):
        (place / part).mkdir()
    (place / "profile.json").write_text(json.dumps(SIMULATED.profile.to_dict()))
    for number, name in enumerate(("one", "two")):
        photo = torch.from_numpy(pixels(seed=number)).permute(2, 0, 1) / 255
        shot = simulate(photo, SIMULATED, generator=torch.Generator().manual_seed(number))
        write_png(place / "srgb" / f"{name}.png", shot.srgb)
        write_mosaic(place / "raw" / f"{name}.png", shot.bayer, SIMULATED.profile)


def _run(place: Path) -> None:
    """What a training has left of its settings; JSON is YAML, so that its values are changed, too."""
    _dataset(place / "set")
    (place / ".hydra").mkdir()
    values = {
        "data": {"name": "prepared", "root": "set", "crop": 32, "batch_size": 2, "num_workers": 0, "strata": None},
        "seed": 0, "demosaic": {"method": "bilinear"}, "trainer": {"max_epochs": 1},
    }  # fmt: skip
    (place / ".hydra/config.yaml").write_text(json.dumps(values))


def _yaml_run(place: Path) -> None:
    (place / ".hydra").mkdir()
    (place / ".hydra/config.yaml").write_text(OmegaConf.to_yaml(revisp.compose(["data=prepared", "data.root=x"])))


def _onnx() -> bytes:
    """A graph of one node, with the metadata of a pipeline: export would take ten seconds."""
    import onnx
    from onnx import TensorProto, helper

    from revisp.export.graph import INPUT_NAME, OUTPUT_NAME, GraphInfo
    from revisp.export.runtime import METADATA_KEY

    sizes = ["batch", 3, "height", "width"], ["batch", 1, "height", "width"]
    source, target = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip((INPUT_NAME, OUTPUT_NAME), sizes, strict=True)
    )
    node = helper.make_node("ReduceMax", [INPUT_NAME], [OUTPUT_NAME], axes=[1], keepdims=1)
    graph = helper.make_graph([node], "revisp", [source], [target])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    info = GraphInfo.of(revisp.ReverseISP("unet", profile=SIMULATED.profile, **SMALL_MODEL), "small")
    helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _safetensors() -> bytes:
    return _written("a.safetensors", lambda path: save_file(_state(), path))


_FILES: dict[str, Callable[[], bytes]] = {
    **PHOTOS,
    "dng": _dng,
    "plain.dng": lambda: _dng(plain=True),
    "jxl.dng": lambda: _dng(compression="jpegxl"),
    "linear.dng": _linear_dng,
    "mosaic.png": lambda: _written("a.png", lambda path: write_mosaic(path, _mosaic(), SIMULATED.profile)),
    "mosaic.tiff": lambda: _written("a.tiff", lambda path: write_mosaic(path, _mosaic(), SIMULATED.profile)),
    "mosaic.npy": lambda: _npy(_mosaic()),
    "planes.npy": lambda: _npy(_mosaic().reshape(HEIGHT // 2, WIDTH // 2, 4)),
    "npz": _npz,
    "hdr": _hdr,
    "exr": _exr,
    "xmp": lambda: writers.hdrgm_xmp(writers.Fields(), elements=True).encode(),
    "apple xmp": lambda: writers.apple_xmp(2.5).encode(),
    "apple exif": lambda: writers.apple_exif(1.2, 0.005),
    "iso map": lambda: writers.iso_metadata(writers.Fields()),
    "av1": lambda: writers.av1_item(pixels()).data,
    "hevc": lambda: dict(writers.hevc_item(np.tile(pixels(), (2, 2, 1))[:64, :64]).properties)[b"hvcC"],
    "wish": lambda: json.dumps({"model": "default", "camera": "", "headroom": 2.0, "linear": False}).encode(),
    "download": lambda: json.dumps({"ending": ".npy", "bits": 12, "compression": "jpeg"}).encode(),
    "crash record": lambda: b'["begin", "a.jpg"]\n["finished", "b.dng"]\n["end", "a.jpg"]\n["begin", "c.jpg"]\n',
    "profile": lambda: json.dumps(SIMULATED.profile.to_dict()).encode(),
    "camera": _camera_file,
    "curve": lambda: json.dumps([(n / 64) ** 2.2 for n in range(65)]).encode(),
    "journal": _journal,
    "list": lambda: "one.jpg\n# comment\nsub/zwei ü.png\n".encode(),
    "weights.pth": lambda: _torch_file({"state_dict": _state()}),
    "weights.safetensors": _safetensors,
    "tile": _shard_tile,
    "onnx": _onnx,
}

_FOLDERS: dict[str, Callable[[Path], None]] = {
    "dataset": _dataset,
    "model": _model,
    "estimated": _estimated_model,
    "cell": _cell,
    "shards": _shards,
    "scenes": _scenes,
    "gain map": _gain_map_folder,
    "pairs": _pairs,
    "run": _run,
    "yaml run": _yaml_run,
}
