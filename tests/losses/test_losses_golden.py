"""The built-in losses against values computed in float64 from the papers' formulas, outside this repository.

A loss with a golden value for each cell, and a gradient, is a line in `CELLWISE`; another has a test of its own.
"""

import json
from pathlib import Path

import pytest
import torch

from mlic.labels.counts import ClassCounts
from mlic.losses import (
    ANLSLoss,
    AsymmetricLoss,
    BCELoss,
    DistributionBalancedLoss,
    EMLoss,
    EPRLoss,
    FocalLoss,
    HillLoss,
    LargeLoss,
    Poly1Loss,
    SPLCLoss,
    TwoWayLoss,
    WANLoss,
    ZLPRLoss,
)

GOLDEN = Path(__file__).parents[2] / "../shared/golden/losses.json"
MISSING = "no ../shared/golden/losses.json beside the repository"
CELLWISE = {
    "bce": BCELoss,
    "weighted_bce": BCELoss,
    "focal": FocalLoss,
    "asl": AsymmetricLoss,
    "hill": HillLoss,
    "splc": SPLCLoss,
    "poly1_bce": Poly1Loss,
}


def second_epoch(scheme, reduction):
    loss = LargeLoss(scheme, share_per_epoch=0.2, reduction=reduction)
    loss.epoch = 1
    return loss


SINGLE_POSITIVE = [
    ("an", lambda reduction: ANLSLoss(smoothing=0.0, reduction=reduction)),
    ("an", lambda reduction: BCELoss(reduction=reduction)),
    ("an_ls", lambda reduction: ANLSLoss(smoothing=0.1, reduction=reduction)),
    ("wan", lambda reduction: WANLoss(reduction=reduction)),
    ("em", lambda reduction: EMLoss(alpha=0.2, reduction=reduction)),
    ("ll_r", lambda reduction: second_epoch("reject", reduction)),
    ("ll_ct", lambda reduction: second_epoch("correct", reduction)),
]
OWN_TEST = ["bce_ignore", "asl_ignore", "db", "epr", "two_way", "zlpr", *dict(SINGLE_POSITIVE)]
INPUTS = {
    "basic": ("logits", "targets"),
    "extreme": ("logits_extreme", "targets_extreme"),
    "soft": ("logits", "soft_targets"),
    "unknown": ("logits", "targets_unknown"),
    "single_positive": ("logits", "single_positive"),
}
PRECISIONS = [pytest.param(torch.float64, 1e-6, id="float64"), pytest.param(torch.float32, 1e-5, id="float32")]


def cases(*names):
    if not GOLDEN.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING))]
    found = [case for case in json.loads(GOLDEN.read_text())["cases"] if case["loss"] in names]
    assert found
    return [
        pytest.param(case, id=" ".join([case["loss"], case["input"], *(str(v) for v in case["params"].values())]))
        for case in found
    ]


def arguments(case):
    given = {name: value for name, value in case["params"].items() if name != "norm"}
    if "pos_weight" in given:
        given["pos_weight"] = json.loads(GOLDEN.read_text())["inputs"]["pos_weight"]
    if "active" in given:
        given["start_epoch"] = 0 if given.pop("active") else 1
    return given


def tensors(case, dtype):
    inputs = json.loads(GOLDEN.read_text())["inputs"]
    logits, labels = (torch.tensor(inputs[name], dtype=dtype) for name in INPUTS[case["input"]])
    return logits.requires_grad_(), labels if case["input"] == "soft" else labels.to(torch.int8)


def equal(found, expected, tolerance):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype), rtol=tolerance, atol=tolerance)


def check_cells_and_reductions(make, case, logits, labels, tolerance):
    equal(make("sum").cells(logits, labels.to(logits.dtype)), case["elements"], tolerance)
    for reduction in ("sum", "mean", "batchmean"):
        equal(make(reduction)(logits, labels), case[reduction], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases(*CELLWISE))
def test_cells_reductions_and_gradient_are_the_golden_ones(case, dtype, tolerance):
    def make(reduction):
        return CELLWISE[case["loss"]](**arguments(case), reduction=reduction)

    logits, labels = tensors(case, dtype)
    check_cells_and_reductions(make, case, logits, labels, tolerance)
    equal(torch.autograd.grad(make("sum")(logits, labels), logits)[0], case["grad_sum"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases("bce_ignore"))
def test_bce_with_unknown_cells_is_the_golden_mean_over_known_cells(case, dtype, tolerance):
    logits, labels = tensors(case, dtype)
    assert (labels != -1).sum() == case["known"]
    total = BCELoss(reduction="mean")(logits, labels)
    equal(total, case["value"], tolerance)
    equal(torch.autograd.grad(total, logits)[0], case["grad"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases("asl_ignore"))
def test_asymmetric_with_unknown_cells_is_the_golden_sum_over_known_cells(case, dtype, tolerance):
    logits, labels = tensors(case, dtype)
    equal(AsymmetricLoss(**arguments(case), reduction="sum")(logits, labels), case["value"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(
    ("case", "make"),
    [pytest.param(*case.values, make, marks=case.marks) for name, make in SINGLE_POSITIVE for case in cases(name)],
)
def test_losses_for_single_positives_have_the_golden_cells_and_reductions(case, make, dtype, tolerance):
    check_cells_and_reductions(make, case, *tensors(case, dtype), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases("epr"))
def test_epr_is_the_golden_value_and_its_reductions_are_multiples(case, dtype, tolerance):
    logits, labels = tensors(case, dtype)
    for reduction, factor in (("mean", 1), ("batchmean", 5), ("sum", 20)):
        loss = EPRLoss(case["params"]["expected_num_pos"], reduction=reduction)
        equal(loss(logits, labels), factor * case["value"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases("db"))
def test_distribution_balanced_is_the_golden_one_for_the_samples_with_a_class(case, dtype, tolerance):
    given = arguments(case)
    positives, samples = [int(number) for number in given.pop("class_counts")], given.pop("num_samples")
    given["gamma"], given["balance"] = given.pop("focal_gamma"), given.pop("focal_balance")

    def make(reduction):
        loss = DistributionBalancedLoss(**given, reduction=reduction)
        loss.adapt(ClassCounts(positives, [samples - number for number in positives], samples))
        return loss

    # What a sample without a class weighs is not in the paper, and not in the golden values.
    logits, labels = (each[:3] for each in tensors(case, dtype))
    check_cells_and_reductions(make, case, logits, labels, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases("two_way"))
def test_two_way_is_the_golden_sum_of_means_and_its_sum_that_of_the_golden_terms(case, dtype, tolerance):
    logits, labels = tensors(case, dtype)
    for reduction in ("batchmean", "mean"):
        equal(TwoWayLoss(**arguments(case), reduction=reduction)(logits, labels), case["value"], tolerance)
    total = sum(case["sample_terms"]) + sum(case["class_terms"])
    equal(TwoWayLoss(**arguments(case), reduction="sum")(logits, labels), total, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("case", cases("zlpr"))
def test_zlpr_is_the_golden_mean_of_the_golden_rows(case, dtype, tolerance):
    logits, labels = tensors(case, dtype)
    equal(ZLPRLoss()(logits, labels), case["value"], tolerance)
    rows = [ZLPRLoss()(*row) for row in zip(logits.split(1), labels.split(1), strict=True)]
    equal(torch.stack(rows), case["row_terms"], tolerance)


@pytest.mark.skipif(not GOLDEN.exists(), reason=MISSING)
def test_every_golden_loss_has_one_test():
    names = {case["loss"] for case in json.loads(GOLDEN.read_text())["cases"]}
    assert sorted([*CELLWISE, *OWN_TEST]) == sorted(names)
