"""Pairs of a user's own: predicted and scored one after the other, and shown beside the truth."""

from __future__ import annotations

import math
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from revisp.app.development import development, light_histograms
from revisp.app.facts import Facts, sensor_facts
from revisp.app.layers import Layer, PhotoLayer, RawLayer
from revisp.app.uploads import Uploads
from revisp.app.work import Task, Worker
from revisp.camera.brightness import match_brightness
from revisp.config import data_of_run
from revisp.convert.load import load_model
from revisp.data import create_data
from revisp.errors import ConfigError, DataError
from revisp.evaluation.prediction import fast_predictor
from revisp.evaluation.score_model import score_sample
from revisp.inference.predict import mask_of
from revisp.wording import counted

if TYPE_CHECKING:
    from revisp.data.base import DataModule
    from revisp.data.picture import Sample
    from revisp.pipeline import ReverseISP

__all__ = ["OpenPair", "PairSet", "PairSets", "find_data"]

MOST_PAIRS = 1000
"""Pairs of a set that are scored."""

MOST_OPEN = 4
"""Pairs of a set whose layers are kept."""

MOST_SETS = 4


@dataclass(frozen=True)
class OpenPair:
    """A pair that is looked at.

    Attributes:
        name: name of the picture.
        size: its height and width.
        folder: where the layers are stored.
        layers: ``"photo"``, ``"raw"`` (the prediction) and ``"truth"``.
        develop: as for `revisp.app.prediction.Predicted`.
        histograms: of the photo and of the true RAW, and of the prediction as ``predicted``.
        scores: figures by name; None where a region is empty.
        facts: what is known of it.
    """

    name: str
    size: tuple[int, int]
    folder: Path
    layers: dict[str, Layer]
    develop: dict[str, Any]
    histograms: dict[str, Any]
    scores: dict[str, float | None]
    facts: Facts

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows, as JSON values."""
        shown = {name: getattr(self, name) for name in ("name", "develop", "histograms", "scores", "facts")}
        return {"height": self.size[0], "width": self.size[1], **shown}


def find_data(source: str) -> tuple[dict[str, Any], str | None]:
    """Return which pairs are meant, and the model that was trained on them.

    Args:
        source: a folder that ``revisp-prepare`` or ``revisp-train`` made, or ``"embedded"``.

    Returns:
        Arguments of `revisp.data.create_data`; and the model folder of a run, else None.

    Raises:
        ConfigError: the folder is neither.
        DataError: the data of the run are a stream.

    Example:
        >>> find_data("embedded")
        ({'name': 'embedded'}, None)
    """
    if source == "embedded":
        return {"name": "embedded"}, None
    folder = Path(source).expanduser()
    if (folder / "manifest.jsonl").is_file():
        return {"name": "prepared", "root": str(folder)}, None
    if (folder / ".hydra").is_dir():
        arguments = data_of_run(folder)
        if arguments.get("name") == "stream":  # also: its address may be one of a network
            raise DataError(
                f"{folder}: a streamed data set has no order: take the data set that it was packed from"
            )
        return arguments, str(folder / "model")
    raise ConfigError(
        f"{source or 'no folder'}: give a data set of revisp-prepare, or a run folder of revisp-train"
    )


class PairSet:
    """The validation pairs of a data set, and how well a model predicts them.

    Args:
        data: the data set.
        model: the pipeline.

    Raises:
        ConfigError: model and data have different Bayer phases.
        DataError: the data set has no pairs that can be opened one by one.
    """

    def __init__(self, data: DataModule, model: ReverseISP) -> None:
        if model.cfa is not data.profile.cfa:
            raise ConfigError(f"the model predicts {model.cfa}, but the data are {data.profile.cfa}")
        data.setup("test")
        self._samples: Any = data.test_dataloader().dataset
        if not hasattr(self._samples, "__len__"):
            raise DataError("a streamed data set has no order: take the data set that it was packed from")
        self.data, self.model = data, model
        self._run = fast_predictor(model)
        self.key, self.task = secrets.token_urlsafe(12), Task()
        self.rows: list[dict[str, Any]] = []
        self._open: OrderedDict[int, OpenPair] = OrderedDict()
        self._lock = threading.Lock()

    def score(self) -> None:
        """Predict and score all pairs."""
        total = min(len(self._samples), MOST_PAIRS)
        for index in range(total):
            self.task.progress(index, total)
            sample: Sample = self._samples[index]
            with self._lock:  # hooks of networks that see the whole photo
                scores = score_sample(self._run, sample, cfa=self.model.cfa)[1]
            self.rows.append({"index": index, "name": sample.name, "scores": _known(scores)})
        self.task.progress(total, total)

    def to_dict(self) -> dict[str, Any]:
        """Return the scores so far as JSON values, the worst pair first."""
        rows = sorted(self.rows, key=lambda row: (row["scores"]["psnr"] is None, row["scores"]["psnr"]))
        return {"id": self.key, "task": self.task.to_dict(), "camera": self.data.profile.name, "pairs": rows}

    def open(self, index: int, uploads: Uploads) -> OpenPair:
        """Predict a pair and keep its layers.

        Raises:
            DataError: there is no such pair.
        """
        if not 0 <= index < len(self._samples):
            raise DataError(f"the data set has {counted(len(self._samples), 'pair')}, and none of number {index}")
        with self._lock:
            if index not in self._open:
                self._open[index] = self._predict(self._samples[index], uploads.new_folder())
            while len(self._open) > MOST_OPEN:
                uploads.remove(self._open.popitem(last=False)[1].folder)
            return self._open[index]

    def close(self, uploads: Uploads) -> None:
        """Stop the scoring, and remove the layers of all pairs."""
        self.task.cancel()
        with self._lock:
            while self._open:
                uploads.remove(self._open.popitem()[1].folder)

    def _predict(self, sample: Sample, folder: Path) -> OpenPair:
        bayer, scores = score_sample(self._run, sample, cfa=self.model.cfa)
        truth, profile, cfa = sample.bayer.clamp(0, 1), self.data.profile, self.model.cfa
        bright = match_brightness(truth, sample.srgb, profile)
        known = development(profile, bright.gain + bright.rest)
        mask = mask_of(self.model, sample.srgb[None])[0]
        histograms = light_histograms(truth, cfa, sample.srgb, known)
        histograms["predicted"] = light_histograms(bayer, cfa, sample.srgb, known)["raw"]
        height, width = sample.srgb.shape[-2:]
        return OpenPair(
            name=sample.name,
            size=(height, width),
            folder=folder,
            layers={
                "photo": PhotoLayer.write(folder / "photo.npy", sample.srgb, mask),
                "raw": RawLayer.write(folder / "raw.npy", bayer, cfa, profile),
                "truth": RawLayer.write(folder / "truth.npy", truth, cfa, profile),
            },
            develop=known,
            histograms=histograms,
            scores=_known(scores),
            facts=[("Size", f"{width} × {height} pixels"), *sensor_facts(profile)],
        )


class PairSets:
    """All sets of pairs that are open.

    Args:
        uploads: where layers are stored.
        worker: scores the pairs.
        device: as for `revisp.convert.load_model`.
    """

    def __init__(self, uploads: Uploads, worker: Worker, device: str = "auto") -> None:
        self.uploads, self._worker, self._device = uploads, worker, device
        self._open: OrderedDict[str, PairSet] = OrderedDict()

    def add(self, source: str, model: str) -> PairSet:
        """Open a set and begin to score it.

        Args:
            source: as for `find_data`.
            model: a model folder; empty: that of the run, or the one in the package.

        Raises:
            RevispError: the data set or the model cannot be read, or they do not fit each other.
        """
        arguments, own = find_data(source)
        found = PairSet(create_data(**arguments), load_model(model or own, self._device))
        self._open[found.key] = found
        while len(self._open) > MOST_SETS:
            self._open.popitem(last=False)[1].close(self.uploads)
        self._worker.submit(found.task, found.score)
        return found

    def find(self, key: str) -> PairSet:
        """Return a set.

        Raises:
            DataError: it is not open.
        """
        if key not in self._open:
            raise DataError("this data set is no longer open: open it again")
        return self._open[key]

    def layer(self, key: str, index: int, name: str) -> Layer:
        """Return a layer of a pair.

        Raises:
            DataError: there is no such pair or layer.
        """
        pair = self.find(key).open(index, self.uploads)
        if name not in pair.layers:
            raise DataError(f"{pair.name}: no layer {name!r}")
        return pair.layers[name]


def _known(scores: dict[str, float]) -> dict[str, float | None]:
    """Return scores as JSON can hold them: None for an empty region."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
