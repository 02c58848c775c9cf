"""Trained models as those who use them see them: images to scores, by torch or by ONNX Runtime."""

from mlic.scorers.base import Scorer, present

__all__ = ["Scorer", "present"]
