"""Registration of photos to the RAW they were made from, refused where it cannot be trusted."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"alignment": ["Alignment"], "register": ["align"]},
)
