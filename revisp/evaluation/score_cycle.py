"""Score photos against the developed prediction of their RAW. This cycle score needs no true RAW.

The score measures only how well prediction and forward ISP invert each other. A wrong prediction scores well if
the forward ISP hides its error, as in highlights that it clips. The figures are called ``cycle_psnr`` and so on,
so that they are not confused with figures of the RAW.

The forward ISP is never fitted to the photo that is scored. It is the first of these that is available:

1. the rendering in a camera file (``revisp-prepare`` measures it on pairs of photo and RAW, `revisp.camera.fit`);
2. for a model of the simulated camera, the rendering of that camera, which is known;
3. plain development by the profile of the model (`revisp.camera.develop`), with the exposure matched to the photo,
   since that is unknown. The score is then a lower bound: the tone curve of a camera is missing.

A measured rendering has the white balance of its pairs: photos in other light score lower.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from revisp.camera.develop import develop
from revisp.camera.isp import srgb_to_linear
from revisp.camera.profile import SRGB_TO_XYZ, CameraProfile
from revisp.camera.simulate import SIMULATED, SimulatedCamera
from revisp.errors import ConfigError, ImageError
from revisp.evaluation.prediction import fast_predictor
from revisp.evaluation.scores import Evaluation, ImageScores, score_srgb
from revisp.inference.demosaic import demosaic_tiled
from revisp.io.camera_file import load_camera
from revisp.io.photo import read_srgb
from revisp.pipeline import ReverseISP
from revisp.wording import counted

__all__ = ["match_exposure", "score_cycle"]

CLIPPED_LIGHT = 0.98
"""Linear and sRGB value from which a pixel is not used to match the exposure."""

MOST_STOPS = 8.0
"""Most stops by which a plain development is brightened or darkened."""


def score_cycle(
    model: ReverseISP,
    photos: Sequence[str | Path],
    camera: str | Path | None = None,
    *,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predict the RAW of photos, develop it, and score it against the photos.

    Args:
        model: the pipeline; it runs on its own device.
        photos: files that `revisp.io.read_srgb` reads.
        camera: a camera file of ``revisp-prepare``; None takes another forward ISP, see the top of this module.
        tile: as for `revisp.evaluation.prediction.fast_predictor`.
        progress: called with (photos done, all photos).

    Returns:
        ``cycle_psnr``, ``cycle_ssim`` and the same by region, of sRGB over R, G, B; with plain development also
        ``exposure_ev``, the matched exposure. A note names the forward ISP.

    Raises:
        ConfigError: the camera file is not valid or has another Bayer phase, or the model has no camera.
        ImageError: no photo can be read. A single one of several is left out, with a warning.

    Example:
        >>> import tempfile
        >>> from revisp.io import write_png
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_png(f"{folder}/photo.png", torch.rand(3, 32, 48))
        ...     found = score_cycle(model, [f"{folder}/photo.png"])
        >>> found.names[:2], found.notes
        (('cycle_psnr', 'cycle_psnr_oe'), ('forward ISP: that of the simulated camera Simulated A',))
    """
    known, run = _known_camera(model, camera), fast_predictor(model, tile=tile)
    images = []
    for number, path in enumerate(photos, start=1):
        try:
            srgb = read_srgb(path)
        except ImageError as error:
            if len(photos) == 1:
                raise
            warnings.warn(f"{error}: left out", stacklevel=2)
            continue
        bayer = run(srgb).bayer
        extra = {}
        if known is not None:
            developed = known.develop(_demosaic(bayer, known.profile)).clamp(0, 1)
        else:
            profile = _profile(model)
            raw_rgb = _demosaic(bayer, profile)
            extra["exposure_ev"] = match_exposure(raw_rgb, srgb, profile)
            developed = develop(raw_rgb, profile, exposure=extra["exposure_ev"])
        scores = {f"cycle_{name}": value for name, value in score_srgb(developed, srgb).items()}
        images.append(ImageScores(Path(path).name, scores | extra))
        if progress is not None:
            progress(number, len(photos))
    if not images:
        raise ImageError(f"of {counted(len(photos), 'photo')} none can be read")
    return Evaluation(tuple(images), (_note(known, camera),))


def match_exposure(raw_rgb: Tensor, srgb: Tensor, profile: CameraProfile) -> float:
    """Return the exposure in EV at which plainly developed RAW is as bright as a photo, within `MOST_STOPS`.

    It is fitted by least squares to the linear luminance of all pixels that are clipped in neither picture.

    Args:
        raw_rgb: demosaiced RAW ``[3, H, W]``.
        srgb: the photo ``[3, H, W]``.
        profile: the camera.

    Returns:
        The exposure; 0 if all pixels are clipped or black.
    """
    plain = develop(raw_rgb, profile)
    counts = (plain.amax(0) < CLIPPED_LIGHT) & (srgb.amax(0) < CLIPPED_LIGHT)
    luminance = srgb.new_tensor(SRGB_TO_XYZ[1])
    there, here = (torch.einsum("c,chw->hw", luminance, srgb_to_linear(x))[counts].double() for x in (srgb, plain))
    product, square = (there * here).sum().item(), here.square().sum().item()
    if product <= 0 or square <= 0:
        return 0.0
    return min(max(math.log2(product / square), -MOST_STOPS), MOST_STOPS)


def _known_camera(model: ReverseISP, camera: str | Path | None) -> SimulatedCamera | None:
    if camera is None:
        return SIMULATED if model.profile == SIMULATED.profile else None
    known = load_camera(camera)
    if known.profile.cfa is not model.cfa:
        raise ConfigError(f"the model predicts {model.cfa}, but {camera} is of a camera with {known.profile.cfa}")
    return known


def _profile(model: ReverseISP) -> CameraProfile:
    if model.profile is None:
        raise ConfigError("the model knows no camera profile to develop its RAW by: give camera=FILE")
    return model.profile


def _demosaic(bayer: Tensor, profile: CameraProfile) -> Tensor:
    """Demosaic ``[1, H, W]`` by Malvar's filters, as the simulated camera does: ``[3, H, W]``."""
    return demosaic_tiled(bayer[None], profile.cfa, "malvar", gains=profile.gains)[0]


def _note(known: SimulatedCamera | None, camera: str | Path | None) -> str:
    if camera is not None and known is not None:
        return f"forward ISP: as measured of {known.profile.name}, {camera}"
    if known is not None:
        return f"forward ISP: that of the simulated camera {known.profile.model}"
    return (
        "forward ISP: plain development by the model's profile, each exposure matched to its photo "
        "(camera=FILE takes one that was measured)"
    )
