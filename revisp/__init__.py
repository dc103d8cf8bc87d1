"""revisp: reverse ISP, from an ordinary RGB photo back to the camera RAW that a sensor would have read.

revisp implements Kim, Jiang, Gu, "Overexposure Mask Fusion: Generalizable Reverse ISP Multi-Step Refinement" (AIM
2022). Names load on first use: importing revisp imports no torch.

Example:
    >>> import revisp, torch
    >>> model = revisp.from_pretrained("default")
    >>> revisp.predict(model, torch.rand(3, 32, 48)).bayer.shape
    torch.Size([1, 32, 48])
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["align", "augment", "backbones", "benchmark", "camera", "cfa", "convert", "data", "demosaic",
                "errors", "evaluation", "fusion", "inference", "io", "losses", "mask", "metrics", "mosaic",
                "pipeline", "prepare", "refine", "symmetry", "training"],
    submod_attrs={
        "backbones": ["create_backbone", "describe_backbones", "list_backbones"],
        "camera.profile": ["CameraProfile"],
        "cfa": ["CFA", "pack", "unpack"],
        "errors": ["RevispError"],
        "config": ["compose"],
        "inference.predict": ["predict"],
        "model_folder": ["from_pretrained", "save_pretrained"],
        "pipeline": ["Reconstruction", "ReverseISP"],
        "released": ["from_released_checkpoints"],
        "training.run": ["train"],
    },
)  # fmt: skip
