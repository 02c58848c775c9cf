"""The devices of the machine."""

import os

import torch

__all__ = ["forget_absent_gpus"]

_LOOKS_FOR_A_DRIVER = "PYTORCH_NVML_BASED_CUDA_CHECK"


def forget_absent_gpus() -> None:
    """Has torch look for a GPU once, where there is none, and not in every step of an optimizer.

    Importing pytorch-lightning 2.6 sets a variable by which torch 2.14 tries to load a GPU's driver each time it asks
    whether there is one: so that a process which asks may fork later, which matters only with a GPU. On a machine
    without one it is 0.03 to 0.2 ms a step, where the step of a small head takes 1 ms.
    """
    if not torch.cuda.is_available():
        os.environ.pop(_LOOKS_FOR_A_DRIVER, None)
