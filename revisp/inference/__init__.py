"""Predict the RAW of photos of any size in bounded memory."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={"fast": ["optimise"], "predict": ["predict"], "tiles": ["tile_apply"]},
)
