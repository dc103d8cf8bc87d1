"""Photos to RAW inside a training loop: one class that is a torchvision v2 transform and a module for batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from revisp.augment.shots import MOST_EV, Noise, Range, Shot, check_range, draw_shot, with_phase
from revisp.camera.cameras import EXPOSURES
from revisp.camera.mosaic_light import MosaicLight, as_float, even
from revisp.camera.mosaic_sensor import add_noise_, store_
from revisp.camera.noise import NoiseLevels, table_noise
from revisp.camera.simulate import SimulatedCamera
from revisp.camera.tables import strips
from revisp.cfa import CFA, PLANE_COLOURS, pack, plane_rows
from revisp.checks import check_unit_range
from revisp.demosaic import demosaic
from revisp.errors import ConfigError, ImageError, ShapeError
from revisp.io.pillow_image import srgb_of_image
from revisp.wording import counted

if TYPE_CHECKING:
    from revisp.camera.profile import CameraProfile
    from revisp.pipeline import ReverseISP

__all__ = ["Output", "RGBToRAW"]

Output = Literal["bayer", "packed", "raw_rgb"]
"""The output: the mosaic, its four planes, or the demosaiced mosaic."""


class RGBToRAW(v2.Transform):
    """Turn photos into the RAW that a camera would have stored; boxes, masks and labels stay unchanged.

    As a transform it takes any sample that torchvision v2 takes, and turns its `tv_tensors.Image` or PIL images
    into `tv_tensors.Image`. As a module it takes a batch and leaves it on its device. Images of one sample share
    camera and exposure; each photo of a batch has its own. All random values follow torch's seed, so the workers
    of a `DataLoader` draw different values, which a seed repeats.

    Put it after all transforms of geometry: a flip or an odd crop of a mosaic changes its Bayer phase.

    Args:
        source: a `ReverseISP`, whose prediction becomes the RAW; a simulated camera; several of them, one of which
            is drawn for each photo; or None: a random camera for each photo (`random_simulated_camera`).
        cfa: Bayer phase; None: that of the source, or RGGB for random cameras.
        exposures: least and most exposure of simulated shots in EV, drawn uniformly; 0 keeps the photo's
            brightness. A model predicts the exposure of its own camera, so ``exposures`` cannot be given with a
            model.
        noise: ``"camera"``: that of the simulated camera; a model's RAW gets none. ``"random"``: drawn for each
            photo by UPI's rule (`random_noise_levels`). `NoiseLevels`: these levels. None: no noise.
        gain: least and most amplification of that noise, drawn uniformly in EV (`amplified`): the ISO relative to
            the camera's base ISO.
        quantise: round to the bits of the camera. The RAW of a model without a camera profile is not rounded.
        output: ``"bayer"``, ``"packed"`` or ``"raw_rgb"``.
        p: probability that a photo becomes RAW. It may be below 1 only with ``"raw_rgb"``, which has the shape of
            a photo. A photo that is not converted becomes float32 in [0, 1].

    Shape:
        ``[3, H, W]`` or ``[B, 3, H, W]``, uint8 or floating point in [0, 1], to float32 with the same number of
        axes: ``bayer`` 1 channel; ``packed`` R, Gr, Gb, B of half the height and width, which must be even;
        ``raw_rgb`` 3 channels. Values are normalised as everywhere in revisp: black 0 and white 1, not
        white-balanced. Noise makes some slightly negative, and demosaicing overshoots at edges.

    Raises:
        ConfigError: an argument is outside its range, the cameras have different phases, ``cfa`` differs from the
            model's phase, or ``exposures`` are given with a model.
        ShapeError: when called with a photo of another shape, type or range, with an odd size to pack, with a
            NumPy array in the place of a photo, or with a video.

    Example:
        >>> import torch
        >>> photos = torch.randint(256, (2, 3, 32, 48), dtype=torch.uint8)
        >>> RGBToRAW(output="packed")(photos).shape
        torch.Size([2, 4, 16, 24])
    """

    _transformed_types = (tv_tensors.Image, Image.Image, v2.functional.is_pure_tensor)

    def __init__(
        self,
        source: ReverseISP | SimulatedCamera | Iterable[SimulatedCamera] | None = None,
        *,
        cfa: CFA | str | None = None,
        exposures: Range = EXPOSURES,
        noise: Noise = "camera",
        gain: Range = (1.0, 1.0),
        quantise: bool = True,
        output: Output = "bayer",
        p: float = 1.0,
    ) -> None:
        super().__init__()
        if output not in get_args(Output):
            raise ConfigError(f"output must be one of {', '.join(get_args(Output))}, got {output!r}")
        if not (isinstance(noise, NoiseLevels) or noise in ("camera", "random", None)):
            raise ConfigError(f"noise must be 'camera', 'random', NoiseLevels or None, got {noise!r}")
        if isinstance(noise, NoiseLevels) and not all(0 <= variance < math.inf for variance in noise):
            raise ConfigError(f"noise must have variances of at least 0, got {noise}")
        if not 0 <= p <= 1:
            raise ConfigError(f"p must be a probability, got {p}")
        if p < 1 and output != "raw_rgb":
            raise ConfigError(f"p < 1 needs output='raw_rgb': photos have another shape than {output!r}")
        self.model = source if isinstance(source, nn.Module) else None
        self.cameras, self.cfa = _phase_of(source, cfa)
        self.exposures = check_range("exposures", exposures, -MOST_EV, MOST_EV)
        if self.model is not None and self.exposures != EXPOSURES:
            raise ConfigError("exposures are those of simulated cameras: leave them out with a model")
        self.noise = noise
        self.gain = check_range("gain", gain, 2**-16, 2**16)
        self.quantise = quantise
        self.output = output
        self.p = p

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Refuse what would otherwise stay unchanged: videos, and NumPy arrays in the place of photos.

        Raises:
            ShapeError: the sample contains a video, or arrays but no image.
        """
        if any(isinstance(each, tv_tensors.Video) for each in flat_inputs):
            raise ShapeError("videos are not supported: give their frames as a batch, a plain tensor [B, 3, H, W]")
        if any(isinstance(each, np.ndarray) for each in flat_inputs) and not any(
            isinstance(each, Tensor | Image.Image) for each in flat_inputs
        ):
            raise ShapeError(
                "NumPy arrays are not taken for photos: give v2.functional.to_image(array) of [H, W, 3]"
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the shots for the images of a sample.

        Args:
            flat_inputs: its images.

        Returns:
            ``shots``: for each photo of the largest batch a `Shot`, or None if it is not converted; ``generator``:
            source of the noise.
        """
        count = max((len(_photos(image)) for image in flat_inputs), default=0)
        seed = int(torch.randint(2**62, ()).item())
        generator = torch.Generator().manual_seed(seed)
        shots = [self._draw(generator) for _ in range(count)]
        return {"shots": shots, "generator": generator}

    @torch.no_grad()
    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Turn one image, or a batch of photos, into RAW by the draws of `make_params`."""
        photos = _photos(inpt)
        if self.output == "packed" and (photos.shape[-2] % 2 or photos.shape[-1] % 2):
            raise ShapeError(
                f"packed RAW needs an even height and width, got {list(photos.shape[-2:])}: crop the photo and "
                "its boxes before, e.g. by v2.CenterCrop"
            )
        shots = params["shots"][: len(photos)]
        with torch.autocast(photos.device.type, enabled=False):
            if None not in shots:
                raw = self._convert(photos, shots, params["generator"])
            else:
                raw = as_float(photos)
                chosen = [at for at, shot in enumerate(shots) if shot is not None]
                if chosen:
                    raw[chosen] = self._convert(photos[chosen], [shots[at] for at in chosen], params["generator"])
        raw = raw if isinstance(inpt, Tensor) and inpt.ndim == 4 else raw[0]
        return raw if v2.functional.is_pure_tensor(inpt) else tv_tensors.Image(raw)

    def extra_repr(self) -> str:
        """Return the source and the settings for ``repr``."""
        cameras = counted(len(self.cameras), "camera") if self.cameras else "random cameras"
        source = cameras if self.model is None else "model"
        names = ("exposures", "noise", "gain", "quantise", "output", "p")
        rest = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{source}, cfa={self.cfa.value!r}, {rest}"

    def _draw(self, generator: torch.Generator) -> Shot | None:
        if self.p < 1 and torch.rand(1, generator=generator).item() >= self.p:
            return None
        return draw_shot(
            generator,
            cameras=None if self.model is not None else self.cameras,
            cfa=self.cfa,
            exposures=self.exposures,
            noise=self.noise,
            gain=self.gain,
        )

    def _convert(self, photos: Tensor, shots: Sequence[Shot], generator: torch.Generator) -> Tensor:
        """Convert photo by photo on the CPU, whose cache holds little more than one, or else all at once."""
        predicted = None if self.model is None else self._predict(photos)
        source = _on(generator, photos.device)
        step = 1 if photos.device.type == "cpu" else len(photos)
        result: Tensor | None = None
        for start in range(0, len(photos), step):
            part = slice(start, start + step)
            if predicted is None:
                height, width = (side + side % 2 for side in photos.shape[-2:])
                mosaics = torch.empty((len(shots[part]), 1, height, width), device=photos.device)
            else:
                mosaics = predicted[part]
            with torch.inference_mode():  # saves a tenth
                self._shoot(mosaics, None if predicted is not None else photos[part], shots[part], source)
            raw = self._lay_out(mosaics, shots[part], photos.shape[-2:])
            if len(raw) == len(photos):
                return raw
            result = raw.new_empty((len(photos), *raw.shape[1:])) if result is None else result
            result[part] = raw
        assert result is not None
        return result

    def _predict(self, photos: Tensor) -> Tensor:
        """Return the mosaics that the model predicts."""
        from revisp.inference.predict import predict

        assert self.model is not None
        bayer = predict(self.model, as_float(photos).float()).bayer
        return even(bayer.float()).clone()  # a copy that may enter the graph of a training

    def _shoot(
        self, mosaics: Tensor, photos: Tensor | None, shots: Sequence[Shot], generator: torch.Generator
    ) -> None:
        """Fill mosaics with the stored values of the photos' light; without photos, with those of their own."""
        light: MosaicLight | None = None
        if photos is not None:
            cameras = [shot.camera for shot in shots if shot.camera is not None]
            light = MosaicLight(photos, cameras, [shot.exposure for shot in shots], self.cfa)
            wells = mosaics.new_tensor([camera.full_well for camera in cameras]).view(-1, 1, 1, 1)
        levels = [shot.noise for shot in shots if shot.noise is not None]
        profiles = [profile for profile in self._profiles(shots) if profile is not None]
        for rows in strips(mosaics):
            part = mosaics[..., rows, :]
            if light is not None:
                torch.minimum(light.rows(rows, out=part).clamp_min_(0), wells, out=part)
            if levels:
                add_noise_(part, levels, table_noise(part.shape, generator))
            if profiles:
                store_(part, profiles, self.cfa, quantise=self.quantise)
            else:
                part.clamp_max_(1)

    def _profiles(self, shots: Sequence[Shot]) -> list[CameraProfile | None]:
        """Return the profile of each photo's camera; None: the model has none."""
        if self.model is not None:
            return [self.model.profile] * len(shots)
        return [shot.camera.profile for shot in shots if shot.camera is not None]

    def _lay_out(self, mosaics: Tensor, shots: Sequence[Shot], size: torch.Size) -> Tensor:
        """Bring mosaics of even sides into the size of the photos and the shape of ``output``."""
        height, width = size
        if self.output == "packed":
            return pack(mosaics, self.cfa)
        if self.output == "bayer":
            return mosaics[..., :height, :width].contiguous()
        profiles = self._profiles(shots)
        gains = mosaics.new_tensor([(1.0, 1.0, 1.0) if profile is None else profile.gains for profile in profiles])
        gains = gains / gains.amax(dim=1, keepdim=True)
        rows = plane_rows(gains[:, None, list(PLANE_COLOURS)], self.cfa, mosaics.shape[-1])
        balanced = (mosaics.view(len(mosaics), -1, 2, mosaics.shape[-1]) * rows).view(mosaics.shape)
        return demosaic(balanced[..., :height, :width], self.cfa, "malvar") / gains[..., None, None]


def _phase_of(source: Any, cfa: CFA | str | None) -> tuple[tuple[SimulatedCamera, ...], CFA]:
    """Return the cameras to draw from (empty for random cameras and for a model), and the Bayer phase."""
    if isinstance(source, nn.Module):
        from revisp.pipeline import ReverseISP

        if not isinstance(source, ReverseISP):
            raise ConfigError(f"source must be a ReverseISP or simulated cameras, got {type(source).__name__}")
        if cfa is not None and CFA.parse(cfa) is not source.cfa:
            raise ConfigError(f"the model predicts RAW of phase {source.cfa}, not {cfa}: leave cfa out")
        return (), source.cfa
    if source is None:
        return with_phase((), cfa)
    try:
        cameras = (source,) if isinstance(source, SimulatedCamera) else tuple(source)
    except TypeError:
        cameras = (source,)
    wrong = [type(camera).__name__ for camera in cameras if not isinstance(camera, SimulatedCamera)]
    if wrong or not cameras:
        raise ConfigError(f"source must be a ReverseISP or simulated cameras, got {wrong[0] if wrong else 'none'}")
    return with_phase(cameras, cfa)


def _photos(image: Any) -> Tensor:
    """Return an image as a plain batch ``[B, 3, H, W]``, uint8 or float32.

    Raises:
        ShapeError: the image is not a photo, has another type, or is clearly not in [0, 1].
    """
    x = _of_pillow(image) if isinstance(image, Image.Image) else image.as_subclass(Tensor)
    if x.ndim not in (3, 4) or x.shape[-3] != 3 or not x.numel():
        raise ShapeError(f"photos must have shape [3, H, W] or [B, 3, H, W], got {list(x.shape)}: see v2.RGB")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise ShapeError(f"photos must be uint8 or floating point in [0, 1], got {x.dtype}")
    if x.is_floating_point():
        x = x.float()
        check_unit_range(x, "a floating-point photo")
    return x if x.ndim == 4 else x[None]


def _of_pillow(image: Image.Image) -> Tensor:
    """Return the sRGB of a Pillow image of three colours; the channels of another as they are, for its shape.

    Raises:
        ShapeError: three channels that are not the colours of a photo.
    """
    if len(image.getbands()) != 3:
        return v2.functional.pil_to_tensor(image)
    try:
        return srgb_of_image(image)
    except ImageError as error:
        raise ShapeError(f"{error}: see v2.RGB") from error


def _on(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """Return a generator on a device, seeded by a generator on the CPU."""
    if device == generator.device:
        return generator
    seed = int(torch.randint(2**62, (), generator=generator).item())
    return torch.Generator(device).manual_seed(seed)
