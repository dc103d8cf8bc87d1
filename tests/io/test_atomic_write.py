import errno
import os
import stat
from pathlib import Path

import pytest

from revisp.errors import OutputError
from revisp.io.atomic import atomic_write


def test_the_file_appears_only_when_complete(tmp_path: Path):
    path = tmp_path / "a.bin"
    with atomic_write(path) as file:
        file.write(b"12")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"12"
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_keeps_the_old_file_and_leaves_nothing(tmp_path: Path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail():
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise ValueError("the encoder failed")

    with pytest.raises(ValueError, match="the encoder failed"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync", full) if step == "fsync" else (Path, "replace", full)))
    with (
        pytest.raises(OutputError, match=r"a\.bin: No space left on device"),
        atomic_write(tmp_path / "a.bin") as f,
    ):
        f.write(b"1")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_a_folder_and_a_file_as_folder_are_refused(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    for path, reason in (
        (tmp_path / "none" / "a", "No such file or directory"),
        (tmp_path, "not a regular file"),
        (tmp_path / "file" / "a", "Not a directory"),
    ):
        with pytest.raises(OutputError, match=reason), atomic_write(path):
            pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_is_refused_and_survives():
    with pytest.raises(OutputError, match="not a regular file"), atomic_write("/dev/full"):
        pass
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_link_is_followed_and_permissions_are_those_of_a_new_file(tmp_path: Path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "real")
    with atomic_write(link) as file:
        file.write(b"x")
    assert link.is_symlink()
    assert (tmp_path / "there" / "real").read_bytes() == b"x"
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert link.stat().st_mode == plain.stat().st_mode
