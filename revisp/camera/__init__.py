"""Cameras: their profile, forward and inverse processing, noise, and simulation."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=[
        "cameras",
        "detail",
        "develop",
        "draw",
        "expansion",
        "fit",
        "highlights",
        "isp",
        "jpeg",
        "looks",
        "noise",
        "profile",
        "renderings",
        "scene_rendering",
        "shading",
        "simulate",
        "unprocess",
    ],
    submod_attrs={
        "cameras": ["known_cameras", "random_camera_profile", "random_simulated_camera"],
        "fit": ["FittedCamera", "fit_camera"],
        "isp": [
            "ForwardISP",
            "ISPSettings",
            "Rendering",
            "apply_isp",
            "invert_isp",
            "linear_to_srgb",
            "srgb_to_linear",
            "tone_curve",
        ],
        "noise": ["NoiseLevels", "add_noise", "fit_noise", "noise_levels", "random_noise_levels"],
        "profile": ["CameraProfile"],
        "looks": ["ColourLook", "apply_look"],
        "renderings": ["measured_curves", "random_curve", "random_rendering"],
        "scene_rendering": ["SceneRendering"],
        "shading": ["shading_gain"],
        "simulate": ["SIMULATED", "SimulatedCamera", "SimulatedPair", "simulate"],
        "unprocess": ["UPICamera", "UPIUnprocess", "mean_camera", "random_camera"],
    },
)
