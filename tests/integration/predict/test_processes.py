"""`revisp-predict` in several processes, killed, interrupted, or struck by a fault of ours."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from revisp.cli import predict as cli
from revisp.io import read_raw


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_a_killed_process_left_is_taken_up(photo: Path, model: Path, tmp_path: Path, call, command: Path):
    """Of two photos the second is a pipe that nobody writes: the process waits there, at a known place."""
    late, out = tmp_path / "late.jpg", tmp_path / "o"
    os.mkfifo(late)
    words = [str(word) for word in (photo, late, "-o", out, "--model", model)]
    process = subprocess.Popen([command, *words])
    try:
        for _ in range(2400):
            if out.exists() and files(out) == [".late.dng.lock", "cat.dng"]:
                break
            time.sleep(0.05)
        code, _, err = call(photo, "-o", out / "late.dng", "--model", model)
        assert (code, err) == (2, f"error: cannot write {out / 'late.dng'}: another process is writing it\n")
    finally:
        process.kill()
        process.wait()
    late.unlink()
    late.write_bytes(photo.read_bytes())
    code, said, err = call(*words, "--resume")
    assert (code, err) == (0, "")
    assert said.startswith(f"{out / 'cat.dng'} is finished\n{late} -> ")
    assert files(out) == ["cat.dng", "late.dng"]


TWO = """
import sys, time
from datetime import timedelta
from pathlib import Path

import torch
from torch.distributed import distributed_c10d

from revisp.camera.simulate import SIMULATED
from revisp.convert.batch import Batch
from revisp.convert.jobs import plan_conversions
from revisp.convert.processes import PredictionTask, build_predictor, predict_photos

here, *seconds = sys.argv[1:]
here = Path(here)


class Slow:  # each process takes its seconds, which may be more than the other's patience; the second one fails
    profile, cfa = SIMULATED.profile, SIMULATED.profile.cfa

    def bayer(self, srgb, *, tile=None, progress=None):
        distributed_c10d._set_pg_timeout(timedelta(seconds=1))
        rank = torch.distributed.get_rank()
        (here / f"begun{rank}").touch()
        time.sleep(int(seconds[rank]))
        if rank:
            raise RuntimeError("a bug of ours")
        return srgb[:1]


trainer = build_predictor(devices=2, accelerator="cpu")
task = PredictionTask(Batch(Slow(), plan_conversions([here / "album"], here / "o")))
try:
    outcomes = predict_photos(task, trainer)
except KeyboardInterrupt:
    sys.exit("interrupted")
if trainer.is_global_zero:
    for outcome in outcomes:
        print(outcome.job.photo.name, outcome.error, *getattr(outcome.error, "__notes__", []))
"""


def _start_two(folder: Path, photo: Path, *seconds: int) -> subprocess.Popen[str]:
    """Start two processes of one photo each."""
    (folder / "album").mkdir()
    for name in "ab":
        (folder / "album" / f"{name}.jpg").write_bytes(photo.read_bytes())
    (folder / "two.py").write_text(TWO)
    command = [sys.executable, folder / "two.py", folder, *seconds]
    return subprocess.Popen(map(str, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_process_that_is_through_waits_for_one_with_more_to_do(photo: Path, tmp_path: Path):
    """And hears from it what went wrong there, with the place in the code."""
    process = _start_two(tmp_path, photo, 0, 3)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.startswith("a.jpg None\nb.jpg RuntimeError('a bug of ours') Traceback")
    assert "two.py" in out
    assert files(tmp_path / "o") == ["a.dng"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt_ends_all_processes_and_leaves_nothing(photo: Path, tmp_path: Path):
    process = _start_two(tmp_path, photo, 600, 600)
    while process.poll() is None and not all((tmp_path / f"begun{rank}").exists() for rank in range(2)):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.endswith("interrupted\n")
    assert files(tmp_path / "o") == []


@pytest.mark.slow
def test_processes_divide_the_photos(run, photo: Path, model: Path, tmp_path: Path):
    """Two processes by Lightning's DDP: each photo once, none left, the bad ones reported by the first."""
    album = tmp_path / "album"
    album.mkdir()
    for index in range(5):
        (album / f"{index}.jpg").write_bytes(photo.read_bytes())
    (album / "bad.jpg").write_text("no photo")
    words = (album, "-o", tmp_path / "o", "--model", model, "--device", "cpu")
    done = run(*words, "--devices", "2", expect=1)
    lines = [line for line in done.stdout.splitlines() if "->" in line]
    assert sorted(line.split(" -> ")[0] for line in lines) == [str(album / f"{index}.jpg") for index in range(5)]
    bad = f"error: {album / 'bad.jpg'}: not a JPEG, PNG, TIFF or WebP photo, nor HEIF, AVIF or JPEG XL"
    assert f"{bad}\n1 of 6 photos failed\n" in done.stderr
    assert done.stderr.count("error:") == 1
    assert "distributed" not in done.stdout + done.stderr  # Lightning's own talk
    assert "warning:" not in done.stderr
    assert files(tmp_path / "o") == [f"{index}.dng" for index in range(5)]
    mosaics = [read_raw(tmp_path / "o" / f"{index}.dng").mosaic for index in range(5)]
    assert all(np.array_equal(mosaic, mosaics[0]) for mosaic in mosaics)
    (tmp_path / "o" / "3.dng").unlink()
    (album / "bad.jpg").unlink()
    done = run(*words, "--resume")
    assert done.stdout.count("is finished") == 4
    assert f"{album / '3.jpg'} -> " in done.stdout


def test_a_fault_of_ours_shows_its_traceback(photo: Path, model: Path, tmp_path: Path, monkeypatch):
    def fault(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("revisp.convert.engine.predict_bayer", fault)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.app([str(photo), "-o", str(tmp_path / "x.dng"), "--model", str(model)])


def test_one_fault_of_ours_does_not_stop_the_others(photo: Path, model: Path, tmp_path: Path, call, monkeypatch):
    from revisp.convert import engine

    real, calls = engine.predict_bayer, []

    def fault(*arguments, **rest):
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return real(*arguments, **rest)

    (tmp_path / "dog.jpg").write_bytes(photo.read_bytes())
    monkeypatch.setattr("revisp.convert.engine.predict_bayer", fault)
    code, _, err = call(photo, tmp_path / "dog.jpg", "-o", tmp_path / "o", "--model", model)
    assert code == 1
    assert "Traceback" in err
    assert f"error: {photo}: a bug\n1 of 2 photos failed\n" in err
    assert files(tmp_path / "o") == ["dog.dng"]


def test_an_interrupt_ends_with_130_and_leaves_nothing(photo: Path, model: Path, tmp_path, call, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("revisp.convert.engine.predict_bayer", interrupt)
    code, out, err = call(photo, "-o", tmp_path / "x.dng", "--model", model)
    assert (code, out, err) == (130, "", "interrupted\n")
    assert files(tmp_path) == ["cat.jpg"]
