"""Make the gallery: ten photos, what is overexposed in them, and both photo and predicted RAW at -2 EV.

    python docs/make_gallery.py PHOTOS [--model FOLDER] [--out docs]

PHOTOS is a folder that holds the files named below. Writes ``pictures/gallery-*.jpg`` and ``gallery.md``; the same
photos and model give the same files. Photos are reduced to `LONGEST` pixels before the prediction. Look at the
pictures after a change of the model: the words on what to notice are written by hand, the figures are not.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import torch
from make_pictures import sheet
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import revisp
from revisp.camera.brightness import match_brightness
from revisp.camera.develop import develop
from revisp.camera.isp import linear_to_srgb, srgb_to_linear
from revisp.io.photo import read_srgb

LONGEST = 1536
"""Longer side in pixels of the photos that are predicted."""

WIDTH = 240
PULL = -2.0
"""EV by which photo and RAW are darkened."""

LOMIRI, BUDGIE = "lomiri-wallpapers-16.04 20.04.0-4", "budgie-backgrounds 3.0-1"
GB82 = "[gb82-image-set](https://github.com/gianni-rosato/gb82-image-set)"


class Shown(NamedTuple):
    """A photo of the gallery.

    Attributes:
        file: its file.
        title: what it shows.
        source: where it is from; all are CC0.
        notice: what to look at.
    """

    file: str
    title: str
    source: str
    notice: str


PHOTOS = (
    Shown(
        "budgie_beacon-street-sunset.jpg",
        "A street against the sun",
        f"Debian package {BUDGIE}",
        "The sun is a white field in the photo. Darkened, it becomes a grey one, since the photo holds nothing "
        "more. In the RAW it stays the brightest place.",
    ),
    Shown(
        "budgie_singaporean-cityscape.jpg",
        "A skyline at dusk",
        f"Debian package {BUDGIE}",
        "Lamps and lit windows are small and clipped. The RAW keeps them bright when the rest becomes dark.",
    ),
    Shown(
        "budgie_casa-mila.jpg",
        "An inner court",
        f"Debian package {BUDGIE}",
        "A strong grading, whose white is yellow. No pixel is white enough for the mask, so no light is "
        "added: the mask decides where the networks guess.",
    ),
    Shown(
        "budgie_roman-colosseum.jpg",
        "The Colosseum",
        f"Debian package {BUDGIE}",
        "Almost nothing is overexposed, so the RAW is the photo made linear. That is the usual case: what is "
        "gained is the latitude of RAW, not light.",
    ),
    Shown(
        "budgie_lake-sherburne.jpg",
        "A lake below snow",
        f"Debian package {BUDGIE}",
        "Snow and clouds near white: the shoulder of the tone curve had compressed them, and the RAW spreads "
        "them.",
    ),
    Shown(
        "budgie_tea-gardens.jpg",
        "Hills in haze",
        f"Debian package {BUDGIE}",
        "Haze that reaches white without an edge. The noise of the JPEG makes the border of the mask "
        "speckled, and the RAW is speckled there, too. Smooth light at the border of clipping is the hardest "
        "case.",
    ),
    Shown(
        "lomiri1604_seeding_by_Clements_Engelhardt.jpg",
        "Dandelions against the light",
        f"Clemens Engelhardt, Debian package {LOMIRI}",
        "Fine hairs of light. Where a hair is clipped and its background is not, the mask is as fine as the hair.",
    ),
    Shown(
        "gb82_city.png",
        "Towers at night",
        GB82,
        "A picture without much light. Signs and windows are clipped in one or two channels; their colour is a "
        "guess.",
    ),
    Shown(
        "gb82_rain.png",
        "Lamps in the rain",
        GB82,
        "Lamps and their halos: the lamp is clipped, the halo is not, and the RAW has to join them.",
    ),
    Shown(
        "gb82_path.png",
        "Reeds and a path",
        GB82,
        "Nothing to see in the highlights; look at the colours instead. They are those of the canonical sensor, "
        "developed.",
    ),
)

HEAD = """# Gallery

Ten photos, and what the model in the package makes of them. Each row shows the photo, its overexposed pixels, the
photo darkened by 2 EV, and the predicted RAW developed 2 EV darker. A photo holds nothing above its white. So its
clipped places become flat grey when it is darkened. A RAW holds their light, and they stay bright.

**All light in clipped places is a guess** of the networks. It looks likely; it was not measured. The first figure
below each row is the share of pixels that are overexposed. The second is how far above the photo's white the
brightest 0.01 % of the RAW lie.

Try your own photo with [`revisp-app`](how-to/app.md). The photos are CC0. `docs/make_gallery.py` makes this page.
"""


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of the photos")
    parser.add_argument("--model", type=Path, help="model folder; the package's own by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the pages")
    arguments = parser.parse_args()
    model = revisp.from_pretrained(arguments.model)
    parts = [HEAD]
    for shown in PHOTOS:
        picture, figures = row(model, reduced(read_srgb(arguments.photos / shown.file)))
        name = f"pictures/gallery-{Path(shown.file).stem.partition('_')[2].partition('_')[0]}.jpg"
        picture.save(arguments.out / name, quality=76, optimize=True, progressive=True)
        alt = f"{shown.title}: photo, mask, the photo at -2 EV, the RAW at -2 EV"
        parts.append(
            f"## {shown.title}\n\n![{alt}]({name})\n\n{shown.notice}\n\n*{figures} Photo: {shown.source}, CC0.*\n"
        )
    (arguments.out / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


def reduced(srgb: Tensor) -> Tensor:
    """Return a photo whose longer side has at most `LONGEST` pixels; both sides are even."""
    scale = min(1.0, LONGEST / max(srgb.shape[-2:]))
    size = [round(side * scale) // 2 * 2 for side in srgb.shape[-2:]]
    return F.interpolate(srgb[None], size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def row(model: revisp.ReverseISP, srgb: Tensor) -> tuple[Image.Image, str]:
    """Return a photo's row of pictures, and a sentence of figures."""
    out = revisp.predict(model, srgb)
    profile = model.profile
    assert profile is not None
    bright = match_brightness(out.bayer, srgb, profile)
    exposure = bright.gain + bright.rest
    darkened = linear_to_srgb(srgb_to_linear(srgb) * 2.0**PULL)
    pulled = develop(out.raw_rgb, profile, exposure=exposure + PULL, highlights="shoulder")
    gains = torch.tensor(profile.gains).view(3, 1, 1)
    balanced = (out.raw_rgb * gains / gains.min()).clamp(0, 1).amax(dim=0).flatten()
    most = balanced.kthvalue(math.ceil(0.9999 * balanced.numel())).values
    above = math.log2(max(float(most), 2.0**-20)) + exposure
    titled = [
        ("photo", srgb),
        ("overexposed", out.mask),
        (f"photo, {PULL:+.0f} EV", darkened),
        (f"RAW, {PULL:+.0f} EV", pulled),
    ]
    figures = f"{100 * float(out.mask.mean()):.2g} % overexposed; {above:+.1f} EV."
    return sheet([titled], width=WIDTH), figures.replace("-", "−")


if __name__ == "__main__":
    main()
