"""Registration of photos to the RAW that they were made from. An unreliable result is refused."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"alignment": ["Alignment"], "register": ["align"]},
)
