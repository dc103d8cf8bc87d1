"""Turn a detection data set of photos into one of RAW files, with the annotations as they are.

python photos_to_raw.py -o raw                             # a small set, from photographs in installed packages
python photos_to_raw.py -o raw --format dng --preview preview.png
python photos_to_raw.py -o raw --annotations instances_val2017.json --images val2017
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate
from torchvision import tv_tensors
from torchvision.utils import draw_bounding_boxes

from revisp import CameraProfile, RevispError
from revisp.augment import RGBToRAW, Shot
from revisp.camera.develop import develop, viewing_exposure
from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS
from revisp.demosaic import demosaic
from revisp.io import atomic_write, read_srgb, write_dng, write_png

CATEGORIES = ("person", "helmet", "rocket", "cup", "spoon", "motorcycle", "cat", "flower")
BOXES = {
    "astronaut": [("person", 20, 14, 345, 498), ("helmet", 278, 343, 234, 169), ("rocket", 365, 0, 105, 290)],
    "coffee": [("cup", 172, 17, 238, 293), ("spoon", 317, 66, 109, 262)],
    "motorcycle_left": [("motorcycle", 97, 28, 588, 424)],
    "rocket": [("rocket", 308, 126, 28, 281)],
    "chelsea": [("cat", 0, 0, 400, 300)],
    "flower": [("flower", 168, 85, 278, 275), ("flower", 288, 374, 180, 53)],
}
"""Objects of the photographs: category, and left, top, width and height of the box, as COCO has them."""

PREVIEWED, PREVIEW_HEIGHT = 3, 240


def small_data_set() -> tuple[dict[str, Any], dict[str, Path]]:
    """Return the annotations of the photographs in installed packages, and where each file lies."""
    files = {photo.path.name: photo.path for photo in (*TRAIN_PHOTOS, *VAL_PHOTOS) if photo.name in BOXES}
    images, annotations = [], []
    for number, (name, path) in enumerate(files.items(), start=1):
        height, width = read_srgb(path).shape[-2:]
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for category, *box in BOXES[path.stem]:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORIES.index(category) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}, files


def photograph(to_raw: RGBToRAW, photo: torch.Tensor) -> tuple[torch.Tensor, Shot]:
    """Return the RAW mosaic of a photo ``[3, H, W]`` in [0, 1], and the shot that was drawn for it."""
    image = tv_tensors.Image((photo * 255).round().to(torch.uint8))
    params = to_raw.make_params([image])
    return to_raw.transform(image, params).as_subclass(torch.Tensor), params["shots"][0]


def write_raw(path: Path, bayer: torch.Tensor, profile: CameraProfile) -> None:
    """Write a mosaic as DNG, or as an array of stored units, uint16 ``[H, W]``."""
    if path.suffix == ".dng":
        write_dng(path, bayer, profile)
        return
    with atomic_write(path) as file:
        np.save(file, profile.quantise(bayer[0].numpy()))


def side_by_side(
    photo: torch.Tensor, bayer: torch.Tensor, profile: CameraProfile, boxes: list[Any]
) -> torch.Tensor:
    """Return the photo above its developed RAW, both with their boxes: ``[3, H, W]`` in [0, 1]."""
    raw_rgb = demosaic(bayer, profile.cfa, "malvar", gains=profile.gains)
    developed = develop(raw_rgb, profile, exposure=viewing_exposure(raw_rgb, profile))
    corners = torch.tensor([[left, top, left + width, top + height] for left, top, width, height in boxes])
    pictures = []
    for picture in (photo, developed):
        if len(boxes):
            picture = draw_bounding_boxes(picture, corners, colors="red", width=4)
        width = round(picture.shape[-1] * PREVIEW_HEIGHT / picture.shape[-2])
        pictures.append(interpolate(picture[None], (PREVIEW_HEIGHT, width), mode="bilinear", antialias=True)[0])
    return torch.cat(pictures, dim=-2)


def read_coco(path: Path) -> dict[str, Any]:
    """Return the annotations in a file.

    Raises:
        ValueError: they are not in COCO's format.
    """
    try:
        coco = json.loads(path.read_text(encoding="utf-8"))
        names = [Path(image["file_name"]) for image in coco["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not annotations in COCO's format ({error!r})") from error
    for name in names:
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"{path}: {name} leads out of the folder of photos")
    if len({name.with_suffix("") for name in names}) < len(names):
        raise ValueError(f"{path}: two photos differ in their ending alone, so that their RAW would be one file")
    return coco


def read_annotated(path: Path, image: dict[str, Any]) -> torch.Tensor:
    """Return a photo, upright, in the size that its annotations are for.

    Raises:
        ValueError: it has another size, so that boxes would lie elsewhere.
    """
    photo = read_srgb(path)
    found, wanted = (photo.shape[-1], photo.shape[-2]), (image["width"], image["height"])
    if found != wanted:
        sizes = " and not ".join(f"{width}x{height}" for width, height in (found, wanted))
        raise ValueError(f"{path}: upright it has {sizes} pixels, as its annotations say")
    return photo


def convert(
    coco: dict[str, Any], files: dict[str, Path], out: Path, ending: str, preview: Path | None = None
) -> None:
    """Write the RAW files and their annotations; only names and cameras of the images are new in these."""
    to_raw = RGBToRAW()
    images, previews = [], []
    for image in coco["images"]:
        photo = read_annotated(files[image["file_name"]], image)
        bayer, shot = photograph(to_raw, photo)
        assert shot.camera is not None
        profile = shot.camera.profile
        name = Path(image["file_name"]).with_suffix(f".{ending}").as_posix()
        path = out / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_raw(path, bayer, profile)
        images.append({**image, "file_name": name, "exposure_ev": shot.exposure, "camera": profile.to_dict()})
        if preview is not None and len(previews) < PREVIEWED:
            boxes = [each["bbox"] for each in coco.get("annotations", []) if each["image_id"] == image["id"]]
            previews.append(side_by_side(photo, bayer, profile, boxes))
    with atomic_write(out / "annotations.json") as file:
        file.write((json.dumps({**coco, "images": images}, indent=1) + "\n").encode())
    if preview is not None and previews:
        write_png(preview, torch.cat(previews, dim=-1))


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--annotations", type=Path, help="COCO file; without it, a small set is made")
    parser.add_argument("--images", type=Path, help="folder of its photos")
    parser.add_argument("--format", choices=("npy", "dng"), default="npy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preview", type=Path, help="write photos and developed RAW with their boxes, as PNG")
    arguments = parser.parse_args()
    if (arguments.annotations is None) != (arguments.images is None):
        parser.error("--annotations and --images belong together")
    torch.manual_seed(arguments.seed)
    try:
        if arguments.annotations is None:
            coco, files = small_data_set()
        else:
            coco = read_coco(arguments.annotations)
            files = {image["file_name"]: arguments.images / image["file_name"] for image in coco["images"]}
        convert(coco, files, arguments.out, arguments.format, arguments.preview)
    except (RevispError, OSError, ValueError) as error:
        parser.exit(2, f"error: {error}\n")
    sys.stdout.write(f"{len(coco['images'])} RAW files and annotations.json are in {arguments.out}\n")


if __name__ == "__main__":
    main()
