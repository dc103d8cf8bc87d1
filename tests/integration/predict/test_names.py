"""Names of files that are hostile to a terminal or to a file system, and what killed runs have left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from revisp.cli._main import printable, report_errors, say
from revisp.io.atomic import atomic_write, remove_unfinished
from revisp.io.raw.read import read_raw

RunHere = Callable[..., subprocess.CompletedProcess[str]]

NAMES = (
    b"caf\xe9.jpg",
    b"a\x1b[2J\x07.jpg",
    b"new\nline.jpg",
    b"[bold]x[-b].jpg",
    b"x" * 248 + b".jpg",
    "ü漢.jpg".encode(),
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        Image.new("RGB", (64, 48), (90, 120, 60)).save(folder / os.fsdecode(name), "JPEG")
    return folder


def test_all_are_converted_and_nothing_reaches_the_terminal(
    run_here: RunHere, photos: Path, tmp_path: Path
) -> None:
    done = run_here("revisp-predict", str(photos), "-o", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()} == {
        name.removesuffix(b".jpg") + b".dng" for name in NAMES
    }
    assert "caf\\xe9.jpg" in done.stdout
    assert "\\x1b[2J\\x07" in done.stdout
    assert not set(done.stdout) & {"\x1b", "\x07"}
    again = run_here("revisp-predict", str(photos), "-o", "out", "--resume")
    assert again.stdout.count("is finished") == len(NAMES)


def test_errors_of_such_names_are_one_line(run_here: RunHere, photos: Path) -> None:
    for name in NAMES:
        (photos / os.fsdecode(name)).write_bytes(b"\xff\xd8\xff\xe0 cut")
    done = run_here("revisp-predict", str(photos), "-o", "out")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == len(NAMES) + 1
    assert "\x1b" not in done.stderr


def test_printable_text_stays_as_it_is() -> None:
    assert printable("ü漢 [a].jpg\tline\nnext") == "ü漢 [a].jpg\tline\nnext"
    assert printable("\u202egpj.exe") == "\\u202egpj.exe"
    assert printable("\x9b31m") == "\\x9b31m"


def test_pipes_are_left_out_or_refused(run_here: RunHere, photos: Path, tmp_path: Path) -> None:
    os.mkfifo(photos / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.dng")
    assert run_here("revisp-predict", str(photos), "-o", "out").returncode == 0
    done = run_here("revisp-evaluate", "prediction=pipe.dng", "truth=pipe.dng")
    assert (done.returncode, done.stderr) == (2, "error: pipe.dng: a pipe or device: give a file\n")
    assert run_here("revisp-predict", str(photos / "pipe.jpg"), "-o", "/dev/null").returncode == 2


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(
    run_here: RunHere, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".revisp-0123456789ab.part").write_bytes(b"half a DNG")
    others = [".revisp-notes.part", ".revisp-0123456789abc.part", "my.part", ".hidden"]
    for name in others:
        (out / name).write_bytes(b"somebody's own")
    (out / ".revisp-0123456789ac.part").symlink_to(out / "my.part")
    run_here("revisp-predict", str(photos), "-o", "out")
    left = {path.name for path in out.iterdir() if path.suffix != ".dng"}
    assert left == {*others, ".revisp-0123456789ac.part"}


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"first half,")
        remove_unfinished(tmp_path)
        file.write(b" second half")
    assert (tmp_path / "a.bin").read_bytes() == b"first half, second half"


def test_sigterm_ends_a_command_as_ctrl_c_does(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def command() -> None:
        with report_errors():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    with pytest.raises(SystemExit) as end:
        command()
    assert (end.value.code, capsys.readouterr().err) == (130, "interrupted\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_goes_away_stops_no_work() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with io.TextIOWrapper(os.fdopen(writing, "wb", buffering=0), write_through=True) as stream:
        for _ in range(3):
            say("a photo is done", stream)


def test_scores_are_written_before_they_are_printed(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("given", "true"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", np.full((16, 24, 4), 512, np.uint16))

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("revisp.cli.evaluate.say", broken)
    done = run_here("revisp-evaluate", "submissions=given", "truths=./true", "bits=10", "hydra.run.dir=run")
    assert done.returncode == 130
    assert (tmp_path / "run" / "scores.json").is_file()
    done = run_here("revisp-evaluate", "submissions=given", "truths=true", "hydra.run.dir=run")
    assert (done.returncode, done.stderr) == (2, "error: truths must name files, got True: write truths=./true\n")


def test_the_result_of_a_strange_name_is_whole(run_here: RunHere, photos: Path, tmp_path: Path) -> None:
    run_here("revisp-predict", str(photos / os.fsdecode(NAMES[0])), "-o", "one.dng")
    assert read_raw(tmp_path / "one.dng").mosaic.shape == (48, 64)
    assert sys.getfilesystemencoding() == "utf-8"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_under_the_output_stops_the_lines_and_not_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w") as full:
        say("a.jpg -> a.dng", full)
        say("b.jpg -> b.dng", full)
    assert (
        capsys.readouterr().err == "warning: standard output: No space left on device; nothing more is printed\n"
    )
