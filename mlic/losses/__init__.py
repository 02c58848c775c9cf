"""Losses: logits and labels to one number."""

from mlic.losses.an_ls import ANLSLoss
from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.base import Loss, Reduction
from mlic.losses.bce import BCELoss
from mlic.losses.distribution_balanced import DistributionBalancedLoss
from mlic.losses.em import EMLoss
from mlic.losses.epr import EPRLoss
from mlic.losses.focal import FocalLoss
from mlic.losses.hill import HillLoss
from mlic.losses.large_loss import LargeLoss
from mlic.losses.poly1 import Poly1Loss
from mlic.losses.splc import SPLCLoss
from mlic.losses.two_way import TwoWayLoss
from mlic.losses.unobserved import UnobservedLoss
from mlic.losses.wan import WANLoss
from mlic.losses.zlpr import ZLPRLoss

__all__ = [
    "ANLSLoss",
    "AsymmetricLoss",
    "BCELoss",
    "DistributionBalancedLoss",
    "EMLoss",
    "EPRLoss",
    "FocalLoss",
    "HillLoss",
    "LargeLoss",
    "Loss",
    "Poly1Loss",
    "Reduction",
    "SPLCLoss",
    "TwoWayLoss",
    "UnobservedLoss",
    "WANLoss",
    "ZLPRLoss",
]
