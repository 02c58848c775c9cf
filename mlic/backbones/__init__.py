"""Backbones: images to a feature map."""
