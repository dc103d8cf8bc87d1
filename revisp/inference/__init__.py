"""Prediction on photos of any size."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "allocator": ["keep_freed_memory"],
        "convert": ["convert_photo"],
        "engine": ["Engine", "TorchEngine"],
        "fast": ["optimise"],
        "folder": ["convert_photos"],
        "jobs": ["plan_jobs"],
        "load": ["load_engine", "load_model"],
        "onnx": ["OnnxPipeline"],
        "predict": ["predict"],
        "tiling": ["tile_apply"],
    },
)
