"""Show DNGs that were predicted from photos, developed by LibRaw at 0, -1 and -2 EV, beside the photos.

    python docs/show_dngs.py PHOTO... [--model FOLDER] [--out docs/pictures/photo-to-dng.jpg]

What a photo has lost shows at -1 and -2 EV: clipped places of the photo are white there, too, unless the model has
given them light.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import rawpy
import torch
from make_pictures import sheet
from torch import Tensor

import revisp
from revisp.convert.formats import convert_photo
from revisp.io.photo import read_srgb

EXPOSURES = (0, -1, -2)
WIDTH = 240


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument("--model", type=Path, help="model folder; the package's own by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures" / "photo-to-dng.jpg")
    arguments = parser.parse_args()
    model = revisp.from_pretrained(arguments.model)
    rows = []
    for photo in arguments.photos:
        shown = [("photo", read_srgb(photo))]
        shown += [(f"DNG, {exposure} EV", picture) for exposure, picture in developed(model, photo).items()]
        rows.append(shown if not rows else [("", picture) for _, picture in shown])
    sheet(rows, width=WIDTH).save(arguments.out, quality=80)


def developed(model: revisp.ReverseISP, photo: Path) -> dict[int, Tensor]:
    """Return the DNG of a photo as LibRaw develops it, by exposure."""
    pictures = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.dng"
        convert_photo(model, photo, path)
        for exposure in EXPOSURES:
            with rawpy.imread(str(path)) as file:
                pixels = file.postprocess(
                    use_camera_wb=True, no_auto_bright=True, bright=2.0**exposure, user_flip=0
                )
            pictures[exposure] = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    return pictures


if __name__ == "__main__":
    main()
