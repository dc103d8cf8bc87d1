"""Facts about this machine: number formats that its processor computes fast, and memory in use.

The C library keeps memory that a network frees, and uses it again without a system call. Live blocks fragment the
heap: a tile of another size may find no free piece that is large enough. So the heap grows from tile to tile. It
is returned to the system before it reaches a bound.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = [
    "has_fast_bf16",
    "keep_freed_memory",
    "limit_cores",
    "release_freed_memory",
    "resident_memory",
    "share_processors",
]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_SPINS = "10000"
"""Rounds of the loop that waits: a fraction of a millisecond. The library takes thirty times as many."""

_limiting = threading.Lock()

_KEPT_SIZES = (2**30, 2**25)  # bytes; older releases of glibc refuse sizes above the second


def has_fast_bf16(device: str | torch.device) -> bool:
    """Return whether a device computes bf16 in hardware: GPUs since Ampere; CPUs with AVX512-BF16, AMX or SVE.

    Example:
        >>> has_fast_bf16("meta")  # neither a GPU nor a processor
        False
    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    features = torch.cpu.get_capabilities()
    return any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "sve_bf16"))


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory in the process.

    By default glibc maps every large block with a system call and unmaps it when it is freed. A network allocates
    its features for every tile, and the system then clears all their pages: this takes up to half of the CPU time.
    With this setting, blocks up to 1 GiB come from the heap, and the process keeps its peak memory. New threads
    take the same heap: one of their own would end at 64 MiB, and be given back whenever it is empty.

    The setting holds for the whole process, for memory allocated from now on. Repeating it is harmless. It does
    not affect memory on a GPU or other C libraries (musl, macOS, Windows).

    Returns:
        True if glibc took the setting.

    Example:
        >>> keep_freed_memory()  # changes the whole process  # doctest: +SKIP
        True
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    set_ = [any(mallopt(option, size) for size in _KEPT_SIZES) for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)]
    return bool(all(set_) and mallopt(_ARENA_MAX, 1))


def release_freed_memory() -> None:
    """Return all freed memory to the system. Without glibc this does nothing.

    Example:
        >>> release_freed_memory()
    """
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def resident_memory() -> int:
    """Return the resident memory of this process in bytes; 0 on systems other than Linux.

    Example:
        >>> f"{resident_memory() / 2**20:.0f} MiB"  # varies  # doctest: +SKIP
        '412 MiB'
    """
    if not sys.platform.startswith("linux"):
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def limit_cores(cores: int) -> None:
    """Let torch take at most so many cores in this thread; other threads keep theirs.

    It is meant as the initialiser of a thread, before torch computes anything in it. `torch.set_num_threads` alone
    would also hold for all threads that begin later, so another thread sets what these take back to what it was.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> import torch
        >>> with ThreadPoolExecutor(1, initializer=limit_cores, initargs=(1,)) as pool:
        ...     pool.submit(torch.get_num_threads).result()
        1
    """
    import torch

    with _limiting:
        usual = torch.get_num_threads()
        torch.set_num_threads(cores)
        resetting = threading.Thread(target=torch.set_num_threads, args=(usual,))
        resetting.start()
        resetting.join()


def share_processors() -> None:
    """Let threads that wait for each other give up their core soon; call it before torch is loaded.

    The threads of GNU OpenMP, which torch uses on Linux, wait in a busy loop for up to milliseconds after each of
    the thousands of steps of a network. Beside another busy program each then waits for a thread that waits for a
    core, and the work takes several times as long. What the environment already says of waiting stays.

    Example:
        >>> share_processors()  # changes the environment of the process  # doctest: +SKIP
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def _has_glibc() -> bool:
    return sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"
