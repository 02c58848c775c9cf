"""Losses: logits and labels to one number."""

from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.base import Loss, Reduction
from mlic.losses.bce import BCELoss
from mlic.losses.distribution_balanced import DistributionBalancedLoss
from mlic.losses.focal import FocalLoss
from mlic.losses.hill import HillLoss
from mlic.losses.poly1 import Poly1Loss
from mlic.losses.splc import SPLCLoss
from mlic.losses.two_way import TwoWayLoss
from mlic.losses.zlpr import ZLPRLoss

__all__ = [
    "AsymmetricLoss",
    "BCELoss",
    "DistributionBalancedLoss",
    "FocalLoss",
    "HillLoss",
    "Loss",
    "Poly1Loss",
    "Reduction",
    "SPLCLoss",
    "TwoWayLoss",
    "ZLPRLoss",
]
