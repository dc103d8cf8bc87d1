"""Losses: pixel, structural, perceptual, and their composition by region.

`create_loss` builds one by name; `WeightedSum`, `BranchLoss` and `FusionLoss` compose them from a config.
"""

from revisp.losses.aligned import AlignedLoss
from revisp.losses.base import LOSSES, create_loss, list_losses
from revisp.losses.composite import BranchLoss, FusionLoss, LossResult, PlainLoss, WeightedSum
from revisp.losses.domain import to_gamma
from revisp.losses.edit_aware import EditAwareLoss
from revisp.losses.log_gamma import LogGammaLoss, log_gamma_loss
from revisp.losses.perceptual import LPIPSLoss, Trunk, find_trunk
from revisp.losses.pixel import (
    CharbonnierLoss,
    HardLogLoss,
    L1Loss,
    L2Loss,
    charbonnier_loss,
    hard_log_loss,
    l1_loss,
    l2_loss,
)
from revisp.losses.soft_supervision import SoftSupervisionLoss, soft_supervision_loss
from revisp.losses.structural import MSSSIML1Loss, SSIMLoss, ms_ssim_l1_loss, ssim_loss

__all__ = [
    "LOSSES",
    "AlignedLoss",
    "BranchLoss",
    "CharbonnierLoss",
    "EditAwareLoss",
    "FusionLoss",
    "HardLogLoss",
    "L1Loss",
    "L2Loss",
    "LPIPSLoss",
    "LogGammaLoss",
    "LossResult",
    "MSSSIML1Loss",
    "PlainLoss",
    "SSIMLoss",
    "SoftSupervisionLoss",
    "Trunk",
    "WeightedSum",
    "charbonnier_loss",
    "create_loss",
    "find_trunk",
    "hard_log_loss",
    "l1_loss",
    "l2_loss",
    "list_losses",
    "log_gamma_loss",
    "ms_ssim_l1_loss",
    "soft_supervision_loss",
    "ssim_loss",
    "to_gamma",
]
