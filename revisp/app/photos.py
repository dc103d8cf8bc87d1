"""The photos of the page: uploaded, predicted one after the other, forgotten."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from revisp.app.layers import Layer
from revisp.app.prediction import Download, Engines, Predicted, Wish, predict_photo
from revisp.app.uploads import Upload, Uploads
from revisp.app.work import Task, Worker
from revisp.errors import DataError

__all__ = ["OpenPhoto", "Photos"]

MOST_PHOTOS = 24
"""Photos that are kept; a new one then replaces the oldest. One of 12 megapixels takes 100 MB of disk."""


class OpenPhoto:
    """A photo that was uploaded.

    Args:
        upload: its file.

    Attributes:
        task: its last prediction.
        predicted: the result of that; None until it is there.
    """

    def __init__(self, upload: Upload) -> None:
        self.path, self.folder = upload.path, upload.folder
        self.task = Task()
        self.predicted: Predicted | None = None
        self._predictions = 0

    def next_folder(self) -> Path:
        """Return a new folder for the layers of a prediction: those of the last one may still be read."""
        self._predictions += 1
        folder = self.folder / f"{self._predictions}"
        folder.mkdir()
        return folder

    @property
    def key(self) -> str:
        """What names it in addresses; it cannot be guessed."""
        return self.folder.name

    def result(self) -> Predicted:
        """Return the prediction.

        Raises:
            DataError: it is not there yet.
        """
        if self.predicted is None:
            raise DataError(f"{self.path.name}: not predicted yet")
        return self.predicted

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows, as JSON values."""
        shown = None if self.predicted is None else self.predicted.to_dict()
        return {"id": self.key, "name": self.path.name, "task": self.task.to_dict(), "predicted": shown}


class Photos:
    """All photos that are open.

    Args:
        uploads: where their files are.
        engines: the models.
        worker: predicts them.

    Example:
        >>> import torch
        >>> from revisp.io import write_png
        >>> with Uploads() as uploads:
        ...     photos, folder = Photos(uploads, Engines("cpu"), worker := Worker()), uploads.new_folder()
        ...     write_png(folder / "photo.png", torch.rand(3, 32, 48))
        ...     upload = photos.begin("photo.png")
        ...     upload.write((folder / "photo.png").read_bytes())
        ...     photo = photos.add(upload, Wish())
        ...     worker.close()
        ...     photo.task.state, photo.result().size
        ('done', (32, 48))
    """

    def __init__(self, uploads: Uploads, engines: Engines, worker: Worker) -> None:
        self._uploads, self._engines, self._worker = uploads, engines, worker
        self._open: OrderedDict[str, OpenPhoto] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, name: str) -> Upload:
        """Begin the upload of a photo."""
        return self._uploads.begin(name)

    def add(self, upload: Upload, wish: Wish) -> OpenPhoto:
        """Open a photo whose upload is complete, and predict it."""
        upload.close()
        photo = OpenPhoto(upload)
        with self._lock:
            self._open[photo.key] = photo
            oldest = [*self._open][:-MOST_PHOTOS]
        for key in oldest:
            self.remove(key)
        self.predict(photo, wish)
        return photo

    def drop(self, upload: Upload) -> None:
        """Remove an upload that was broken off."""
        upload.close()
        self._uploads.remove(upload.folder)

    def find(self, key: str) -> OpenPhoto:
        """Return a photo.

        Raises:
            DataError: it is not open.
        """
        with self._lock:
            if key not in self._open:
                raise DataError("this photo is no longer here: choose it again")
            return self._open[key]

    def predict(self, photo: OpenPhoto, wish: Wish) -> None:
        """Predict a photo anew; an older prediction that is not done is given up."""
        photo.task.cancel()
        task = photo.task = Task()

        def work() -> None:
            if photo.predicted is not None:
                self._uploads.remove(photo.predicted.folder)
                photo.predicted = None
            photo.predicted = predict_photo(photo.path, photo.next_folder(), self._engines, wish, task.progress)

        self._worker.submit(task, work, f"{photo.folder}/")

    def remove(self, key: str) -> None:
        """Forget a photo, and remove its files.

        Raises:
            DataError: it is not open.
        """
        photo = self.find(key)
        with self._lock:
            self._open.pop(key, None)
        photo.task.cancel()
        self._uploads.remove(photo.folder)

    def write(self, photo: OpenPhoto, download: Download) -> Path:
        """Write the RAW of a photo to a new folder, and return the file.

        Raises:
            RevispError: as for `Predicted.write`.
        """
        return photo.result().write(download, self._uploads.new_folder())

    @staticmethod
    def layer(photo: OpenPhoto, name: str) -> Layer:
        """Return a layer of a photo by its name.

        Raises:
            DataError: there is no such layer.
        """
        layers = photo.result().layers
        if name not in layers:
            raise DataError(f"{photo.path.name}: no layer {name!r}")
        return layers[name]
