"""The LightningModule: one training step, one validation and one test of the pipeline."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from revisp.backbones.estimated import Estimated, PhotoEstimate
from revisp.backbones.fitted import Fitted
from revisp.camera.fit import FitPair
from revisp.camera.unprocess import UPIUnprocess
from revisp.cfa import pack
from revisp.data.picture import Sample
from revisp.data.scene_pairs import SceneDataModule
from revisp.errors import ConfigError, DataError
from revisp.losses.base import GIVEN
from revisp.losses.composite import FusionLoss, LossResult, PlainLoss
from revisp.metrics.by_region import SCORES, psnr_ssim
from revisp.metrics.regions import ScoredPlanes, scored_planes
from revisp.model_folder import by_present_names
from revisp.mosaic import mosaic
from revisp.pipeline import Reconstruction, ReverseISP
from revisp.pipeline.reconstruction import Parts
from revisp.refine import yuv_loss
from revisp.training.baselines import Baseline, fit_pairs, fitted_baselines, place_in, without_place
from revisp.training.checkpoints import PIPELINE_PREFIX
from revisp.training.estimate import EstimateTraining, train_estimate
from revisp.training.pretrained import fit_trust
from revisp.training.schedule import Schedule, expected_steps

__all__ = ["Fittable", "RefineTraining", "ReverseISPTask"]

log = logging.getLogger(__name__)

RIVALS = {
    "val": "fused pipeline",  # of a plain model: the network alone
    "oe": "OE branch alone",
    "noe": "NOE branch alone",
    "upi": "UPI unprocessing",
    "upi_fitted": "UPI, fitted gain",
    "classical": "fitted classical inverse",
    "base": "estimated base alone",
}
"""The rivals that are scored: prefix of the figure's name, and name in the table."""

DARKEST_TOLD = 1e-4
"""RAW below which EV are not told apart."""


@dataclasses.dataclass(frozen=True)
class RefineTraining:
    """When and how strongly the refinement is trained.

    Attributes:
        weight: weight of the YUV loss in the sum with the branch losses.
        schedule: ``"joint"``: from the start, with the branches; ``"staged"``: the branches alone first, then the
            refinement alone, on frozen branches.
        start: share of the epochs after which the refinement is trained, if staged.
    """

    weight: float = 1.0
    schedule: Literal["joint", "staged"] = "joint"
    start: float = 0.5

    def __post_init__(self) -> None:
        if self.schedule not in ("joint", "staged"):
            raise ConfigError(f"refine.schedule must be 'joint' or 'staged', got {self.schedule!r}")


@runtime_checkable
class Fittable(Protocol):
    """A network that can be fitted in closed form, before it is trained."""

    def fit(self, pairs: Sequence[FitPair]) -> Any:
        """Fit to photos ``[3, H, W]``, their demosaiced RAW, and the map of valid pixels ``[1, H, W]``."""


class Learning(NamedTuple):
    """The parts that learn in an epoch."""

    branches: bool
    refine: bool


class ReverseISPTask(pl.LightningModule):
    """Train `ReverseISP` with per-branch losses, and score it by the AIM 2022 metrics.

    Args:
        model: the pipeline.
        loss: losses of the two branches on demosaiced RAW; for a plain model, its `PlainLoss`.
        optimizer: makes an optimizer from parameters.
        schedule: learning rate over the training.
        refine: settings of the refinement's training; ignored by a model without refinement.
        estimate: settings of the training of an estimated base; ignored by a model without one.

    Validation logs the figures of the fused pipeline under ``val/``. A test logs the same figures of its rivals:

    - ``oe/`` and ``noe/``: each branch alone;
    - ``upi/``: UPI unprocessing with the camera's true colour matrix and white balance;
    - ``upi_fitted/``: the same, with its brightness also fitted to the training pairs (`fit_baseline`);
    - ``classical/``: the classical inverse fitted to the training pairs (`fit_baseline`);
    - ``base/``: an estimated base alone. It and the pipeline also have ``ev_oe``: by how many EV overexposed
      pixels are too bright, a mean over images.

    Raises:
        ConfigError: the loss does not fit the model.
    """

    def __init__(
        self,
        model: ReverseISP,
        loss: FusionLoss | PlainLoss,
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = torch.optim.Adam,
        schedule: Schedule | None = None,
        refine: RefineTraining | None = None,
        estimate: EstimateTraining | None = None,
    ) -> None:
        super().__init__()
        if model.plain is not isinstance(loss, PlainLoss):
            kind = "plain" if model.plain else "fusion"
            raise ConfigError(f"a {kind} model does not take {type(loss).__name__}")
        if model.packed and getattr(loss, "target", None) == "raw_rgb":
            raise ConfigError("loss.plain.target=raw_rgb needs backbone.head=raw_rgb: the network predicts planes")
        model.check_auxiliary(loss.needs - GIVEN)
        _freeze_unasked(model, loss.needs)
        self.model = model
        self.loss = loss
        self.optimizer_factory = optimizer
        self.schedule = schedule or Schedule()
        self.refine_training = refine or RefineTraining()
        self.estimate_training = estimate or EstimateTraining()
        self.baselines: dict[str, Baseline] = {"upi": without_place(UPIUnprocess(model.profile))}
        self.scores: Mapping[str, Mapping[str, Metric]] = nn.ModuleDict(  # type: ignore[assignment]
            {group: _scores() for group in RIVALS}
        )
        self.highlights: Mapping[str, Metric] = nn.ModuleDict()  # type: ignore[assignment]
        if isinstance(model.base, Estimated):
            model.base.requires_grad_(False)  # it learns alone, from whole views (`train_base`)
            self.baselines["base"] = without_place(model.base)
            groups = ("val", "base")
            self.highlights = nn.ModuleDict({group: MeanMetric(nan_strategy="ignore") for group in groups})  # type: ignore[assignment]

    @property
    def fittable(self) -> list[Fittable]:
        """The networks that can be fitted in closed form, among the base and the branches."""
        networks: list[object] = [self.model.base, *self.model.branches.values()]
        return [network for network in networks if isinstance(network, Fittable)]

    def fit_networks(self, samples: Sequence[Sample]) -> None:
        """Fit the networks that have a closed form to the training samples.

        If the samples do not suffice for the base, it keeps its start and the log says so.

        Raises:
            DataError: the samples do not suffice for a branch.
        """
        for network in self.fittable:
            try:
                network.fit(fit_pairs(samples))
            except DataError as error:
                if network is not self.model.base:
                    raise
                log.warning("The base starts unfitted, as the inverse of the sRGB curve: %s", error)
        if isinstance(self.model.base, Fitted):
            fit_trust(self.model, samples)

    def train_base(self, data: SceneDataModule, device: torch.device) -> None:
        """Train an estimated base on whole views of scenes; the branches then stand on what it says.

        Raises:
            DataError: a scene is black wherever it was looked at.
        """
        settings, base = self.estimate_training, self.model.base
        assert isinstance(base, Estimated)
        if not settings.steps:
            return
        prior = settings.prior(photo_share=data.source.photo_share)
        log.info("estimated base: rendering %d views", settings.views + settings.val_views)
        train = data.rendered_views("train", settings.views, prior)
        val = data.rendered_views("val", settings.val_views, prior)
        base.requires_grad_(True).to(device)
        train_estimate(base, train, val, settings, seed=data.seed)
        base.requires_grad_(False).to("cpu").train()  # in steps it is judged as in use (`on_train_batch_start`)

    # Training ---------------------------------------------------------------------------------------------------

    @property
    def stage(self) -> Learning:
        """The parts that learn in the current epoch."""
        if self.model.refine is None:
            return Learning(branches=True, refine=False)
        if self.refine_training.schedule == "joint":
            return Learning(branches=True, refine=True)
        refining = self._progress() >= self.refine_training.start
        return Learning(branches=not refining, refine=refining)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take a checkpoint of an earlier version, in which tensors have other names."""
        checkpoint["state_dict"] = by_present_names(checkpoint["state_dict"], PIPELINE_PREFIX)

    def _progress(self) -> float:
        """Return the share of the training that is done, in epochs or, without their number, in steps."""
        if (epochs := self.trainer.max_epochs or -1) > 0:
            return self.current_epoch / epochs
        total = float(self.trainer.estimated_stepping_batches)
        return self.global_step / expected_steps(self.trainer, self.global_step, total)

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        """Freeze the normalisation statistics of what does not learn: an estimated base, and branches at times."""
        self.model.branches.train(self.stage.branches)
        if isinstance(self.model.base, Estimated):
            self.model.base.eval()

    def training_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Return the loss of a batch of crops."""
        stage = self.stage
        srgb = batch.srgb.contiguous(memory_format=torch.channels_last)
        gain = batch.gain if self.model.config["gain_channel"] and batch.gain.numel() else None
        place = place_in(batch)
        with torch.set_grad_enabled(stage.branches):
            mask = self.model.overexposure_mask(srgb)
            estimate = self.model.estimate(srgb)
            parts, auxiliary = self.model.run_branches(
                srgb,
                mask,
                auxiliary=self.loss.needs - GIVEN,
                estimate=estimate,
                gain=gain,
                place=place,
                samples=None if stage.refine else self._seen(mask),
            )
        total = srgb.new_zeros(())
        if stage.branches:
            context = {name: {**extra, "srgb": srgb, "cfa": self.model.cfa} for name, extra in auxiliary.items()}
            loss, terms = self._loss(parts, mask, batch, context, self._clean_raw(batch, estimate))
            total = total + loss
            self.log_dict({f"train/{name}": value for name, value in terms.items()}, batch_size=len(srgb))
        if stage.refine:
            mosaiced = self.model.to_bayer(self.model.mix(parts, self.model.shares(mask)))
            refined = torch.where(batch.valid > 0, self.model.refined(mosaiced), batch.bayer)
            yuv = yuv_loss(refined, batch.bayer, self.model.cfa) / batch.valid.mean().clamp_min(1e-6)
            total = total + self.refine_training.weight * yuv
            self.log("train/refine_yuv", yuv.detach(), batch_size=len(srgb))
        self.log("train/loss", total.detach(), prog_bar=True, batch_size=len(srgb))
        return total

    def _seen(self, mask: Tensor) -> dict[str, list[int]]:
        """Return the samples that matter to a branch whose loss is of its region alone: known on a CPU only."""
        if not isinstance(self.loss, FusionLoss) or mask.device.type != "cpu":  # a GPU would have to be waited for
            return {}
        learning = {"oe": (self.loss.oe, mask > 0), "noe": (self.loss.noe, mask < 1)}
        own = {name: region.flatten(1).any(1) for name, (loss, region) in learning.items() if not loss.full_image}
        return {name: region.nonzero()[:, 0].tolist() for name, region in own.items()}

    def _clean_raw(self, batch: Sample, estimate: PhotoEstimate | None) -> Tensor | None:
        """Return the target of the NOE branch on an estimated base: the base's RAW of the clean photo.

        The branch corrects detail, of which tiles tell. An error of the estimate, of which they tell nothing, is
        none of its business. A gain map would tell of it; but a branch that learnt both learnt nothing of detail.
        None where the data do not know the clean photo.
        """
        if estimate is None or not batch.clean.numel():
            return None
        assert isinstance(self.model.base, Estimated)
        return self.model.base.compose("noe", batch.clean, torch.zeros_like(batch.clean), estimate).clamp(0, 1)

    def _loss(
        self,
        parts: Parts,
        mask: Tensor,
        batch: Sample,
        context: Mapping[str, Mapping[str, Any]],
        clean_raw: Tensor | None,
    ) -> LossResult:
        """Compare a batch with its ground truth."""
        if isinstance(self.loss, FusionLoss):
            oe, noe = parts["oe"], parts["noe"]
            return LossResult(*self.loss(oe, noe, batch.target, mask, batch.valid, context, noe_target=clean_raw))
        if self.loss.target == "raw_rgb":
            return LossResult(*self.loss(parts["plain"], batch.target, batch.valid, context["plain"]))
        bayer = self.model.to_bayer(parts["plain"])
        planes, truth, valid = (pack(x, self.model.cfa) for x in (bayer, batch.bayer, batch.valid))
        return LossResult(*self.loss(planes, truth, valid.amin(dim=1, keepdim=True), context["plain"]))

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its per-step schedule."""
        parameters = [*self.model.parameters(), *self.loss.parameters()]  # some losses learn, too
        optimizer = self.optimizer_factory(p for p in parameters if p.requires_grad)
        total = float(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.schedule.factor(step, expected_steps(self.trainer, step, total))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, those of a fused optimizer too: Lightning refuses these in every mixed precision.

        Only float16 has a gradient scaler, whose work a fused optimizer does by itself.
        """
        precision = self.trainer.precision_plugin
        if getattr(precision, "scaler", None) is not None or not gradient_clip_val:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
        Precision.clip_gradients(precision, optimizer, gradient_clip_val, algorithm)

    # Scoring ----------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Sample, batch_idx: int) -> None:
        """Score the fused pipeline on whole photos."""
        out = self.reconstruct_photos(batch.srgb, place_in(batch))
        self._score("val", out.bayer, batch)

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        """Score the fused pipeline, each branch alone, and the baselines on whole photos."""
        out = self.reconstruct_photos(batch.srgb, place_in(batch))
        rivals = {"val": out.bayer}
        branches = {"oe": out.oe, "noe": out.noe}
        rivals |= {name: mosaic(x, self.model.cfa) for name, x in branches.items() if x is not None}
        for name, baseline in self.baselines.items():
            rivals[name] = mosaic(baseline(batch.srgb, place_in(batch)), self.model.cfa)
        for group, bayer in rivals.items():
            self._score(group, bayer, batch)

    def reconstruct_photos(self, srgb: Tensor, place: Tensor | None = None) -> Reconstruction:
        """Return the pipeline's reconstruction of photos ``[B, 3, H, W]``, as float32.

        Args:
            srgb: the photos.
            place: as for `ReverseISP`.
        """
        out = self.model(srgb.contiguous(memory_format=torch.channels_last), place=place)
        return Reconstruction(*(None if value is None else value.float() for value in out))  # type: ignore[arg-type]

    def _score(self, group: str, bayer: Tensor, batch: Sample) -> None:
        """Score a batch by the rules of `revisp.evaluation`."""
        cfa = self.model.cfa
        planes, truth = (pack(x, cfa) for x in (bayer.clamp(0, 1), batch.bayer))
        scored = scored_planes(planes, truth, batch.srgb, batch.valid, cfa)
        for number, (prediction, truth) in enumerate(zip(scored.prediction, scored.truth, strict=True)):
            regions = {suffix: region[number] for suffix, region in scored.regions.items()}
            for name, value in psnr_ssim(ScoredPlanes(prediction, truth, regions)).items():
                self.scores[group][name].update(value)
        if group in self.highlights:
            error = (scored.prediction.clamp_min(DARKEST_TOLD) / scored.truth.clamp_min(DARKEST_TOLD)).log2()
            overexposed = scored.regions["_oe"].flatten(1)
            self.highlights[group].update((error.flatten(1) * overexposed).sum(1) / overexposed.sum(1))

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the fused pipeline."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the figures of every rival."""
        for group in ("val", *self.model.fused, *self.baselines):
            self._log_scores(group)

    def fit_baseline(self, samples: Sequence[Sample]) -> None:
        """Add the baselines that are fitted to the training samples (`fitted_baselines`)."""
        if self.model.profile is not None:
            self.baselines |= fitted_baselines(self.model.profile, samples)

    def _log_scores(self, group: str) -> None:
        for name, metric in self.scores[group].items():
            self.log(f"{group}/{name}", metric.compute().float(), prog_bar=f"{group}/{name}" == "val/psnr")
            metric.reset()
        if group in self.highlights:
            self.log(f"{group}/ev_oe", self.highlights[group].compute().float())
            self.highlights[group].reset()


def _freeze_unasked(model: ReverseISP, needs: frozenset[str]) -> None:
    """Freeze submodules that serve only predictions without a loss: distributed training would wait for them."""
    for network in model.branches.values():
        for name in model.spec.auxiliary:
            if isinstance(part := getattr(network, name, None), nn.Module):
                part.requires_grad_(name in needs)


def _scores() -> nn.ModuleDict:
    return nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in SCORES})
