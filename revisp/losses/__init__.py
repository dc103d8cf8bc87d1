"""Losses: pixel, structural, perceptual, and their composition by region.

`create_loss` builds one by name; `WeightedSum`, `BranchLoss` and `FusionLoss` compose them from a config.
"""

from revisp.losses.base import LOSSES, create_loss, list_losses
from revisp.losses.composite import BranchLoss, FusionLoss, LossResult, WeightedSum
from revisp.losses.domain import to_gamma
from revisp.losses.perceptual import LPIPSLoss, Trunk, find_trunk
from revisp.losses.pixel import CharbonnierLoss, L1Loss, L2Loss, charbonnier_loss, l1_loss, l2_loss
from revisp.losses.structural import MSSSIML1Loss, SSIMLoss, ms_ssim_l1_loss, ssim_loss

__all__ = [
    "LOSSES",
    "BranchLoss",
    "CharbonnierLoss",
    "FusionLoss",
    "L1Loss",
    "L2Loss",
    "LPIPSLoss",
    "LossResult",
    "MSSSIML1Loss",
    "SSIMLoss",
    "Trunk",
    "WeightedSum",
    "charbonnier_loss",
    "create_loss",
    "find_trunk",
    "l1_loss",
    "l2_loss",
    "list_losses",
    "ms_ssim_l1_loss",
    "ssim_loss",
    "to_gamma",
]
