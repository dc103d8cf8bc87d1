"""The correlated colour temperature of a light."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["correlated_temperature"]

# fmt: off
_ISOTHERMS = np.array([
    (0, 0.18006, 0.26352, -0.24341), (10, 0.18066, 0.26589, -0.25479), (20, 0.18133, 0.26846, -0.26876),
    (30, 0.18208, 0.27119, -0.28539), (40, 0.18293, 0.27407, -0.30470), (50, 0.18388, 0.27709, -0.32675),
    (60, 0.18494, 0.28021, -0.35156), (70, 0.18611, 0.28342, -0.37915), (80, 0.18740, 0.28668, -0.40955),
    (90, 0.18880, 0.28997, -0.44278), (100, 0.19032, 0.29326, -0.47888), (125, 0.19462, 0.30141, -0.58204),
    (150, 0.19962, 0.30921, -0.70471), (175, 0.20525, 0.31647, -0.84901), (200, 0.21142, 0.32312, -1.0182),
    (225, 0.21807, 0.32909, -1.2168), (250, 0.22511, 0.33439, -1.4512), (275, 0.23247, 0.33904, -1.7298),
    (300, 0.24010, 0.34308, -2.0637), (325, 0.24792, 0.34655, -2.4681), (350, 0.25591, 0.34951, -2.9641),
    (375, 0.26400, 0.35200, -3.5814), (400, 0.27218, 0.35407, -4.3633), (425, 0.28039, 0.35577, -5.3762),
    (450, 0.28863, 0.35714, -6.7262), (475, 0.29685, 0.35823, -8.5955), (500, 0.30505, 0.35907, -11.324),
    (525, 0.31320, 0.35968, -15.628), (550, 0.32129, 0.36011, -23.325), (575, 0.32931, 0.36038, -40.770),
    (600, 0.33724, 0.36051, -116.45),
]).T
# fmt: on
"""Mired, CIE 1960 (u, v) of the black body, and slope of its isotherm (Wyszecki & Stiles, "Color Science", 2nd
edition, table 1(3.11))."""


def correlated_temperature(x: float, y: float) -> float:
    """Return the correlated colour temperature of a CIE 1931 chromaticity, in kelvin, by Robertson's method.

    A. R. Robertson, "Computation of Correlated Color Temperature and Distribution Temperature", J. Opt. Soc. Am.
    58(11), 1968. Lights beyond the table have the temperature of its end: 1667 K, or infinity.

    Example:
        >>> round(correlated_temperature(0.44757, 0.40745))  # CIE standard illuminant A
        2856
    """
    mired, u, v, slope = _ISOTHERMS
    divisor = 1.5 - x + 6 * y
    distance = ((3 * y / divisor - v) - slope * (2 * x / divisor - u)) / np.hypot(1, slope)
    beyond = np.flatnonzero(distance <= 0)
    last = int(beyond[0]) if beyond.size else len(mired) - 1
    if last == 0:
        return math.inf
    before, after = distance[last - 1], distance[last]
    share = min(float(before / (before - after)), 1.0) if before > after else 1.0
    found = mired[last - 1] + share * (mired[last] - mired[last - 1])
    return float(1e6 / found) if found > 0 else math.inf
