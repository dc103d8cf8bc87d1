"""A camera's rendering and its inverse, as `revisp.camera.fit` measures them on pairs of photo and RAW."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch

from revisp.camera.isp import apply_ccm, srgb_to_linear
from revisp.camera.place import Place
from revisp.camera.profile import MOST_COEFFICIENT, SRGB_TO_XYZ, CameraProfile
from revisp.camera.shading import check_shading, shading_at, shading_gain
from revisp.checks import check_image
from revisp.errors import ConfigError
from revisp.schema import Figure, Matrix, Number, Numbers, Triple, Whole, build, check_fields, part

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FitErrors",
    "FittedCamera",
    "as_tuples",
    "clipped_share",
    "clipping",
    "decode",
    "encode",
    "plain_curve",
]

INTERVALS = 64
"""Intervals of a curve's table, evenly spaced over sRGB values."""

Quadruple = tuple[Number, Number, Number, Number]

CLIP_START = 0.96
"""sRGB value from which a channel counts as partly clipped (`clipping`)."""


@dataclass(frozen=True)
class FitErrors:
    """Standard errors of a fit: how far its values would move with other photos of the same kind.

    Regions of the photos, an eighth of their sides, count as independent. What all photos share, such as their
    light, is not in the errors.

    Attributes:
        curve: of the entries of `FittedCamera.curve`.
        matrix: of `FittedCamera.matrix`.
        black: of `FittedCamera.black`.
        corner_gain: of the shading's gain in the corners.
    """

    curve: Numbers
    matrix: Matrix
    black: Triple
    corner_gain: Number

    def __post_init__(self) -> None:
        check_fields(self, "errors of the fit", ConfigError)


@dataclass(frozen=True)
class FittedCamera:
    r"""A camera's rendering, and its inverse, in closed form.

    With demosaiced RAW :math:`d`, photo :math:`p`, and the distance :math:`r` from the photo's centre as a share
    of half its diagonal,

    .. math:: p = f\big(s(r)\, C\,(d - b)\big), \qquad
              d = C^{-1} f^{-1}(p) / s(r) + K\, c(p) + b, \qquad s(r) = 1 + s_1 r^2 + s_2 r^4

    :math:`f` rises from f(0) = 0 to f(1) = 1 and stays there: the photo tells nothing about brighter light. For
    such pixels :math:`K\,c(p)` adds the typical excess of the RAW, for each clipped channel and for all three
    clipped together (`clipping`).

    Attributes:
        curve: linear light at evenly spaced sRGB values, :math:`f^{-1}(i / n)`, from 0 to 1, linear between.
        matrix: :math:`C`, RAW to linear sRGB, white balance and exposure included, row by row.
        black: :math:`b`, residual black level of the RAW, for R, G, B.
        headroom: :math:`K`, RAW in excess where the photo is clipped: three rows (RAW channels) of four (clipped
            R, G, B, and all of them).
        shading: :math:`s_1, s_2`, gain of the photo towards its corners (`shading_gain`); (0, 0) for none.
        samples: number of colours in the fit.
        psnr: PSNR of the developed RAW against the photo, in dB: the quality of the model.
        rms: root mean square error of the inverse at the fitted colours, in RAW units.
        errors: standard errors of the fit; None if they are not known.

    Raises:
        ConfigError: an impossible value; the message names the field.

    Example:
        >>> curve = as_tuples(plain_curve().numpy())
        >>> camera = FittedCamera(curve, matrix=((2.0, 0, 0), (0, 1.0, 0), (0, 0, 1.5)))
        >>> raw = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
        >>> torch.allclose(camera.unprocess(camera.develop(raw)), raw)
        True
    """

    curve: Numbers
    matrix: Matrix
    black: Triple = (0.0, 0.0, 0.0)
    headroom: tuple[Quadruple, Quadruple, Quadruple] = ((0.0,) * 4,) * 3
    shading: tuple[Number, Number] = (0.0, 0.0)
    samples: Whole = 0
    psnr: Figure = math.nan
    rms: Figure = math.nan
    errors: Annotated[FitErrors, part(FitErrors, "errors of the fit", ConfigError)] | None = None

    def __post_init__(self) -> None:
        check_fields(self, "fitted camera", ConfigError)
        curve = np.asarray(self.curve)
        if len(curve) < 2 or curve[0] != 0 or not math.isclose(curve[-1], 1) or (np.diff(curve) <= 0).any():
            raise ConfigError("fitted camera: curve must rise strictly from 0 to 1")
        if np.abs(self.matrix).max() > MOST_COEFFICIENT or np.linalg.cond(self.matrix) > 1e6:
            raise ConfigError(
                f"fitted camera: matrix must be invertible, of numbers up to {MOST_COEFFICIENT:g}, got "
                f"{np.round(self.matrix, 3).tolist()}"
            )
        check_shading(list(self.shading))

    @property
    def inverse_matrix(self) -> np.ndarray[Any, Any]:
        """Linear sRGB to RAW ``[3, 3]``."""
        return np.linalg.inv(np.asarray(self.matrix))

    def develop(self, raw_rgb: Tensor, place: Place | Tensor | None = None) -> Tensor:
        """Render demosaiced RAW ``[..., 3, H, W]`` as the camera does: sRGB in [0, 1], differentiable.

        White-balanced values are clipped at the level where the first channel saturates, as in cameras. Otherwise
        a clipped highlight would be coloured.

        Args:
            raw_rgb: camera RGB, linear, black 0, white 1, not white-balanced.
            place: where the crop lies in its photo, or the coordinates ``[..., 3, H, W]`` of its pixels there
                (`revisp.camera.place.place_map`), for the shading; None: it is the whole photo.

        Raises:
            ShapeError: not a floating tensor of three channels.
        """
        check_image(raw_rgb, 3, "raw_rgb")
        black = self._column(self.black, raw_rgb)
        light = torch.minimum(raw_rgb - black, self._saturation(raw_rgb)) * self._shade(raw_rgb, place)
        return encode(apply_ccm(light, self.matrix), raw_rgb.new_tensor(self.curve))

    def unprocess(self, srgb: Tensor, place: Place | Tensor | None = None) -> Tensor:
        """Turn sRGB ``[..., 3, H, W]`` into demosaiced RAW in [0, 1], not white-balanced; differentiable.

        Args:
            srgb: photo, display-referred, in [0, 1].
            place: where the crop lies in its photo, or the coordinates ``[..., 3, H, W]`` of its pixels there
                (`revisp.camera.place.place_map`), for the shading; None: it is the whole photo.

        Raises:
            ShapeError: not a floating tensor of three channels.
        """
        check_image(srgb, 3, "srgb")
        light = apply_ccm(decode(srgb, srgb.new_tensor(self.curve)), self.inverse_matrix)
        excess = torch.einsum("ij,...jhw->...ihw", srgb.new_tensor(self.headroom), clipping(srgb))
        return (light / self._shade(srgb, place) + excess + self._column(self.black, srgb)).clamp(0, 1)

    def profile(self, base: CameraProfile) -> CameraProfile:
        """Return a profile whose white balance and colour matrix are the fitted ones.

        The as-shot neutral is the RAW of the photo's white. The colour matrix with that neutral gives the fitted
        colours. Pairs under one light do not determine the camera RGB of D65 white, so it is taken from ``base``.

        Args:
            base: the camera's names, CFA and levels.

        Raises:
            ConfigError: the fitted white is not positive in every channel, so it gives no white balance.
        """
        inverse = self.inverse_matrix
        neutral = inverse.sum(axis=1)
        if (neutral <= 0).any():
            raise ConfigError(
                f"fitted camera: its white has the RAW colour {neutral.round(4)}, which is not a valid neutral"
            )
        white = (np.asarray(base.color_matrix) @ SRGB_TO_XYZ).sum(axis=1)
        matrix = (white / neutral)[:, None] * inverse @ np.linalg.inv(SRGB_TO_XYZ)
        return base.replace(color_matrix=as_tuples(matrix), as_shot_neutral=as_tuples(neutral / neutral[1]))

    def to_dict(self) -> dict[str, Any]:
        """Return the camera as JSON values; an unknown figure is null."""
        values = dataclasses.asdict(self)
        return values | {name: None if math.isnan(values[name]) else values[name] for name in ("psnr", "rms")}

    @classmethod
    def from_dict(cls, values: Any) -> FittedCamera:
        """Build a camera from JSON values.

        Raises:
            ConfigError: a field is missing, unknown or wrong.
        """
        return build(cls, values, "fitted camera", ConfigError)

    def _saturation(self, like: Tensor) -> Tensor:
        """Return the RAW ``[3, 1, 1]``, minus black, at which the first channel of a neutral colour saturates."""
        neutral = self.inverse_matrix.sum(axis=1)
        if (neutral <= 0).any():  # without a white balance nothing is clipped
            return like.new_full((3, 1, 1), math.inf)
        level = ((1 - np.asarray(self.black)) / neutral).min()
        return self._column(tuple(level * neutral), like)

    def _shade(self, like: Tensor, place: Place | Tensor | None) -> Tensor | float:
        if not any(self.shading):
            return 1.0
        if isinstance(place, torch.Tensor):
            return shading_at(place[..., 2:, :, :].square(), self.shading).to(like)
        height, width = like.shape[-2:]
        return shading_gain(height, width, self.shading, place, dtype=like.dtype, device=like.device)

    @staticmethod
    def _column(values: tuple[float, float, float], like: Tensor) -> Tensor:
        return like.new_tensor(values).view(3, 1, 1)


def decode(srgb: Tensor, curve: Tensor) -> Tensor:
    """Look up linear light in a curve, with linear interpolation between knots and extrapolation beyond.

    Args:
        srgb: display-referred values of any shape.
        curve: linear light ``[n + 1]`` at the sRGB values 0, 1/n, ..., 1.
    """
    position = srgb * (len(curve) - 1)
    knot = position.detach().clamp(0, len(curve) - 2).long()
    return _at(curve, knot) + _at(curve.diff(), knot) * (position - knot)


def encode(linear: Tensor, curve: Tensor) -> Tensor:
    """Undo `decode` for a strictly rising curve; values are clipped to [0, 1]."""
    linear = linear.clamp(0, 1)
    knot = torch.searchsorted(curve, linear.detach().contiguous(), right=True).clamp(1, len(curve) - 1) - 1
    return ((knot + (linear - _at(curve, knot)) / _at(curve.diff(), knot)) / (len(curve) - 1)).clamp(0, 1)


def clipping(srgb: Tensor, start: float = CLIP_START) -> Tensor:
    """Return the degree of clipping of R, G, B, and of all three: ``[..., 3, H, W]`` to ``[..., 4, H, W]``.

    It is 0 up to an sRGB value ``start`` and rises linearly to 1 at 1, because compression lowers clipped values.
    """
    share = clipped_share(srgb, start)
    return torch.cat([share, share.amin(dim=-3, keepdim=True)], dim=-3)


def clipped_share(values: Tensor, start: float = CLIP_START) -> Tensor:
    """Return the degree of clipping of single values of any shape, as `clipping` does."""
    return ((values - start) / (1 - start)).clamp(0, 1)


def plain_curve(intervals: int = INTERVALS) -> Tensor:
    """Return the inverse sRGB transfer function (IEC 61966-2-1) as a table ``[intervals + 1]``, float64."""
    return srgb_to_linear(torch.linspace(0, 1, intervals + 1, dtype=torch.float64))


def as_tuples(array: np.ndarray[Any, Any]) -> Any:
    """Return an array as nested tuples of floats."""
    if array.ndim > 1:
        return tuple(as_tuples(row) for row in array)
    return tuple(float(value) for value in array)


def _at(table: Tensor, index: Tensor) -> Tensor:
    """Return ``table[index]``, of the shape of ``index``, with a faster forward and backward pass."""
    return table.index_select(0, index.flatten()).view_as(index)
