"""Crops a second from a prepared data set and from its shards, side by side.

python benchmarks/loading.py                               # makes a data set of photographs; five minutes
python benchmarks/loading.py --root dataset --json loading.json    # one that revisp-prepare --shards made

Each measurement is a process of its own, and the ways take turns. *Processor* counts the time of the workers, too,
so it tells more than the wall time beside other programs. "x local" is how many times more crops a second of
processor time shards give than the prepared data set, in the same round and with as many workers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from _report import child, keep, medians, to_table

WAYS = ("prepared", "stream")
CROPS = 4000


def measure(way: str, root: Path, workers: int) -> dict[str, float]:
    """Read the crops of an epoch in this process."""
    from revisp.data import create_data

    place = root / "shards" if way == "stream" else root
    data = create_data(way, root=str(place), crop=128, batch_size=8, crops_per_epoch=CROPS, num_workers=workers)
    data.setup("fit")
    before, started = _processor(), time.perf_counter()
    count = sum(len(batch.name) for batch in data.train_dataloader())
    wall = time.perf_counter() - started
    del data  # ends its workers, whose time counts only then
    return {"wall": count / wall, "processor": count / (_processor() - before)}


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def make(root: Path) -> None:
    """Prepare photographs that come with scikit-image, as shots of simulated cameras, and pack them."""
    import revisp.prepare as preparation
    from revisp.data.embedded import TRAIN_PHOTOS, VAL_PHOTOS
    from revisp.data.packing import write_shards

    options = preparation.PrepareOptions(cameras=2, workers=1, demosaic="bilinear")
    preparation.prepare([photo.path for photo in (*TRAIN_PHOTOS, *VAL_PHOTOS)], root, options)
    write_shards(root)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a prepared data set with shards; one is made otherwise")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        way, root, workers = options.one
        print(json.dumps(measure(way, Path(root), int(workers))))
        return
    rounds: dict[tuple[int, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.root is None:
            make(Path(folder) / "dataset")
        root = options.root or Path(folder) / "dataset"
        for number, workers, way in itertools.product(range(options.rounds), options.workers, WAYS):
            rounds.setdefault((workers, way), []).append(child(way, root, workers))
            print(f"round {number + 1}: {workers} {way} {rounds[workers, way][-1]}", file=sys.stderr, flush=True)
    lines = []
    for (workers, way), rows in rounds.items():
        speeds = [row["processor"] for row in rows]
        local = [row["processor"] for row in rounds[workers, "prepared"]]
        times = statistics.median(one / other for one, other in zip(speeds, local, strict=True))
        middle = medians(rows)
        lines.append([str(workers), f"data={way}", *(f"{middle[name]:.0f}" for name in ("wall", "processor"))])
        lines[-1] += [f"{min(speeds):.0f} to {max(speeds):.0f}", f"{times:.2f}"]
    heads = ["workers", "from", "crops/s", "crops/s of processor", "spread", "x local"]
    figures = [{"case": case, "rounds": rows} for case, rows in rounds.items()]
    title = f"{CROPS} crops of 128 pixels in batches of 8, {options.rounds} rounds"
    keep(options.json, f"{title}\n\n{to_table(heads, lines)}", figures, "litdata")


if __name__ == "__main__":
    main()
