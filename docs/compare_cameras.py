"""Compare real RAWs with simulated ones of the same cameras, for ``docs/simulated-against-real.md``.

    python docs/compare_cameras.py SAMPLES

Writes ``pictures/simulated-against-real.png`` and fills the tables of that page. SAMPLES is a folder of real
camera files: ``gopro_hero7/GOPR8508`` and ``GOPR8514`` (.GPR and .JPG), and ``canon_s40/CRW_0101.CRW``,
``CRW_0105.CRW`` and ``IMG_0102.JPG``. The same files give the same picture.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from make_pictures import GAP, save, sheet, stack
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from revisp.align import align
from revisp.camera.develop import develop
from revisp.camera.fit import FitPair, fit_camera
from revisp.camera.noise import NoiseLevels, fit_noise
from revisp.camera.profile import CameraProfile
from revisp.camera.simulate import SimulatedCamera, simulate
from revisp.cfa import PLANES, pack
from revisp.demosaic import demosaic
from revisp.io.photo import read_srgb
from revisp.io.raw.preview import read_preview
from revisp.io.raw.read import read_raw
from revisp.prepare.frame import Frame

HERE = Path(__file__).parent
Array = np.ndarray[Any, Any]

PATCH = (slice(2090, 2240), slice(800, 1000))
"""Rows and columns of the detail that is shown."""

VIEW = 310
"""Width of a picture, in pixels."""

REAL, SIMULATED = "black", "tab:orange"


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, help="folder of real camera files")
    first, second = compare_cameras(parser.parse_args().samples)
    fill(HERE / "simulated-against-real.md", first, second)
    save(stack(views(first), charts(first, second)), HERE / "pictures" / "simulated-against-real.png")


class Comparison(NamedTuple):
    """A real RAW and the simulated one of its photo, both mosaics ``[1, H, W]``.

    Attributes:
        camera: what to call it.
        profile: CFA and colour of both.
        real: the camera's RAW.
        simulated: what the camera, measured on another exposure, is thought to store of the photo.
        photo: on the RAW's grid ``[3, H, W]``.
        valid: where photo and RAW show the same ``[1, H, W]``.
        scales: sides of the squares of samples on which to look at noise.
    """

    camera: str
    profile: CameraProfile
    real: Tensor
    simulated: Tensor
    photo: Tensor
    valid: Tensor
    scales: tuple[int, ...]


def compare_cameras(samples: Path) -> tuple[Comparison, Comparison]:
    """Measure both cameras on one exposure each, and simulate them from the photo of another."""
    gopro, canon = samples / "gopro_hero7", samples / "canon_s40"
    frame = Frame(read_raw(gopro / "GOPR8508.GPR").upright())
    pair = on_raw(read_srgb(gopro / "GOPR8508.JPG"), frame)
    noise = fit_noise(_bayer(frame), frame.raw.profile.cfa, scale=3)  # the compression of GPR removes the finest
    camera = measured(frame, pair, noise)
    first = compare("HERO7", camera, gopro / "GOPR8514.GPR", gopro / "GOPR8514.JPG", (1, 3))
    frame = Frame(read_raw(canon / "CRW_0105.CRW").upright())
    preview = read_preview(canon / "CRW_0105.CRW")
    assert preview is not None
    camera = measured(frame, on_photo(preview, frame), fit_noise(_bayer(frame), frame.raw.profile.cfa))
    return first, compare("S40", camera, canon / "CRW_0101.CRW", canon / "IMG_0102.JPG", (1,))


def measured(frame: Frame, pair: FitPair, noise: NoiseLevels) -> SimulatedCamera:
    """Return the camera fitted to a pair; it takes a photo for all that there is to see."""
    fitted = fit_camera([pair])
    profile = fitted.profile(frame.raw.profile)
    return SimulatedCamera(profile, shot_noise=noise.shot, read_noise=noise.read, expansion=1.0, rendering=fitted)


def on_raw(photo: Tensor, frame: Frame) -> FitPair:
    """Return photo, RAW and valid pixels on the RAW's grid."""
    found = align(photo, frame.reference, window=frame.raw.crop)
    size = frame.raw.mosaic.shape
    return FitPair(found.warp(photo, *size), frame.raw_rgb, found.valid(*size))


def on_photo(photo: Tensor, frame: Frame) -> FitPair:
    """Return photo, RAW and valid pixels on the grid of a reduced photo."""
    found = align(photo, frame.reference, window=frame.raw.crop)
    valid = found.reduced(found.valid(*frame.raw.mosaic.shape)) > 0.99
    return FitPair(found.cropped(photo), found.reduced(frame.raw_rgb), valid.float())


def compare(name: str, camera: SimulatedCamera, raw: Path, photo: Path, scales: tuple[int, ...]) -> Comparison:
    """Simulate a camera from a photo, beside the RAW of the same view."""
    frame = Frame(read_raw(raw).upright())
    srgb, _, valid = on_raw(read_srgb(photo), frame)
    assert valid is not None
    shot = simulate(srgb, camera, generator=torch.Generator().manual_seed(0))
    return Comparison(name, frame.raw.profile, _bayer(frame), shot.bayer, srgb, valid, scales)


def views(comparison: Comparison) -> Image.Image:
    """Real and simulated RAW developed alike, and their difference; a detail of both and of the photo."""
    profile = comparison.profile
    names = ("real", "simulated")
    raws = (comparison.real, comparison.simulated)
    shown = {
        name: develop(demosaic(raw, profile.cfa, "malvar", gains=profile.gains), profile, exposure=1.0)
        for name, raw in zip(names, raws, strict=True)
    }
    difference = 5 * F.avg_pool2d((shown["real"] - shown["simulated"]) * comparison.valid, 8).abs()
    whole = [(f"{name} RAW", picture) for name, picture in shown.items()]
    detail = [(f"{title}, detail", picture[(..., *PATCH)]) for title, picture in whole]
    return stack(
        sheet([[*whole, ("difference of 8 x 8 means x 5", difference)]], width=VIEW),
        sheet([[*detail, ("photo, detail", comparison.photo[(..., *PATCH)])]], width=VIEW, smooth=False),
    )


def charts(first: Comparison, second: Comparison) -> Image.Image:
    """Histograms of the first comparison, and noise variance against signal of both."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * (VIEW + GAP) / 100, 6), dpi=100, layout="constrained")
    above, below = figure.subfigures(2, 1)
    for axes, plane, real, simulated in zip(
        above.subplots(1, 4, sharex=True, sharey=True), PLANES, *_samples(first), strict=True
    ):
        for values, name, colour in ((real, "real", REAL), (simulated, "simulated", SIMULATED)):
            bins = np.arange(0, 0.5, 2**-8)
            axes.hist(values, bins, density=True, histtype="step", color=colour, label=name)
        axes.set(title=f"{first.camera}, {plane}", xlabel="RAW value", yscale="log", ylim=(1e-3, 1e2))
    above.axes[0].legend(loc="lower left")
    above.axes[0].set_ylabel("density")
    panels = [(comparison, scale) for comparison in (first, second) for scale in comparison.scales]
    for axes, (comparison, scale) in zip(below.subplots(1, len(panels), sharey=True), panels, strict=True):
        for raw, colour in ((comparison.real, REAL), (comparison.simulated, SIMULATED)):
            levels, variances = noise_bins(raw, comparison, scale)
            line = fit_noise(raw, comparison.profile.cfa, scale=scale)
            axes.plot(levels, variances, "o", color=colour, markersize=3)
            axes.plot(levels, line.shot * levels + line.read, color=colour)
        axes.set(title=f"{comparison.camera}, {_scale_name(scale)}", xlabel="RAW value", ylim=(0, 1.5e-4))
    below.axes[0].set_ylabel("noise variance per sample")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def noise_bins(raw: Tensor, comparison: Comparison, scale: int) -> tuple[Array, Array]:
    """Return 16 levels, and the noise variance that the flattest twentieth of the blocks has at each.

    A block's noise is the energy of its differences of differences over 2 x 2 samples (diagonal Haar band), and
    it is flat if all other bands hold little, as for `fit_noise`, which fits a line instead of looking at levels.
    """
    block, cfa = 8, comparison.profile.cfa
    planes, valid = (F.avg_pool2d(pack(x, cfa)[:, None].double(), scale) for x in (raw, comparison.valid))
    kernel = scale * planes.new_tensor(
        [[[[0.5, -0.5], [-0.5, 0.5]]]]
    )  # white noise keeps the variance of a sample
    noise = F.avg_pool2d(F.conv2d(planes, kernel, stride=2).square(), block // 2)
    level = F.avg_pool2d(planes, block)
    texture = scale**2 * (F.avg_pool2d(planes.square(), block) - level.square()) - noise / 4
    counts = (F.avg_pool2d(valid, block) == 1).expand_as(level)
    level, noise, texture = (x[counts].numpy() for x in (level, noise, texture))
    median = (1 - 2 / (9 * (block // 2) ** 2)) ** 3  # of a chi-squared over its mean (Wilson and Hilferty 1931)
    parts = np.array_split(np.argsort(level), 16)
    flat = [part[np.argsort(texture[part])[: len(part) // 20]] for part in parts]
    return np.array([level[part].mean() for part in flat]), np.array(
        [np.median(noise[part]) for part in flat]
    ) / median


def fill(page: Path, first: Comparison, second: Comparison) -> None:
    """Replace the two tables of a page, between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    lines = ["| RAW value | R | Gr | Gb | B |", "| --- | --- | --- | --- | --- |"]
    real, simulated = _samples(first)
    measures = {"mean": np.mean} | {
        f"{share} % lie below": lambda x, share=share: np.percentile(x, share) for share in (1, 10, 50, 90, 99)
    }
    for name, measure in measures.items():
        cells = [f"{measure(a):.4f} / {measure(b):.4f}" for a, b in zip(real, simulated, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for side, name in ((1, "single samples"), (8, "means of 8 x 8 samples")):
        lines.append(f"| PSNR of {name} | {' | '.join(f'{value:.1f} dB' for value in _psnr(first, side))} |")
    tables = {"histograms": lines}
    tables["noise"] = ["| | real RAW: shot, read | simulated: shot, read |", "| --- | --- | --- |"]
    for comparison in (first, second):
        for scale in comparison.scales:
            cells = []
            for raw in (comparison.real, comparison.simulated):
                found = fit_noise(raw, comparison.profile.cfa, scale=scale)
                cells.append(f"{found.shot:.2e}, {found.read:.1e}")
            tables["noise"].append(f"| {comparison.camera}, {_scale_name(scale)} | {' | '.join(cells)} |")
    text = page.read_text()
    for name, rows in tables.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = place.sub(lambda match, rows=rows: match[1] + "\n".join(rows) + "\n" + match[2], text)
    page.write_text(text)


def _bayer(frame: Frame) -> Tensor:
    return torch.from_numpy(frame.raw.normalised()).unsqueeze(0)


def _samples(comparison: Comparison) -> tuple[list[Array], list[Array]]:
    """Return the valid samples of each plane of the real and of the simulated RAW."""
    cfa = comparison.profile.cfa
    counts = pack(comparison.valid, cfa).amin(0) == 1
    real, simulated = ([plane[counts].numpy() for plane in pack(x, cfa)] for x in comparison[2:4])
    return real, simulated


def _psnr(comparison: Comparison, side: int) -> list[float]:
    """Return the PSNR of each plane's means over squares of samples."""
    cfa = comparison.profile.cfa
    real, simulated, valid = (
        F.avg_pool2d(pack(x, cfa), side) for x in (comparison.real, comparison.simulated, comparison.valid)
    )
    counts = valid.amin(0) == 1
    return [-10 * float((a - b)[counts].square().mean().log10()) for a, b in zip(real, simulated, strict=True)]


def _scale_name(scale: int) -> str:
    return "single samples" if scale == 1 else f"means of {scale} x {scale}"


if __name__ == "__main__":
    main()
