"""RGB to RAW as an augmentation for any training loop."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "shots": ["Shot"],
        "transform": ["RGBToRAW"],
    },
)
