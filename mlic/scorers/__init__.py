"""Trained models as those who use them see them: images to scores, by torch or by ONNX Runtime."""

from mlic.scorers.base import EngineChoice, Scorer, present
from mlic.scorers.opening import is_exported, open_scorer

__all__ = ["EngineChoice", "Scorer", "is_exported", "open_scorer", "present"]
