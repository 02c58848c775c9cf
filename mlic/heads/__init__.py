"""Heads: a feature map to logits."""

from mlic.heads.base import AttentionHead, ClassMaps, Head
from mlic.heads.cam import CAMHead
from mlic.heads.csra import CSRAHead
from mlic.heads.linear import LinearHead
from mlic.heads.ml_decoder import MLDecoderHead
from mlic.heads.mlp import MLPHead
from mlic.heads.query2label import Query2LabelHead

__all__ = [
    "AttentionHead",
    "CAMHead",
    "CSRAHead",
    "ClassMaps",
    "Head",
    "LinearHead",
    "MLDecoderHead",
    "MLPHead",
    "Query2LabelHead",
]
