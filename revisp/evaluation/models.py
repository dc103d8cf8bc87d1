"""A model on a data set."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from revisp.cfa import pack
from revisp.errors import ConfigError
from revisp.evaluation.scores import Evaluation, ImageScores, score_pair
from revisp.inference.predict import predict

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile
    from revisp.data.base import DataModule
    from revisp.pipeline import ReverseISP

__all__ = ["score_model"]


def score_model(
    model: ReverseISP,
    data: DataModule,
    *,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on all validation pictures of a data set, as the test at the end of a training does.

    Where the data set cuts its pictures into tiles (``data.val_tile``), each tile counts as an image, as in the
    challenges; their names get a number.

    Args:
        model: the pipeline; runs on the device it is on.
        data: a module of `revisp.data.create_data`.
        tile: pixels of a tile of the prediction (`revisp.predict`); None predicts each picture in one pass.
        progress: called with (pictures done, all pictures).

    Raises:
        ConfigError: model and data have different Bayer phases.
        DataError: the data set cannot be read.
    """
    cfa = model.cfa
    if data.profile.cfa is not cfa:
        raise ConfigError(f"the model predicts {cfa}, but the data are {data.profile.cfa}")
    if model.profile is not None and _camera(model.profile) != _camera(data.profile):
        warnings.warn(
            f"the model is made for {_camera(model.profile)}, the data are of {_camera(data.profile)}",
            stacklevel=2,
        )
    data.setup("test")
    loader = data.test_dataloader()
    total = len(loader)
    found: list[tuple[str, dict[str, float]]] = []
    for batch in loader:
        bayer = predict(model, batch.srgb, tile=tile).bayer.clamp(0, 1)
        planes, truth = (pack(x, cfa)[0] for x in (bayer, batch.bayer))
        scores = score_pair(planes, truth, batch.srgb[0], cfa=cfa, valid=batch.valid[0])
        found.append((batch.name[0], scores))
        if progress is not None:
            progress(len(found), total)
    return Evaluation(tuple(_numbered(found)))


def _camera(profile: CameraProfile) -> str:
    return f"{profile.make} {profile.model}".strip()


def _numbered(found: list[tuple[str, dict[str, float]]]) -> list[ImageScores]:
    """Number the tiles of pictures that have several."""
    tiles = Counter(name for name, _ in found)
    seen: Counter[str] = Counter()
    images = []
    for name, scores in found:
        images.append(ImageScores(f"{name}_{seen[name]}" if tiles[name] > 1 else name, scores))
        seen[name] += 1
    return images
