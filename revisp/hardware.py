"""Facts about this machine: which numbers its processor computes fast, and how its memory is used.

The C library keeps memory that a network frees in the process, to be used again without the system's help. Live
blocks lie scattered between the freed ones, and a tile of another size may find no piece that is large enough. So
the memory that is kept grows from tile to tile. It is given back before it reaches a bound.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["has_fast_bf16", "keep_freed_memory", "release_freed_memory", "resident_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_SIZES = (2**30, 2**25)  # bytes; older releases of glibc refuse more than the second


def has_fast_bf16(device: str | torch.device) -> bool:
    """Whether a device computes bf16 in hardware: GPUs from Ampere on; processors by AVX512-BF16, AMX or SVE.

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
    """Tell the C library not to give freed memory back to the system.

    By default glibc maps every large block afresh and unmaps it when it is freed. A network allocates its features
    anew for every tile, and the system then clears all their pages again: up to half of the processor's time.
    Blocks up to 1 GiB now come from the heap, which stays. The process keeps holding what it held at its peak.

    The setting is that of the whole process and of the memory allocated from now on; repeating it is harmless. It
    does nothing to memory on a GPU, nor to other C libraries (musl, macOS, Windows).

    Returns:
        Whether it is set.

    Example:
        >>> keep_freed_memory()  # changes the whole process  # doctest: +SKIP
        True
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    set_ = [any(mallopt(option, size) for size in _SIZES) for option in (_TRIM_THRESHOLD, _MMAP_THRESHOLD)]
    return all(set_)


def release_freed_memory() -> None:
    """Give what is freed back to the system, wherever it lies; where the C library is another one, do nothing.

    Example:
        >>> release_freed_memory()
    """
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def resident_memory() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not say.

    Example:
        >>> f"{resident_memory() / 2**20:.0f} MiB"  # varies  # doctest: +SKIP
        '412 MiB'
    """
    if not sys.platform.startswith("linux"):
        return 0
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _has_glibc() -> bool:
    return sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"
