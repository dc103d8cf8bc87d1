"""Cameras: their profile, forward and inverse processing, noise, and simulation."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["develop", "isp", "noise", "profile", "simulate", "unprocess"],
    submod_attrs={
        "isp": ["ForwardISP", "ISPSettings", "apply_isp", "linear_to_srgb", "srgb_to_linear", "tone_curve"],
        "noise": ["NoiseLevels", "add_noise", "noise_levels", "random_noise_levels"],
        "profile": ["CameraProfile"],
        "simulate": ["SIMULATED", "SimulatedCamera", "SimulatedPair"],
        "unprocess": ["UPICamera", "UPIUnprocess", "mean_camera", "random_camera"],
    },
)
