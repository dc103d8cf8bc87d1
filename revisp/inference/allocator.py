"""Memory that a network frees stays in the process, to be used again without the system's help."""

from __future__ import annotations

import ctypes
import platform
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_SIZES = (2**30, 2**25)  # bytes; older releases of glibc refuse more than the second


def keep_freed_memory() -> bool:
    """Tell the C library not to give freed memory back to the system.

    By default glibc maps every large block afresh and unmaps it when it is freed. A network allocates its features
    anew for every tile, and the system then clears all their pages again: up to half of the processor's time.
    Blocks up to 1 GiB now come from the heap, which stays. The process keeps holding what it held at its peak.

    The setting is that of the whole process and of the memory allocated from now on; repeating it is harmless. It
    does nothing to memory on a GPU, nor to other C libraries (musl, macOS, Windows).

    Returns:
        Whether it is set.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    set_ = [any(mallopt(option, size) for size in _SIZES) for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)]
    return all(set_)
