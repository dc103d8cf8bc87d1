"""What is written for a challenge's server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.challenges import CHALLENGES
from revisp.errors import ConfigError, DataError, OutputError
from revisp.evaluation.score_submissions import score_submissions
from revisp.evaluation.write_submission import write_submission
from revisp.pipeline import ReverseISP


def model(**options: object) -> ReverseISP:
    return ReverseISP("upi", **options).eval()  # type: ignore[arg-type]


def photos(folder: Path, side: int, names: tuple[str, ...] = ("1_9", "1_10")) -> Path:
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}{'.png' if side == 1024 else '.jpg'}")
    return folder


@pytest.mark.parametrize(("track", "side"), [("s7", 504), ("p20", 496), ("ntire2025", 1024)])
def test_arrays_are_what_the_challenge_wants(track: str, side: int, tmp_path: Path) -> None:
    profile = CHALLENGES[track].profile
    inputs = photos(tmp_path / "inputs", side, ("1_10",) if side == 1024 else ("1_9", "1_10"))
    files = write_submission(model(profile=profile), inputs, tmp_path / "out", extra_data=True, other="two\nlines")
    names = [path.name for path in files]
    assert names == (["1_10.npy", "readme.txt"] if side == 1024 else ["1_9.npy", "1_10.npy", "readme.txt"])
    for path in files[:-1]:
        stored = np.load(path)
        assert (stored.dtype, stored.shape) == (np.uint16, (side // 2, side // 2, 4))
        assert profile.black_level[0] <= stored.min() < stored.max() <= profile.white_level
    lines = files[-1].read_text().splitlines()
    assert len(lines) == 4
    assert float(lines[0].removeprefix("runtime per image [s] : ")) > 0
    assert lines[1:] == [
        "CPU[1] / GPU[0] : 1",
        "Extra Data [1] / No Extra Data [0] : 1",
        "Other description : two lines",
    ]
    assert score_submissions(tmp_path / "out", tmp_path / "out", inputs).mean["psnr"] == 999


def test_all_photos_that_are_no_tiles_are_named(tmp_path: Path) -> None:
    inputs = photos(tmp_path / "inputs", 504, ("a",))
    photos(inputs, 496, ("b",))
    photos(inputs, 100, ("c",))
    (inputs / "d.jpg").write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        write_submission(model(), inputs, tmp_path / "out")
    for part in ("c.jpg: is 100x100", "d.jpg: not a readable", "several challenges", "b.jpg of 496x496"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_models_and_folders_that_do_not_suit_are_refused(tmp_path: Path) -> None:
    inputs = photos(tmp_path / "inputs", 496, ("a",))
    with pytest.raises(ConfigError, match="RGGB"):
        write_submission(model(cfa="GRBG"), inputs, tmp_path / "out")
    with pytest.raises(ConfigError, match="stores 12 bits"):
        write_submission(model(profile=CHALLENGES["ntire2025"].profile), inputs, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.npy").touch()
    with pytest.raises(OutputError, match="not empty"):
        write_submission(model(), inputs, tmp_path / "full")
