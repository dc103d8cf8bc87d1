"""Prepare real camera files, train on them, and print what docs/real-cameras.md says.

    python benchmarks/real_cameras.py prepare FILES --out WORK   # alignment, levels, fitted cameras
    python benchmarks/real_cameras.py hero7   FILES --out WORK   # one GoPro HERO7 pair learnt, the other scored
    python benchmarks/real_cameras.py few     FILES --out WORK   # 1, 2 and 4 Canon S40 photos learnt, two scored
    python benchmarks/real_cameras.py natural FILES --out WORK   # outdoor scenes, each left out once, by converter

FILES is a folder with gopro_hero7/, canon_s40/, pairs_ready/, nikon_crop/ and phone_rggb_npy/: the CC0, MIT and
Apache-2.0 samples of thorsted/digicam_corpus, gopro/gpr, mushfiqulalam/isp and mv-lab/AISP on GitHub. Each command
leaves its data sets and runs in WORK, and continues where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import imagecodecs
import numpy as np
from _report import provenance

from revisp.camera.cameras import known_cameras
from revisp.camera.profile import CameraProfile
from revisp.challenges import CHALLENGES
from revisp.data.entry import Entry
from revisp.data.manifest import read_manifest
from revisp.io.converters import available_converters
from revisp.io.raw.read import read_raw

RIVALS = {
    "val": "fused pipeline (U-Net)",
    "noe": "NOE branch alone",
    "upi": "UPI, matrix and white balance of the training cameras",
    "upi_fitted": "UPI, brightness fitted to the training scenes",
    "classical": "fitted classical inverse with lens shading",
}
COLUMNS = ("psnr", "psnr_oe", "psnr_noe", "ssim", "ssim_oe", "ssim_noe")
NATURAL_TRAINING = (
    "trainer.max_epochs=6",
    "trainer.check_val_every_n_epoch=6",
    "data.crops_per_epoch=512",
    "data.crop=96",
)
NETWORK = ("backbone.width=12", "backbone.depth=4", "backbone.block=1")
"""The U-Net of the tables; its pipeline is ``fusion``, or the one that a row names."""
HERO7_TRAINING = ("trainer.max_epochs=12", "data.crops_per_epoch=1024", "data.crop=96")
SEEDS = (0, 1, 2)
ADAPTING = (
    "trainer.max_epochs=2",
    "data.crops_per_epoch=256",
    "data.crop=96",
    "trainer.check_val_every_n_epoch=2",
    "loss.noe.domain=linear",
    "data.oe_share=0.1",
    "optimizer.lr=5e-4",
)
"""Short trainings of few photos. PSNR is of linear values, so both branches learn these. Of the S40's photos
that are learnt, one alone is overexposed: with half of the crops around overexposed pixels, it would be half of
them."""
S40_LEARNT = ("CRW_0101", "CRW_0117", "CRW_0105", "CRW_0119")
S40_SCORED = ("CRW_0113", "CRW_0118")
NATURAL_CROPS = {
    "hero6_passage": ("gopro_hero6/gopro_hero6_passage.GPR", 0, 1700),
    "hero8_church": ("gopro_hero8/gopro_hero8_church.GPR", 900, 600),
    "d30_tree": ("canon_d30/canon_d30_tree.CRW", 0, 0),
}
"""Files, and top and left of a crop of 1024 x 1536 samples with a sky or bulbs; both even, so the phase stays."""
D30 = CameraProfile(
    "Canon",
    "EOS D30",
    "RGGB",
    (127.0, 128.0, 128.0, 128.0),
    3800.0,
    12,
    ((0.99, -0.2771, -0.1324), (-0.7072, 1.4229, 0.314), (-0.279, 0.3344, 0.8861)),
    (0.938, 1.0, 0.514),
)
"""The file has no white balance, and a white level that no sample reaches. So the balance is by grey pixels of the
camera's JPEG, and the white level is that at which its first colour piles up."""
WAYS = {
    "from scratch": ("backbone=unet",),
    "from the shipped model": ("pretrained=default",),
}
"""The trainings of a few photos, and their settings."""


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "hero7", "few", "natural"))
    parser.add_argument("files", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    reports = {"prepare": report_preparation, "hero7": report_hero7, "few": report_few, "natural": report_natural}
    for line in reports[arguments.what](arguments.files, arguments.out):
        print(line, flush=True)
    print(f"\n{provenance('rawpy')}; printed by `python benchmarks/real_cameras.py {arguments.what}`.")


def report_preparation(files: Path, out: Path) -> Iterable[str]:
    """Prepare all files in one go, and list how photo and RAW lie on each other."""
    root = out / "all"
    prepare([files], root, "--preview", "--min-preview", "0.25")
    manifest = read_manifest(root)
    yield "| picture | kind | CFA | offset (y, x) | scale | residual median, 95 %, edge | fitted camera |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for entry in manifest.entries:
        cells = (entry.name, entry.kind, entry.profile.cfa.value, _alignment(entry), _fitted(entry))
        yield f"| {' | '.join(cells)} |"
    yield ""
    for reject in manifest.rejects:
        yield f"- rejected: {reject.reason.replace(str(files), '').lstrip('/')}"


def report_hero7(files: Path, out: Path) -> Iterable[str]:
    """Learn one HERO7 pair, score the other."""
    root = out / "hero7"
    pairs = [files / "gopro_hero7" / f"GOPR{number}.GPR" for number in (8508, 8514)]
    prepare(pairs, root, "--val", "GOPR8514")
    words = (f"data.root={root}", *HERO7_TRAINING)
    metrics = train(out / "runs" / "hero7", "pipeline=fusion", *NETWORK, *words)
    on_base = train(out / "runs" / "hero7_on_base", "pipeline=fusion_residual", *words)
    placed = train(out / "runs" / "hero7_placed", "pipeline=fusion_residual", "pipeline.place=true", *words)
    adapted = {}
    for seed in SEEDS:
        own = (f"data.root={root}", f"seed={seed}", *ADAPTING)
        adapted[f"from the shipped model, seed {seed}"] = train(
            out / "runs" / f"hero7_adapted_{seed}", "pretrained=default", *own
        )
    rows = {"8514 by 8508": metrics, "the default: on a fitted base": on_base, "the same with place": placed}
    yield from _table(rows | adapted)


def report_few(files: Path, out: Path) -> Iterable[str]:
    """Learn 1, 2 and 4 photos of the S40, from scratch and from the shipped model; score two others."""
    yield "| photos | " + " | ".join([*WAYS, "fitted formula"]) + " |"
    yield "|" + " --- |" * (len(WAYS) + 2)
    for count in (1, 2, 4):
        root = out / f"s40_{count}"
        chosen = [files / "canon_s40" / f"{name}.CRW" for name in (*S40_LEARNT[:count], *S40_SCORED)]
        apart = [word for name in S40_SCORED for word in ("--val", name)]
        prepare(chosen, root, "--preview", "--min-preview", "0.25", *apart)
        cells = []
        for number, settings in enumerate(WAYS.values()):
            runs = [
                train(
                    out / "runs" / f"s40_{count}_{number}_{seed}",
                    *settings,
                    *(f"data.root={root}", f"seed={seed}", *ADAPTING),
                )
                for seed in SEEDS
            ]
            cells.append(_psnr_and_oe(runs, "val"))
        yield f"| {count} | {' | '.join([*cells, _psnr_and_oe(runs[:1], 'classical')])} |"


def _psnr_and_oe(runs: list[dict[str, float | None]], group: str) -> str:
    """Return PSNR of all and of overexposed pixels: the mean over runs and, of several, their deviation."""
    texts = []
    for figure in (f"{group}/psnr", f"{group}/psnr_oe"):
        values = [value for run in runs if (value := run[figure]) is not None]
        text = _cell(statistics.mean(values) if values else None, 2)
        texts.append(f"{text} ± {statistics.stdev(values):.2f}" if len(values) > 1 else text)
    return " / ".join(texts)


def report_natural(files: Path, out: Path) -> Iterable[str]:
    """Leave each natural scene out once, for every converter that is installed.

    Networks from scratch, and more than one seed, learn the photos of LibRaw alone, for time.
    """
    staged = stage_natural(files, out / "natural_files")
    for converter in available_converters():
        root = out / f"natural_{converter}"
        prepare([staged], root, "--converter", converter)
        scenes = sorted({entry.scene for entry in read_manifest(root).entries})
        ways = {
            f"from the shipped model, seed {seed}": ("pretrained=default", *ADAPTING, f"seed={seed}")
            for seed in (SEEDS if converter == "libraw" else SEEDS[:1])
        }
        if converter == "libraw":
            ways["fused, without base"] = ("pipeline=fusion", *NETWORK, *NATURAL_TRAINING)
            ways["on a fitted base"] = ("pipeline=fusion_residual", *NATURAL_TRAINING)
        found = {
            way: [
                train(
                    out / "runs" / f"natural_{converter}_{scene}_{way.replace(', ', '_').replace(' ', '_')}",
                    *(f"data.root={root}", f"data.val=[{scene}]", *settings),
                )
                for scene in scenes
            ]
            for way, settings in ways.items()
        }
        yield f"\n{converter}: PSNR over all / overexposed pixels\n"
        rivals = {name: next(iter(found.values())) for name in ("upi", "upi_fitted", "classical")}
        columns = {way: ("val", runs) for way, runs in found.items()} | {
            name: (name, runs) for name, runs in rivals.items()
        }
        yield f"| left out | {' | '.join(columns)} |"
        yield "|" + " --- |" * (len(columns) + 1)
        for number, scene in enumerate(scenes):
            cells = [_psnr_and_oe([runs[number]], group) for group, runs in columns.values()]
            yield f"| {scene} | {' | '.join(cells)} |"
        cells = [_psnr_and_oe(runs, group) for group, runs in columns.values()]
        yield f"| mean ± deviation between scenes | {' | '.join(cells)} |"
        yield f"\n{converter}: means over the scenes left out\n"
        yield from _table({way: _mean(runs) for way, runs in found.items()})


def stage_natural(files: Path, folder: Path) -> Path:
    """Lay seven natural scenes out as mosaics with their camera profiles beside them."""
    folder.mkdir(exist_ok=True)
    for name, (file, top, left) in NATURAL_CROPS.items():
        shot = read_raw(files / file).upright()
        mosaic = np.asarray(shot.mosaic)[top : top + 1024, left : left + 1536]
        profile = D30 if name == "d30_tree" else shot.profile
        _stage(folder / name, np.minimum(mosaic, int(profile.white_level)), profile)
    hero7 = read_raw(files / "gopro_hero7" / "GOPR9231.GPR").upright().profile
    fusion = read_raw(files / "gopro_fusion" / "GPFR7066.GPR").upright().profile
    ready = files / "pairs_ready"
    _stage(folder / "hero7_garden", _png(ready / "rawonly_hero7_GOPR9231_y900_x1200_grbg14.png"), hero7)
    _stage(folder / "fusion_patio", _png(ready / "rawonly_fusion_GPFR7066_y1000_x800_grbg14.png"), fusion)
    rose = np.fromfile(files / "nikon_crop" / "DSC_1339_768x512_rggb.raw", "<u2").reshape(512, 768)
    like = next(camera for camera in known_cameras() if camera.model == "D750")  # which Nikon it was is not known
    neutral = (1 / 1.949, 1.0, 1 / 1.344)
    nikon = CameraProfile("Nikon", "DSLR", "RGGB", (600.0,) * 4, 15520.0, 14, like.color_matrix, neutral)
    _stage(folder / "nikon_rose", np.minimum(rose, 15520), nikon)
    (folder / "phone_street.npy").write_bytes((files / "phone_rggb_npy" / "x90_3_4.npy").read_bytes())
    (folder / "phone_street.json").write_text(json.dumps(CHALLENGES["ntire2025"].profile.to_dict()))
    return folder


def _stage(place: Path, mosaic: np.ndarray, profile: CameraProfile) -> None:
    place.with_suffix(".png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(mosaic)))
    place.with_suffix(".json").write_text(json.dumps(profile.to_dict()))


def _png(path: Path) -> np.ndarray:
    return imagecodecs.png_decode(path.read_bytes())


def prepare(inputs: list[Path], root: Path, *options: str) -> None:
    """Run revisp-prepare."""
    command = Path(sys.executable).with_name("revisp-prepare")
    subprocess.run([command, *map(str, inputs), "-o", str(root), *options], check=True)


def train(run: Path, *settings: str) -> dict[str, float | None]:
    """Run revisp-train on a prepared data set, unless it has been; return its figures."""
    if not (run / "metrics.json").is_file():
        command = Path(sys.executable).with_name("revisp-train")
        subprocess.run([command, "data=prepared", f"hydra.run.dir={run}", *settings], check=True)
    metrics: dict[str, float | None] = json.loads((run / "metrics.json").read_text())
    return metrics


def _table(rows: dict[str, dict[str, float | None]]) -> Iterable[str]:
    yield "| | " + " | ".join(name.replace("_", " ").upper() for name in COLUMNS) + " |"
    yield "|" + " --- |" * (len(COLUMNS) + 1)
    for title, metrics in rows.items():
        for group, name in RIVALS.items():
            if f"{group}/psnr" not in metrics:
                continue
            cells = [_cell(metrics.get(f"{group}/{column}"), 2 if "psnr" in column else 3) for column in COLUMNS]
            yield f"| {title}: {name} | {' | '.join(cells)} |"


def _mean(runs: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Average over the runs that have a figure: a scene without overexposed pixels has none for them."""
    mean: dict[str, float | None] = {}
    for key in runs[0]:
        known = [value for run in runs if (value := run.get(key)) is not None]
        mean[key] = sum(known) / len(known) if known else None
    return mean


def _cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _alignment(entry: Entry) -> str:
    found = entry.alignment
    if found is None:
        return "– | – | –"
    dy, dx = found["offset"]
    residual = f"{found['residual_median']:.2f}, {found['residual_p95']:.2f}, {found['residual_edge']:.2f}"
    return f"{dy:+.2f}, {dx:+.2f} | {found['scale']:.5f} | {residual}"


def _fitted(entry: Entry) -> str:
    return "–" if entry.fitted is None else f"{entry.fitted['psnr']:.1f} dB"


if __name__ == "__main__":
    main()
