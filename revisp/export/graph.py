"""What is exported: a photo's pixels in, its Bayer mosaic out, and what a reader of the file must know."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

import revisp
from revisp.camera.profile import CameraProfile
from revisp.cfa import CFA, unpack
from revisp.errors import ConfigError, RevispError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from revisp.pipeline import ReverseISP

__all__ = ["INPUT", "OUTPUT", "Check", "GraphInfo", "PhotoToBayer", "check_graph", "example", "first_line"]

INPUT, OUTPUT = "srgb", "bayer"
"""Names of the graph's input and output."""

FORMAT = 1
CHECKED = ((1, 16, 16), (2, 17, 31), (1, 33, 16), (3, 50, 65), (1, 96, 160))
"""Photos, height and width that a graph is checked at: least, odd, no multiple of anything, large."""
TOLERANCE = 1e-4
"""Largest difference from the pipeline that is let pass, on a scale from black 0 to white 1."""


class PhotoToBayer(nn.Module):
    """The pipeline as a graph of one input and one output.

    Args:
        model: the pipeline, in evaluation mode.
        uint8: take and give integers, as files hold them.

    Shape:
        ``[B, 3, H, W]`` in [0, 1] to ``[B, 1, H, W]`` in [0, 1]; or, with ``uint8``, bytes ``[B, H, W, 3]`` to
        uint16 ``[B, H, W]`` in the units of the model's camera: what `CameraProfile.quantise` gives.

    Raises:
        ConfigError: integers are wanted of a model without a camera profile, which has no units.
    """

    def __init__(self, model: ReverseISP, *, uint8: bool = False) -> None:
        super().__init__()
        self.model = model
        self.uint8 = uint8
        if uint8 and model.profile is None:
            raise ConfigError(
                "the model knows no camera profile, so its RAW has no integer units: leave out uint8"
            )
        black = (0.0,) * 4 if model.profile is None else model.profile.black_level
        self.register_buffer("black", torch.tensor(black).reshape(4, 1, 1), persistent=False)

    def forward(self, srgb: Tensor) -> Tensor:
        """Return the mosaic of photos."""
        profile = self.model.profile
        if not self.uint8 or profile is None:
            return self._mosaic(srgb)
        mosaic = self._mosaic(srgb.permute(0, 3, 1, 2).float() / 255)
        height, width = mosaic.shape[-2:]
        planes = self.get_buffer("black").expand(4, (height + 1) // 2, (width + 1) // 2)
        black = unpack(planes, profile.cfa)[..., :height, :width]
        stored = torch.round(mosaic * (profile.white_level - black) + black)
        top = min(float(profile.white_level), 2.0**profile.bits - 1)
        return stored.clamp(0.0, top)[:, 0].to(torch.uint16)

    def _mosaic(self, srgb: Tensor) -> Tensor:
        """Do what the pipeline does for ``bayer``, and no more."""
        model = self.model
        mask = model.overexposure_mask(srgb)
        parts, _ = model.run_branches(srgb, mask)
        return model.refined(model.to_bayer(model.mix(parts, model.shares(mask))))

    def expected(self, srgb: Tensor) -> Tensor:
        """Return what the graph should give, by the pipeline itself."""
        profile = self.model.profile
        if not self.uint8 or profile is None:
            bayer: Tensor = self.model(srgb).bayer
            return bayer
        mosaics = self.model(srgb.permute(0, 3, 1, 2) / 255).bayer[:, 0]
        return torch.from_numpy(np.stack([profile.quantise(mosaic) for mosaic in mosaics.numpy()]))


@dataclass(frozen=True)
class GraphInfo:
    """What an exported file says of itself, as JSON under the key ``revisp`` of its metadata.

    Attributes:
        name: name of the model.
        backbone: its network.
        branches: ``"separate"``, ``"shared"`` or ``"plain"``.
        cfa: phase of the mosaic.
        profile: the camera, needed to write a DNG; None if the model knows none.
        reach: farthest distance, in rows or columns, of an input pixel that an output pixel depends on: what lies
            so far inside a tile is exact. None if that is the whole photo.
        align: tiles must start at, and be as large as, multiples of this.
        uint8: whether the graph takes uint8 and gives uint16, as `PhotoToBayer` tells.
        precision: ``"fp32"`` or ``"int8"``.
        version: the revisp that exported it.
    """

    name: str
    backbone: str
    branches: str
    cfa: CFA
    profile: CameraProfile | None
    reach: int | None
    align: int
    uint8: bool
    precision: Literal["fp32", "int8"] = "fp32"
    version: str = revisp.__version__

    @classmethod
    def of(cls, model: ReverseISP, name: str, *, uint8: bool = False) -> GraphInfo:
        """Describe a pipeline that is to be exported."""
        return cls(
            name=name,
            backbone=model.config["backbone"],
            branches=model.config["branches"],
            cfa=model.cfa,
            profile=model.profile,
            reach=model.reach.pixels,
            align=model.reach.align,
            uint8=uint8,
        )

    def encode(self, srgb: Tensor) -> Tensor:
        """Turn photos ``[B, 3, H, W]`` in [0, 1] into what the graph takes; bytes are rounded."""
        return _to_bytes(srgb) if self.uint8 else srgb.float()

    def decode(self, output: Tensor) -> Tensor:
        """Turn what the graph gives into mosaics ``[B, 1, H, W]``, black 0 and white 1."""
        if not self.uint8 or self.profile is None:
            return output
        return torch.from_numpy(self.profile.normalise(output.numpy()))[:, None]

    def to_json(self) -> str:
        """Return the metadata."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        profile = None if self.profile is None else self.profile.to_dict()
        return json.dumps({"format": FORMAT, **fields, "cfa": self.cfa.value, "profile": profile})

    @classmethod
    def from_json(cls, text: str | None, path: object) -> GraphInfo:
        """Read the metadata of a file.

        Raises:
            WeightsError: there is none, or not of the kind that this revisp reads.
        """
        if text is None:
            raise WeightsError(f"{path}: no revisp metadata (camera, tiling): export it by revisp-export")
        try:
            values: dict[str, Any] = json.loads(text)
            if (version := values.pop("format")) != FORMAT:
                raise WeightsError(
                    f"{path}: format {version}, but this revisp reads format {FORMAT}: update revisp"
                )
            profile = values.pop("profile")
            profile = None if profile is None else CameraProfile.from_dict(profile)
            return cls(**{**values, "cfa": CFA.parse(values["cfa"]), "profile": profile})
        except WeightsError:
            raise
        except (RevispError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(f"{path}: its revisp metadata is damaged ({error})") from error


def example(photos: int, height: int, width: int, *, uint8: bool = False) -> Tensor:
    """Return photos of noise with an overexposed corner, the same every time."""
    generator = torch.Generator().manual_seed(height * width)
    srgb = torch.rand(photos, 3, height, width, generator=generator)
    srgb[..., : height // 2, : width // 3] = 1
    return _to_bytes(srgb) if uint8 else srgb


def _to_bytes(srgb: Tensor) -> Tensor:
    return (srgb.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous()


@dataclass(frozen=True)
class Check:
    """How a graph compares with the pipeline that it was made from.

    Attributes:
        difference: the largest one.
        tolerance: what would have been let pass; one unit of uint16, or more where white is far from black.
    """

    difference: float
    tolerance: float

    def __str__(self) -> str:
        sizes = ", ".join(f"{height}x{width}" for _, height, width in CHECKED)
        return f"largest difference from torch {self.difference:.2g} at {sizes} (allowed: {self.tolerance:.2g})"


def check_graph(graph: PhotoToBayer, run: Callable[[Tensor], Tensor], what: str) -> Check:
    """Compare an exported graph with the pipeline at several sizes.

    Args:
        graph: the pipeline.
        run: runs the exported graph.
        what: its name, for the message.

    Raises:
        WeightsError: they differ by more than the tolerance, or in shape, or the exported one fails.
    """
    profile = graph.model.profile if graph.uint8 else None
    tolerance = TOLERANCE if profile is None else 1 + math.floor(TOLERANCE * profile.white_level)
    largest = 0.0
    for photos, height, width in CHECKED:
        srgb = example(photos, height, width, uint8=graph.uint8)
        with torch.inference_mode():
            expected = graph.expected(srgb).float()
            try:
                found = run(srgb).float()
            except Exception as error:  # onnxruntime's own exceptions have no common base
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


def first_line(error: object) -> str:
    """Return the first line of a message; PyTorch's go on with advice to who writes the network."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
