"""`revisp-prepare`, run for real: from a camera's files to a trained model, and stopped at any moment."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from revisp.camera.simulate import SIMULATED, simulate
from revisp.cli.prepare import app
from revisp.data.entry import array_path
from revisp.data.manifest import MANIFEST, read_manifest
from revisp.io.dng import write_dng
from revisp.prepare.journal import JOURNAL

Run = Callable[..., subprocess.CompletedProcess[str]]


def scene(seed: int, height: int, width: int) -> torch.Tensor:
    """Return a picture with detail of all sizes, in linear ramps and edges: enough to register by."""
    generator = torch.Generator().manual_seed(seed)
    photo = torch.zeros(3, height, width)
    for cells in (4, 16, 64, 128):
        noise = torch.rand(1, 3, cells, cells, generator=generator)
        photo += torch.nn.functional.interpolate(noise, size=(height, width), mode="nearest")[0]
    return (photo / 4) ** 2


def save(path: Path, srgb: torch.Tensor, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((srgb * 255).round().byte().permute(1, 2, 0).numpy()).save(path, **options)
    return path


@pytest.fixture(scope="module")
def camera_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three RAW files of a mirrored sensor with JPEGs that show 4 rows and 6 columns less at top and left."""
    folder = tmp_path_factory.mktemp("DCIM")
    for seed in range(3):
        shot = simulate(
            scene(seed, 360, 480), SIMULATED, exposure=0.3, generator=torch.Generator().manual_seed(seed)
        )
        profile = SIMULATED.profile.replace(cfa=SIMULATED.profile.cfa.hflip(480))
        write_dng(folder / f"IMG_{seed}.dng", shot.bayer.flip(-1), profile, orientation=2, plain=True)
        save(folder / f"IMG_{seed}.jpg", shot.srgb[:, 4:, 6:], quality=95, subsampling=0)
    return folder


@pytest.mark.slow
def test_camera_files_become_a_data_set_that_trains(
    run: Run, run_here: Run, camera_files: Path, tmp_path: Path
) -> None:
    done = run("revisp-prepare", str(camera_files), "-o", "set", "--preview", "--workers", "1")
    assert "3 made, 0 kept, 0 rejected" in done.stdout
    entries = read_manifest(tmp_path / "set").entries
    assert [(entry.name, entry.kind) for entry in entries] == [(f"IMG_{n}", "raw+jpeg") for n in range(3)]
    for entry in entries:
        assert entry.alignment is not None
        assert entry.alignment["symmetry"] == [False, False, False]  # EXIF told the truth
        assert entry.alignment["offset"] == pytest.approx([-4, -6], abs=0.1)
        assert entry.profile.cfa is SIMULATED.profile.cfa
        assert (entry.height, entry.width) == (356, 474)
    assert (tmp_path / "set" / "sheet.png").stat().st_size > 10_000
    assert list((tmp_path / "set" / "cameras").iterdir())
    words = ["+backbone=unet", "backbone.width=4", "backbone.depth=2", "data=prepared", "data.root=set",
             "data.crop=32", "data.batch_size=2", "data.crops_per_epoch=4", "demosaic=bilinear",
             "trainer.max_epochs=1", "trainer.precision=32-true", "hydra.run.dir=run"]  # fmt: skip
    run_here("revisp-train", *words, check=True)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("revisp-prepare")), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read what a command says until a line holds the text; return that line."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return line
    raise AssertionError("".join(said))


def members(group: int) -> list[str]:
    """Return the processes of a group that are still alive."""
    found = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in found.splitlines()]
    return [row[2] for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def gone(group: int) -> bool:
    until = time.monotonic() + 30
    while members(group) and time.monotonic() < until:
        time.sleep(0.2)
    return not members(group)


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def times(root: Path) -> dict[str, int]:
    return {
        str(file.relative_to(root)): file.stat().st_mtime_ns for file in root.rglob("*") if file.name != ".lock"
    }


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for seed in range(8):
        save(tmp_path / "photos" / f"p{seed}.png", scene(seed, 300, 400))
    return tmp_path / "photos"


FAST = ("--demosaic", "malvar", "--workers", "2")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_it_goes_on_to_the_same_result(run: Run, photos: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "photos", "-o", "set", *FAST)
    wait_for(process, "[2/")
    time.sleep(0.2)
    process.kill()
    process.wait()
    assert gone(process.pid)
    done = run("revisp-prepare", "photos", "-o", "set", *FAST)
    assert "items, 0 of them" not in done.stderr  # something was kept
    run("revisp-prepare", "photos", "-o", "undisturbed", "--demosaic", "malvar", "--workers", "1")
    assert contents(tmp_path / "set") == contents(tmp_path / "undisturbed")
    before = times(tmp_path / "set")
    again = run("revisp-prepare", "photos", "-o", "set", *FAST)
    assert "0 made, 8 kept" in again.stdout
    assert times(tmp_path / "set") == before


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_an_interrupt_ends_all_processes_in_order(
    photos: Path, tmp_path: Path, number: int, whole_group: bool
) -> None:
    process = start(tmp_path, "photos", "-o", "set", *FAST)
    wait_for(process, "[1/")
    os.killpg(process.pid, number) if whole_group else process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert gone(process.pid)
    assert (tmp_path / "set" / JOURNAL).read_text().count("\n") >= 1
    assert not list((tmp_path / "set").rglob("*.part"))


@pytest.mark.slow
def test_a_photo_that_ends_its_process_is_named_and_the_others_are_made(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(  # as a decoder does that crashes
        "import multiprocessing, os, pathlib\n"
        "real = pathlib.Path.open\n"
        "def dying(path, *words, **options):\n"
        "    if path.name == 'p2.png' and multiprocessing.parent_process():  # not where its header is read\n"
        "        os._exit(1)\n"
        "    return real(path, *words, **options)\n"
        "pathlib.Path.open = dying\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = run("revisp-prepare", "photos", "-o", "set", *FAST, check=False)
    assert "photos/p2.png: the process that prepared it died" in done.stdout + done.stderr
    assert "7 made" in done.stdout
    assert done.returncode == 0


def prepare(*words: str | Path) -> tuple[int, str]:
    """Run the command in this process; return its exit code and what it said on standard error."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        done = CliRunner().invoke(app, [*map(str, words), "--workers", "1", "--demosaic", "bilinear"])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing"], "missing: no such file or folder"),
        (["/dev/null"], "/dev/null: is neither a file nor a folder"),
        (["photos", "--min-preview", "7"], "min_preview must lie in (0, 1], got 7.0"),
        (["photos", "--cameras", "99999999999"], "cameras must be from 1 to 10000, got 99999999999"),
        (["photos", "--val", "x"], "--val: unknown scene 'x'. Known: p0, p1"),
        (["photos", "--style", "vivid"], "unknown style 'vivid': use neutral, bright, punchy"),
        (["photos", "--camera", "camera.json"], "camera.json: not a camera file of revisp-prepare"),
        (["photos", "--camera", "no.json"], "no.json: not a camera file of revisp-prepare"),
        (["photos", "--profile", "*.png"], "--profile takes PATTERN=FILE"),
        (["photos", "--profile", "*.png=no.json"], "no.json: not a camera profile"),
        (["photos", "--profile", "*.png=camera.json"], "camera.json: not a camera profile"),
        (["photos", "--converter", "darktable"], "the converter darktable is not installed"),
    ],
)
def test_what_cannot_work_is_said_at_once(tmp_path, monkeypatch, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("revisp.io.converters.shutil.which", lambda _: None)
    for seed in range(2):
        save(tmp_path / "photos" / f"p{seed}.png", scene(seed, 64, 64))
    Path("camera.json").write_text('{"profile": 1}')
    code, said = prepare(*words, "-o", "set")
    assert code == 2
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "set" / MANIFEST).exists()


def test_a_file_given_outright_that_cannot_be_used_is_an_error_one_in_a_folder_is_not(tmp_path) -> None:
    good = save(tmp_path / "photos" / "good.png", scene(0, 64, 96))
    bad = tmp_path / "photos" / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff nothing")
    assert prepare(tmp_path / "photos", "-o", tmp_path / "set")[0] == 0
    code, said = prepare(good, bad, "-o", tmp_path / "set")
    assert code == 2
    assert said.splitlines()[-1].startswith(f"error: {bad}: damaged or not a photo")
    assert [entry.name for entry in read_manifest(tmp_path / "set").entries] == ["good"]
    assert array_path(tmp_path / "set", "good", "raw").is_file()


def test_warnings_are_one_line_each(tmp_path) -> None:
    save(tmp_path / "photos" / "a.png", scene(0, 64, 96))
    (tmp_path / "notes.txt").write_text("x")
    code, said = prepare(
        tmp_path / "photos", tmp_path / "notes.txt", tmp_path / "photos" / "a.png", "-o", tmp_path / "s"
    )
    assert code == 2  # nothing of use in the folder of notes.txt
    assert said.splitlines()[-1].startswith(f"error: {tmp_path / 'notes.txt'}")
    code, said = prepare(tmp_path / "photos", "-o", tmp_path / "s")
    assert code == 0
    assert [line for line in said.splitlines() if "single scene" in line] == [
        "warning: a single scene: all of it is for training, nothing to validate with; --val names scenes that do"
    ]


def test_challenge_inputs_without_their_arrays_are_refused(sample_data: Path, tmp_path: Path) -> None:
    code, said = prepare(sample_data / "challenge_inputs" / "s7", "-o", tmp_path / "set")
    assert code == 2
    assert said.splitlines()[-1].startswith("error: nothing could be used: ")
    assert said.splitlines()[-1].endswith(".npy is missing")
    assert read_manifest(tmp_path / "set").entries == ()


def without_exif(jpeg: bytes) -> bytes:
    """Take the APP1 segments off a JPEG; its pixels stay as they are."""
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:  # start of scan
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        kept += b"" if jpeg[at + 1] == 0xE1 else jpeg[at:end]
        at = end
    return kept + jpeg[at:]


@pytest.mark.parametrize(
    ("exif", "reason"),
    [(True, r"it was taken \+17 s from it"), pytest.param(False, "its noise is another", marks=pytest.mark.slow)],
)
def test_a_photo_shot_seconds_later_is_told_by_its_date_or_its_noise(sample_data, tmp_path, exif, reason) -> None:
    folder = sample_data / "raw_samples" / "canon_s40"
    shutil.copy(folder / "CRW_0101.CRW", tmp_path)
    jpeg = (folder / "IMG_0102.JPG").read_bytes()
    (tmp_path / "CRW_0101.jpg").write_bytes(jpeg if exif else without_exif(jpeg))
    code, said = prepare(tmp_path / "CRW_0101.CRW", "-o", tmp_path / "set")
    assert code == 2
    assert re.search(rf"CRW_0101\.jpg is not the exposure of .*CRW_0101\.CRW: .*{reason}", said.splitlines()[-1])
