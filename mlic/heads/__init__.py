"""Heads: a feature map to logits."""
