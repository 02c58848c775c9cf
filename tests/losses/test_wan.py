"""Weak assumed negatives."""

import json
from pathlib import Path

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import ANLSLoss, BCELoss, WANLoss

GOLDEN = Path(__file__).parents[2] / "../shared/golden/losses.json"


def golden(name):
    if not GOLDEN.exists():
        pytest.skip("no ../shared/golden/losses.json beside the repository")
    content = json.loads(GOLDEN.read_text())
    (case,) = [case for case in content["cases"] if case["loss"] == name]
    logits = torch.tensor(content["inputs"]["logits"], dtype=torch.float64)
    return case, logits, torch.tensor(content["inputs"]["single_positive"]).to(torch.int8)


def close(found, expected, tolerance):
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), rtol=tolerance, atol=tolerance)


PRECISIONS = [(torch.float64, 1e-6), (torch.float32, 1e-5)]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(("name", "make"), [("wan", WANLoss)])
def test_cells_and_reductions_are_the_golden_ones(name, make, dtype, tolerance):
    case, logits, labels = golden(name)
    logits = logits.to(dtype)
    for reduction in ("sum", "mean", "batchmean"):
        close(make(reduction=reduction)(logits, labels), case[reduction], tolerance)
    close(make().cells(logits, labels.to(dtype)), case["elements"], tolerance)


def test_weight_1_assumes_negatives():
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, 0]] * 4)
    torch.testing.assert_close(WANLoss(weight=1.0)(logits, labels), ANLSLoss(smoothing=0.0)(logits, labels))


def test_one_class_alone_has_the_whole_weight():
    assert torch.equal(WANLoss()(torch.ones(2, 1), torch.zeros(2, 1)), BCELoss()(torch.ones(2, 1), torch.zeros(2, 1)))


def test_a_weight_out_of_range_is_refused():
    with pytest.raises(UsageError, match="weight is -1"):
        WANLoss(weight=-1.0)
