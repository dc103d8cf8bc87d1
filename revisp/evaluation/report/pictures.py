"""The pictures of the report, one section each: photo, mask, prediction, truth, error, and histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from torch import Tensor

from revisp.camera.profile import CameraProfile
from revisp.cfa import pack
from revisp.checks import check_image, check_same_size
from revisp.display import data_uri, shrink
from revisp.errors import ShapeError
from revisp.evaluation.report.axis import Axis
from revisp.evaluation.report.developed import ERROR_FACTOR, develop_alike, histograms
from revisp.evaluation.report.markup import figure_cell, figure_text, html_table, row, words
from revisp.evaluation.report.plots import Series, key, line_plot

__all__ = ["ReportImage", "picture_sections"]

PLANES = ("R", "Gr", "Gb", "B")

LEAST_SHARE = 1e-5
"""Lowest share of samples on the logarithmic scale of the histograms."""


@dataclass(frozen=True)
class ReportImage:
    """A picture in a report.

    Attributes:
        name: name of the picture or of its tile.
        srgb: the photo ``[3, H, W]`` in [0, 1], H and W even.
        mask: its overexposure mask ``[1, H, W]`` in [0, 1].
        prediction: the predicted RAW, a mosaic ``[1, H, W]`` of the report's camera, linear, in [0, 1].
        truth: the true mosaic ``[1, H, W]``.
        scores: figures by name; NaN if a region is empty.

    Raises:
        ShapeError: a tensor has another shape, or holds values that are not finite.

    Example:
        >>> import torch
        >>> srgb, mask, mosaic = torch.rand(3, 32, 48), torch.zeros(1, 32, 48), torch.rand(1, 32, 48)
        >>> ReportImage("street", srgb, mask, mosaic, mosaic, {"psnr": 31.5}).scores["psnr"]
        31.5
        >>> ReportImage("street", srgb, mask, mosaic, mosaic[..., :24])
        Traceback (most recent call last):
        ...
        revisp.errors.ShapeError: srgb and truth differ in size: [32, 48] and [32, 24]
    """

    name: str
    srgb: Tensor
    mask: Tensor
    prediction: Tensor
    truth: Tensor
    scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, channels in (("srgb", 3), ("mask", 1), ("prediction", 1), ("truth", 1)):
            x: Tensor = getattr(self, name)
            check_image(x, channels, name)
            check_same_size(self.srgb, x, ("srgb", name))
            if x.ndim != 3 or x.shape[-1] % 2 or x.shape[-2] % 2:
                raise ShapeError(
                    f"{name} must be a single picture [{channels}, H, W] of even size, got {list(x.shape)}"
                )
            if not x.isfinite().all():
                raise ShapeError(f"{name} holds values that are not finite numbers")
            object.__setattr__(self, name, x.detach().cpu().float())


def picture_sections(images: Sequence[ReportImage], profile: CameraProfile, quality: str) -> str:
    """Return a table of the pictures, if there are several, and a section for each.

    Args:
        images: the pictures in their order on the page.
        profile: the camera.
        quality: name of the figure that sorts them.
    """
    if not images:
        return ""
    names = list(dict.fromkeys(name for image in images for name in image.scores))
    parts = []
    if len(images) > 1:
        lines = [
            row(
                f'<a href="#picture-{number}">{escape(image.name)}</a>',
                (figure_cell(name, image.scores.get(name, math.nan)) for name in names),
            )
            for number, image in enumerate(images, 1)
        ]
        order = ", the worst first" if quality in names else ""
        parts.append(html_table(f"Figures of the pictures shown{order}", ["Picture", *map(words, names)], lines))
    parts += [_section(number, image, profile) for number, image in enumerate(images, 1)]
    return f"<section><h2>Pictures</h2>{''.join(parts)}</section>"


def _section(number: int, image: ReportImage, profile: CameraProfile) -> str:
    developed = develop_alike(image.prediction, image.truth, profile)
    share = f"{100 * image.mask.mean().item():.3g} %"
    shown = (
        ("Photo", image.srgb, "the sRGB picture that the RAW was predicted from"),
        ("Mask", image.mask, f"overexposed pixels are white: {share} of all"),
        ("Prediction", developed.prediction, "the predicted RAW, developed"),
        ("Truth", developed.truth, "the true RAW, developed alike"),
        ("Error", developed.error, f"{ERROR_FACTOR} times the difference of prediction and truth as developed"),
    )
    figures = "".join(_figure(name, picture, text, image.name) for name, picture, text in shown)
    height, width = image.srgb.shape[-2:]
    size = "x".join(str(side) for side in shrink(image.srgb).shape[:0:-1])
    smaller = "" if size == f"{width}x{height}" else f", shown at {size}"
    how = (
        f"{width}x{height} pixels{smaller}. Prediction and truth are developed by the same forward ISP: white "
        f"balance and colours of {profile.name} ({profile.cfa}), sRGB curve, {developed.exposure:+.2f} EV."
    )
    scores = "".join(
        f"<div><dt>{escape(words(name))}</dt><dd>{figure_text(name, value)}</dd></div>"
        for name, value in image.scores.items()
    )
    return (
        f'<section class="picture" aria-labelledby="picture-{number}">'
        f'<h3 id="picture-{number}">{escape(image.name)}</h3>'
        f"{f'<dl>{scores}</dl>' if scores else ''}<p>{escape(how)}</p>"
        f'<div class="pictures">{figures}</div>{_histograms(number, image, profile)}</section>'
    )


def _figure(name: str, picture: Tensor, text: str, image: str) -> str:
    small = shrink(picture)
    height, width = small.shape[-2:]
    alt = escape(f"{name} of {image}: {text}")
    return (
        f'<figure><img src="{data_uri(small)}" alt="{alt}" width="{width}" height="{height}" data-name="{name}">'
        f"<figcaption><strong>{name}</strong>: {escape(text)}</figcaption></figure>"
    )


def _histograms(number: int, image: ReportImage, profile: CameraProfile) -> str:
    mosaics = (image.truth, image.prediction)
    shares = [histograms(mosaic, profile).clamp(min=LEAST_SHARE) for mosaic in mosaics]
    means = [pack(mosaic, profile.cfa).double().mean((-2, -1)).tolist() for mosaic in mosaics]
    bins = shares[0].shape[-1]
    # A step for each bin.
    x = [edge / bins for index in range(bins) for edge in (index, index + 1)]
    plots = []
    for plane, name in enumerate(PLANES):
        true, predicted = (share[plane].repeat_interleave(2).tolist() for share in shares)
        plots.append(
            line_plot(
                f"histogram-{number}-{name}",
                [Series("true", x, true, filled=True), Series("predicted", x, predicted)],
                Axis(f"{name}, black 0 to white 1", 0.0, 1.0),
                Axis("Share of samples (%)", LEAST_SHARE, 1.0, log=True, percent=True),
                title=f"Histogram of {name}, {image.name}",
                description=f"Mean of the truth {means[0][plane]:.4f}, of the prediction {means[1][plane]:.4f}.",
                size=(300, 210),
            )
        )
    legend = f"<li>{key(None)} true</li><li>{key(0, marked=False)} predicted</li>"
    drawn = f'<ul class="legend">{legend}</ul><div class="plots small">{"".join(plots)}</div>'
    return f"<h4>Histograms of the RAW</h4>{drawn}"
