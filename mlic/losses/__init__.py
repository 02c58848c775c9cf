"""Losses: logits and labels to one number."""

from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.base import Loss, Reduction
from mlic.losses.bce import BCELoss
from mlic.losses.focal import FocalLoss
from mlic.losses.two_way import TwoWayLoss
from mlic.losses.zlpr import ZLPRLoss

__all__ = ["AsymmetricLoss", "BCELoss", "FocalLoss", "Loss", "Reduction", "TwoWayLoss", "ZLPRLoss"]
