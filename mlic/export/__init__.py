"""From a checkpoint to one file that has all in it: preprocessing, network, calibration, thresholds, names."""

from mlic.export.card import model_card
from mlic.export.checking import Agreement, compare
from mlic.export.facts import describe
from mlic.export.quantizing import Cost
from mlic.export.writing import FORMATS, Format, write_checked, write_quantized

__all__ = [
    "FORMATS",
    "Agreement",
    "Cost",
    "Format",
    "compare",
    "describe",
    "model_card",
    "write_checked",
    "write_quantized",
]
