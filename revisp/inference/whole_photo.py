"""Statistics of the whole photo, gathered once and used in all its tiles.

Some networks average over the picture (channel attention, instance normalisation, attention over channels). Their
result for a tile differs from that for the whole photo, and a step appears between neighbouring tiles. Every such
statistic passes through a module `revisp.backbones.blocks.whole_image.WholeImage`, and this file hooks these
modules. The network first runs on the whole photo and its gain map, reduced to the pixels of one tile. The
statistics of that run then replace those of the tiles. The rest of the network looks only at its neighbourhood, so
tiles agree.

The finest detail of a reduced photo differs from that of the photo. Three ways were tried: means over all tiles, a
sample of crops at full resolution, and the reduced photo. The last was nearest to the photo in one piece. Networks
that also use the position in the image (``coordnet``, ``mbispld``) still treat each tile as a photo in that
respect. For networks of other packages (``smp``) nothing is gathered; their tiles are only blended by ramps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor
from torch.nn import functional as F

from revisp.backbones.blocks.whole_image import WholeImage
from revisp.pipeline import MINIMUM_SIZE, ReverseISP

__all__ = ["PhotoStatistics"]


class PhotoStatistics:
    """The statistics of one photo; those of a network are computed at their first use.

    Args:
        model: the pipeline, in evaluation mode.
        srgb: the photo ``[1, 3, H, W]``.
        gain: what its gain map says ``[1, 1, H, W]``; None: it has none.
        place: its place in a larger photo ``[1, 3, H, W]``; None: it is whole.
        tile: height and width of the tiles; None if the photo is a single tile and keeps its own statistics.
    """

    def __init__(
        self,
        model: ReverseISP,
        srgb: Tensor,
        gain: Tensor | None,
        place: Tensor | None,
        tile: tuple[int, int] | None,
    ) -> None:
        self.model = model
        self.srgb = srgb
        self.gain = gain
        self.place = place
        self.tile = tile
        self._found: dict[str, dict[WholeImage, Tensor]] = {}

    def of(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which a branch uses the statistics of the photo instead of those of a tile."""
        places = [x for x in self.model.branches[name].modules() if isinstance(x, WholeImage)]
        if self.tile is None or not places:
            return nullcontext()
        if name not in self._found:
            self._found[name] = self._gather(name, places, self.tile)
        values = self._found[name]
        return _watched(places, lambda place, _: values[place])

    def _gather(self, name: str, places: list[WholeImage], tile: tuple[int, int]) -> dict[WholeImage, Tensor]:
        found: dict[WholeImage, Tensor] = {}

        def note(place: WholeImage, value: Tensor) -> Tensor:
            found[place] = value
            return value

        height, width = self.srgb.shape[-2:]
        scale = math.sqrt(math.prod(tile) / (height * width))
        size = [max(MINIMUM_SIZE, math.floor(scale * extent)) for extent in (height, width)]
        device = next(self.model.parameters()).device

        small, gain, place = (
            None if x is None else F.interpolate(x, size=size, mode="area").to(device)
            for x in (self.srgb, self.gain, self.place)
        )
        assert small is not None
        with _watched(places, note):
            self.model.run_branch(name, small, self.model.overexposure_mask(small), gain=gain, place=place)
        return found


@contextmanager
def _watched(places: list[WholeImage], replace: Callable[[WholeImage, Tensor], Tensor]) -> Iterator[None]:
    """Pass every statistic through a function inside the context."""
    handles = [place.register_forward_hook(lambda module, _, value: replace(module, value)) for place in places]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
