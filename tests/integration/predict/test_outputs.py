"""What `revisp-predict` writes: every format, folders, tiles, what a second run adds."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from revisp.cli.predict import Format
from revisp.convert.formats import WRITERS
from revisp.convert.jobs import plan_conversions
from revisp.errors import ImageError, OutputError
from revisp.io import read_challenge_npy, read_metadata, read_mosaic, read_raw, read_srgb
from revisp.io.file_names import OUTPUT_ENDINGS


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_help_comes_at_once_as_it_loads_no_torch(run):
    assert "--preview" in run("--help").stdout
    code = "import revisp.cli.predict, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_photo_becomes_a_dng_with_preview(run, photo: Path, model: Path, tmp_path: Path):
    out = tmp_path / "cat.dng"
    done = run(photo, "-o", out, "--model", model, "--preview")
    assert done.stdout.startswith(f"{photo} -> {out}, {tmp_path / 'cat.preview.png'}")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    raw = read_raw(out)
    assert raw.mosaic.shape == (80, 61)  # upright
    assert (raw.profile.make, raw.profile.cfa, raw.orientation) == ("Acme", "GRBG", 1)
    metadata = read_metadata(out)
    assert (metadata.lens, metadata.date, metadata.exposure_time) == (
        "Lens 35mm",
        "2021:04:08 14:51:29",
        Fraction(1, 250),
    )
    assert read_srgb(tmp_path / "cat.preview.png").shape == (3, 80, 61)
    assert files(tmp_path) == ["cat.dng", "cat.jpg", "cat.preview.png"]


def test_each_format_is_written(photo: Path, model: Path, tmp_path: Path, call):
    assert tuple(WRITERS) == OUTPUT_ENDINGS
    for name in ("a.tiff", "a.tif", "a.png"):
        assert call(photo, "-o", tmp_path / name, "--model", model)[0] == 0
        mosaic = read_mosaic(tmp_path / name)
        assert mosaic.shape == (80, 61)
        assert mosaic.max() <= 1023
    code, _, err = call(photo, "-o", tmp_path / "a.npy", "--model", model, "--bits", "12")
    assert (code, err.count("warning:")) == (0, 1)  # GRBG is cut to RGGB
    assert read_challenge_npy(tmp_path / "a.npy", bits=12).shape == (80, 60)


def test_every_format_can_be_asked_for():
    spelt_twice = ".tif"
    assert [f".{name}" for name in Format] == [ending for ending in OUTPUT_ENDINGS if ending != spelt_twice]


@pytest.mark.parametrize("ending", OUTPUT_ENDINGS)
def test_resume_knows_every_format(photo: Path, model: Path, tmp_path: Path, call, ending: str):
    words = (photo, "-o", tmp_path / f"a{ending}", "--model", model, "--resume")
    assert call(*words)[:2] != (0, f"{tmp_path / f'a{ending}'} is finished\n")
    assert call(*words)[:2] == (0, f"{tmp_path / f'a{ending}'} is finished\n")


def test_a_folder_becomes_a_folder(photo: Path, model: Path, tmp_path: Path, call):
    album = tmp_path / "album"
    album.mkdir()
    (album / "notes.txt").write_text("no photo")
    for name in ("b.JPG", "a.png"):
        Image.open(photo).save(album / name)
    code, out, err = call(album, "-o", tmp_path / "new" / "raw", "--model", model)
    assert (code, err) == (0, f"{album}: left out 1 with other endings (.txt)\n")
    assert out.count("->") == 2
    assert files(tmp_path / "new" / "raw") == ["a.dng", "b.dng"]


def test_an_existing_file_is_replaced(photo: Path, model: Path, tmp_path: Path, call):
    (tmp_path / "cat.dng").write_text("old")
    assert call(photo, "-o", tmp_path / "cat.dng", "--model", model)[0] == 0
    assert read_raw(tmp_path / "cat.dng").mosaic.shape == (80, 61)


def test_a_second_run_does_what_is_left(photo: Path, model: Path, tmp_path: Path, call):
    """A manifest of three, one missing at first; what is finished is not touched again."""
    names = tmp_path / "list.txt"
    names.write_text("# all\ncat.jpg\nlate.jpg\n")
    words = (names, "-o", tmp_path / "o", "--model", model, "--resume")
    code, out, err = call(*words)
    assert (code, out.count("->")) == (1, 1)
    assert err == f"error: {tmp_path / 'late.jpg'}: No such file or directory\n1 of 2 photos failed\n"
    before = (tmp_path / "o" / "cat.dng").stat().st_mtime_ns
    (tmp_path / "late.jpg").write_bytes(photo.read_bytes())
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'o' / 'cat.dng'} is finished\n{tmp_path / 'late.jpg'} -> ")
    assert (tmp_path / "o" / "cat.dng").stat().st_mtime_ns == before
    assert files(tmp_path / "o") == ["cat.dng", "late.dng"]


def test_tiles_by_memory_write_the_same(photo: Path, model: Path, tmp_path: Path, call):
    for name, words in {"a": ["--memory", "1GiB"], "b": ["--tile", "64"], "c": ["--precision", "fp32"]}.items():
        assert call(photo, "-o", tmp_path / f"{name}.png", "--model", model, *words)[0] == 0
    mosaics = [read_mosaic(tmp_path / f"{name}.png").astype(int) for name in "abc"]
    assert np.abs(mosaics[0] - mosaics[1]).max() <= 1
    assert np.abs(mosaics[0] - mosaics[2]).max() <= 16  # bf16, where the processor has it: 1.5 % of 10 bits


@pytest.mark.parametrize("tile", [63, 10_000])
def test_tiles_of_any_size_write_the_same(photo: Path, model: Path, tmp_path: Path, call, tile: int):
    """Odd, or larger than the photo."""
    words = ("--model", model, "--precision", "fp32")
    for name, more in {"a": [], "b": ["--tile", tile]}.items():
        assert call(photo, "-o", tmp_path / f"{name}.png", *words, *more)[0] == 0
    a, b = (read_mosaic(tmp_path / f"{name}.png").astype(int) for name in "ab")
    assert np.abs(a - b).max() <= 1


def test_the_least_memory_that_works_is_said_of_each_photo_and_works(photo, model, tmp_path, call):
    words = (photo, tmp_path / "dog.png", "-o", tmp_path / "o", "--model", model, "--memory")
    Image.fromarray(data.chelsea()[:300]).save(tmp_path / "dog.png")
    code, out, err = call(*words, "1MiB")
    assert (code, out) == (1, "")
    leasts = [re.fullmatch(r"error: (.*?): 1MiB .* at least (\d+)MiB.*", line) for line in err.splitlines()[:2]]
    assert [found[1] for found in leasts] == [str(path) for path in words[:2]]
    least = max(int(found[2]) for found in leasts)
    assert call(*words, f"{least - 1}MiB")[0] == 1
    assert call(*words, f"{least}MiB")[0] == 0


def test_lines_go_to_a_file_although_the_bar_goes_to_a_terminal(photo, model, tmp_path, call, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # standard error counts as a terminal, standard output is none
    code, out, _ = call(photo, "-o", tmp_path / "x.dng", "--model", model)
    assert (code, out.count("->")) == (0, 1)


def test_the_same_photo_named_twice_is_one_job(photo: Path, tmp_path: Path):
    assert len(plan_conversions([photo, photo], tmp_path / "o", None)) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no photos"):
        plan_conversions([tmp_path / "empty"], tmp_path / "o", None)
    twins = [tmp_path / "a.jpg", tmp_path / "a.preview.jpg"]
    with pytest.raises(OutputError, match="would replace"):  # a preview where another RAW goes
        plan_conversions(twins, tmp_path / "o", "png", preview=True)
