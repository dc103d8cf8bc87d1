"""A picture of a measured camera: curve, shading and noise with their errors, and a photo that the model develops.

In the plots the fit is a line between two thin ones, two standard errors away. The difference of photo and
developed RAW shows what the model does not explain: sharpening and noise everywhere, local tone and colour in
patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.fitted import plain_curve
from revisp.data.picture import Sample
from revisp.io.camera_file import MeasuredCamera
from revisp.io.contact_sheet import write_contact_sheet

__all__ = ["write_camera_sheet"]

Array = np.ndarray[Any, Any]

SIDE, MARGIN = 330, 26
"""Side of a plot and its margin, in pixels."""

LONGEST_PHOTO = 660
"""Longest side of a photo before it is developed, in pixels."""

SURE = 2.0
"""Standard errors between a fit and the thin lines around it."""

COLOURS = ((255, 200, 90), (120, 200, 255), (255, 130, 130), (150, 230, 150), (210, 160, 255), (230, 230, 230))
FAINT, INK = (90, 90, 90), (210, 210, 210)


def write_camera_sheet(path: Path, camera: MeasuredCamera, sample: Sample) -> Path:
    """Write the picture of a camera.

    Args:
        path: the PNG file.
        camera: the camera.
        sample: a whole photo of it, with its RAW.

    Raises:
        OutputError: the file cannot be written.
    """
    fitted = camera.fitted
    scale = min(1.0, LONGEST_PHOTO / max(sample.srgb.shape[-2:]))
    photo, raw_rgb = (_reduced(x, scale) for x in (sample.srgb, sample.target))
    developed = fitted.develop(raw_rgb)
    errors = "" if fitted.errors is None else f" +- {fitted.errors.corner_gain:.2f}"
    gain = f"gain in the corners {1 + sum(fitted.shading):.2f}{errors}"
    columns = ("tone curve: light over sRGB value", "shading: gain over radius", "noise over signal, by ISO (log)")
    rows = [
        (
            f"{camera.profile.name}: {fitted.psnr:.1f} dB, {gain}",
            [_curve(camera), _shading(camera), _noise(camera)],
        ),
        (
            f"{sample.name}: photo, developed RAW, difference x 4",
            [photo, developed, 4 * (photo - developed).abs()],
        ),
    ]
    return write_contact_sheet(path, columns, rows)


def _reduced(x: Tensor, scale: float) -> Tensor:
    size = [max(1, round(side * scale)) for side in x.shape[-2:]]
    return F.interpolate(x[None].float(), size=size, mode="area")[0]


def _curve(camera: MeasuredCamera) -> Tensor:
    fitted = camera.fitted
    at, curve = np.linspace(0, 1, len(fitted.curve)), np.asarray(fitted.curve)
    lines = [
        (at, plain_curve(len(at) - 1).numpy(), FAINT),
        *_with_errors(at, curve, fitted.errors and fitted.errors.curve),
    ]
    return _plot(lines, (0.0, 1.0), (0.0, 1.0))


def _shading(camera: MeasuredCamera) -> Tensor:
    fitted, radius = camera.fitted, np.linspace(0, 1, 65)
    one, two = fitted.shading
    gain = 1 + one * radius**2 + two * radius**4
    error = None if fitted.errors is None else fitted.errors.corner_gain * radius**2
    lines = [(radius, np.ones(65), FAINT), *_with_errors(radius, gain, error)]
    return _plot(lines, (0.0, 1.0), (min(0.5, gain.min()), max(2.0, gain.max())))


def _noise(camera: MeasuredCamera) -> Tensor:
    signal = np.geomspace(1e-4, 1, 65)
    lines = []
    for number, noise in enumerate(camera.noise_by_iso):
        deviation = np.sqrt(np.maximum(noise.shot * signal + noise.read, 1e-12))
        lines.append((np.log10(signal), np.log10(deviation), COLOURS[number % len(COLOURS)]))
    names = ["ISO ?" if noise.iso is None else f"ISO {noise.iso}" for noise in camera.noise_by_iso]
    return _plot(lines, (-4.0, 0.0), (-5.0, 0.0), names)


def _with_errors(x: Array, y: Array, error: Any) -> list[tuple[Array, Array, tuple[int, int, int]]]:
    lines = [(x, y, COLOURS[0])]
    if error is not None:
        lines += [(x, y + sign * SURE * np.asarray(error), COLOURS[1]) for sign in (-1, 1)]
    return lines


def _plot(
    lines: Sequence[tuple[Array, Array, tuple[int, int, int]]],
    across: tuple[float, float],
    up: tuple[float, float],
    names: Sequence[str] = (),
) -> Tensor:
    """Draw lines in a frame whose corners tell the ranges; names are those of the lines, from the first on."""
    image = Image.new("RGB", (SIDE, SIDE), (24, 24, 24))
    draw = ImageDraw.Draw(image)
    inner = SIDE - 2 * MARGIN
    draw.rectangle((MARGIN, MARGIN, MARGIN + inner, MARGIN + inner), outline=FAINT)
    for value, at in zip(across, (MARGIN, MARGIN + inner - 14), strict=True):
        draw.text((at, SIDE - MARGIN + 6), f"{value:g}", fill=INK)
    for value, at in zip(up, (SIDE - MARGIN - 12, MARGIN), strict=True):
        draw.text((2, at), f"{value:.2g}", fill=INK)
    for x, y, colour in lines:
        right = MARGIN + inner * (x - across[0]) / (across[1] - across[0])
        down = MARGIN + inner * (1 - np.clip((y - up[0]) / (up[1] - up[0]), 0, 1))
        draw.line([*zip(right.tolist(), down.tolist(), strict=True)], fill=colour, width=1)
    for number, name in enumerate(names):
        draw.text((MARGIN + 6, MARGIN + 4 + 12 * number), name, fill=lines[number][2])
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
