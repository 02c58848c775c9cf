"""The built-in losses against values computed in float64 from the papers' formulas, outside this repository."""

import json
from pathlib import Path

import pytest
import torch

from mlic.losses import AsymmetricLoss, BCELoss, FocalLoss

GOLDEN = Path(__file__).parents[2] / "../shared/golden/losses.json"
CLASSES = {"bce": BCELoss, "weighted_bce": BCELoss, "focal": FocalLoss, "asl": AsymmetricLoss}
INPUTS = {
    "basic": ("logits", "targets"),
    "extreme": ("logits_extreme", "targets_extreme"),
    "soft": ("logits", "soft_targets"),
    "unknown": ("logits", "targets_unknown"),
}


def cases(*names):
    if not GOLDEN.exists():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="no ../shared/golden/losses.json beside the repository"))
        ]
    found = [case for case in json.loads(GOLDEN.read_text())["cases"] if case["loss"] in names]
    assert found
    return [
        pytest.param(case, id=" ".join([case["loss"], case["input"], *(str(v) for v in case["params"].values())]))
        for case in found
    ]


def arguments(case):
    return {
        name: json.loads(GOLDEN.read_text())["inputs"]["pos_weight"] if name == "pos_weight" else value
        for name, value in case["params"].items()
        if name != "norm"
    }


def tensors(case):
    inputs = json.loads(GOLDEN.read_text())["inputs"]
    logits, labels = (torch.tensor(inputs[name], dtype=torch.float64) for name in INPUTS[case["input"]])
    return logits.requires_grad_(), labels if case["input"] == "soft" else labels.to(torch.int8)


def equal(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", cases(*CLASSES))
def test_cells_reductions_and_gradient_are_the_golden_ones(case):
    logits, labels = tensors(case)
    loss = CLASSES[case["loss"]](**arguments(case), reduction="sum")
    equal(loss.cells(logits, labels.double()), case["elements"])
    total = loss(logits, labels)
    equal(total, case["sum"])
    equal(torch.autograd.grad(total, logits)[0], case["grad_sum"])
    for reduction in ("mean", "batchmean"):
        equal(CLASSES[case["loss"]](**arguments(case), reduction=reduction)(logits, labels), case[reduction])


@pytest.mark.parametrize("case", cases("bce_ignore"))
def test_bce_with_unknown_cells_is_the_golden_mean_over_known_cells(case):
    logits, labels = tensors(case)
    total = BCELoss(reduction="mean")(logits, labels)
    equal(total, case["value"])
    equal(torch.autograd.grad(total, logits)[0], case["grad"])


@pytest.mark.parametrize("case", cases("asl_ignore"))
def test_asymmetric_with_unknown_cells_is_the_golden_sum_over_known_cells(case):
    logits, labels = tensors(case)
    equal(AsymmetricLoss(**arguments(case), reduction="sum")(logits, labels), case["value"])
