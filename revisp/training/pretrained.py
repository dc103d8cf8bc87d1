"""Start a training from a model folder: its networks on the base of one camera, and which weights then learn.

The networks know photos of all cameras, and not this one. So `fit_trust` measures on its own photos how far they
are right. The scales and biases of channels are enough to adapt a network to another domain, as in S.-A. Rebuffi,
H. Bilen, A. Vedaldi, "Learning multiple visual domains with residual adapters", NeurIPS 2017.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from revisp.backbones.fitted import Fitted
from revisp.camera.profile import CameraProfile
from revisp.data.picture import Sample
from revisp.errors import ConfigError
from revisp.model_folder import from_pretrained
from revisp.pipeline import ReverseISP
from revisp.training.baselines import place_in

__all__ = ["ADAPTED", "Adapted", "choose_learning", "fit_trust", "fold_adapters", "start_from"]

log = logging.getLogger(__name__)

Adapted = Literal["adapters", "all"]
"""Weights of a pretrained model that learn."""

ADAPTED: tuple[Adapted, ...] = ("adapters", "all")

TRUST_SAMPLES = 16
"""Samples that `fit_trust` looks at."""

LEAST_OVEREXPOSED = 50
"""Overexposed pixels below which nothing is known of their level."""


class _ChannelScale(nn.Module):
    """Scale the output channels of a layer's weight; the first step changes nothing."""

    def __init__(self, channels: int, axis: int, axes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones([channels if each == axis else 1 for each in range(axes)]))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


def start_from(folder: str | Path, profile: CameraProfile) -> ReverseISP:
    """Return the pipeline of a model folder for another camera.

    An estimated base becomes a fitted one (`revisp.backbones.fitted.Fitted`). Any other base stays what it is. A
    base of one camera starts anew: `ReverseISPTask.fit_networks` fits it to the training data.

    Args:
        folder: a model folder, or ``"default"``.
        profile: the camera of the data.

    Raises:
        WeightsError: not a model folder; the message says why.

    Example:
        >>> from revisp.camera.canonical import canonical_profile
        >>> model = start_from("default", canonical_profile())
        >>> model.config["base"], model.config["backbone"]
        ('fitted', 'unet')
    """
    source = from_pretrained(folder)
    config = {**source.config, "profile": profile, "cfa": None}
    if config["base"] == "estimated":
        config["base"] = "fitted"
    model = ReverseISP(config.pop("backbone"), **config)
    base = {name: value for name, value in model.state_dict().items() if name.startswith("base.")}
    kept = {name: value for name, value in source.state_dict().items() if not name.startswith("base.")}
    model.load_state_dict(kept | base)
    return model.train()


def choose_learning(model: ReverseISP, learning: Adapted) -> None:
    """Let all weights of a pretrained pipeline learn, or small adapters alone.

    The adapters are a scale for each output channel of each convolution and linear layer, their biases, the
    normalisations, and what `fit_trust` sets. The base stays as it is fitted. `fold_adapters` ends this.

    Args:
        model: the pipeline.
        learning: ``"adapters"`` or ``"all"``.

    Raises:
        ConfigError: neither of the two.
    """
    if learning not in ADAPTED:
        raise ConfigError(f"pretrained_train must be 'adapters' or 'all', got {learning!r}")
    if learning == "all":
        return
    total = sum(p.numel() for p in model.parameters())
    model.requires_grad_(False)
    model.gains.requires_grad_(True)
    if isinstance(model.base, Fitted):
        model.base.trust.requires_grad_(True)
    networks = [*model.branches.values(), *([] if model.refine is None else [model.refine.network])]
    for layer in [layer for network in networks for layer in network.modules()]:
        weight = getattr(layer, "weight", None)
        if isinstance(bias := getattr(layer, "bias", None), nn.Parameter):
            bias.requires_grad_(True)
        if not isinstance(weight, nn.Parameter) or parametrize.is_parametrized(layer):
            continue
        if weight.ndim < 2:  # of a normalisation: a scale already
            weight.requires_grad_(True)
            continue
        axis = 1 if isinstance(layer, nn.modules.conv._ConvTransposeNd) else 0
        scale = _ChannelScale(weight.shape[axis], axis, weight.ndim)
        parametrize.register_parametrization(layer, "weight", scale)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    log.info("Adapters: %s of %s parameters learn (%.1f %%)", f"{count:,}", f"{total:,}", 100 * count / total)


@torch.no_grad()
def fit_trust(model: ReverseISP, samples: Sequence[Sample]) -> None:
    """Set how much of the networks' corrections a pipeline on a base `Fitted` takes, by least squares.

    With a trust of 0, a branch gives what the fitted camera alone gives, and with 1, the whole of its correction.
    The error that counts is that over the branch's own pixels, relative to the fitted camera's in each sample:
    PSNR is a mean over photos, too, and one that the camera explains badly must not decide alone.

    Args:
        model: the pipeline, whose base is fitted already.
        samples: pairs of the camera. The `TRUST_SAMPLES` with most overexposed pixels count. Without
            `LEAST_OVEREXPOSED` such pixels, the trust in the OE branch stays.
    """
    base, training = model.base, model.training
    assert isinstance(base, Fitted)
    model.eval()
    masked = [(sample, model.overexposure_mask(sample.srgb[None])) for sample in samples]
    masked.sort(key=lambda each: float(each[1].sum()), reverse=True)
    sums: dict[str, Tensor] = {}  # of each part: its pixels, what its change explains, and the change's squares
    for sample, mask in masked[:TRUST_SAMPLES]:
        srgb, place = sample.srgb[None], None if (place := place_in(sample)) is None else place[None]
        formula = base(model.base_raw(srgb, mask, place)).clamp(0, 1)
        taken = model.shares(mask)
        for part, raw in model.run_branches(srgb, mask, place=place)[0].items():
            weight, change = sample.valid * taken[part], raw - formula
            error = sample.target - formula
            found = (weight, weight * change * error, weight * change.square())
            scale = (weight * error.square()).sum().clamp_min(1e-12)
            pixels, explained, squares = (each.sum() for each in found)
            sums[part] = sums.get(part, torch.zeros(3)) + torch.stack([pixels, explained / scale, squares / scale])
    trust = {
        part: float((explained / squares).clamp(0, 1))
        for part, (count, explained, squares) in sums.items()
        if squares > 0 and (part != "oe" or count >= LEAST_OVEREXPOSED)
    }
    base.trust.mul_(trust.get("oe", 1.0))
    for name, heads in model.heads.items():
        for part, gain in zip(heads, model.gains[name].split(3, dim=1), strict=True):
            if part != "oe":
                gain.mul_(trust.get(part, 1.0))
    model.train(training)
    told = ", ".join(f"{part} {found:.2f}" for part, found in trust.items())
    log.info("Trust in the networks' corrections on this camera, from 0 to 1: %s", told or "not known")


def fold_adapters(model: ReverseISP) -> None:
    """Multiply the adapters into the weights: the same function, and the tensors of an ordinary model."""
    for layer in model.modules():
        if not parametrize.is_parametrized(layer, "weight"):
            continue
        assert isinstance(layer.parametrizations, nn.ModuleDict)
        if any(isinstance(each, _ChannelScale) for each in layer.parametrizations["weight"].children()):
            parametrize.remove_parametrizations(layer, "weight")
    model.requires_grad_(True)
