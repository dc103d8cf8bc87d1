"""Commands over many files survive a decoder that crashes: they run in a child, and again without that file.

The first process loads nothing and waits. Ordinary runs pay for a fork of a small process, and for a line in a
pipe for each file.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from revisp.cli._main import say, shown
from revisp.io.crash_record import Crashes, listen, tell_to

__all__ = ["end_at_once", "loading", "supervise"]

FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
"""Signals that a fault in a library raises. One that the system sends for lack of memory is not among them."""

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def supervise(tidy: Callable[[], object] | None = None) -> None:
    """Return in a child process; this process waits for the child, and ends as it ends.

    If a fault ends the child while files are decoded, the next one does the rest with one file at a time. If that
    ends by a fault, too, its file is known, and the children after it refuse the file. Outputs that are finished
    are not made again where the command tells of them.

    Nothing happens inside a program that has loaded torch or started threads, in processes that Lightning or
    torchrun has started, and on other systems than Linux.

    Args:
        tidy: called before this process ends by a signal, as its child did: open `with` blocks are not left then.
    """
    if (
        not sys.platform.startswith("linux")
        or "torch" in sys.modules
        or threading.active_count() > 1
        or "LOCAL_RANK" in os.environ
    ):
        return
    known, parent = Crashes(), os.getpid()
    while True:
        reading, writing = os.pipe()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until there is somebody to pass them on to
        child = os.fork()
        if not child:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(reading)
            _begin(parent)
            tell_to(writing, known)
            return
        os.close(writing)
        with _signals_for(child):
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            decoding = listen(reading, known)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if -code not in FAULTS or not decoding:
            _end_as(code, tidy)
        fault = signal.Signals(-code).name
        if known.alone:
            known.files |= dict.fromkeys(decoding, fault)
            say(f"{', '.join(map(shown, decoding))}: the decoder crashed ({fault}); going on without", sys.stderr)
        else:
            say(f"a decoder crashed ({fault}); going on with one file at a time", sys.stderr)
        known.alone = True


@contextlib.contextmanager
def end_at_once() -> Iterator[None]:
    """End a child of `supervise` with the block, in order or by `SystemExit`, without taking Python apart.

    To free every object of torch takes half a second, and the system frees them anyhow. Another process than such
    a child goes on, and so does an error that is not expected.
    """
    code = 0
    try:
        yield
    except SystemExit as end:
        if not (_supervised and isinstance(end.code, int)):
            raise
        code = end.code
    if _supervised:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BrokenPipeError):  # the reader has gone away
                stream.flush()
        os._exit(code)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Load libraries and models in the block, in a child of `supervise` without Python's garbage collector.

    The collector would search the growing objects of torch a dozen times, and later again. They live as long as
    the process, so it never looks at them. In another process the block is as any other.
    """
    if not _supervised:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


_supervised = False
"""Whether this process is a child of `supervise`."""


def _begin(parent: int) -> None:
    """Make this process end with its parent, however that ends, and get signals from it alone."""
    global _supervised
    _supervised = True
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
    os.setpgid(0, 0)


@contextlib.contextmanager
def _signals_for(child: int) -> Iterator[None]:
    """Pass signals to a child, or to its process group as terminals do; a stop from the terminal stops both."""

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            if number == signal.SIGTERM:  # to one process, which ends its own in order; terminals signal groups
                os.kill(child, number)
            else:
                os.killpg(child, number)

    def stop(*_: object) -> None:
        pass_on(signal.SIGSTOP, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT, None)

    with contextlib.suppress(OSError):
        os.setpgid(child, child)  # the child does so, too: whichever is first
    heeded = [number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]  # as nohup does
    before = {number: signal.signal(number, pass_on) for number in heeded}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_as(code: int, tidy: Callable[[], object] | None) -> None:
    """End this process as its child has ended."""
    if code >= 0:
        sys.exit(code)
    if -code in FAULTS:
        say(f"error: ended by {signal.Signals(-code).name}, while no file was decoded", sys.stderr)
    if tidy is not None:
        tidy()
    with contextlib.suppress(OSError):  # SIGKILL has no handler
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    sys.exit(1)
