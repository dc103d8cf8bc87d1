"""Sensor noise: draw, add and measure it. Shot noise grows with the signal; read noise does not.

Brooks et al., "Unprocessing Images for Learned Raw Denoising" (CVPR 2019, arXiv 1811.11127), section 3.1.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from revisp.cfa import CFA, pack
from revisp.checks import check_image
from revisp.errors import ConfigError, DataError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = [
    "NoiseLevels",
    "add_noise",
    "amplified",
    "fit_noise",
    "noise_levels",
    "random_noise_levels",
    "table_noise",
]

Array = np.ndarray[Any, Any]

SHOT_RANGE = (1e-4, 0.012)
READ_SLOPE, READ_OFFSET, READ_SPREAD = 2.18, 1.20, 0.26

BLOCK_SIDE = 8
"""Side of the blocks that `fit_noise` measures, in samples of one plane: 16 differences each."""

MOST_LEVELS = 16
"""Greatest number of brightness levels per plane at which `fit_noise` measures a variance."""

FLATTEST_SHARE = 0.05
"""Share of a level's blocks that count as flat in the first round."""

BLOCK_DIFFERENCES = (BLOCK_SIDE // 2) ** 2
"""Coefficients of a block's diagonal Haar band."""

NOISE_ONLY = 1.2
"""Ratio of a block's energy to the expected energy of the noise, up to which the block counts as flat. Pure noise
exceeds 1 by this much at one standard deviation."""

FLAT_ROUNDS = 2
"""Rounds that choose the flat blocks again with the noise found so far. On some pictures, more rounds drift below
the true noise."""

LEAST_FLAT = 30
"""Least number of flat blocks of a level in these rounds."""

MIN_BLOCKS = 100
"""Least number of blocks of a level in the first round; five of them count as flat."""

MOST_TEXTURED = 0.25
"""Share of the levels that `fit_noise` keeps at least, when it leaves out textured ones."""

SATURATED_FROM = 0.98
"""Normalised value from which a sample counts as saturated, because saturation cuts off its noise."""


class NoiseLevels(NamedTuple):
    """Variance of the noise at a normalised signal x: ``x * shot + read``.

    Attributes:
        shot: variance per unit of signal.
        read: variance without light.

    Example:
        >>> levels = NoiseLevels(shot=0.01, read=0.0001)
        >>> round(0.25 * levels.shot + levels.read, 4)  # variance at a signal of 0.25
        0.0026
    """

    shot: float
    read: float


def noise_levels(shot: float, deviation: float = 0.0) -> NoiseLevels:
    """Return noise levels with the typical read noise of a shot noise: ln read = 2.18 ln shot + 1.20 + deviation.

    UPI fitted this line to the Darmstadt Noise Dataset. The logarithms are natural.

    Raises:
        ConfigError: shot is not positive.

    Example:
        >>> f"{noise_levels(0.01).read:.2e}"
        '1.45e-04'
    """
    if shot <= 0:
        raise ConfigError(f"shot noise must be positive, got {shot}")
    return NoiseLevels(shot, math.exp(READ_SLOPE * math.log(shot) + READ_OFFSET + deviation))


def random_noise_levels(generator: torch.Generator) -> NoiseLevels:
    """Draw noise levels as UPI does.

    ln shot ~ U(ln 1e-4, ln 0.012), and ln read ~ N(0, 0.26) around the line of `noise_levels`.

    Args:
        generator: source of randomness, on the CPU.

    Example:
        >>> levels = random_noise_levels(torch.Generator().manual_seed(0))
        >>> 1e-4 <= levels.shot <= 0.012
        True
    """
    low, high = (math.log(bound) for bound in SHOT_RANGE)
    shot = math.exp(low + (high - low) * torch.rand(1, generator=generator, dtype=torch.float64).item())
    deviation = READ_SPREAD * torch.randn(1, generator=generator, dtype=torch.float64).item()
    return noise_levels(shot, deviation)


def amplified(levels: NoiseLevels, gain: float) -> NoiseLevels:
    """Return the noise at a higher gain, as a higher ISO causes it.

    At a gain g the same normalised signal comes from 1 / g of the light. The variance of shot noise grows by g.
    Read noise is amplified with the signal, so its variance grows by g squared.

    Args:
        levels: the noise at a gain of 1.
        gain: the gain, positive.

    Example:
        >>> amplified(NoiseLevels(shot=1e-3, read=1e-5), 2.0)
        NoiseLevels(shot=0.002, read=4e-05)
    """
    return NoiseLevels(levels.shot * gain, levels.read * gain**2)


def add_noise(raw: Tensor, levels: NoiseLevels, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of variance ``x * shot + read`` to normalised RAW values x.

    Args:
        raw: noise-free RAW of any shape, black 0, white 1; negative values count as 0 for the variance.
        levels: shot and read variance.
        generator: source of randomness. Noise is drawn on its device and then moved, so it does not depend on the
            device of ``raw``.

    Returns:
        Noisy values of the same shape, unclamped.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> noisy = add_noise(torch.full((1, 64, 64), 0.25), NoiseLevels(0.01, 0.0001), generator)
        >>> round(noisy.var().item(), 4)
        0.0026
    """
    noise = torch.randn(raw.shape, generator=generator, device=generator.device, dtype=raw.dtype).to(raw.device)
    return raw + noise * (raw.clamp_min(0) * levels.shot + levels.read).sqrt()


def table_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw Gaussian noise of deviation 1 from a table, in half of the time that `torch.randn` takes.

    Each value is the mean of one of 65536 equally probable parts of the distribution: none exceeds 4.4 deviations.

    Args:
        shape: shape of the noise.
        generator: source of randomness; the noise is on its device.

    Example:
        >>> noise = table_noise((1, 256, 256), torch.Generator().manual_seed(0))
        >>> abs(noise.mean().item()) < 0.02, round(noise.std().item(), 2)
        (True, 1.0)
    """
    count = math.prod(shape)
    bits = torch.empty(-(count // -4), dtype=torch.int64, device=generator.device)
    bits.random_(-(2**63), None, generator=generator)  # four entries each
    entries = bits.view(torch.int16)[:count].to(torch.int32).bitwise_and_(0xFFFF)
    return _normal_parts().to(entries.device).index_select(0, entries).view(*shape)


@cache
@torch.inference_mode(False)
def _normal_parts() -> Tensor:
    """Return the means of 65536 equally probable parts of the normal distribution, of deviation 1."""
    edges = torch.special.ndtri(torch.linspace(0, 1, 2**16 + 1, dtype=torch.float64))
    means = -torch.diff(torch.exp(-0.5 * edges.square()))
    return (means / means.square().mean().sqrt()).float()


def fit_noise(bayer: Tensor, cfa: CFA | str, *, scale: int = 1) -> NoiseLevels:
    r"""Measure shot and read noise on the flat regions of a RAW.

    Each packed plane is cut into blocks of 8x8 samples of one colour. The diagonal Haar band (differences of
    differences over 2x2 samples) gives a block's variance; it contains neither the block's level nor a gradient. A
    block is flat if its energy in all other bands is small. In the first round this is the lowest twentieth at its
    brightness and plane. Later it is every block whose energy the noise found so far explains. White noise is
    independent between orthogonal bands, so the choice does not favour blocks of little noise. A line is fitted to
    the medians of the flat blocks at up to 16 levels by weighted least squares, with no coefficient below 0:

    .. math:: \mathrm{var}(x) = \mathrm{shot} \cdot x + \mathrm{read}

    Levels far above the line hold texture and are left out. In a test on eight photographs of 0.2 megapixels with
    added noise of shot 1e-3 to 1e-2, the measured variance was 6 % too low to 13 % too high, and 4 % too high on
    average, because fine texture looks like noise.

    Convention:
        The model is white noise. Denoising and lossy compression remove the finest noise of a RAW. ``scale=2`` or
        more measures the noise on means of 2x2 samples or more, where wavelet compression keeps it. Rounding adds
        1/12 of a squared step to the read noise.

    Args:
        bayer: normalised mosaic ``[1, H, W]``, black 0, white 1, unclamped where possible.
        cfa: its Bayer phase.
        scale: side of the squares of samples of one plane that are averaged first; the result is still the noise
            of one sample.

    Returns:
        Variances on the normalised scale, both at least 0.

    Raises:
        ShapeError: not a single floating mosaic of one channel.
        ConfigError: not a Bayer phase, or a scale below 1.
        DataError: too few blocks without saturated or black samples.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> light = torch.linspace(0.1, 0.9, 256).expand(1, 256, 256)
        >>> noisy = add_noise(light, NoiseLevels(1e-3, 1e-5), generator)
        >>> f"{fit_noise(noisy, 'RGGB').shot:.0e}"
        '1e-03'
    """
    check_image(bayer, 1, "bayer")
    if bayer.ndim != 3:
        raise ShapeError(f"bayer must be a single mosaic [1, H, W], got {list(bayer.shape)}")
    if scale < 1:
        raise ConfigError(f"scale must be at least 1, got {scale}")
    black = float(bayer.min())
    planes = pack(bayer.detach().double(), cfa).cpu().numpy()
    blocks = [_blocks(plane, black, scale) for plane in planes]
    parts = [part for plane in blocks for part in _by_level(plane, MIN_BLOCKS)]
    if len(parts) < 4:
        raise DataError(
            "noise cannot be measured: too few blocks of the RAW hold no black and no saturated sample"
        )
    parts = [part[:, np.argsort(part[2])[: math.ceil(FLATTEST_SHARE * part.shape[1])]] for part in parts]
    line, reach = _fit_line(parts, None), _reach(parts)
    together = np.concatenate(blocks, axis=1)
    for _ in range(FLAT_ROUNDS):
        parts = _by_level(together[:, together[2] <= NOISE_ONLY * _at(line, together[0])], LEAST_FLAT)
        if len(parts) < 4 or _reach(parts) < reach / 2:
            break  # the remaining levels are too close to each other to fit a slope
        line = _fit_line(parts, line)
    return NoiseLevels(*line)


def _blocks(plane: Array, black: float, scale: int) -> Array:
    """Return each block's level, and mean square of its diagonal Haar band and of its other bands: ``[3, n]``."""
    side = BLOCK_SIDE * scale
    rows, columns = (length // side for length in plane.shape)
    if not rows * columns:
        return np.empty((3, 0))
    blocks = plane[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)
    blocks = blocks[(blocks.max(axis=(2, 3)) < SATURATED_FROM) & (blocks.min(axis=(2, 3)) > black)]
    # A sum over scale x scale samples, divided by scale, has the variance of one sample.
    blocks = blocks.reshape(-1, BLOCK_SIDE, scale, BLOCK_SIDE, scale).sum(axis=(2, 4)) / scale
    level = blocks.mean(axis=(1, 2))
    total = np.square(blocks - level[:, None, None]).sum(axis=(1, 2))
    tiles = blocks.reshape(len(blocks), BLOCK_SIDE // 2, 2, BLOCK_SIDE // 2, 2)
    # The transform is orthonormal, so that white noise keeps its variance.
    diagonal = np.square(np.einsum("nirjc,rc->nij", tiles, [[0.5, -0.5], [-0.5, 0.5]])).sum(axis=(1, 2))
    return np.stack(
        [level / scale, diagonal / BLOCK_DIFFERENCES, (total - diagonal) / (BLOCK_SIDE**2 - 1 - BLOCK_DIFFERENCES)]
    )


def _by_level(blocks: Array, least: int) -> list[Array]:
    """Sort blocks ``[3, n]`` by level into at most `MOST_LEVELS` parts of at least ``least``, or none."""
    if blocks.shape[1] < least:
        return []
    order = np.argsort(blocks[0])
    return [blocks[:, part] for part in np.array_split(order, min(MOST_LEVELS, len(order) // least))]


def _reach(parts: list[Array]) -> float:
    levels = [part[0].mean() for part in parts]
    return float(max(levels) - min(levels))


def _at(line: tuple[float, float], levels: Array) -> Array:
    """Return the variance ``shot * level + read``, above 0."""
    return np.maximum(line[0] * levels + line[1], 1e-20)


def _fit_line(parts: list[Array], line: tuple[float, float] | None) -> tuple[float, float]:
    """Fit shot and read noise to the median variance of each part, starting from a line; leave out texture."""
    median = (
        1 - 2 / (9 * BLOCK_DIFFERENCES)
    ) ** 3  # of a chi-squared over its mean (Wilson and Hilferty, PNAS 1931)
    parts = [part for part in parts if np.median(part[1]) > 0]  # 0: the part is constant or smoothed
    if len(parts) < 2:
        return 0.0, 0.0
    levels = np.array([part[0].mean() for part in parts])
    variances = np.array([np.median(part[1]) for part in parts]) / median
    spread = np.array([math.sqrt(math.pi / (part.shape[1] * BLOCK_DIFFERENCES)) for part in parts])  # relative
    expected = variances if line is None else _at(line, levels)
    kept = np.ones(len(parts), bool)
    fitted = (0.0, 0.0)
    for _ in range(12):  # from the second time on, weights come from the line: measured variances are poor weights
        fitted = _least_squares(levels[kept], variances[kept], (spread * expected)[kept])
        expected = _at(fitted, levels)
        inside = kept & (variances <= expected * (1 + 3 * spread))
        kept = inside if inside.mean() >= MOST_TEXTURED else kept
    return fitted


def _least_squares(levels: Array, variances: Array, errors: Array) -> tuple[float, float]:
    """Fit ``shot * level + read`` by weighted least squares, with neither below 0."""
    scale = max(float(levels.max()), 1e-6)  # brings both columns to one scale
    design = np.stack([levels / scale, np.ones_like(levels)], axis=1) / errors[:, None]
    target = variances / errors
    shot, read = np.linalg.lstsq(design, target, rcond=None)[0]
    if min(shot, read) < 0:  # the best allowed solution then lies on an axis
        alone = np.maximum(design.T @ target / np.square(design).sum(axis=0), 0)
        costs = [np.square(column * value - target).sum() for column, value in zip(design.T, alone, strict=True)]
        shot, read = (alone[0], 0.0) if costs[0] <= costs[1] else (0.0, alone[1])
    return float(shot) / scale, float(read)
