"""Make the pictures of the documentation with the project's own functions.

    python docs/make_pictures.py [--model FOLDER] [--out docs/pictures]
    python docs/make_pictures.py --renderings SCENE --cameras PHOTO...  # renderings.jpg alone

The photos are those of the embedded data set; learned parts come from the model. The same model gives the same
files. SCENE is an HDR panorama; each PHOTO is out of another camera.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rawpy
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import revisp
from revisp.camera.brightness import match_brightness
from revisp.camera.develop import develop
from revisp.camera.profile import CameraProfile
from revisp.camera.renderings import random_rendering
from revisp.camera.target import as_camera
from revisp.camera.unprocess import UPIUnprocess
from revisp.cfa import CFA, pack, sample_mask
from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS, EmbeddedPhotos
from revisp.data.picture import Pair
from revisp.data.scene_views import SceneViews
from revisp.demosaic import Demosaic
from revisp.fusion import feather_mask
from revisp.io.photo import read_srgb, write_png
from revisp.mask import overexposure_mask
from revisp.pipeline import ReverseISP
from revisp.prepare import PrepareOptions, prepare, write_sheets

SHOWN = ("chelsea", 1.3)
"""Photograph, and exposure in EV, of the pictures that show learned parts; it is a validation photo."""

FINE = ("china", 0.0)
"""One with fine detail, for demosaicing."""

SHIFT = (4, 6)
"""Rows and columns by which the photo of the contact sheet's second pair lies beside its RAW."""

HIGHLIGHT = (slice(90, 190), slice(300, 450))
"""Rows and columns of the detail with a border of overexposure in `SHOWN`."""

ROOF = (slice(188, 268), slice(210, 330))
"""Rows and columns of the detail in `FINE`."""

VIEW, VIEW_NUMBER = 320, 2
"""Side in pixels, and number, of the view that is rendered at random."""

CLIPPED = 0.98
"""sRGB value from which a channel tells nothing of exposure."""

GAP = 8
TITLE = 22

Titled = tuple[str, Tensor]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None, help="model folder; the package's own by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures", help="folder to write to")
    parser.add_argument("--renderings", type=Path, metavar="SCENE", help="show random renderings of this scene")
    parser.add_argument("--cameras", type=Path, nargs="+", default=[], help="real photos to show beside them")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.renderings:
        page = renderings(arguments.renderings, arguments.cameras)
        page.save(arguments.out / "renderings.jpg", quality=75)
        return
    model = revisp.from_pretrained(arguments.model)
    pair = shoot(*SHOWN)
    fine = shoot(*FINE)
    profile = EmbeddedPhotos().profile
    pictures = {
        "overview": overview(model, pair),
        "simulated-camera": simulated_camera(pair, profile),
        "masks": masks(pair),
        "branches": branches(model, pair, profile),
        "fusion": fusion(pair),
        "mosaic": mosaic_planes(fine, profile),
        "targets": targets(fine, profile),
        "result": result(model, pair, profile),
        "contact-sheet": contact_sheet(shoot("coffee", 0.7), profile),
    }
    for name, picture in pictures.items():
        save(picture, arguments.out / f"{name}.png")


def shoot(name: str, exposure: float) -> Pair:
    """Return a pair of the embedded data set."""
    source = EmbeddedPhotos((exposure,))
    pairs = source.val_pairs() if any(photo.name == name for photo in VAL_PHOTOS) else source.train_pairs()
    return next(pair for pair in pairs if pair.name.startswith(name))


def overview(model: ReverseISP, pair: Pair) -> Image.Image:
    """Photo, mask, and the DNG as LibRaw develops it, at the brightness of ``revisp-predict``."""
    out = revisp.predict(model, pair.srgb)
    assert model.profile is not None
    bright = match_brightness(out.bayer, pair.srgb, model.profile)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.dng"
        revisp.io.write_dng(path, bright.apply(out.bayer), model.profile, exposure=bright.rest)
        with rawpy.imread(str(path)) as file:
            pixels = file.postprocess(use_camera_wb=True, no_auto_bright=True)
    developed = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    row = [("photo", pair.srgb), ("overexposure mask", out.mask), ("predicted DNG, developed", developed)]
    return sheet([row], width=320)


def simulated_camera(pair: Pair, profile: CameraProfile) -> Image.Image:
    """Scene, RAW as stored, RAW developed, JPEG."""
    photo = next(photo for photo in (*TRAIN_PHOTOS, *VAL_PHOTOS) if photo.name == SHOWN[0])
    raw_rgb = target(pair, profile)
    row = [
        ("photograph", read_srgb(photo.path)),
        ("RAW, not white-balanced", raw_rgb.clamp(0, 1) ** (1 / 2.2)),
        ("RAW, developed", develop(raw_rgb, profile)),
        ("the camera's JPEG", pair.srgb),
    ]
    return sheet([row], width=240)


def masks(pair: Pair) -> Image.Image:
    """A photo and its masks."""
    row = [
        ("photo", pair.srgb),
        ("luma >= 0.978", overexposure_mask(pair.srgb)),
        ("max >= 0.99", overexposure_mask(pair.srgb, kind="max")),
        ("soft", overexposure_mask(pair.srgb, kind="mean", threshold=1.0, ramp=0.1)),
    ]
    return sheet([row], width=240)


def branches(model: ReverseISP, pair: Pair, profile: CameraProfile) -> Image.Image:
    """What each branch says, the fusion, and the truth."""
    out = revisp.predict(model, pair.srgb, branches=True)
    truth = target(pair, profile)
    parts = {"NOE branch": out.noe, "OE branch": out.oe, "fused": out.raw_rgb}
    matched = on_camera(list(parts.values()), model, pair, profile, like=out.raw_rgb)
    row = [(title, develop(part, profile)) for title, part in zip(parts, matched, strict=True)]
    return sheet([[*row, ("truth", develop(truth, profile))]], width=240)


def on_camera(
    parts: Sequence[Tensor], model: ReverseISP, pair: Pair, profile: CameraProfile, *, like: Tensor
) -> list[Tensor]:
    """Express predictions for another camera, at the exposure at which ``like`` fits the truth best.

    A photo tells neither camera nor exposure, so a model for any camera cannot predict them.
    """
    assert model.profile is not None
    as_truth, *others = (as_camera(part, model.profile, profile) for part in (like, *parts))
    seen = (pair.srgb < CLIPPED).all(dim=0)
    guess, truth = as_truth[:, seen], target(pair, profile)[:, seen]
    gain = (guess * truth).sum() / guess.square().sum()
    return [(part * gain).clamp(0, 1) for part in others]


def fusion(pair: Pair) -> Image.Image:
    """The weight of the OE branch in a detail, by each kind of fusion."""
    hard = overexposure_mask(pair.srgb)
    row = [
        ("photo", pair.srgb),
        ("hard", hard),
        ("feathered, 2 pixels", feather_mask(hard, 2.0)),
        ("soft", overexposure_mask(pair.srgb, kind="mean", threshold=1.0, ramp=0.1)),
    ]
    return sheet([[(title, picture[(..., *HIGHLIGHT)]) for title, picture in row]], width=240)


def mosaic_planes(pair: Pair, profile: CameraProfile) -> Image.Image:
    """The mosaic of a small detail, grey and in the colours of its filters, and its four planes."""
    rows, columns = ROOF
    window = (..., slice(rows.start, rows.start + 32), slice(columns.start, columns.start + 48))
    shown = (pair.bayer[window].clamp(0, 1) * 2).clamp(0, 1) ** (1 / 2.2)
    coloured = shown * sample_mask(profile.cfa, *shown.shape[-2:])
    planes = pack(shown, profile.cfa)
    first = [("photo", pair.srgb[window]), ("mosaic", shown), ("in its filters' colours", coloured)]
    second = [(f"plane {name}", plane[None]) for name, plane in zip(revisp.cfa.PLANES, planes, strict=True)]
    return stack(sheet([first], width=320, smooth=False), sheet([second], width=238, smooth=False))


def targets(pair: Pair, profile: CameraProfile) -> Image.Image:
    """A detail by three ways of demosaicing."""
    methods = {"bilinear": "bilinear", "Malvar": "malvar", "DemosaicNet": "demosaicnet"}
    row = [
        (title, develop(target(pair, profile, method), profile, exposure=1.0)[(..., *ROOF)])
        for title, method in methods.items()
    ]
    return sheet([row], width=320, smooth=False)


def result(model: ReverseISP, pair: Pair, profile: CameraProfile) -> Image.Image:
    """Prediction and baseline beside the truth, with their errors."""
    truth = develop(target(pair, profile), profile)
    raw_rgb = revisp.predict(model, pair.srgb).raw_rgb
    (matched,) = on_camera([raw_rgb], model, pair, profile, like=raw_rgb)
    predicted = develop(matched, profile)
    unprocessed = develop(UPIUnprocess(profile)(pair.srgb), profile)
    first = [("photo", pair.srgb), ("predicted RAW", predicted), ("UPI unprocessing", unprocessed)]
    second = [
        ("true RAW", truth),
        ("error of the prediction x 5", 5 * (predicted - truth).abs()),
        ("error of UPI x 5", 5 * (unprocessed - truth).abs()),
    ]
    return sheet([first, second], width=280)


def contact_sheet(pair: Pair, profile: CameraProfile) -> Image.Image:
    """Prepare a right pair, a shifted one, and one whose Bayer phase is wrong; return their contact sheet."""
    shifted = torch.roll(pair.srgb, SHIFT, (1, 2))
    with tempfile.TemporaryDirectory() as folder:
        given, root = Path(folder) / "given", Path(folder) / "data"
        write_pair(given / "1-right", pair.srgb, pair.bayer, profile, profile)
        write_pair(given / "2-shifted", shifted, pair.bayer, profile, profile)
        write_pair(given / "3-phase", pair.srgb, pair.bayer, profile, profile.replace(cfa=CFA.GRBG))
        manifest = prepare([given], root, PrepareOptions(val_share=0)).manifest
        with Image.open(write_sheets(manifest)[0]) as page:
            size = (1000, round(page.height * 1000 / page.width))
            return page.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def renderings(scene: Path, cameras: Sequence[Path]) -> Image.Image:
    """One view of a scene in sixteen random renderings, beside photos out of real cameras."""
    light = SceneViews([scene], VIEW, split="train", val=[]).view(VIEW_NUMBER).light
    drawn = [random_rendering(torch.Generator().manual_seed(seed)) for seed in range(16)]
    made = [rendering.render(light, generator=torch.Generator().manual_seed(0)) for rendering in drawn]
    real = [_square(read_srgb(path)) for path in cameras]
    pages = [
        sheet([[("", picture) for picture in some[row : row + 4]] for row in range(0, len(some), 4)], width=150)
        for some in (made, real)
    ]
    size = (sum(page.width for page in pages) + 3 * GAP, max(page.height for page in pages) + TITLE)
    joined = Image.new("RGB", size, "white")
    left = 0
    for title, page in zip(("random renderings of one scene", "photos of real cameras"), pages, strict=True):
        ImageDraw.Draw(joined).text((left, 2), title, fill="black", font=ImageFont.load_default(size=16))
        joined.paste(page, (left, TITLE))
        left += page.width + 3 * GAP
    return joined


def _square(photo: Tensor) -> Tensor:
    side = min(photo.shape[-2:])
    top, left = ((length - side) // 2 for length in photo.shape[-2:])
    return photo[:, top : top + side, left : left + side]


def write_pair(folder: Path, srgb: Tensor, bayer: Tensor, profile: CameraProfile, claimed: CameraProfile) -> None:
    """Write a folder of one pair, stored by a profile, that claims another."""
    for half in ("srgb", "raw"):
        (folder / half).mkdir(parents=True)
    (folder / "profile.json").write_text(json.dumps(claimed.to_dict()))
    write_png(folder / "srgb" / "photo.png", srgb)
    revisp.io.write_mosaic(folder / "raw" / "photo.png", bayer, profile)


def target(pair: Pair, profile: CameraProfile, method: str = "demosaicnet") -> Tensor:
    """Return the demosaiced RAW ``[3, H, W]`` of a pair."""
    with torch.inference_mode():
        raw_rgb: Tensor = Demosaic(method, profile.cfa, profile.gains)(pair.bayer)  # type: ignore[arg-type]
    return raw_rgb


def sheet(rows: Sequence[Sequence[Titled]], *, width: int, smooth: bool = True) -> Image.Image:
    """Lay pictures out in rows, each under its title."""
    scaled = [[(title, _scale(picture, width, smooth)) for title, picture in row] for row in rows]
    titled = TITLE if any(title for row in rows for title, _ in row) else 0
    heights = [row[0][1].height + titled for row in scaled]
    columns = max(len(row) for row in scaled)
    page = Image.new("RGB", (columns * (width + GAP) - GAP, sum(heights) + GAP * (len(rows) - 1)), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=14)
    top = 0
    for row, height in zip(scaled, heights, strict=True):
        for column, (title, picture) in enumerate(row):
            left = column * (width + GAP)
            draw.text((left, top + 2), title, fill="black", font=font)
            page.paste(picture, (left, top + titled))
        top += height + GAP
    return page


def stack(*pages: Image.Image) -> Image.Image:
    """Put sheets below one another."""
    size = (max(page.width for page in pages), sum(page.height + GAP for page in pages) - GAP)
    joined = Image.new("RGB", size, "white")
    top = 0
    for page in pages:
        joined.paste(page, (0, top))
        top += page.height + GAP
    return joined


def _scale(picture: Tensor, width: int, smooth: bool) -> Image.Image:
    """Return ``[1, H, W]`` or ``[3, H, W]`` as an image of a width; pixels stay sharp unless ``smooth``."""
    pixels = (picture.detach().float().clamp(0, 1) * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0)
    image = Image.fromarray(np.ascontiguousarray(pixels.numpy()))
    way = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return image.resize((width, round(image.height * width / image.width)), way)


def save(picture: Image.Image, path: Path) -> None:
    """Save with 256 colours, which keeps the files small."""
    picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    main()
