"""One photo to its RAW, as ``revisp-predict`` makes it, with all that the page shows of it."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from revisp.app.development import development, light_histograms
from revisp.app.facts import Facts, assumed, declared
from revisp.app.layers import Layer, PhotoLayer, RawLayer
from revisp.camera.brightness import match_brightness
from revisp.convert.engine import Engine, TorchEngine
from revisp.convert.formats import Choice, Origin, check_writable, origin_of, predict_raw, write_raw
from revisp.convert.load import load_engine
from revisp.errors import ConfigError
from revisp.inference.predict import mask_of
from revisp.inference.tiles import Progress
from revisp.io.file_names import OUTPUT_ENDINGS
from revisp.io.photo import Photo, read_photo
from revisp.mask import overexposure_mask
from revisp.schema import Flag, Number, Text, Whole, build, check_fields

__all__ = ["Download", "Engines", "Predicted", "Wish", "predict_photo"]


@dataclass(frozen=True)
class Wish:
    """What a user wants to be predicted.

    Attributes:
        model: a model folder or exported graph; ``"default"``: the model in the package.
        camera: make and model of the camera whose RAW is wanted; empty: the model's own.
        headroom: EV by which clipped pixels exceed white; None: estimated.
        gain_map: whether overexposed pixels take their level from the photo's gain map.
        linear: a demosaiced RAW, for a linear DNG, instead of a mosaic.

    Raises:
        ConfigError: a value of another type.

    Example:
        >>> Wish.from_dict({"camera": "Nikon D850"}).model
        'default'
    """

    model: Text = "default"
    camera: Text = ""
    headroom: Number | None = None
    gain_map: Flag = True
    linear: Flag = False

    def __post_init__(self) -> None:
        check_fields(self, "settings", ConfigError)

    @classmethod
    def from_dict(cls, values: Any) -> Wish:
        """Build it from JSON values.

        Raises:
            ConfigError: a field is unknown or wrong.
        """
        return build(cls, values, "settings", ConfigError)


@dataclass(frozen=True)
class Download:
    """What a user wants to download.

    Attributes:
        ending: of the file: ``.dng``, ``.npy``, ``.tiff`` or ``.png``.
        bits: of ``.npy``: 10 or 12.
        compression: of ``.dng``, as for `revisp.io.write_dng`.
        plain_dng: a DNG without preview, uncompressed, with the values as predicted.
        strip_location: leave coordinates and names of places out of a DNG.

    Raises:
        ConfigError: an unknown ending, or a value of another type.
    """

    ending: Text = ".dng"
    bits: Whole = 10
    compression: Text = "jpeg"
    plain_dng: Flag = False
    strip_location: Flag = False

    def __post_init__(self) -> None:
        check_fields(self, "download", ConfigError)
        if self.ending not in OUTPUT_ENDINGS:
            raise ConfigError(
                f"the ending of a download is one of {', '.join(OUTPUT_ENDINGS)}, not {self.ending!r}"
            )

    @classmethod
    def from_dict(cls, values: Any) -> Download:
        """Build it from JSON values.

        Raises:
            ConfigError: a field is unknown or wrong.
        """
        return build(cls, values, "download", ConfigError)


class Engines:
    """Models in memory, each loaded as ``revisp-predict`` loads it; the last one stays.

    Args:
        device: as for `revisp.convert.load_engine`.

    Example:
        >>> Engines("cpu").find(Wish(camera="Nikon D850")).profile.name
        'Nikon D850'
    """

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._load = functools.lru_cache(maxsize=2)(self._load_engine)

    def find(self, wish: Wish) -> Engine:
        """Return the engine that fulfils a wish.

        Raises:
            RevispError: as for `revisp.convert.load_engine`.
        """
        return self._load(wish.model, wish.camera.strip(), wish.headroom)

    def _load_engine(self, model: str, camera: str, headroom: float | None) -> Engine:
        return load_engine(model, device=self.device, camera=camera or None, headroom=headroom)


@dataclass(frozen=True)
class Predicted:
    """A predicted RAW and what is shown of it.

    Attributes:
        wish: what was predicted.
        engine: what predicted it.
        folder: where the layers are stored.
        size: height and width of the photo.
        layers: ``"photo"`` and ``"raw"``.
        origin: what files tell of the photo.
        develop: the numbers of `revisp.app.development.development`.
        histograms: of `revisp.app.development.light_histograms`.
        declared: what the photo's file says.
        assumed: what the model assumes.
        notes: warnings of the reading and the prediction.
    """

    wish: Wish
    engine: Engine
    folder: Path
    size: tuple[int, int]
    layers: dict[str, Layer]
    origin: Origin
    develop: dict[str, Any]
    histograms: dict[str, Any]
    declared: Facts
    assumed: Facts
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what the page shows, as JSON values."""
        shown = ("develop", "histograms", "declared", "assumed", "notes")
        return {
            "height": self.size[0],
            "width": self.size[1],
            "wish": {field.name: getattr(self.wish, field.name) for field in fields(self.wish)},
            **{name: getattr(self, name) for name in shown},
        }

    def write(self, download: Download, folder: Path) -> Path:
        """Write the RAW to a file in a folder, as ``revisp-predict`` writes it, and return its path.

        Raises:
            OutputError: the file cannot be written.
            ConfigError: the RAW cannot be written in that format.
        """
        assert self.origin.photo is not None
        output = folder / f"{self.origin.photo.stem}{download.ending}"
        choice = Choice(
            download.bits,
            compression=download.compression,
            plain_dng=download.plain_dng,
            strip_location=download.strip_location,
            linear_dng=self.wish.linear,
            gain_map=self.wish.gain_map,
        )
        check_writable(self.engine, output, choice)
        raw = self.layers["raw"]
        assert isinstance(raw, RawLayer)
        write_raw(output, raw.values(), self.engine, self.origin, choice)
        return output


def predict_photo(
    path: Path, folder: Path, engines: Engines, wish: Wish, progress: Progress | None = None
) -> Predicted:
    """Read a photo and predict its RAW.

    Args:
        path: the photo.
        folder: where the layers are stored.
        engines: the models.
        wish: what to predict.
        progress: called after each tile.

    Raises:
        RevispError: the photo or the model cannot be read, or a setting does not fit the model.

    Example:
        >>> import tempfile
        >>> from revisp.io import write_png
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.rand(3, 32, 48))
        ...     found = predict_photo(Path(folder, "photo.png"), Path(folder), Engines("cpu"), Wish())
        ...     found.write(Download(), Path(folder)).name, found.size
        ('photo.dng', (32, 48))
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        engine = engines.find(wish)
        photo = read_photo(path)
        choice = Choice(gain_map=wish.gain_map, linear_dng=wish.linear)
        check_writable(engine, path.with_suffix(".dng" if engine.profile is not None else ".npy"), choice)
        raw, note = predict_raw(engine, photo, choice, progress)
    mask = _mask(engine, photo)
    origin = origin_of(path, photo, raw, engine)
    profile = engine.profile
    bright = origin.brightness if profile is None else match_brightness(raw, photo.srgb, profile)
    known = development(profile, bright.gain + bright.rest)
    return Predicted(
        wish=wish,
        engine=engine,
        folder=folder,
        size=(photo.srgb.shape[-2], photo.srgb.shape[-1]),
        layers={
            "photo": PhotoLayer.write(folder / "photo.npy", photo.srgb, mask),
            "raw": RawLayer.write(folder / "raw.npy", raw, engine.cfa, profile),
        },
        origin=origin,
        develop=known,
        histograms=light_histograms(raw, engine.cfa, photo.srgb, known),
        declared=declared(photo),
        assumed=assumed(engine, photo, mask, origin.brightness, note),
        notes=tuple(dict.fromkeys(str(each.message) for each in caught if issubclass(each.category, UserWarning))),
    )


def _mask(engine: Engine, photo: Photo) -> torch.Tensor:
    """Return the overexposure mask ``[1, H, W]`` of the model, or the usual one for an exported graph."""
    with torch.inference_mode():
        if isinstance(engine, TorchEngine):
            return mask_of(engine.model, photo.srgb[None])[0].clone()
        return overexposure_mask(photo.srgb)
