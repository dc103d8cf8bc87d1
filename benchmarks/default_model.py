"""Put a trained model into the package as its default, with its figures in README and card.

revisp-train experiment=default data.scenes=SCENES data.photos=PHOTOS hydra.run.dir=RUN
python benchmarks/blind.py pairs FILES --styles 0 --model RUN/model --model former --json pairs.json
python benchmarks/scenes.py SCENES --model RUN/model --model former --json scenes.json
python benchmarks/default_model.py RUN pairs.json scenes.json

``former`` is the folder of the default that learnt one simulated camera, from the history of this repository.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

from _report import to_table

README = Path(__file__).resolve().parents[1] / "README.md"
METHODS = {
    "model": "**the model in the package**",
    "former": "the former one: a simulated camera, on a fitted base",
    "upi": "UPI's curve",
    "srgb": "inverse sRGB curve",
}
FITTED = "classical inverse, fitted to the same scenes"
SCENES = {
    "psnr_noe": "PSNR, unclipped",
    "ev_noe": "EV error, unclipped",
    "ev_oe": "EV error, overexposed",
    "bias_oe": "bias, overexposed",
}

Kept = dict[str, Any]


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of the training")
    parser.add_argument("pairs", type=Path, help="JSON of benchmarks/blind.py pairs")
    parser.add_argument("scenes", type=Path, help="JSON of benchmarks/scenes.py")
    arguments = parser.parse_args()
    pairs, scenes = (json.loads(path.read_text()) for path in (arguments.pairs, arguments.scenes))
    tables = {"pairs": pairs_table(pairs), "scenes": scenes_table(scenes)}
    README.write_text(fill(README.read_text(), tables))
    release(arguments.run, tables)


def fill(text: str, tables: dict[str, str]) -> str:
    """Put each table between its two marks."""
    for name, table in tables.items():
        place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        text = place.sub(lambda _, filled=table: filled, text)  # type: ignore[misc]
    return text


def release(run: Path, tables: dict[str, str]) -> None:
    """Put the model, as float16, into the package."""
    from revisp.model_folder import DEFAULT_MODEL, from_pretrained, save_pretrained

    card = (
        "The small model that ships in revisp, for photos of any camera: the result of `revisp-train "
        "experiment=default data.scenes=SCENES data.photos=PHOTOS`.\n\n"
        "Camera: the canonical sensor (`revisp.camera.canonical_profile`). Data: 55 HDR scenes (Poly Haven and "
        "others) and 37 photographs as scenes, in random renderings; a fifth of them held out. "
        "Licence: Apache-2.0.\n\n"
        f"Cameras that it has not seen:\n\n{tables['pairs']}\n"
        f"Scenes that were held out:\n\n{tables['scenes']}"
    )
    save_pretrained(from_pretrained(run / "model"), DEFAULT_MODEL, card=card, half=True)


def pairs_table(kept: Kept) -> str:
    """Return the figures on pairs of RAW and camera JPEG as Markdown."""
    figures = kept["figures"]
    names = figures["model"]["cameras"]
    cameras = list(dict.fromkeys(names))
    heads = ["E3 in dB", *(f"{camera} ({names.count(camera)})" for camera in cameras), "all", "departure", "bias"]
    rows = []
    for method, title in METHODS.items():
        scores = figures[method]["rows"]
        e3 = [row["psnr_e3"] for row in scores]
        by_camera = [statistics.mean(x for x, name in zip(e3, names, strict=True) if name == c) for c in cameras]
        departure = statistics.mean(row["nonlin"] for row in scores)
        highlights = [row.get(f"h{n}_bias") for row in scores for n in (1, 2, 3)]
        bias = [value for value in highlights if value is not None and not math.isnan(value)]
        cells = [*(f"{x:.1f}" for x in by_camera), f"{statistics.mean(e3):.2f}", f"{departure:.2f}"]
        rows.append([title, *cells, f"{statistics.mean(bias):+.2f}"])
    return _told(heads, rows, kept)


def scenes_table(kept: Kept) -> str:
    """Return the figures on held-out scenes as Markdown."""
    rows = []
    for method, title in {**METHODS, "classical": FITTED}.items():
        cells = []
        for column in SCENES:
            means = [
                statistics.mean(values)
                for photos in kept["figures"][method].values()
                if (values := [row[column] for row in photos if column in row])
            ]
            cells.append(f"{statistics.mean(means):.2f} ± {statistics.stdev(means):.2f}")
        rows.append([title, *cells])
    return _told(["", *SCENES.values()], rows, kept)


def _told(heads: list[str], rows: list[list[str]], kept: Kept) -> str:
    return f"{to_table(heads, rows)}\n\n{kept['machine']}; `{kept['command']}`.\n"


if __name__ == "__main__":
    main()
