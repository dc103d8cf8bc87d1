"""What networks know of the whole photo, gathered once and given to all its tiles.

Networks that average over the picture (channel attention, instance normalisation, attention over channels) make
of a tile something else than of the photo around it, and neighbouring tiles differ by a step. Every such statistic
passes a module `revisp.backbones.blocks.whole_image.WholeImage`. Here these modules are watched: the network first
runs on the whole photo, reduced to the pixels of one tile, and the statistics that it finds there then stand for
the tiles' own. With them the network sees its neighbourhood only, and tiles agree.

A reduced photo is not the photo: what a network finds in its finest detail differs. Of the ways that were tried
(means over all tiles, a sample of crops at full resolution, the reduced photo) it came nearest to the photo in one
piece. Networks that also know their place in the image (``coordnet``, ``mbispld``) still take each tile for a
photo in that; of networks of others (``smp``) nothing is gathered, and ramps between tiles are all they get.
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
    """The statistics of one photo, of each network when it is first asked for.

    Args:
        model: the pipeline, in evaluation mode.
        srgb: the photo ``[1, 3, H, W]``.
        tile: height and width of the tiles; None if the photo is one, and has its own statistics.
    """

    def __init__(self, model: ReverseISP, srgb: Tensor, tile: tuple[int, int] | None) -> None:
        self.model = model
        self.srgb = srgb
        self.tile = tile
        self._found: dict[str, dict[WholeImage, Tensor]] = {}

    def of(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which a branch sees the photo's statistics in place of a tile's."""
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
        small = F.interpolate(self.srgb, size=size, mode="area").to(device)
        with _watched(places, note):
            self.model.run_branch(name, small, self.model.overexposure_mask(small))
        return found


@contextmanager
def _watched(places: list[WholeImage], replace: Callable[[WholeImage, Tensor], Tensor]) -> Iterator[None]:
    """Pass every statistic through a function for a while."""
    handles = [place.register_forward_hook(lambda module, _, value: replace(module, value)) for place in places]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
