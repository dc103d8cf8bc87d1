"""A small prepared data set of simulated pairs, without the work of ``revisp-prepare``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from revisp.camera.simulate import SIMULATED, simulate
from revisp.data.entry import Entry, array_path
from revisp.data.manifest import write_manifest
from revisp.demosaic import demosaic
from revisp.mask import overexposure_mask


def write_simulated_pairs(root: Path, *, count: int = 3, val: Collection[int]) -> Path:
    """Write pairs of 64x96 pixels into a folder as ``revisp-prepare`` would; those of ``val`` validate."""
    (root / "arrays").mkdir()
    entries = []
    for index in range(count):
        generator = torch.Generator().manual_seed(index)
        coarse = torch.rand(1, 3, 8, 12, generator=generator)
        photo = torch.nn.functional.interpolate(coarse, size=(64, 96), mode="bicubic").clamp(0, 1)[0]
        pair = simulate(photo, SIMULATED, exposure=0.7, generator=generator)
        name, overexposed = f"scene_{index}", overexposure_mask(pair.srgb)[0]
        arrays = {
            "raw": SIMULATED.profile.quantise(pair.bayer[0].numpy()),
            "srgb": (pair.srgb * 255).round().byte().permute(1, 2, 0).numpy(),
            "target": demosaic(pair.bayer, SIMULATED.profile.cfa).half().numpy(),
            "oe": overexposed.nonzero().int().numpy(),
        }
        for what, array in arrays.items():
            np.save(array_path(root, name, what), array)
        entries.append(
            Entry(
                name=name,
                kind="simulated",
                scene=name,
                split="val" if index in val else "train",
                camera="simulated",
                profile=SIMULATED.profile,
                height=64,
                width=96,
                oe_share=overexposed.mean().item(),
                sources=(),
                fingerprint="-",
            )
        )
    write_manifest(root, entries)
    return root
