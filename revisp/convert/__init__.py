"""Convert photo files to RAW files: plan the outputs, choose the engine, convert many at once."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "batch": ["Converted", "convert_photos"],
        "engine": ["Engine", "TorchEngine"],
        "formats": ["Choice"],
        "jobs": ["Conversion", "plan_conversions"],
        "load": ["load_engine", "load_model"],
        "onnx": ["OnnxPipeline"],
    },
)
