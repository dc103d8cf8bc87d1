"""The doors: every call by which data of others come into revisp, with the files to mutate before it."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import revisp
from revisp.app.layers import Window
from revisp.app.prediction import Download, Wish, predict_photo
from revisp.backbones.weights import read_state_dict
from revisp.benchmark.results import read_result
from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SIMULATED
from revisp.config import data_of_run
from revisp.convert.batch import convert_photos
from revisp.convert.engine import Engine, as_engine
from revisp.convert.finished import is_finished
from revisp.convert.formats import Choice
from revisp.convert.jobs import Conversion, plan_conversions, read_photo_list
from revisp.data import create_data
from revisp.data.manifest import read_manifest
from revisp.data.prepared import PreparedPicture
from revisp.data.scene_cache import read_scene_list
from revisp.data.shards import Shards, read_tile
from revisp.errors import ConfigError, RevispError
from revisp.evaluation.score_raw import score_raw_files
from revisp.evaluation.score_submissions import score_submissions
from revisp.io import (
    read_challenge_npy,
    read_metadata,
    read_mosaic,
    read_photo,
    read_preview,
    read_raw,
    read_record,
    read_scene,
)
from revisp.io.apple_gain import apple_headroom
from revisp.io.camera_file import load_camera, load_curve, load_profile
from revisp.io.containers.av1 import av1_colours
from revisp.io.containers.damage import DamagedError
from revisp.io.containers.hevc import hevc_colours
from revisp.io.crash_record import Crashes, listen
from revisp.io.dng.linear import read_linear_dng
from revisp.io.dng.provenance import read_provenance
from revisp.io.exif import parse_exif
from revisp.io.gain_fields import HDRGM, GainFields, xmp_values
from revisp.io.header import photo_size
from revisp.io.mosaic_file import read_planes
from revisp.io.xmp import read_packet
from revisp.prepare import PrepareOptions, prepare
from revisp.prepare.journal import Journal
from revisp.schema import parse
from revisp.training.checkpoints import find_checkpoint

from . import seeds
from .photo_seeds import PHOTOS

__all__ = ["DOORS", "Door"]


@dataclass(frozen=True)
class Door:
    """A way into revisp.

    Attributes:
        name: what is called, and the format.
        files: all files that the call needs, by their relative paths.
        mutated: those of them that may be damaged.
        enter: the call, with the folder of the files; it may raise a `RevispError`, and nothing else.
        slow: whether it takes more than a few milliseconds: the short run goes through it once.
    """

    name: str
    files: Callable[[], dict[str, bytes]]
    mutated: Callable[[dict[str, bytes]], list[str]]
    enter: Callable[[Path], object]
    slow: bool = False


RAWS = ("dng", "plain.dng", "jxl.dng")
PREPARE = PrepareOptions(demosaic="bilinear", workers=1, val=())


def _one(name: str, seed: str, enter: Callable[[Path], object], *, file: str = "file", slow: bool = False) -> Door:
    return Door(name, lambda: {file: seeds.file(seed)}, list, lambda place: enter(place / file), slow)


def _in_folder(
    name: str, seed: str, enter: Callable[[Path], object], endings: Sequence[str] = ("",), *, slow: bool = False
) -> Door:
    """A folder of which only the files with some endings are damaged."""

    def mutated(files: dict[str, bytes]) -> list[str]:
        return [path for path in files if path.endswith(tuple(endings))]

    return Door(name, lambda: seeds.folder(seed), mutated, enter, slow)


def _beside(
    name: str, good: dict[str, str], bad: str, seed: str, enter: Callable[[Path], object], *, slow: bool = True
) -> Door:
    """A folder of good files and one that is damaged."""

    def files() -> dict[str, bytes]:
        return {**{path: seeds.file(each) for path, each in good.items()}, bad: seeds.file(seed)}

    return Door(name, files, lambda _: [bad], enter, slow)


@functools.cache
def _engine() -> revisp.ReverseISP:
    torch.manual_seed(0)
    return revisp.ReverseISP("unet", profile=SIMULATED.profile, **seeds.SMALL_MODEL).eval()  # type: ignore[arg-type]


def _predict_folder(place: Path) -> None:
    jobs = plan_conversions([place / "in"], place / "out")
    outcomes = {each.job.photo.name: each for each in convert_photos(_engine(), jobs, Choice(tile=64), workers=0)}
    assert outcomes["good.png"].error is None
    assert (place / "out" / "good.dng").is_file()
    error = outcomes[next(name for name in outcomes if name != "good.png")].error
    if error is not None and not isinstance(error, RevispError):
        raise error


def _prepare_folder(place: Path) -> None:
    """Prepare twice: the second run finds the good pictures done."""
    made = prepare([place / "in"], place / "out", PREPARE)
    assert any(entry.name.startswith("good") for entry in made.manifest.entries), "the good picture is lost"
    again = prepare([place / "in"], place / "out", PREPARE)
    assert any(name.startswith("good") for name in again.kept), "the good picture was made again"


def _prepare_pairs(place: Path) -> None:
    prepare([place], place.parent / f"{place.name}-out", PREPARE)
    shutil.rmtree(place.parent / f"{place.name}-out")


def _read_dataset(place: Path) -> None:
    for entry in read_manifest(place).entries:
        picture = PreparedPicture(place, entry)
        picture.check()
        if picture.has_overexposed:
            picture.overexposed()
        picture.valid_blocks()
        picture.read(0, 0, min(entry.height, 32), min(entry.width, 32))


def _train_data(place: Path) -> None:
    data = create_data("prepared", root=str(place), crop=32, batch_size=2, demosaic={"method": "bilinear"})
    next(iter(data.train_dataloader()))
    next(iter(data.val_dataloader()))


def _read_shards(place: Path) -> None:
    shards = Shards(place / "shards", place / "cache")
    shards.random_access("train-oe")[0].read(0, 0, 32, 32)


def _shard_tile(path: Path) -> None:
    read_tile(path.read_bytes(), "tile").read(0, 0, 32, 32)


def _onnx(path: Path) -> None:
    from revisp.convert.onnx import OnnxPipeline

    OnnxPipeline(path).bayer(torch.rand(3, 32, 32))


def _load_model(place: Path) -> None:
    revisp.from_pretrained(place / "model")


def _finished(path: Path) -> None:
    is_finished(Conversion(path.with_name("lost.jpg"), path), Choice(), as_engine(_engine()))


def _cell(place: Path) -> None:
    from revisp.benchmark.leaderboard import Row, markdown

    result = read_result(place)
    if result is not None:
        _ = result.words, result.bins if result.brightness else None
        markdown({"embedded": [Row("unet", (result,), (), {})]})


def _data_of_run(place: Path) -> None:
    """Open the data of a run as the page of pairs does; it names its own folder or none."""
    arguments = data_of_run(place)
    arguments["root"] = str(place / "set") if arguments.get("root") == "set" else str(place / "none")
    data = create_data(**arguments)
    data.setup("test")
    len(data.test_dataloader().dataset)


class _FixedEngines:
    """Stands for `revisp.app.prediction.Engines`: one small model, whatever is wished."""

    @staticmethod
    def find(wish: Wish) -> Engine:
        return as_engine(_engine())


def _upload(path: Path) -> None:
    """Predict an upload, look at it and download it, as the page does."""
    predicted = predict_photo(path, path.parent, _FixedEngines(), Wish())  # type: ignore[arg-type]
    predicted.to_dict()
    height, width = predicted.size
    for layer in predicted.layers.values():
        layer.read(Window(0, 0, height, width, 1, 1))
    predicted.write(Download(), path.parent)


def _wish(path: Path) -> None:
    try:
        values = parse(path.read_bytes())
    except ValueError as error:
        raise ConfigError(str(error)) from error
    (Wish if path.name == "wish" else Download).from_dict(values)


def _listen(path: Path) -> None:
    listen(os.open(path, os.O_RDONLY), Crashes())


def _gain_meaning(path: Path) -> None:
    """Read the parts of a gain map by themselves: in whole photos they are a small share of the bytes."""
    data, (height, width) = path.read_bytes(), (4, 6)
    meaning = GainFields.of_iso(data) if path.name == "iso" else GainFields.of_names(xmp_values(data, HDRGM))
    if meaning is not None:
        light = np.full((height, width, 3), 0.5, np.float32)
        assert np.isfinite(meaning.to_hdr(light, light)).all()


def _apple_gain(path: Path) -> None:
    data = path.read_bytes()
    exif = parse_exif(data if path.name == "exif" else None)
    headroom = apple_headroom(None if path.name == "exif" else data, exif)
    assert headroom is None or 1 <= headroom < 1000


def _coded_colours(path: Path) -> None:
    with contextlib.suppress(DamagedError):
        (av1_colours if path.name == "av1" else hevc_colours)(path.read_bytes())


def _submissions(place: Path) -> None:
    score_submissions(place / "given", place / "true", bits=12, metrics="aim")


DOORS: tuple[Door, ...] = (
    *(_one(f"read_photo: {kind}", kind, read_photo) for kind in PHOTOS),
    *(_one(f"read_record: {kind}", kind, read_record) for kind in ("jpeg", "png", "tiff", "webp")),
    *(_one(f"read_metadata: {kind}", kind, read_metadata) for kind in ("jpeg", "png", "tiff", "avif", "jxl")),
    *(_one(f"photo_size: {kind}", kind, photo_size) for kind in ("jpeg", "png", "tiff", "heif", "jxl")),
    *(_one(f"read_raw: {kind}", kind, read_raw, file="a.dng") for kind in RAWS),
    *(_one(f"read_preview: {kind}", kind, read_preview, file="a.dng") for kind in ("dng", "jxl.dng")),
    _one("read_linear_dng", "linear.dng", read_linear_dng),
    *(_one(f"read_provenance: {kind}", kind, read_provenance) for kind in ("dng", "linear.dng")),
    *(_one(f"is_finished: {kind}", kind, _finished, file="a.dng") for kind in ("dng",)),
    _one("is_finished: npy", "planes.npy", _finished, file="a.npy"),
    *(_one(f"read_mosaic: {kind}", kind, read_mosaic) for kind in ("mosaic.png", "mosaic.tiff", "mosaic.npy")),
    _one("read_mosaic: npz", "npz", read_mosaic, file="a.npy"),
    _one("read_planes", "planes.npy", lambda path: read_planes(path, SIMULATED.profile.cfa)),
    _one("read_challenge_npy", "planes.npy", read_challenge_npy, file="a.npy"),
    _one("read_challenge_npy: npz", "npz", read_challenge_npy, file="a.npy"),
    _one("read_scene: hdr", "hdr", read_scene, file="a.hdr"),
    _one("read_scene: exr", "exr", read_scene, file="a.exr"),
    _one("read_scene: ultrahdr", "ultrahdr.jpeg", read_scene, file="a.jpg"),
    _in_folder("read_scene: gain map", "gain map", lambda place: read_scene(place / "env.webp")),
    _one("CameraProfile.load", "profile", CameraProfile.load),
    _one("load_profile", "camera", load_profile),
    _one("load_camera", "camera", load_camera),
    _one("load_curve: camera", "camera", load_curve),
    _one("load_curve: list", "curve", load_curve),
    _in_folder("from_pretrained: config", "model", _load_model, (".json",)),
    _in_folder(
        "from_pretrained: weights", "model", _load_model, (".safetensors",)
    ),
    _in_folder(
        "from_pretrained: estimated", "estimated", _load_model, (".json",)
    ),
    *(
        _one(f"gain map: {name}", seed, _gain_meaning, file=name)
        for name, seed in (("xmp", "xmp"), ("iso", "iso map"))
    ),
    *(
        _one(f"Apple's gain map: {name}", seed, _apple_gain, file=name)
        for name, seed in (("xmp", "apple xmp"), ("exif", "apple exif"))
    ),
    *(_one(f"coded colours: {name}", name, _coded_colours, file=name) for name in ("av1", "hevc")),
    _one("read_packet", "xmp", lambda path: read_packet(path.read_bytes())),
    _in_folder("data_of_run", "yaml run", data_of_run, (".yaml",)),
    _in_folder("data of a run", "run", _data_of_run, (".yaml",)),
    *(
        _one(f"revisp-app: {seed}", seed, _upload, file=f"a.{ending}", slow=True)
        for seed, ending in (("jpeg", "jpg"), ("ultrahdr.jpeg", "jpg"), ("tiff16", "tif"), ("map.jxl", "jxl"))
    ),
    *(_one(f"revisp-app: {seed}", seed, _wish, file=seed) for seed in ("wish", "download")),
    _one("crash record", "crash record", _listen),
    _in_folder("read_manifest", "dataset", lambda place: read_manifest(place), (".jsonl",)),
    _in_folder("prepared data: manifest", "dataset", _read_dataset, (".jsonl",)),
    _in_folder("prepared data: arrays", "dataset", _read_dataset, (".npy",)),
    _in_folder("data for training", "dataset", _train_data, (".npy", ".jsonl"), slow=True),
    Door(
        "Journal.read", lambda: {"journal.jsonl": seeds.file("journal")}, list, lambda place: Journal(place).read()
    ),
    _in_folder("read_result", "cell", _cell),
    _in_folder("Shards: index", "shards", _read_shards, ("index.json",), slow=True),
    _in_folder("Shards: chunks", "shards", _read_shards, (".bin",), slow=True),
    _one("read_tile", "tile", _shard_tile),
    _in_folder("read_scene_list", "scenes", read_scene_list, (".json",)),
    _one("read_photo_list", "list", read_photo_list, file="a.txt"),
    _one("read_state_dict: pth", "weights.pth", read_state_dict, file="a.pth"),
    _one("read_state_dict: safetensors", "weights.safetensors", read_state_dict, file="a.safetensors"),
    _one("find_checkpoint", "weights.pth", lambda path: find_checkpoint(str(path), path.parent), file="last.ckpt"),
    _one("OnnxPipeline", "onnx", _onnx, file="a.onnx"),
    *(
        _beside(f"predict a folder: {kind}", {"in/good.png": "png"}, f"in/bad.{ending}", kind, _predict_folder)
        for kind, ending in (("jpeg", "jpg"), ("ultrahdr.jpeg", "jpg"), ("tiff16", "tiff"), ("avif", "avif"))
    ),
    *(
        _beside(f"prepare photos: {kind}", {"in/good.png": "png"}, f"in/bad.{ending}", kind, _prepare_folder)
        for kind, ending in (("jpeg", "jpg"), ("tiff", "tiff"), ("heif", "heic"))
    ),
    *(
        _beside(
            f"prepare RAW files: {kind}", {"in/good.png": "mosaic.png", "in/profile.json": "profile"},
            f"in/bad.{ending}", kind, _prepare_folder,
        )
        for kind, ending in (("dng", "dng"), ("mosaic.npy", "npy"), ("npz", "npy"), ("mosaic.tiff", "tiff"))
    ),
    _beside(
        "prepare mosaics: profile", {"in/good.png": "png", "in/raw/a.npy": "mosaic.npy"}, "in/raw/profile.json",
        "profile", _prepare_folder,
    ),
    _in_folder("prepare pairs", "pairs", _prepare_pairs, slow=True),
    _beside(
        "score_submissions", {"given/a.npy": "planes.npy", "true/a.npy": "planes.npy", "true/b.npy": "planes.npy"},
        "given/b.npy", "planes.npy", _submissions,
    ),
    _beside(
        "score_raw_files", {"true.dng": "plain.dng"}, "given.dng", "plain.dng",
        lambda place: score_raw_files(place / "given.dng", place / "true.dng"),
    ),
)  # fmt: skip
