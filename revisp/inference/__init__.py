"""Prediction on photos of any size."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "convert": ["convert_photo"],
        "load": ["load_model"],
        "predict": ["predict"],
        "tiling": ["tile_apply"],
    },
)
