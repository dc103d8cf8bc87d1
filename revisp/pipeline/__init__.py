"""The whole method as one module: mask, networks, fusion, mosaic and optional refinement."""

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:  # mypy keeps the types of these names
    from revisp.pipeline.model import ReverseISP as ReverseISP
    from revisp.pipeline.reach import Reach as Reach
    from revisp.pipeline.reconstruction import MINIMUM_SIZE as MINIMUM_SIZE
    from revisp.pipeline.reconstruction import Auxiliary as Auxiliary
    from revisp.pipeline.reconstruction import Parts as Parts
    from revisp.pipeline.reconstruction import Reconstruction as Reconstruction
    from revisp.pipeline.reconstruction import check_photos as check_photos

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "model": ["ReverseISP"],
        "reach": ["Reach"],
        "reconstruction": ["MINIMUM_SIZE", "Auxiliary", "Parts", "Reconstruction", "check_photos"],
    },
)
