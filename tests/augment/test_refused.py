"""RGB to RAW in a batch: arguments and pictures that it refuses, in one line each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from revisp.augment import RGBToRAW
from revisp.camera.noise import NoiseLevels
from revisp.camera.simulate import SIMULATED
from revisp.errors import ConfigError, ShapeError
from revisp.pipeline import ReverseISP


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "rggb"}, "output must be one of bayer, packed, raw_rgb, got 'rggb'"),
        ({"noise": "iso"}, "noise must be 'camera', 'random', NoiseLevels or None, got 'iso'"),
        ({"noise": NoiseLevels(-1e-3, 0.0)}, "noise must have variances of at least 0"),
        ({"noise": NoiseLevels(1e-3, float("nan"))}, "noise must have variances of at least 0"),
        ({"p": 2}, "p must be a probability"),
        ({"p": 0.5}, "p < 1 needs output='raw_rgb'"),
        ({"exposures": (1, 0)}, "exposures must be least and most within"),
        ({"gain": (0, 1)}, "gain must be least and most within"),
        ({"gain": 2.0}, "gain must be least and most within"),
        ({"cfa": "XTRANS"}, "unknown CFA"),
        ({"source": 3}, "source must be a ReverseISP or simulated cameras, got int"),
        ({"source": []}, "source must be a ReverseISP or simulated cameras, got none"),
        ({"source": torch.nn.Identity()}, "source must be a ReverseISP or simulated cameras, got Identity"),
        (
            {"source": [SIMULATED, replace(SIMULATED, profile=SIMULATED.profile.replace(cfa="GRBG"))]},
            "the cameras have the Bayer phases GRBG, RGGB: choose one by cfa=",
        ),
    ],
)
def test_arguments_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        RGBToRAW(**options)


def test_what_a_model_cannot_change_is_refused():
    model = ReverseISP("unet", backbone_kwargs={"width": 4, "depth": 2}, profile=SIMULATED.profile)
    with pytest.raises(ConfigError, match="the model predicts RAW of phase RGGB, not BGGR"):
        RGBToRAW(model, cfa="BGGR")
    with pytest.raises(ConfigError, match="exposures are those of simulated cameras"):
        RGBToRAW(model, exposures=(1, 1))


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        (torch.zeros(1, 20, 20), "photos must have shape"),
        (torch.zeros(2, 2, 3, 20, 20), "photos must have shape"),
        (torch.zeros(3, 20, 20, dtype=torch.int32), "photos must be uint8 or floating point"),
        (torch.zeros(0, 3, 20, 20), "photos must have shape"),
        (torch.full((3, 20, 20), 200.0), r"got 200 to 200: divide by the maximum"),
        (torch.linspace(-1, 1, 1200).view(3, 20, 20), "give it before it is normalised"),
    ],
)
def test_what_is_no_photo_is_refused(photos, message):
    with pytest.raises(ShapeError, match=message):
        RGBToRAW()(photos)
