import os
import subprocess
import sys

import pytest
import torch

from mlic.devices import forget_absent_gpus

LOOKS = "PYTORCH_NVML_BASED_CUDA_CHECK"


def test_importing_lightning_makes_torch_look_for_a_driver_each_time():
    code = f"import os; os.environ.pop('{LOOKS}', None); import lightning_fabric; print(os.environ['{LOOKS}'])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "1"


@pytest.mark.parametrize(("gpu", "left"), [(False, None), (True, "1")])
def test_only_a_machine_without_a_gpu_stops_looking_for_one(gpu, left, monkeypatch):
    monkeypatch.setenv(LOOKS, "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)

    forget_absent_gpus()

    assert os.environ.get(LOOKS) == left
