"""The whole method as one module: mask, networks, fusion, mosaic, optional refinement."""

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:  # mypy keeps the types of these names
    from revisp.pipeline.model import MINIMUM_SIZE as MINIMUM_SIZE
    from revisp.pipeline.model import Auxiliary as Auxiliary
    from revisp.pipeline.model import Reconstruction as Reconstruction
    from revisp.pipeline.model import ReverseISP as ReverseISP
    from revisp.pipeline.model import check_photos as check_photos

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"model": ["MINIMUM_SIZE", "Auxiliary", "Reconstruction", "ReverseISP", "check_photos"]},
)
