"""Measure the memory of a network on a tile, and read sizes in bytes such as "1GiB"."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from revisp.errors import ConfigError

__all__ = ["TileMemory", "format_size", "measure_memory", "parse_size"]

FIXED_BYTES = 96 * 2**20
"""Bytes in addition to the tensors: compiled kernels, threads, libraries that are loaded at first use."""

ALLOCATOR_OVERHEAD = 1.25
"""Ratio of the memory that the allocator holds to that of the live tensors, which have many sizes."""

_CONVOLUTIONS = (
    torch.conv2d,
    torch.conv_transpose2d,
    getattr(torch.ops.mkldnn, "_convolution_pointwise", None),  # of `revisp.inference.rewrites.ConvReLU`
)

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Read a size in bytes: ``"1GiB"``, ``"512MiB"``, ``"800M"``, ``"1.5 GB"`` or a plain number.

    Units with an ``i`` are powers of 1024, units without it powers of 1000.

    Raises:
        ConfigError: the text is not a size, or the size is below one byte or above 8 EiB.

    Example:
        >>> parse_size("1GiB"), parse_size("800M"), parse_size(4096)
        (1073741824, 800000000, 4096)
    """
    found = _SIZE.fullmatch(str(text).strip())
    unit = found[2].lower() if found else ""
    if found is None or (found[3] and not unit):
        raise ConfigError(f"{text!r} is not a size in bytes: write 1GiB, 512MiB or 800MB")
    size = float(found[1]) * (1024 if found[3] else 1000) ** _UNITS[unit]
    if not 1 <= size < 2**63:
        raise ConfigError(f"a size must be from one byte to 8 EiB, got {str(text)[:40]!r}")
    return int(size)


def format_size(size: float) -> str:
    """Return a size in whole MiB, rounded up, as `parse_size` reads it: ``"412MiB"``."""
    return f"{-(-int(size) // 2**20)}MiB"


class TileMemory(NamedTuple):
    """Bytes that a function takes at its peak, on tiles.

    Attributes:
        fixed: bytes that do not depend on the tile.
        pixel: bytes for each pixel of the tile.
    """

    fixed: float
    pixel: float

    def of(self, pixels: int) -> float:
        """Return the bytes of a tile."""
        return self.fixed + self.pixel * pixels

    def pixels(self, size: float) -> float:
        """Return the pixels of the largest tile within ``size`` bytes."""
        return (size - self.fixed) / self.pixel


_KNOWN_COSTS: WeakKeyDictionary[nn.Module, dict[Hashable, TileMemory]] = WeakKeyDictionary()


def measure_memory(network: nn.Module, run: Callable[[], object], pixels: int) -> TileMemory:
    """Measure the memory of ``run`` by tracing it once, on a small tile.

    Every tensor counts from its creation to its release. Copies count, too: convolutions copy input and output
    that are not channels-last, and other functions copy tensors that are not contiguous. The result is kept for
    each network and precision.

    Args:
        network: the network.
        run: runs the network on a tile.
        pixels: pixels of that tile.
    """
    weight = next(network.parameters(), torch.empty(0))
    device = weight.device.type
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    key = (precision, weight.device, pixels)
    known = _KNOWN_COSTS.setdefault(network, {})
    if key not in known:
        with torch.no_grad(), _uncompiled(), _Meter() as meter:
            run()
        known[key] = TileMemory(FIXED_BYTES + meter.weights, ALLOCATOR_OVERHEAD * meter.peak / pixels)
    return known[key]


def _uncompiled() -> AbstractContextManager[object]:
    """Return a context in which compiled networks run uncompiled; import no compiler if none is in use."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


class _Meter(TorchFunctionMode):
    """Counts the bytes of all live tensors that functions of torch return.

    Attributes:
        live: bytes at present.
        peak: most bytes at one time, including the workspace of functions.
        weights: bytes of the largest convolution weights, which the convolution copies in its own order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = self.weights = 0
        self._known: set[int] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        old = {x.untyped_storage()._cdata for x in given}
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        fresh = [x for x in made if x.untyped_storage()._cdata not in old]
        for tensor in fresh:
            self._watch(tensor.untyped_storage())
        if fresh:
            self.peak = max(self.peak, self.live + self._workspace(func, given, fresh[0]))
        return result

    def _watch(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size

    def _workspace(self, func: Any, given: list[Tensor], made: Tensor) -> int:
        if func not in _CONVOLUTIONS:
            return sum(x.nbytes for x in given if not _is_dense(x))
        self.weights = max(self.weights, 2 * given[1].nbytes)
        ordered = given[0].is_contiguous(memory_format=torch.channels_last) and given[0].dtype == made.dtype
        return 0 if ordered else given[0].nbytes + made.nbytes


def _is_dense(x: Tensor) -> bool:
    return x.is_contiguous() or (x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last))
