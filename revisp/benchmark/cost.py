"""Measure the cost of a pipeline: parameters, arithmetic operations, seconds."""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from revisp.inference.fast import optimise
from revisp.inference.predict import predict
from revisp.pipeline import ReverseISP

__all__ = ["Cost", "measure_cost"]

COUNTED_SIDE = 504
"""Height and width in pixels of the photo for which operations are counted: a tile of AIM 2022."""

MAX_TIMING_SECONDS = 5.0
"""Seconds after which no further prediction is timed."""


class Cost(NamedTuple):
    """The cost of a prediction.

    Attributes:
        parameters: number of parameters.
        gmac: multiply-accumulate operations for a megapixel, in 1e9, counted at 504 x 504 pixels with both
            branches.
        seconds: seconds to predict a megapixel: the median of up to three predictions after a warm-up.

    Example:
        >>> Cost(parameters=1_000_000, gmac=58.5, seconds=0.25)._asdict()
        {'parameters': 1000000, 'gmac': 58.5, 'seconds': 0.25}
    """

    parameters: int
    gmac: float
    seconds: float


def measure_cost(model: ReverseISP, srgb: Tensor) -> Cost:
    """Count the operations of a pipeline, and measure its time on the fast path (`optimise`).

    Args:
        model: the pipeline, on the device whose time is measured.
        srgb: the photo to predict, ``[3, H, W]`` in [0, 1].

    Example:
        >>> model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2})
        >>> cost = measure_cost(model, torch.rand(3, 32, 48))
        >>> cost.parameters, round(cost.gmac, 1)
        (3990, 2.5)
    """
    times: list[float] = []
    fast = optimise(model)
    predict(fast, srgb)
    while len(times) < 3 and sum(times) < MAX_TIMING_SECONDS:
        started = time.perf_counter()
        predict(fast, srgb)
        times.append(time.perf_counter() - started)
    seconds = statistics.median(times) / (srgb.shape[-2] * srgb.shape[-1] / 1e6)
    return Cost(sum(p.numel() for p in model.parameters()), _gmac(model), seconds)


def _gmac(model: ReverseISP) -> float:
    """Count the operations on tensors without values, which takes no time."""
    with torch.device("meta"):
        abstract = ReverseISP(**model.config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        abstract.run_branches(*(torch.empty(1, c, COUNTED_SIDE, COUNTED_SIDE, device="meta") for c in (3, 1)))
    return float(counter.get_total_flops()) / 2 / (COUNTED_SIDE**2 / 1e6) / 1e9
