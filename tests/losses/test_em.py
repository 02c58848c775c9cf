"""Entropy maximisation."""

import json
from pathlib import Path

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import BCELoss, EMLoss

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
@pytest.mark.parametrize(("name", "make"), [("em", EMLoss)])
def test_cells_and_reductions_are_the_golden_ones(name, make, dtype, tolerance):
    case, logits, labels = golden(name)
    logits = logits.to(dtype)
    for reduction in ("sum", "mean", "batchmean"):
        close(make(reduction=reduction)(logits, labels), case[reduction], tolerance)
    close(make().cells(logits, labels.to(dtype)), case["elements"], tolerance)


def test_the_pull_on_an_unobserved_label_is_towards_one_half_and_none_there():
    logits = torch.tensor([[-2.0, 0.0, 2.0]], requires_grad=True)
    EMLoss()(logits, torch.zeros(1, 3)).backward()
    assert logits.grad[0, 0] < 0
    assert logits.grad[0, 1] == 0
    assert logits.grad[0, 2] > 0


def test_without_weight_only_observed_labels_count():
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, -1]] * 4)
    loss = EMLoss(alpha=0.0, unobserved="unknown")
    torch.testing.assert_close(loss(logits, labels), BCELoss()(logits, labels))


def test_alpha_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"alpha is -0\.1"):
        EMLoss(alpha=-0.1)
