"""A decoder that crashes ends a process, and not a command: the other files are done, and the one is named.

The commands run here as small programs that load no torch; a fault is a real one, in ctypes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import revisp
from revisp.camera import SIMULATED
from revisp.convert import convert_photos, plan_conversions
from revisp.errors import ImageError
from revisp.io import crash_record, read_photo
from revisp.pipeline import ReverseISP

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="commands are supervised on Linux")

PROGRAM = """
import ctypes, os, signal, sys, time
from revisp.cli._main import report_errors
from revisp.cli._supervise import end_at_once, supervise
from revisp.errors import ImageError
from revisp.io.boundary import decoding
from revisp.io.crash_record import crashes, tell_finished

def convert(name):
    if name in crashes().finished:
        return
    try:
        with decoding(name):
            if name.startswith("bad"):
                ctypes.string_at(0)
    except ImageError as error:
        print(error, flush=True)
        return
    print("made", name, flush=True)
    tell_finished(name)

supervise(lambda: open(sys.argv[0] + ".tidied", "w").close())
"""


def test_a_command_whose_child_was_killed_tidies_up_and_ends_as_the_child_did(
    program: Callable[..., subprocess.Popen[str]], tmp_path: Path
):
    """As for lack of memory; nothing else is printed."""
    killed = program("os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.communicate()[1] == ""
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "program.py.tidied").exists()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    def start(body: str) -> subprocess.Popen[str]:
        script = tmp_path / "program.py"
        script.write_text(PROGRAM + body)
        root = str(Path(revisp.__file__).parents[1])
        environment = {name: value for name, value in os.environ.items() if name != "LOCAL_RANK"}
        environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    return start


def test_the_others_are_made_once_and_the_file_is_named(program):
    with program("[convert(name) for name in ('a', 'bad1', 'b', 'bad2\\x1b', 'c')]; sys.exit(1)") as running:
        out, err = running.communicate()
    assert running.returncode == 1
    assert sorted(line for line in out.splitlines() if line.startswith("made")) == ["made a", "made b", "made c"]
    assert "bad1: damaged, its decoder crashes (SIGSEGV)" in out
    assert err.splitlines() == [
        "a decoder crashed (SIGSEGV); going on with one file at a time",
        "bad1: the decoder crashed (SIGSEGV); going on without",
        "bad2\\x1b: the decoder crashed (SIGSEGV); going on without",
    ]


def test_the_thread_beside_a_crash_is_not_blamed(program):
    """While several files are decoded, a crash convicts none: only the run with one at a time does."""
    body = """
import threading
def decode(name, wait):
    with decoding(name):
        time.sleep(wait)
        if name == "bad":
            ctypes.string_at(0)
if crashes().alone:
    convert("good"), convert("bad")
else:
    threading.Thread(target=decode, args=("good", 60), daemon=True).start()
    decode("bad", 0.05)
"""
    with program(body) as running:
        out, err = running.communicate()
    assert out.splitlines() == ["made good", "bad: damaged, its decoder crashes (SIGSEGV)"]
    assert "good" not in err


def test_a_crash_outside_of_decoding_ends_the_command(program):
    with program("convert('a'); ctypes.string_at(0)") as running:
        out, err = running.communicate()
    assert (running.returncode, out) == (-signal.SIGSEGV, "made a\n")
    assert err == "error: ended by SIGSEGV, while no file was decoded\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_first_process_reaches_the_command_once(program, number):
    body = """
with report_errors():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("cleaning up", flush=True)
        time.sleep(0.1)  # a second signal would end this
        print("clean", flush=True)
        raise
"""
    with program(body) as running:
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        out, err = running.communicate()
    assert (running.returncode, out, err) == (130, "cleaning up\nclean\n", "interrupted\n")


def test_a_kill_of_the_first_process_ends_the_command(program):
    with program("print(os.getpid(), flush=True); time.sleep(60)") as running:
        child = int(running.stdout.readline())
        assert child != running.pid
        running.kill()
        assert running.stdout.read() == ""  # the pipe ends when the child has ended, too


def test_what_a_crash_has_left_is_heeded(tmp_path, monkeypatch):
    """A photo that crashed is refused, and a finished one is not made again."""
    for name in ("a", "b", "c"):
        Image.new("RGB", (32, 24), (90, 120, 60)).save(tmp_path / f"{name}.png")
    jobs = plan_conversions([tmp_path], tmp_path / "out")
    known = crash_record.Crashes({str(jobs[1].photo): "SIGSEGV"}, {str(jobs[2].output)}, alone=True)
    monkeypatch.setattr(crash_record, "_known", known)
    with pytest.raises(ImageError, match=r"b\.png: damaged, its decoder crashes \(SIGSEGV\)"):
        read_photo(jobs[1].photo)
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    done = list(convert_photos(model, jobs, workers=0))
    assert [(bool(each.files), each.skipped, each.error is not None) for each in done] == [
        (True, False, False),
        (False, False, True),
        (False, True, False),
    ]
    assert not jobs[2].output.exists()


@pytest.mark.parametrize(
    ("end", "code", "last"), [("pass", 0, ""), ("sys.exit(2)", 2, ""), ("sys.exit('no')", 1, "took apart\n")]
)
def test_a_command_ends_at_once_with_its_code_and_all_its_lines(program, end, code, last):
    with program(f"""
import atexit
atexit.register(print, "took apart")
with end_at_once():
    print("a line")
    {end}
""") as running:
        out, _ = running.communicate(timeout=60)
    assert (running.returncode, out) == (code, f"a line\n{last}")


def test_lines_of_a_process_whose_memory_is_damaged_are_passed_over():
    reading, writing = os.pipe()
    lines = [b'["begin", "a.jpg"]', b"\xff\xfe[", b'["begin"]', b'["finished", 5]', b"[" * 4000, b'"begin"', b"{}"]
    os.write(writing, b"\n".join([*lines, b'["finished", "b.dng"]', b'["begin", "c.j']))
    os.close(writing)
    known = crash_record.Crashes()
    assert crash_record.listen(reading, known) == ["a.jpg"]
    assert known.finished == {"b.dng"}
