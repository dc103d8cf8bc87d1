"""Adobe DNG files: written as cameras and converters write them, and read where LibRaw cannot."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "codec": ["COMPRESSIONS"],
        "provenance": ["Provenance", "read_provenance"],
        "linear": ["read_linear_dng"],
        "write": ["write_dng", "write_linear_dng"],
    },
)
