"""Files: photos in, RAW in, RAW out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "atomic": ["atomic_write"],
        "challenge_npy": ["read_challenge_npy", "write_challenge_npy"],
        "converters": ["CONVERTERS", "STYLES", "Style", "available_converters", "develop_raw"],
        "dng": ["write_dng"],
        "exif": ["PhotoMetadata", "read_metadata"],
        "mosaic_file": ["read_mosaic", "write_mosaic"],
        "photo": ["Photo", "decode_srgb", "read_photo", "read_srgb", "write_png"],
        "photo_record": ["PhotoRecord", "read_record"],
        "photo_gain": ["GainMap"],
        "raw": ["RawImage", "Rectangle", "read_mosaic_raw", "read_preview", "read_raw"],
        "scene": ["Scene", "read_scene"],
    },
)
