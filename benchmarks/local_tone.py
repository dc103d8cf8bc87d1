"""Try whether a learned grid of local tone would help the fitted formula of a camera.

    python benchmarks/local_tone.py DATASET [--val NAME ...]

DATASET is a folder of `revisp-prepare`, such as WORK/hero7 of `benchmarks/real_cameras.py`. The formula is fitted
to its training pictures. Its RAW is then multiplied by a gain, which depends on the brightness of the pixel and on
the mean brightness around it. The gains are a grid of 8 x 8 values, as in a bilateral grid: they are interpolated,
and fitted in closed form so that neighbours differ little. They are fitted twice: to the training pictures, as a
training would do, and to the scored ones themselves, which shows how much such a grid could give.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from _report import provenance, to_table
from torch import Tensor
from torch.nn import functional as F

from revisp.camera.fit import fit_camera
from revisp.camera.fitted import FittedCamera
from revisp.cfa import CFA
from revisp.data import create_data
from revisp.mosaic import mosaic
from revisp.training.baselines import fit_pairs, place_in

SIZE = 8
SURROUNDS = (8, 16, 32, 64)
"""The surround of a pixel is the photo's longer side divided by each of these."""
STEP = 7
"""Of the pixels, every seventh is fitted."""
SMOOTH = 1.0
"""Weight of the differences between neighbours, over the mean weight of a value."""


@dataclass(frozen=True)
class Picture:
    """A photo, its RAW, and the RAW of the formula."""

    srgb: Tensor
    target: Tensor
    formula: Tensor
    valid: Tensor


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--val", nargs="+", help="pictures to score; default: those of the data set")
    arguments = parser.parse_args()
    apart = {} if arguments.val is None else {"val": arguments.val}
    data = create_data("prepared", root=arguments.dataset, val_tile=4096, **apart)
    data.setup()
    samples = data.training_samples()
    pairs = fit_pairs(samples)
    camera = fit_camera(pairs, shading=all(pair.place is not None for pair in pairs))
    learnt = [picture(camera, one.srgb, one.target, one.valid, place_in(one)) for one in samples]
    scored = [
        picture(
            camera,
            one.srgb[0],
            one.target[0],
            one.valid[0],
            None if (place := place_in(one)) is None else place[0],
        )
        for one in data.test_dataloader()
    ]
    cfa = data.profile.cfa
    rows = []
    for part in SURROUNDS:
        by_others, by_itself = (fit(pictures, part) for pictures in (learnt, scored))
        gains = [psnr(scored, cfa, part, grid) - psnr(scored, cfa) for grid in (by_others, by_itself)]
        rows.append((f"1/{part} of the photo", *(f"{gain:+.2f}" for gain in gains)))
    print(f"The formula alone: {psnr(scored, cfa):.2f} dB. Gain of a grid in dB:\n")
    print(to_table(("surround", "learnt from the training pictures", "fitted to the scored pictures"), rows))
    print(f"\n{provenance()}; printed by `python benchmarks/local_tone.py`.")


def picture(camera: FittedCamera, srgb: Tensor, target: Tensor, valid: Tensor, place: Tensor | None) -> Picture:
    """Lay the RAW of the formula beside a pair."""
    return Picture(srgb, target, camera.unprocess(srgb, place), valid)


def weights(one: Picture, part: int) -> list[tuple[Tensor, Tensor]]:
    """Return for the four neighbours of each pixel in the grid their number and their weight, ``[H, W]`` each."""
    own = one.srgb.mean(0)
    height, width = own.shape
    side = max(1, max(height, width) // part)
    means = F.avg_pool2d(own[None, None], (min(side, height), min(side, width)))
    around = F.interpolate(means, (height, width), mode="bilinear", align_corners=False)[0, 0]
    (row, down), (column, right) = (_between(x) for x in (own, around))
    return [
        ((row + y) * SIZE + column + x, (down if y else 1 - down) * (right if x else 1 - right))
        for y in (0, 1)
        for x in (0, 1)
    ]


def _between(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower of the two values of the grid that a brightness lies between, and how far it is above."""
    at = x.clamp(0, 1) * (SIZE - 1)
    lower = at.floor().clamp(max=SIZE - 2)
    return lower.long(), at - lower


def fit(pictures: Sequence[Picture], part: int) -> Tensor:
    """Return the grid ``[SIZE * SIZE]`` of relative gains that is best for the mean of R, G and B."""
    count = SIZE * SIZE
    left, right = torch.zeros(count, count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    for one in pictures:
        chosen = torch.nonzero(one.valid[0].flatten())[::STEP, 0]
        formula, target = (x.mean(0).flatten()[chosen].double() for x in (one.formula, one.target))
        terms = torch.zeros(len(chosen), count, dtype=torch.float64)
        for number, weight in weights(one, part):
            terms.scatter_add_(1, number.flatten()[chosen, None], weight.flatten()[chosen, None].double())
        terms *= formula[:, None]
        left += terms.T @ terms
        right += terms.T @ (target - formula)
    scale = SMOOTH * left.diagonal().mean()
    return torch.linalg.solve(left + scale * (_roughness() + 1e-3 * torch.eye(count)), right).float()


def _roughness() -> Tensor:
    """Return the matrix of the sum of squared differences between neighbours in the grid."""
    steps = torch.eye(SIZE, dtype=torch.float64).diff(dim=0)
    along, still = steps.T @ steps, torch.eye(SIZE, dtype=torch.float64)
    return torch.kron(along, still) + torch.kron(still, along)


def psnr(pictures: Sequence[Picture], cfa: CFA, part: int = 1, grid: Tensor | None = None) -> float:
    """Return the mean PSNR in dB of the mosaics of the formula, times the gains of a grid."""
    found = []
    for one in pictures:
        raw = one.formula
        if grid is not None:
            raw = raw * (1 + sum(weight * grid[number] for number, weight in weights(one, part)))
        square = mosaic((raw.clamp(0, 1) - one.target)[None], cfa).square() * one.valid
        found.append(-10 * math.log10(square.sum().item() / one.valid.sum().item()))
    return statistics.fmean(found)


if __name__ == "__main__":
    main()
