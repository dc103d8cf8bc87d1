"""The command as a user meets it: real processes where the process matters, else its function."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from skimage import data

from revisp.camera.profile import CameraProfile
from revisp.cli import predict as cli
from revisp.errors import ImageError, OutputError
from revisp.export.model_folder import from_pretrained, save_pretrained
from revisp.inference.convert import WRITERS, convert_photo
from revisp.inference.jobs import plan_jobs
from revisp.io import read_challenge_npy, read_metadata, read_mosaic, read_raw, read_srgb
from revisp.io.endings import OUTPUT_ENDINGS
from revisp.pipeline import ReverseISP

COMMAND = Path(sys.executable).parent / "revisp-predict"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model folder with a camera, untrained."""
    torch.manual_seed(0)
    profile = CameraProfile(
        make="Acme",
        model="One",
        cfa="GRBG",
        black_level=(60, 64, 66, 62),
        white_level=1023,
        bits=10,
        color_matrix=((0.8606, -0.2573, -0.0949), (-0.8237, 1.5489, 0.2974), (-0.2649, 0.3076, 0.91)),
        as_shot_neutral=(0.6, 1.0, 0.65),
    )
    folder = tmp_path_factory.mktemp("model") / "m"
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=profile), folder)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 80x61 pixels with EXIF, held sideways."""
    path = tmp_path / "cat.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0x829A: IFDRational(1, 250), 0x9003: "2021:04:08 14:51:29", 0xA434: "Lens 35mm"})
    Image.fromarray(data.chelsea()[:61, :80]).save(path, exif=exif, quality=95)
    return path


def _run(*words: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, [COMMAND, *words])), capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def _call(capsys, *words: object) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as ended:
        cli.app([str(word) for word in words], prog_name="revisp-predict")
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_help_comes_at_once_as_it_loads_no_torch():
    assert "--preview" in _run("--help").stdout
    code = "import revisp.cli.predict, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_photo_becomes_a_dng_with_preview(photo: Path, model: Path, tmp_path: Path):
    out = tmp_path / "cat.dng"
    done = _run(photo, "-o", out, "--model", model, "--preview")
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
    assert _files(tmp_path) == ["cat.dng", "cat.jpg", "cat.preview.png"]


def test_each_format_is_written(photo: Path, model: Path, tmp_path: Path, capsys):
    assert tuple(WRITERS) == OUTPUT_ENDINGS
    for name in ("a.tiff", "a.tif", "a.png"):
        assert _call(capsys, photo, "-o", tmp_path / name, "--model", model)[0] == 0
        mosaic = read_mosaic(tmp_path / name)
        assert mosaic.shape == (80, 61)
        assert mosaic.max() <= 1023
    code, _, err = _call(capsys, photo, "-o", tmp_path / "a.npy", "--model", model, "--bits", "12")
    assert (code, err.count("warning:")) == (0, 1)  # GRBG is cut to RGGB
    assert read_challenge_npy(tmp_path / "a.npy", bits=12).shape == (80, 60)


def test_a_folder_becomes_a_folder(photo: Path, model: Path, tmp_path: Path, capsys):
    album = tmp_path / "album"
    album.mkdir()
    (album / "notes.txt").write_text("no photo")
    for name in ("b.JPG", "a.png"):
        Image.open(photo).save(album / name)
    code, out, err = _call(capsys, album, "-o", tmp_path / "new" / "raw", "--model", model)
    assert (code, err) == (0, "")
    assert out.count("->") == 2
    assert _files(tmp_path / "new" / "raw") == ["a.dng", "b.dng"]


def test_an_existing_file_is_replaced(photo: Path, model: Path, tmp_path: Path, capsys):
    (tmp_path / "cat.dng").write_text("old")
    assert _call(capsys, photo, "-o", tmp_path / "cat.dng", "--model", model)[0] == 0
    assert read_raw(tmp_path / "cat.dng").mosaic.shape == (80, 61)


def _bad_photos(folder: Path, photo: Path) -> dict[str, str]:
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no photo\n" * 9)
    (folder / "cut.jpg").write_bytes(photo.read_bytes()[:2000])
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    return {
        "none.jpg": "No such file",
        "empty.jpg": "the file is empty",
        "text.jpg": "not a JPEG, PNG, TIFF or WebP photo",
        "cut.jpg": "damaged",
        "one.png": "1x1 pixels",
    }


def test_a_bad_photo_is_one_line_and_exit_2(photo: Path, model: Path, tmp_path: Path, capsys):
    bad = tmp_path / "bad"
    bad.mkdir()
    for name, reason in _bad_photos(bad, photo).items():
        code, out, err = _call(capsys, bad / name, "-o", tmp_path / "x.dng", "--model", model)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {bad / name}: ")
        assert reason in err
        assert err.count("\n") == 1
        assert not (tmp_path / "x.dng").exists()


def test_a_real_process_ends_with_2_and_one_line(model: Path, tmp_path: Path):
    done = _run(tmp_path / "none.jpg", "-o", tmp_path / "x.dng", "--model", model, expect=2)
    assert done.stderr == f"error: {tmp_path / 'none.jpg'}: No such file or directory\n"
    assert _files(tmp_path) == []


def test_bad_photos_do_not_stop_good_ones(photo: Path, model: Path, tmp_path: Path, capsys):
    bad = tmp_path / "bad"
    bad.mkdir()
    names = _bad_photos(bad, photo)
    code, out, err = _call(capsys, *(bad / n for n in names), photo, "-o", tmp_path / "o", "--model", model)
    assert code == 1  # something was done
    assert out.count("->") == 1
    assert err.count("error:") == err.count("\n") - 1 == len(names)
    assert err.endswith(f"{len(names)} of {len(names) + 1} photos failed\n")
    assert _files(tmp_path / "o") == ["cat.dng"]


def test_a_second_run_does_what_is_left(photo: Path, model: Path, tmp_path: Path, capsys):
    """A manifest of three, one missing at first; what is finished is not touched again."""
    names = tmp_path / "list.txt"
    names.write_text("# all\ncat.jpg\nlate.jpg\n")
    words = (names, "-o", tmp_path / "o", "--model", model, "--resume")
    code, out, err = _call(capsys, *words)
    assert (code, out.count("->")) == (1, 1)
    assert err == f"error: {tmp_path / 'late.jpg'}: No such file or directory\n1 of 2 photos failed\n"
    before = (tmp_path / "o" / "cat.dng").stat().st_mtime_ns
    (tmp_path / "late.jpg").write_bytes(photo.read_bytes())
    code, out, err = _call(capsys, *words)
    assert (code, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'o' / 'cat.dng'} is finished\n{tmp_path / 'late.jpg'} -> ")
    assert (tmp_path / "o" / "cat.dng").stat().st_mtime_ns == before
    assert _files(tmp_path / "o") == ["cat.dng", "late.dng"]


def test_tiles_by_memory_write_the_same(photo: Path, model: Path, tmp_path: Path, capsys):
    for name, words in {"a": ["--memory", "1GiB"], "b": ["--tile", "64"], "c": ["--precision", "fp32"]}.items():
        assert _call(capsys, photo, "-o", tmp_path / f"{name}.png", "--model", model, *words)[0] == 0
    mosaics = [read_mosaic(tmp_path / f"{name}.png").astype(int) for name in "abc"]
    assert np.abs(mosaics[0] - mosaics[1]).max() <= 1
    assert np.abs(mosaics[0] - mosaics[2]).max() <= 16  # bf16, where the processor has it: 1.5 % of 10 bits


@pytest.mark.parametrize("tile", [63, 10_000])
def test_tiles_of_any_size_write_the_same(photo: Path, model: Path, tmp_path: Path, capsys, tile: int):
    """Odd, or larger than the photo."""
    words = ("--model", model, "--precision", "fp32")
    for name, more in {"a": [], "b": ["--tile", tile]}.items():
        assert _call(capsys, photo, "-o", tmp_path / f"{name}.png", *words, *more)[0] == 0
    a, b = (read_mosaic(tmp_path / f"{name}.png").astype(int) for name in "ab")
    assert np.abs(a - b).max() <= 1


def test_the_least_memory_that_works_is_said_of_each_photo_and_works(photo, model, tmp_path, capsys):
    words = (photo, tmp_path / "dog.png", "-o", tmp_path / "o", "--model", model, "--memory")
    Image.fromarray(data.chelsea()[:300]).save(tmp_path / "dog.png")
    code, out, err = _call(capsys, *words, "1MiB")
    assert (code, out) == (1, "")
    leasts = [re.fullmatch(r"error: (.*?): 1MiB .* at least (\d+)MiB.*", line) for line in err.splitlines()[:2]]
    assert [found[1] for found in leasts] == [str(path) for path in words[:2]]
    least = max(int(found[2]) for found in leasts)
    assert _call(capsys, *words, f"{least - 1}MiB")[0] == 1
    assert _call(capsys, *words, f"{least}MiB")[0] == 0


def test_without_onnxruntime_the_extra_is_named(photo: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, out, err = _call(capsys, photo, "-o", tmp_path / "x.dng", "--model", tmp_path / "model.onnx")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert 'pip install "revisp[onnx]"' in err


def test_lines_go_to_a_file_although_the_bar_goes_to_a_terminal(photo, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # standard error counts as a terminal, standard output is none
    code, out, _ = _call(capsys, photo, "-o", tmp_path / "x.dng", "--model", model)
    assert (code, out.count("->")) == (0, 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_a_killed_process_left_is_taken_up(photo: Path, model: Path, tmp_path: Path, capsys):
    """Of two photos the second is a pipe that nobody writes: the process waits there, at a known place."""
    late, out = tmp_path / "late.jpg", tmp_path / "o"
    os.mkfifo(late)
    words = [str(word) for word in (photo, late, "-o", out, "--model", model)]
    process = subprocess.Popen([COMMAND, *words])
    try:
        for _ in range(2400):
            if out.exists() and _files(out) == [".late.dng.lock", "cat.dng"]:
                break
            time.sleep(0.05)
        code, _, err = _call(capsys, photo, "-o", out / "late.dng", "--model", model)
        assert (code, err) == (2, f"error: cannot write {out / 'late.dng'}: another process is writing it\n")
    finally:
        process.kill()
        process.wait()
    late.unlink()
    late.write_bytes(photo.read_bytes())
    code, said, err = _call(capsys, *words, "--resume")
    assert (code, err) == (0, "")
    assert said.startswith(f"{out / 'cat.dng'} is finished\n{late} -> ")
    assert _files(out) == ["cat.dng", "late.dng"]


def test_what_cannot_be_written_is_said_once_before_processes_start(photo: Path, tmp_path: Path, capsys):
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, cfa="RGGB"), tmp_path / "m")
    code, out, err = _call(
        capsys, photo, "-o", tmp_path / "x.dng", "--model", tmp_path / "m", "--device", "cpu", "--devices", "2"
    )
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no camera profile" in err


TWO = """
import sys, time
from datetime import timedelta
from pathlib import Path

import torch
from torch.distributed import distributed_c10d

from revisp.camera.simulate import SIMULATED
from revisp.inference.folder import Batch
from revisp.inference.jobs import plan_jobs
from revisp.training.predict import PredictionTask, build_predictor, predict_photos

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
task = PredictionTask(Batch(Slow(), plan_jobs([here / "album"], here / "o")))
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
    assert _files(tmp_path / "o") == ["a.dng"]


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
    assert _files(tmp_path / "o") == []


@pytest.mark.slow
def test_processes_divide_the_photos(photo: Path, model: Path, tmp_path: Path):
    """Two processes by Lightning's DDP: each photo once, none left, the bad ones reported by the first."""
    album = tmp_path / "album"
    album.mkdir()
    for index in range(5):
        (album / f"{index}.jpg").write_bytes(photo.read_bytes())
    (album / "bad.jpg").write_text("no photo")
    words = (album, "-o", tmp_path / "o", "--model", model, "--device", "cpu", "--devices", "2")
    done = _run(*words, expect=1)
    lines = [line for line in done.stdout.splitlines() if "->" in line]
    assert sorted(line.split(" -> ")[0] for line in lines) == [str(album / f"{index}.jpg") for index in range(5)]
    bad = f"error: {album / 'bad.jpg'}: not a JPEG, PNG, TIFF or WebP photo"
    assert f"{bad}\n1 of 6 photos failed\n" in done.stderr
    assert done.stderr.count("error:") == 1
    assert "distributed" not in done.stdout + done.stderr  # Lightning's own talk
    assert "warning:" not in done.stderr
    assert _files(tmp_path / "o") == [f"{index}.dng" for index in range(5)]
    mosaics = [read_raw(tmp_path / "o" / f"{index}.dng").mosaic for index in range(5)]
    assert all(np.array_equal(mosaic, mosaics[0]) for mosaic in mosaics)
    (tmp_path / "o" / "3.dng").unlink()
    (album / "bad.jpg").unlink()
    done = _run(*words, "--resume")
    assert done.stdout.count("is finished") == 4
    assert f"{album / '3.jpg'} -> " in done.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{album}", "-o", "{here}/o"], "no photos in this folder"),
        (["{photo}", "-o", "{here}/o.cr2"], r"ends in one of .dng, .npy"),
        (["{photo}", "{album}/../b.jpg", "-o", "{here}/o.dng"], "2 photos cannot become the one file"),
        (["{photo}", "{here}/twin/cat.png", "-o", "{here}/o"], "would replace"),
        (["{here}/twin/cat.png", "-o", "{here}/twin/cat.png"], "would replace"),
        (["{here}/twin/cat.png", "-o", "{here}/twin", "--format", "png"], "would replace"),
        (["{photo}", "-o", "{here}/o.dng", "--format", "npy"], "contradicts --format npy"),
        (["{photo}", "-o", "{here}/o.npy", "--bits", "11"], "--bits must be 10"),
        (["{photo}", "-o", "{here}/o.dng", "--tile", "3"], "--tile must be at least 16 pixels, got 3"),
        (["{photo}", "-o", "{here}/o.dng", "--tile", "-64"], "--tile must be at least 16 pixels, got -64"),
        (["{photo}", "-o", "{here}/o.dng", "--tile", "64", "--memory", "1GiB"], "not both"),
        (["{photo}", "-o", "{here}/o.dng", "--memory", "much"], "'much' is no size"),
        (["{photo}", "-o", "{here}/o.dng", "--memory", "1MiB"], "MiB"),
        (["{photo}", "-o", "{here}/o.dng", "--engine", "onnx"], "revisp-export"),
        (["{here}/none.txt", "-o", "{here}/o"], "No such file"),
        (["{photo}", "-o", "{here}/o.dng", "--device", "abacus"], "device abacus"),
        (["{photo}", "-o", "{photo}/o"], "cannot make the folder"),
        (["{photo}", "-o", "{photo}/o.dng"], "cannot make the folder"),
    ],
)
def test_wrong_words_are_one_line_and_nothing_is_written(
    photo: Path, model: Path, tmp_path, capsys, words, reason
):
    album = tmp_path / "album"
    album.mkdir()
    (tmp_path / "twin").mkdir()
    Image.open(photo).save(tmp_path / "twin" / "cat.png")
    before = _files(tmp_path)
    words = [word.format(photo=photo, album=album, here=tmp_path) for word in words]
    code, out, err = _call(capsys, *words, "--model", model)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert reason in err
    assert _files(tmp_path) == before


def test_the_same_photo_named_twice_is_one_job(photo: Path, tmp_path: Path):
    assert len(plan_jobs([photo, photo], tmp_path / "o", None)) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no photos"):
        plan_jobs([tmp_path / "empty"], tmp_path / "o", None)
    twins = [tmp_path / "a.jpg", tmp_path / "a.preview.jpg"]
    with pytest.raises(OutputError, match="would replace"):  # a preview where another RAW goes
        plan_jobs(twins, tmp_path / "o", "png", preview=True)


def test_a_full_disk_leaves_nothing(photo: Path, model: Path, tmp_path: Path, capsys, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = _call(capsys, photo, "-o", tmp_path / "o" / "cat.dng", "--model", model)
    assert (code, out) == (2, "")
    assert err == f"error: cannot write {tmp_path / 'o' / 'cat.dng'}: No space left on device\n"
    assert _files(tmp_path / "o") == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk_leaves_nothing(photo: Path, model: Path, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        done = _run(photo, "-o", disk / "cat.dng", "--model", model, expect=2)
        assert done.stderr == f"error: cannot write {disk / 'cat.dng'}: No space left on device\n"
        assert _files(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(photo: Path, model: Path, tmp_path: Path, capsys):
    folder = tmp_path / "o"
    folder.mkdir(mode=0o555)
    code, _, err = _call(capsys, photo, "-o", folder / "cat.dng", "--model", model)
    assert (code, err) == (2, f"error: cannot write {folder / 'cat.dng'}: Permission denied\n")


@pytest.mark.parametrize("damage", ["missing", "no weights", "no config", "short weights", "text config"])
def test_a_broken_model_folder_is_one_line(photo: Path, model: Path, tmp_path: Path, capsys, damage: str):
    folder = tmp_path / "m"
    if damage != "missing":
        folder.mkdir()
        for file in model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        weights, config = folder / "model.safetensors", folder / "config.json"
        {
            "no weights": weights.unlink,
            "no config": config.unlink,
            "short weights": lambda: weights.write_bytes(weights.read_bytes()[:500]),
            "text config": lambda: config.write_text("no JSON"),
        }[damage]()
    code, out, err = _call(capsys, photo, "-o", tmp_path / "o" / "x.dng", "--model", folder)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert str(folder) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_a_model_without_a_camera_writes_arrays_only(photo: Path, tmp_path: Path, capsys):
    folder = tmp_path / "m"
    save_pretrained(ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, cfa="RGGB"), folder)
    code, _, err = _call(capsys, photo, "-o", tmp_path / "x.dng", "--model", folder)
    assert (code, "no camera profile" in err) == (2, True)
    assert not (tmp_path / "x.dng").exists()
    with pytest.warns(UserWarning, match="is cut to 60x80"):
        convert_photo(from_pretrained(folder), photo, tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (40, 30, 4)


def test_a_fault_of_ours_shows_its_traceback(photo: Path, model: Path, tmp_path: Path, monkeypatch):
    def fault(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("revisp.inference.engine.predict", fault)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.app([str(photo), "-o", str(tmp_path / "x.dng"), "--model", str(model)])


def test_one_fault_of_ours_does_not_stop_the_others(photo: Path, model: Path, tmp_path: Path, capsys, monkeypatch):
    from revisp.inference import engine

    real, calls = engine.predict, []

    def fault(*arguments, **rest):
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return real(*arguments, **rest)

    (tmp_path / "dog.jpg").write_bytes(photo.read_bytes())
    monkeypatch.setattr("revisp.inference.engine.predict", fault)
    code, _, err = _call(capsys, photo, tmp_path / "dog.jpg", "-o", tmp_path / "o", "--model", model)
    assert code == 1
    assert "Traceback" in err
    assert f"error: {photo}: a bug\n1 of 2 photos failed\n" in err
    assert _files(tmp_path / "o") == ["dog.dng"]


def test_bf16_is_refused_where_the_hardware_lacks_it(photo: Path, model: Path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    words = ("-o", tmp_path / "x.dng", "--model", model, "--device", "cpu")
    code, out, err = _call(capsys, photo, *words, "--precision", "bf16")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no bf16" in err
    assert _call(capsys, photo, *words)[0] == 0  # auto takes fp32


def test_an_interrupt_ends_with_130_and_leaves_nothing(photo: Path, model: Path, tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("revisp.inference.engine.predict", interrupt)
    code, out, err = _call(capsys, photo, "-o", tmp_path / "x.dng", "--model", model)
    assert (code, out, err) == (130, "", "interrupted\n")
    assert _files(tmp_path) == ["cat.jpg"]
