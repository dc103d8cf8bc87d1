"""What a GPU brings: training steps, prediction of 12 and 100 megapixels, simulation, and agreement with the CPU.

python benchmarks/gpu.py --json gpu.json         # less than eight minutes on a CUDA machine; installs nothing
python benchmarks/gpu.py --device cpu --small    # the same on tiny inputs, to try the script

Times are medians after a warm-up, each up to the end of the device's work. Memory is the peak of what torch held
on the device beyond what it held before; on a CPU it is not told. What would begin after ``--minutes`` is left
out, and its line says so. So does the line of what cannot run, such as compilation without a compiler.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _report import keep, to_table

PAPER = ("backbone.width=64", "backbone.depth=5", "backbone.norm=batch", "backbone.block=1")
REPEATS = 5


class Way(NamedTuple):
    """How a training step computes."""

    bf16: bool = False
    last: bool = False
    compiled: bool = False


WAYS = {
    "eager fp32": Way(),
    "eager fp32, channels-last": Way(last=True),
    "eager bf16": Way(bf16=True),
    "eager bf16, channels-last": Way(bf16=True, last=True),
    "compiled bf16, channels-last": Way(bf16=True, last=True, compiled=True),
}


class Bench:
    """A device, and the figures that were measured on it.

    Args:
        device: the device.
        small: take tiny inputs.
        minutes: begin nothing after so many.
    """

    def __init__(self, device: torch.device, small: bool, minutes: float) -> None:
        self.device, self.small = device, small
        self.end = time.monotonic() + 60 * minutes
        self.rows: list[dict[str, Any]] = []

    def note(self, part: str, way: str, measure: Callable[[], dict[str, float]]) -> None:
        """Measure, and keep the figures or the reason why there are none."""
        if time.monotonic() > self.end:
            found: dict[str, Any] = {"without": "out of time"}
        else:
            try:
                found = measure()
            except Exception as error:  # the rest of the table is worth having
                found = {"without": next(iter(str(error).splitlines()), type(error).__name__)[:80]}
        self.rows.append({"part": part, "way": way, **found})
        print(f"{part}: {way}: {found}", flush=True)

    def timed(self, action: Callable[[], object]) -> dict[str, float]:
        """Return the median of seconds, and the peak of memory on the device in MiB."""
        action()
        self._wait()
        on_gpu = self.device.type == "cuda"
        before = torch.cuda.memory_allocated(self.device) if on_gpu else 0
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            action()
            self._wait()
            seconds.append(time.perf_counter() - started)
        memory = {"MiB": (torch.cuda.max_memory_allocated(self.device) - before) / 2**20} if on_gpu else {}
        return {"s": statistics.median(seconds), **memory}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def training(bench: Bench) -> None:
    """Time steps of the default U-Net and of the paper's: prediction, losses, gradients, Adam."""
    models = {"unet": ["backbone.width=8", "backbone.depth=2"] if bench.small else []}
    if not bench.small:
        models["paper"] = [*PAPER]
    batch, crop = (2, 48) if bench.small else (32, 256)
    for name, words in models.items():
        for title, way in WAYS.items():
            part = f"training step, `{name}`, {batch} crops of {crop}"
            bench.note(
                part, title, lambda words=words, way=way: bench.timed(_step(bench, words, way, batch, crop))
            )


def _step(bench: Bench, words: list[str], way: Way, batch: int, crop: int) -> Callable[[], object]:
    from revisp.config import as_dict, compose
    from revisp.pipeline import ReverseISP
    from revisp.training.build import build_loss

    torch.manual_seed(0)
    settings = compose(["+backbone=unet", *words])
    network = {key: value for key, value in settings.backbone.items() if key != "name"}
    layout = torch.channels_last if way.last else torch.contiguous_format
    model = ReverseISP("unet", backbone_kwargs=network).to(bench.device, memory_format=layout).train()
    loss = build_loss(as_dict(settings.loss), model).to(bench.device)
    photos = torch.rand(batch, 3, crop, crop, device=bench.device)
    photos[..., : crop // 8] = 1
    photos = photos.contiguous(memory_format=layout)
    target = torch.rand_like(photos)
    valid = torch.ones_like(photos[:, :1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    reconstruct = torch.compile(model.reconstruct) if way.compiled else model.reconstruct

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16, enabled=way.bf16):
            out = reconstruct(photos)
        total, _ = loss(out.oe, out.noe, target, out.mask, valid, {"oe": {}, "noe": {}})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def prediction(bench: Bench) -> None:
    """Time `revisp.predict` of the shipped model on photos that are on the CPU, as they come from files."""
    import revisp
    from revisp.convert.load import load_model
    from revisp.inference.fast import optimise

    for megapixels in (0.02, 0.05) if bench.small else (12.2, 100.0):
        photo = _photo(megapixels)
        for precision in ("fp32", "bf16"):

            def measure(photo: torch.Tensor = photo, precision: Any = precision) -> dict[str, float]:
                model = optimise(load_model(None, str(bench.device)), precision)
                found = bench.timed(lambda: revisp.predict(model, photo))
                return {**found, "MP/s": photo[0].numel() / 1e6 / found["s"]}

            bench.note(f"prediction, {megapixels:g} MP", precision, measure)


def simulation(bench: Bench) -> None:
    """Time the RAW of photos by random cameras (`revisp.augment.RGBToRAW`)."""
    from revisp.augment import RGBToRAW

    batch, side = (2, 32) if bench.small else (64, 512)
    photos = torch.rand(batch, 3, side, side)
    for where in dict.fromkeys((torch.device("cpu"), bench.device)):

        def measure(where: torch.device = where) -> dict[str, float]:
            there = photos.to(where)
            found = bench.timed(lambda: RGBToRAW()(there))
            return {**found, "MP/s": batch * side * side / 1e6 / found["s"]}

        bench.note(f"simulation, {batch} photos of {side}", str(where), measure)


def agreement(bench: Bench) -> None:
    """Compare mosaics of the shipped model on the device with those of the plain model on the CPU."""
    import revisp
    from revisp.convert.load import load_model
    from revisp.inference.fast import optimise

    photo = _photo(0.02 if bench.small else 2.0)
    truth = revisp.predict(load_model(None, "cpu"), photo).bayer.double()
    for precision in ("fp32", "bf16"):

        def measure(precision: Any = precision) -> dict[str, float]:
            model = optimise(load_model(None, str(bench.device)), precision)
            error = (revisp.predict(model, photo).bayer.double() - truth).square().mean().item()
            return {"dB": math.inf if error == 0 else -10 * math.log10(error)}

        bench.note("agreement with the CPU in fp32", precision, measure)


def _photo(megapixels: float) -> torch.Tensor:
    """Return a noisy photo ``[3, H, W]`` of this size, a hundredth of it overexposed."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(3, height, height * 4 // 3, generator=generator) * 0.9
    photo[:, : height // 10, : height * 4 // 30] = 1
    return photo


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as Markdown."""
    lines = []
    for row in rows:
        cells = [row["part"], row["way"], f"{1000 * row['s']:.1f}" if "s" in row else ""]
        cells += [f"{row[name]:.{digits}f}" if name in row else "" for name, digits in (("MP/s", 1), ("MiB", 0))]
        lines.append([*cells, f"{row['dB']:.1f}" if "dB" in row else row.get("without", "")])
    return to_table(["what", "way", "ms", "MP/s", "MiB", "agreement, dB"], lines)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="a name that torch knows")
    parser.add_argument("--small", action="store_true", help="tiny inputs, to try the script")
    parser.add_argument("--minutes", type=float, default=7.0, help="begin nothing after so many minutes")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA here; --device cpu --small tries the script without")
    bench = Bench(device, arguments.small, arguments.minutes)
    for part in (agreement, prediction, training, simulation):
        part(bench)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    keep(arguments.json, f"{name}\n\n{table(bench.rows)}", {"device": name, "rows": bench.rows})


if __name__ == "__main__":
    main()
