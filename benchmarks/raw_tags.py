"""How many DNGs of random tags are read wrongly.

python benchmarks/raw_tags.py                 # 2000 files
python benchmarks/raw_tags.py --files 200 --first 5000

Each file has random levels, areas, Bayer phases, colour tags and storage. `tests/helpers/dng_files.py` writes them
by the DNG specification 1.7.1, without revisp. `revisp.io.read_raw` reads them, and the result is compared plane
by plane with what was written. Right are: the Bayer phase; each sample above its black level, to half a unit (of
16 bits if it is floating point); the neutral, to 1e-5; the matrix, to 1e-3.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from dng_files import Written, random_dng

from revisp.errors import ImageError
from revisp.io import RawImage, read_raw


def faults(written: Written, raw: RawImage) -> list[str]:
    """Return what was read wrongly."""
    unit = written.white / 65535 if written.storage["kind"] == "floating" else 1
    found = [] if written.difference(raw) <= 0.51 * unit else ["samples"]
    if not np.allclose(raw.profile.as_shot_neutral, written.neutral, atol=1e-5):
        found.append("neutral")
    if not np.allclose(raw.profile.color_matrix, written.matrix, atol=1e-3):
        found.append("matrix")
    return found


def main() -> None:
    """Write, read and compare; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="number of files")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.dng"
        for seed in range(given.first, given.first + given.files):
            written = random_dng(path, seed)
            kinds[written.storage["kind"]] += 1
            try:
                found = faults(written, read_raw(path))
            except ImageError as error:
                found = [str(error).replace(str(path), "refused")]
            if found:
                wrong += 1
                print(f"seed {seed}: {', '.join(found)}; {written.storage}")
    print(f"{given.files} files ({', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}): {wrong} wrong")


if __name__ == "__main__":
    main()
