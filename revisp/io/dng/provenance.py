"""The note in a DNG that its RAW was predicted, so that nobody takes it for a sensor's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import tifffile

from revisp import __version__
from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.xmp import Property, property_values, simple_property

__all__ = ["Provenance", "read_provenance"]

_XMP = 700
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
"""IPTC's term for a photo that was changed by an algorithm."""


@dataclass(frozen=True)
class Provenance:
    """Where a predicted RAW comes from.

    Attributes:
        model: the model that predicted it.
        source: name of the photo's file.
        digest: SHA-256 of the photo's file, in hexadecimal digits.
        camera: make and model of the camera that took the photo.
        gain: EV by which the prediction was brightened before it was stored.
        release: the release of revisp.
        settings: hash of the model's files and of the options; empty if unknown.

    Example:
        >>> Provenance(model="default", source="photo.jpg").release == __version__
        True
    """

    model: str = ""
    source: str = ""
    digest: str = ""
    camera: str = ""
    gain: float = 0.0
    release: str = __version__
    settings: str = ""

    @classmethod
    def of_photo(
        cls, path: str | Path, *, model: str = "", camera: str = "", gain: float = 0.0, settings: str = ""
    ) -> Provenance:
        """Return the provenance of a RAW that was predicted from a photo, whose digest is computed.

        Raises:
            ImageError: the photo cannot be read.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from error
        return cls(model, path.name, digest, camera, gain, settings=settings)

    def properties(self) -> list[Property]:
        """Return the note as properties of XMP."""
        texts = {
            "Predicted": "True",
            "Release": self.release,
            "Model": self.model,
            "SourceFile": self.source,
            "SourceSHA256": self.digest,
            "SourceCamera": self.camera,
            "ExposureGain": f"{self.gain:.4f}",
            "Settings": self.settings,
        }
        note = [simple_property(f"revisp:{name}", text) for name, text in texts.items() if text]
        return [simple_property("Iptc4xmpExt:DigitalSourceType", _SOURCE_TYPE), *note]


def read_provenance(path: str | Path) -> Provenance | None:
    """Read the note of a DNG that revisp predicted; None for any other file.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from revisp.camera.simulate import SIMULATED
        >>> from revisp.io import write_dng
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     note = Provenance(model="default", source="photo.jpg")
        ...     write_dng(f"{folder}/a.dng", np.zeros((32, 32)), SIMULATED.profile, provenance=note)
        ...     read_provenance(f"{folder}/a.dng") == note
        True
    """
    try:
        with decoding(path), tifffile.TiffFile(path) as tiff:
            packet = tiff.pages.first.tags.valueof(_XMP)
    except ImageError:  # not a TIFF, or damaged
        return None
    note = property_values(packet if isinstance(packet, bytes) else b"", "revisp")
    if note.get("Predicted") != "True":
        return None
    try:
        gain = float(note.get("ExposureGain", 0.0))
    except ValueError:
        gain = 0.0
    return Provenance(
        model=note.get("Model", ""),
        source=note.get("SourceFile", ""),
        digest=note.get("SourceSHA256", ""),
        camera=note.get("SourceCamera", ""),
        gain=gain,
        release=note.get("Release", ""),
        settings=note.get("Settings", ""),
    )
