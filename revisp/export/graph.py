"""The exported graph, from the pixels of a photo to its Bayer mosaic, and the metadata of the file."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

import revisp
from revisp.backbones.estimated import Estimated
from revisp.backbones.unet import UNet
from revisp.camera.place import Place, place_map
from revisp.camera.profile import Profile
from revisp.cfa import CFA, sample_mask, unpack
from revisp.errors import ConfigError, WeightsError
from revisp.io.boundary import decoding, first_line
from revisp.mosaic import Mosaic
from revisp.padding import append_mirrored
from revisp.pipeline.build import Branches
from revisp.schema import Flag, Text, Whole, build, check_fields, parse
from revisp.tile_memory import measure_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from revisp.pipeline import ReverseISP

__all__ = [
    "GAIN_NAME",
    "INPUT_NAME",
    "OUTPUT_NAME",
    "PHOTO_NAME",
    "PLACE_NAME",
    "Check",
    "GraphInfo",
    "PhotoToBayer",
    "check_graph",
    "example",
    "place_input",
]

INPUT_NAME, OUTPUT_NAME = "srgb", "bayer"
"""Names of the input and output of the graph."""

PHOTO_NAME = "photo"
"""Name of the second input of a graph on an estimated base: the whole photo that the first is a tile of."""

GAIN_NAME = "gain"
"""Name of the input of a graph that sees gain maps: what the photo's map says at the pixels of each tile."""

PLACE_NAME = "place"
"""Name of the last input of a graph that knows where in its photo a pixel lies: the place of each tile."""

METADATA_FORMAT = 1
CHECKED_SIZES = ((1, 16, 16), (2, 17, 31), (1, 33, 16), (3, 50, 65), (1, 96, 160))
"""Photos, height and width of the checks of a graph: smallest, odd, not a multiple of anything, large."""
LARGEST_DIFFERENCE = 1e-4
"""Largest allowed difference from the pipeline, on a scale from black 0 to white 1."""


class PhotoToBayer(nn.Module):
    """The pipeline as a graph of one output.

    A model on an estimated base judges the whole photo. So that tiles of one photo agree, its graph takes the
    photo as a second input, of any height and width: whole or reduced. For a photo in one piece both inputs are
    the same. The graph of a model whose result depends on the place in the photo takes it as the last input, int64
    ``[B, 4]``: first row and column of each tile, and height and width of its photo. Before it comes the gain map,
    if ``gain`` asks for it.

    Args:
        model: the pipeline, in evaluation mode.
        uint8: take and return integers, as in files.
        gain: take what the photos' gain maps say as another input: EV ``[B, 1, H, W]``, NaN where there is none.
            Otherwise photos have no maps.
        parts: also return, of two networks, the fused RAW, the part of the second network, and whether any pixel
            takes the first.

    Shape:
        ``[B, 3, H, W]`` in [0, 1] to ``[B, 1, H, W]`` in [0, 1]; or, with ``uint8``, bytes ``[B, H, W, 3]`` to
        uint16 ``[B, H, W]`` in the units of the model's camera, as `CameraProfile.quantise` returns them.

    Raises:
        ConfigError: ``uint8`` is set and the model has no camera profile, so it has no integer units; or ``gain``
            is set and the model does not see gain maps.
    """

    def __init__(self, model: ReverseISP, *, uint8: bool = False, gain: bool = False, parts: bool = False) -> None:
        super().__init__()
        self.parts = parts and len(model.branches) > 1
        self.model = copy.deepcopy(model)
        self.model.frame.pad = append_mirrored
        self.model.mosaic = _MosaicByComparison(self.model.cfa)
        for network in self.model.modules():
            if isinstance(network, UNet):
                network.join_blocks()
        self.uint8 = uint8
        self.gain = gain
        if gain and not model.config["gain_channel"]:
            raise ConfigError("the model does not see gain maps, so its graph takes none: leave out gain")
        if uint8 and model.profile is None:
            raise ConfigError("the model has no camera profile, so its RAW has no integer units: leave out uint8")
        black = (0.0,) * 4 if model.profile is None else model.profile.black_level
        self.register_buffer("black", torch.tensor(black).reshape(4, 1, 1), persistent=False)

    @property
    def judges(self) -> bool:
        """Whether the graph takes the whole photo."""
        return isinstance(self.model.base, Estimated)

    def inputs(self, srgb: Tensor) -> dict[str, Tensor]:
        """Return the inputs of the graph by name, in order, for photos in one piece with a made-up gain map."""
        inputs = {INPUT_NAME: srgb}
        if self.judges:
            inputs[PHOTO_NAME] = srgb
        if self.gain:
            inputs[GAIN_NAME] = self._example_gain(srgb)
        if self.model.needs_place:
            height, width = srgb.shape[1:3] if self.uint8 else srgb.shape[-2:]
            inputs[PLACE_NAME] = place_input(Place(0, 0, height, width), len(srgb))
        return inputs

    def forward(
        self,
        srgb: Tensor,
        photo: Tensor | None = None,
        gain: Tensor | None = None,
        place: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Return the mosaic of photos, or of tiles of photos; after it the parts, if they are asked for."""
        if self.uint8:
            srgb, photo = _from_bytes(srgb), None if photo is None else _from_bytes(photo)
        mosaic, *parts = self._mosaic(srgb, photo, gain, place)
        stored = self._stored(mosaic)
        return (stored, *parts) if self.parts else stored

    def _stored(self, mosaic: Tensor) -> Tensor:
        """Return a mosaic as the graph gives it."""
        profile = self.model.profile
        if not self.uint8 or profile is None:
            return mosaic
        height, width = mosaic.shape[-2:]
        planes = self.get_buffer("black").expand(4, (height + 1) // 2, (width + 1) // 2)
        black = unpack(planes, profile.cfa)[..., :height, :width]
        stored = torch.round(mosaic * (profile.white_level - black) + black)
        top = min(float(profile.white_level), 2.0**profile.bits - 1)
        return stored.clamp(0.0, top)[:, 0].to(torch.uint16)

    def _mosaic(
        self, srgb: Tensor, photo: Tensor | None, gain: Tensor | None, place: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Run the steps of the pipeline that lead to ``bayer``; return it and, of two networks, the parts."""
        model = self.model
        mask = model.overexposure_mask(srgb)
        estimate = None if photo is None else model.estimate(photo)
        there = None if place is None else place_map(srgb.shape[-2], srgb.shape[-1], place)
        parts, _ = model.run_branches(srgb, mask, estimate=estimate, gain=gain, place=there)
        shares = model.shares(mask)
        raw = model.mix(parts, shares)
        if gain is None:
            bayer = model.refined(model.to_bayer(raw))
        else:
            bayer = model.refined(model.raised(model.finish(raw, mask, {}), gain).mosaiced)
        if not self.parts:
            return (bayer,)
        return bayer, raw, parts["noe"], shares["oe"].amax(dim=(0, 1, 2, 3)) > 0

    def expected(self, srgb: Tensor) -> Tensor:
        """Return the expected output of the graph, computed by the pipeline."""
        profile, gain = self.model.profile, self._example_gain(srgb) if self.gain else None
        if not self.uint8 or profile is None:
            bayer: Tensor = self.model(srgb, gain=gain).bayer
            return bayer
        mosaics = self.model(_from_bytes(srgb), gain=gain).bayer[:, 0]
        return torch.from_numpy(np.stack([profile.quantise(mosaic) for mosaic in mosaics.numpy()]))

    def _example_gain(self, srgb: Tensor) -> Tensor:
        """Return gain maps of made-up photos: none on the left, brighter highlights on the right."""
        photos = _from_bytes(srgb) if self.uint8 else srgb
        gain = 3 * photos.amax(dim=1, keepdim=True) - 1
        gain[..., : gain.shape[-1] // 2] = torch.nan
        return gain


class _MosaicByComparison(Mosaic):
    """The same mosaic, without assignments: in a graph these copy the picture many times."""

    def forward(self, raw_rgb: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """Map ``[B, 3, H, W]`` to ``[B, 1, H, W]``."""
        cfa, (height, width) = self.cfa.crop(top, left), raw_rgb.shape[-2:]
        measured = sample_mask(cfa, height, width, device=raw_rgb.device)
        (red, green, blue), (is_red, _, is_blue) = raw_rgb.split(1, dim=1), measured.split(1)
        return torch.where(is_red, red, torch.where(is_blue, blue, green))


MOST_REACH = 2**20
"""Greatest reach and alignment, in pixels."""

MOST_PIXEL_BYTES = 2**20
"""Most bytes of a pixel that a tile takes."""

TRIAL_SIDE = 128
"""Side of the photo on which the memory of a pipeline is measured."""


@dataclass(frozen=True)
class GraphInfo:
    """The metadata of an exported file: JSON under the key ``revisp``.

    Attributes:
        name: name of the model.
        backbone: name of its network.
        branches: ``"separate"``, ``"shared"`` or ``"plain"``.
        cfa: phase of the mosaic.
        profile: the camera, needed to write a DNG; None if the model has none.
        reach: largest distance, in rows or columns, from an output pixel to an input pixel that it depends on.
            Pixels that far inside a tile are exact. None: it depends on the whole tile.
        align: start and size of a tile must be multiples of this.
        uint8: whether the graph takes uint8 and returns uint16 (`PhotoToBayer`).
        precision: ``"fp32"`` or ``"int8"``.
        version: version of revisp that exported it.
        photo: whether the graph takes the whole photo as a second input.
        gain: whether the graph takes what the photo's gain map says.
        place: whether the graph takes the place of each tile as its last input.
        pixel_bytes: memory that a tile takes for each of its pixels, as torch runs the networks.
    """

    name: Text
    backbone: Text
    branches: Branches
    cfa: CFA
    profile: Profile | None
    reach: Annotated[Whole, Field(le=MOST_REACH)] | None
    align: Annotated[Whole, Field(ge=1, le=MOST_REACH)]
    uint8: Flag
    precision: Literal["fp32", "int8"] = "fp32"
    version: Text = revisp.__version__
    photo: Flag = False
    gain: Flag = False
    place: Flag = False
    pixel_bytes: Annotated[Whole, Field(ge=1, le=MOST_PIXEL_BYTES)] = 1024

    def __post_init__(self) -> None:
        check_fields(self, "", WeightsError)

    @classmethod
    def of(cls, model: ReverseISP, name: str, *, uint8: bool = False, gain: bool = False) -> GraphInfo:
        """Return the metadata of a pipeline in evaluation mode."""
        memory = measure_memory(model, lambda: model(torch.zeros(1, 3, TRIAL_SIDE, TRIAL_SIDE)), TRIAL_SIDE**2)
        return cls(
            name=name,
            backbone=model.config["backbone"],
            branches=model.config["branches"],
            cfa=model.cfa,
            profile=model.profile,
            reach=model.reach_by_gain.pixels if gain else model.reach.pixels,
            align=model.reach.align,
            uint8=uint8,
            photo=isinstance(model.base, Estimated),
            gain=gain,
            place=model.needs_place,
            pixel_bytes=min(math.ceil(memory.pixel), MOST_PIXEL_BYTES),
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs, in order."""
        told = {PHOTO_NAME: self.photo, GAIN_NAME: self.gain, PLACE_NAME: self.place}
        return (INPUT_NAME, *(name for name, taken in told.items() if taken))

    def encode(self, srgb: Tensor) -> Tensor:
        """Convert photos ``[B, 3, H, W]`` in [0, 1] to the input of the graph; bytes are rounded."""
        return _to_bytes(srgb) if self.uint8 else srgb.float()

    def decode(self, output: Tensor) -> Tensor:
        """Convert the output of the graph to mosaics ``[B, 1, H, W]``, black 0 and white 1."""
        if not self.uint8 or self.profile is None:
            return output
        return torch.from_numpy(self.profile.normalise(output.numpy()))[:, None]

    def to_json(self) -> str:
        """Return the metadata as JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        profile = None if self.profile is None else self.profile.to_dict()
        return json.dumps({"format": METADATA_FORMAT, **fields, "cfa": self.cfa.value, "profile": profile})

    @classmethod
    def from_json(cls, text: str | None, path: object) -> GraphInfo:
        """Read the metadata of a file.

        Raises:
            WeightsError: the metadata are missing, damaged, or of a format that this revisp does not read.
        """
        if text is None:
            raise WeightsError(f"{path}: no revisp metadata (camera, tiling): export it by revisp-export")
        with decoding(str(path), "its revisp metadata is damaged", WeightsError):
            values = parse(text)
            if not isinstance(values, dict) or "format" not in values:
                raise ValueError("without a format")
            version = values.pop("format")
        if version != METADATA_FORMAT:
            shown = ascii(version)[:20]
            raise WeightsError(
                f"{path}: format {shown}, but this revisp reads format {METADATA_FORMAT}: update revisp"
            )
        try:
            return build(cls, values, "", WeightsError)
        except WeightsError as error:
            raise WeightsError(f"{path}: its revisp metadata is damaged ({error})") from error


def place_input(place: Place, tiles: int = 1) -> Tensor:
    """Return the input of a graph for some tiles of one place, int64 ``[tiles, 4]``."""
    return torch.tensor([place] * tiles, dtype=torch.int64)


def example(photos: int, height: int, width: int, *, uint8: bool = False) -> Tensor:
    """Return photos of noise with an overexposed corner; every call returns the same."""
    generator = torch.Generator().manual_seed(height * width)
    srgb = torch.rand(photos, 3, height, width, generator=generator)
    srgb[..., : height // 2, : width // 3] = 1
    return _to_bytes(srgb) if uint8 else srgb


def _from_bytes(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


def _to_bytes(srgb: Tensor) -> Tensor:
    return (srgb.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous()


@dataclass(frozen=True)
class Check:
    """The comparison of a graph with its pipeline.

    Attributes:
        difference: the largest difference.
        tolerance: the largest allowed difference. For uint16 it is one unit, or more if white is far from black.
    """

    difference: float
    tolerance: float

    def __str__(self) -> str:
        sizes = ", ".join(f"{height}x{width}" for _, height, width in CHECKED_SIZES)
        return f"largest difference from torch {self.difference:.2g} at {sizes} (allowed: {self.tolerance:.2g})"


def check_graph(graph: PhotoToBayer, run: Callable[[Mapping[str, Tensor]], Tensor], what: str) -> Check:
    """Compare an exported graph with the pipeline at several sizes.

    Args:
        graph: the pipeline.
        run: runs the exported graph on its inputs by name.
        what: name of the graph in messages.

    Raises:
        WeightsError: the outputs differ in shape or by more than the tolerance, or the exported graph fails.
    """
    profile = graph.model.profile if graph.uint8 else None
    tolerance = LARGEST_DIFFERENCE if profile is None else 1 + math.floor(LARGEST_DIFFERENCE * profile.white_level)
    largest = 0.0
    for photos, height, width in CHECKED_SIZES:
        srgb = example(photos, height, width, uint8=graph.uint8)
        with torch.inference_mode():
            expected = graph.expected(srgb).float()
            try:
                found = run(graph.inputs(srgb)).float()
            except Exception as error:  # the exceptions of onnxruntime have no common base
                raise WeightsError(
                    f"{what} is not written: at {height}x{width} pixels its graph fails: {first_line(error)}"
                ) from error
        shapes = f"{list(found.shape)} instead of {list(expected.shape)}"
        if found.shape != expected.shape:
            raise WeightsError(f"{what} is not written: at {height}x{width} pixels its graph gives {shapes}")
        difference = (found - expected).abs().max().item()
        if not difference <= tolerance:
            raise WeightsError(
                f"{what} is not written: at {height}x{width} pixels its graph differs from the model by "
                f"{difference:.2g}, more than {tolerance:.2g}"
            )
        largest = max(largest, difference)
    return Check(largest, tolerance)
