"""Losses: logits and labels to one number."""

from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.base import Loss, Reduction
from mlic.losses.bce import BCELoss
from mlic.losses.focal import FocalLoss

__all__ = ["AsymmetricLoss", "BCELoss", "FocalLoss", "Loss", "Reduction"]
