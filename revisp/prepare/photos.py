"""Make pictures of plain photos by simulated cameras."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import torch

from revisp.camera.cameras import EXPOSURES, random_simulated_camera
from revisp.camera.simulate import simulate
from revisp.io.camera_file import load_camera
from revisp.io.photo import read_srgb
from revisp.prepare.items import PlainPhoto, shot_name
from revisp.prepare.options import PrepareOptions
from revisp.prepare.store import AlignedPair

__all__ = ["simulated_pictures"]


def simulated_pictures(item: PlainPhoto, options: PrepareOptions) -> Iterator[AlignedPair]:
    """Simulate ``options.cameras`` shots of a photo, by random cameras or by the one of ``options.camera``.

    The random draws depend only on the name of the photo and ``options.seed``.

    Raises:
        ImageError: the photo cannot be read.
        ConfigError: ``options.camera`` is not a valid camera file.
    """
    photo = read_srgb(item.files[0], damaged=options.damaged)
    height, width = (side // 2 * 2 for side in photo.shape[-2:])
    fixed = None if options.camera is None else load_camera(options.camera)
    for index in range(options.cameras):
        name = shot_name(item, index, options.cameras)
        generator = torch.Generator().manual_seed(zlib.crc32(f"{options.seed}:{name}".encode()))
        camera = fixed or random_simulated_camera(generator)
        low, high = EXPOSURES
        exposure = low + (high - low) * torch.rand(1, generator=generator).item()
        shot = simulate(photo[:, :height, :width], camera, exposure=exposure, generator=generator)
        stored = camera.profile.quantise(shot.bayer[0].numpy())
        yield AlignedPair(name, "simulated", camera.profile, stored, shot.srgb, fit=False)
