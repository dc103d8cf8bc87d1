"""One at a time writes, whoever is second is told so at once, and a lock outlives nobody."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from revisp.errors import OutputError
from revisp.io.locking import lock, lock_beside, make_folder


def test_the_second_is_refused_until_the_first_is_through(tmp_path):
    first = lock(tmp_path / ".lock", tmp_path, "in use")
    with pytest.raises(OutputError, match=r"^in use$"):
        lock(tmp_path / ".lock", tmp_path, "in use")
    thread = threading.Thread(target=first.release)  # not the one that took it
    thread.start()
    thread.join()
    lock(tmp_path / ".lock", tmp_path, "in use").release()


def test_a_process_that_is_killed_leaves_no_lock(tmp_path):
    code = "import os, sys, revisp.io.locking as l; held = l.lock(sys.argv[1], 1, 2); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, tmp_path / ".lock"], check=False)
    assert (tmp_path / ".lock").exists()
    lock(tmp_path / ".lock", tmp_path, "in use").release()


def test_what_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*file/folder: Not a directory"):
        make_folder(tmp_path / "file" / "folder")
    with pytest.raises(OutputError, match="cannot write the data set: Is a directory"):
        lock(tmp_path, "the data set", "in use")


def test_a_place_that_takes_no_files_is_not_called_busy(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*file: a file has that name"):
        make_folder(tmp_path / "file")
    if not Path("/proc/self").exists():
        pytest.skip("this system has no /proc")
    with pytest.raises(OutputError, match=r"^cannot write /proc/x.dng: the system takes no file in /proc$"):
        lock("/proc/.x.dng.lock", "/proc/x.dng", "in use")
    with pytest.raises(OutputError, match=r"^cannot make the folder /proc/x: the system takes no folder there$"):
        make_folder("/proc/x")


@pytest.mark.parametrize("letter", ["x", "ß"])
@pytest.mark.parametrize("size", [200, 243, 244, 251, 255])
def test_the_longest_file_name_has_a_lock(tmp_path, letter, size):
    stem = letter * ((size - 4) // len(letter.encode()))
    output = tmp_path / f"{stem}.dng"
    output.touch()
    lock(lock_beside(output), output, "in use").release()
    assert lock_beside(output) != lock_beside(tmp_path / f"{stem[:-1]}y.dng")
