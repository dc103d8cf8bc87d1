"""Print what is left of the error of the fitted formula if errors of a coarse scale were known and removed.

    python benchmarks/where_error.py DATASET

DATASET is a folder of `revisp-prepare`, such as WORK/hero7 of `benchmarks/real_cameras.py`. The formula is
fitted to its training pictures and scored on the others, in tiles of 512 pixels, as `revisp-train` scores it.
The error of each tile is then smoothed and subtracted. What is left is what a perfect correction of shading,
colour and local tone would leave.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict

import torch
from _report import provenance
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from revisp.camera.fit import fit_camera
from revisp.data import create_data
from revisp.mosaic import mosaic
from revisp.training.baselines import fit_pairs, place_in

SCALES = (64, 16, 4, 1)
"""Standard deviations of the smoothing in pixels."""


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    data = create_data("prepared", root=parser.parse_args().dataset, val_tile=512)
    data.setup()
    pairs = fit_pairs(data.training_samples())
    camera = fit_camera(pairs, shading=all(pair.place is not None for pair in pairs))
    found: dict[str, list[float]] = defaultdict(list)
    for batch in data.test_dataloader():
        error = camera.unprocess(batch.srgb, place_in(batch)) - batch.target
        mean = (error * batch.valid).sum((-2, -1), keepdim=True) / batch.valid.sum()
        left = {"nothing": error, "the mean of each colour": error - mean}
        left |= {f"what is smooth over {scale} pixels": error - _smooth(error, scale) for scale in SCALES}
        for removed, rest in left.items():
            square = mosaic(rest, data.profile.cfa).square() * batch.valid
            found[removed].append(-10 * math.log10(square.sum().item() / batch.valid.sum().item()))
    print("| removed from each tile | PSNR of the rest |\n| --- | --- |")
    for removed, values in found.items():
        print(f"| {removed} | {sum(values) / len(values):.2f} |")
    print(f"\n{provenance()}; printed by `python benchmarks/where_error.py`.")


def _smooth(error: Tensor, scale: int) -> Tensor:
    small = max(1, scale // 4)
    coarse = torch.nn.functional.avg_pool2d(error, small, ceil_mode=True, count_include_pad=False)
    sigma = scale / small
    smooth = gaussian_blur(coarse, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma, sigma])
    return torch.nn.functional.interpolate(smooth, error.shape[-2:], mode="bilinear", align_corners=False)


if __name__ == "__main__":
    main()
