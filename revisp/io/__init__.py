"""Files: photos in, RAW in, RAW out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "atomic": ["atomic_write"],
        "challenge": ["read_challenge_npy", "write_challenge_npy"],
        "developers": ["DEVELOPERS", "STYLES", "Style", "available_developers", "develop_raw"],
        "dng": ["write_dng"],
        "image": ["Photo", "decode_srgb", "read_photo", "read_srgb", "write_png"],
        "metadata": ["PhotoMetadata", "read_metadata"],
        "mosaic": ["read_mosaic", "write_mosaic"],
        "preview": ["read_preview"],
        "raw": ["RawImage", "Window", "read_mosaic_raw", "read_raw"],
    },
)
