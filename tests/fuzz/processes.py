"""Commands in processes that are forked from one that has loaded the libraries: their time goes into the work."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

__all__ = ["Process"]


class Process:
    """A command in a process and a session of its own.

    Args:
        words: name and arguments of the command.
        folder: where it works.

    Attributes:
        returncode: None while it runs; a negative number names the signal that ended it.
    """

    def __init__(self, words: tuple[str, ...], folder: Path) -> None:
        self.returncode: int | None = None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the object
        self._pid = os.fork()
        if not self._pid:
            os._exit(_run(words, folder, self._said.fileno()))

    def poll(self) -> int | None:
        """Return the exit code if it has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, but not longer; return whether it has."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        return self.returncode is not None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self._pid, number)

    def survivors(self, seconds: float = 120.0) -> list[int]:
        """Return the processes that it has started and that still run after a while."""
        until = time.monotonic() + seconds
        while (left := self._session()) and time.monotonic() < until:
            time.sleep(0.02)
        return left

    def end(self) -> None:
        """End it, and all that it has started."""
        for pid in self._session():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(60)

    def _session(self) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                state, _, _, session = entry.read_text().rpartition(")")[2].split()[:4]
                if int(session) == self._pid and state != "Z":
                    found.append(int(entry.parent.name))
        return found

    def said(self) -> str:
        """Return what it wrote to standard error."""
        self._said.seek(0)
        return self._said.read()


def _run(words: tuple[str, ...], folder: Path, said: int) -> int:
    """Be the command, in the forked process; return its exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(said, 2)
    os.chdir(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.argv = list(words)
    supervisor = importlib.import_module("revisp.cli._supervise")
    supervisor.sys = SimpleNamespace(  # it does nothing in programs that have loaded torch
        platform=sys.platform, modules={}, stdout=sys.stdout, stderr=sys.stderr, exit=sys.exit
    )
    try:
        importlib.import_module(f"revisp.cli.{words[0].removeprefix('revisp-')}").main()
    except KeyboardInterrupt:
        traceback.print_exc()
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
