"""The colour filter array: the colour that each photosite measures, and how crops, mirrors and turns change it.

A Bayer mosaic repeats a 2x2 tile. `CFA` names the tile at the top-left corner, read row by row, as sensor makers,
LibRaw and colour-demosaicing do. kornia and OpenCV name it by pixel (1, 1) and its right neighbour, so their "BG"
is ``CFA.RGGB``. `CFA.kornia` is the only translation.

Only this module knows the positions of samples. No other module of revisp slices a mosaic with a stride of two.
"""

from __future__ import annotations

import warnings
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from revisp.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CFA", "PLANES", "pack", "sample_mask", "unpack"]

PLANES = ("R", "Gr", "Gb", "B")
"""Order of packed planes for every CFA: red, green on red's rows, green on blue's rows, blue."""

PLANE_COLOURS = (0, 1, 1, 2)
"""Colour of each of the packed planes: 0 red, 1 green, 2 blue."""

A = TypeVar("A")  # torch.Tensor or numpy.ndarray


class CFA(StrEnum):
    """The four Bayer phases, named by the top-left 2x2 tile read by rows.

    Example:
        >>> CFA.RGGB.hflip(width=4).value
        'GRBG'
        >>> CFA.RGGB.crop(top=1, left=0).value
        'GBRG'
    """

    RGGB = "RGGB"
    GRBG = "GRBG"
    GBRG = "GBRG"
    BGGR = "BGGR"

    @classmethod
    def parse(cls, value: CFA | str) -> CFA:
        """Return the CFA of a name, in any case.

        Raises:
            ConfigError: not a Bayer phase.
        """
        try:
            return cls(str(value).upper())
        except ValueError:
            raise ConfigError(f"unknown CFA {str(value)!r}: use RGGB, GRBG, GBRG or BGGR") from None

    @classmethod
    def from_indices(cls, pattern: Any) -> CFA:
        """Return the CFA of a 2x2 array of colour indices (0 = R, 1 or 3 = G, 2 = B), as rawpy and DNG give it.

        Raises:
            ConfigError: not a Bayer tile (X-Trans, quad Bayer, monochrome).
        """
        flat = [int(v) for row in pattern for v in row]
        name = "".join("RGBG"[v] if 0 <= v <= 3 else "?" for v in flat)
        if len(flat) != 4 or name not in cls.__members__:
            raise ConfigError(f"colour filter array {flat} is not a 2x2 Bayer tile, which is all revisp supports")
        return cls(name)

    @property
    def indices(self) -> tuple[int, int, int, int]:
        """Colour index (0 = R, 1 = G, 2 = B) of the four samples of a tile, read by rows."""
        a, b, c, d = ("RGB".index(letter) for letter in self.value)
        return a, b, c, d

    @property
    def offsets(self) -> tuple[tuple[int, int], ...]:
        """(row, column) within the tile of each packed plane, in the order of `PLANES`."""
        return _offsets(self._value_)

    @property
    def kornia(self) -> Any:
        """The same phase as a ``kornia.color.CFA`` member."""
        from kornia import color

        return {"RGGB": color.CFA.BG, "GRBG": color.CFA.GB, "GBRG": color.CFA.GR, "BGGR": color.CFA.RG}[self.value]

    def crop(self, top: int, left: int) -> CFA:
        """Return the phase after ``top`` rows and ``left`` columns are cut off (negative numbers add them)."""
        return self._read((top % 2, left % 2))

    def hflip(self, width: int) -> CFA:
        """Return the phase after a left-right mirror of a mosaic ``width`` pixels wide."""
        return self._read((0, (width - 1) % 2))

    def vflip(self, height: int) -> CFA:
        """Return the phase after a top-bottom mirror of a mosaic ``height`` pixels high."""
        return self._read(((height - 1) % 2, 0))

    def transpose(self) -> CFA:
        """Return the phase after rows and columns are exchanged."""
        return CFA(self.value[0] + self.value[2] + self.value[1] + self.value[3])

    def rot90(self, k: int, height: int, width: int) -> CFA:
        """Return the phase after ``k`` quarter turns counter-clockwise (`torch.rot90` on the last two axes)."""
        cfa, h, w = self, height, width
        for _ in range(k % 4):
            cfa, h, w = cfa.transpose().vflip(w), w, h
        return cfa

    def offset_to(self, target: CFA) -> tuple[int, int]:
        """Return (rows, columns), each 0 or 1, to cut off so that this phase becomes ``target``."""
        return next((top, left) for top in (0, 1) for left in (0, 1) if self.crop(top, left) is target)

    def _read(self, start: tuple[int, int]) -> CFA:
        """Return the phase of the same mosaic from another pixel on; a mirror begins at its last one."""
        row, column = start
        return CFA("".join(self._value_[2 * ((at // 2 + row) % 2) + (at + column) % 2] for at in range(4)))


@cache
def _offsets(tile: str) -> tuple[tuple[int, int], ...]:
    place = {tile.index("R"): 0, tile.index("B"): 3}
    red_row = tile.index("R") // 2
    for at in range(4):
        if tile[at] == "G":
            place[at] = 1 if at // 2 == red_row else 2
    order = sorted(place, key=lambda at: place[at])
    return tuple((at // 2, at % 2) for at in order)


def pack(bayer: A, cfa: CFA | str) -> A:
    """Split a mosaic ``[..., 1, H, W]`` into planes ``[..., 4, H//2, W//2]``, in the order R, Gr, Gb, B.

    Works on tensors and arrays of any dtype. An odd last row or column is no full tile. It is dropped, with a
    warning.

    Raises:
        ShapeError: not ``[..., 1, H, W]``.

    Example:
        >>> mosaic = np.arange(16).reshape(1, 4, 4)
        >>> pack(mosaic, "RGGB")[0].tolist()  # the red plane
        [[0, 2], [8, 10]]
    """
    x: Any = bayer
    if x.ndim < 3 or x.shape[-3] != 1:
        raise ShapeError(f"a mosaic must have shape [..., 1, H, W], got {list(x.shape)}")
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        warnings.warn(f"odd mosaic {height}x{width}: its last row or column is dropped by packing", stacklevel=2)
        x = x[..., : height // 2 * 2, : width // 2 * 2]
    planes = [x[..., row::2, column::2] for row, column in CFA.parse(cfa).offsets]
    packed: A
    if isinstance(x, np.ndarray):
        packed = np.concatenate(planes, axis=-3)  # type: ignore[assignment]
    else:
        import torch

        packed = torch.cat(planes, dim=-3)  # type: ignore[assignment]
    return packed


def unpack(packed: A, cfa: CFA | str) -> A:
    """Interleave planes ``[..., 4, h, w]`` (R, Gr, Gb, B) into a mosaic ``[..., 1, 2h, 2w]``; undo `pack`.

    Raises:
        ShapeError: not ``[..., 4, h, w]``.

    Example:
        >>> planes = np.array([1, 2, 3, 4]).reshape(4, 1, 1)  # R, Gr, Gb, B
        >>> unpack(planes, "BGGR").tolist()
        [[[4, 3], [2, 1]]]
    """
    x: Any = packed
    if x.ndim < 3 or x.shape[-3] != 4:
        raise ShapeError(f"packed RAW must have shape [..., 4, h, w], got {list(x.shape)}")
    offsets = CFA.parse(cfa).offsets
    *lead, _, height, width = x.shape
    shape = (*lead, 1, 2 * height, 2 * width)
    mosaic: Any
    if isinstance(x, np.ndarray):
        mosaic = np.empty(shape, dtype=x.dtype)
    elif _is_recorded(x):
        mosaic = _interleave(x, [offsets.index((at // 2, at % 2)) for at in range(4)])
        return cast("A", mosaic)
    else:
        mosaic = x.new_empty(shape)
    for plane, (row, column) in enumerate(offsets):
        mosaic[..., 0, row::2, column::2] = x[..., plane, :, :]
    result: A = mosaic
    return result


def _is_recorded(x: Tensor) -> bool:
    """Return whether steps are recorded: for a gradient, or for a graph, where assignments are slow."""
    import torch

    return x.requires_grad or torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined]


def _interleave(planes: Tensor, order: list[int]) -> Tensor:
    """Interleave planes ``[..., 4, h, w]`` given in reading order, without assignments."""
    import torch

    first, second, third, last = (planes.select(-3, plane) for plane in order)
    rows = [torch.stack(pair, dim=-1).flatten(-2) for pair in ((first, second), (third, last))]
    return torch.stack(rows, dim=-2).flatten(-3, -2).unsqueeze(-3)


def plane_rows(values: Tensor, cfa: CFA | str, width: int) -> Tensor:
    """Lay numbers of the planes out as they stand in two rows of a mosaic.

    Args:
        values: one for each plane, ``[..., 4]``.
        cfa: the Bayer phase.
        width: columns of the mosaic, even.

    Returns:
        ``[..., 2, width]``, for mosaics seen as ``[..., H / 2, 2, width]``.

    Example:
        >>> import torch
        >>> plane_rows(torch.tensor([1, 2, 3, 4]), "GRBG", 4).tolist()
        [[2, 1, 2, 1], [4, 3, 4, 3]]
    """
    import torch

    offsets = CFA.parse(cfa).offsets
    rows = [[offsets.index((row, column)) for column in range(2)] for row in range(2)]
    tile = torch.stack([torch.stack([values[..., plane] for plane in row], dim=-1) for row in rows], dim=-2)
    return tile.repeat(*(1,) * (tile.ndim - 1), width // 2)


def sample_mask(cfa: CFA | str, height: int, width: int, *, device: Any = None) -> Tensor:
    """Return a boolean ``[3, H, W]`` mask, true where the sensor measures that colour.

    Example:
        >>> red, green, blue = sample_mask("RGGB", 2, 2)
        >>> green.tolist()
        [[False, True], [True, False]]
    """
    import torch

    rows, columns = (torch.arange(size, device=device) % 2 for size in (height, width))
    at = 2 * rows[:, None] + columns  # compared, as assignments are slow in ONNX
    indices = CFA.parse(cfa).indices
    red, blue = at == indices.index(0), at == indices.index(2)
    return torch.stack([red, ~(red | blue), blue])
