"""Camera RAW files: their mosaic, levels, colour and embedded preview."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "ceilings": ["Ceiling", "find_ceilings"],
        "preview": ["read_preview"],
        "rawimage": ["RawImage", "Rectangle"],
        "read": ["read_mosaic_raw", "read_raw"],
    },
)
