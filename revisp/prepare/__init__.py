"""Making data sets: camera RAW files, challenge folders, pairs or plain photos in, memory-mapped pairs out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "options": ["PrepareOptions"],
        "recognise": ["Plan"],
        "run": ["Preparation", "prepare"],
        "sheet": ["write_sheets"],
    },
)
