"""Each value of ../shared/golden/metrics.json, by the function that gives it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mlic import metrics as m

GOLDEN = Path(__file__).parents[2] / "../shared/golden/metrics.json"
DECISIONS = {
    "thr_0.5": lambda scores: scores >= 0.5,
    "top3": lambda scores: m.top_k(scores, 3),
    "top3_and_0.5": lambda scores: m.top_k(scores, 3, least=0.5),
}


def of_scores(scores, labels):
    precision, area = m.average_precision(scores, labels), m.auroc(scores, labels)
    eleven, every = (m.average_precision(scores, labels, each) for each in ("voc07", "voc10"))
    return {
        "known": int((labels >= 0).sum()),
        "ap": precision,
        "mAP": m.mean_average_precision(scores, labels),
        "mAP_zero": m.mean_average_precision(scores, labels, empty="zero"),
        "micro_ap": m.micro_average_precision(scores, labels),
        "mAP_pos_and_neg": precision[~area.isnan()].mean(),
        "voc07_11pt": eleven,
        "voc07_11pt_mean": m.mean_average_precision(scores, labels, "voc07"),
        "voc10_allpoint": every,
        "voc10_allpoint_mean": m.mean_average_precision(scores, labels, "voc10"),
        "auroc": area,
        "auroc_macro": m.mean_of_defined(area)[0],
    }


def of_decisions(present, labels):
    counts = m.count_cells(present, labels)
    return {
        "tp": counts.true_positives,
        "fp": counts.false_positives,
        "fn": counts.false_negatives,
        "OP": m.overall_precision(counts),
        "OR": m.overall_recall(counts),
        "OF1": m.f1_micro(counts),
        "CP_all": m.class_precision(counts, "all"),
        "CP_valid": m.class_precision(counts),
        "CR_valid": m.class_recall(counts),
        "CF1_valid": m.cf1(counts),
        "f1_per_class": m.f1(counts),
        "macro_f1_zero": m.f1_macro(counts, "all"),
        "macro_f1_valid": m.f1_macro(counts),
        "weighted_f1": m.f1_weighted(counts),
        "example_f1": m.f1_samples(present, labels),
        "subset_accuracy": m.subset_accuracy(present, labels),
        "hamming_loss": m.hamming(present, labels),
    }


def of_rankings(scores, labels):
    return {
        "coverage_error": m.coverage_error(scores, labels),
        "ranking_loss": m.ranking_loss(scores, labels),
        "lrap": m.lrap(scores, labels),
        "one_error": m.one_error(scores, labels),
        "samples": int((~m.ranking.row_ranking(scores, labels).lrap.isnan()).sum()),
    }


@pytest.mark.skipif(not GOLDEN.exists(), reason="no ../shared/golden/metrics.json beside the repository")
@pytest.mark.parametrize(("part", "targets"), [("full", "targets"), ("unknown", "targets_unknown")])
def test_every_golden_value_holds(part, targets):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {key for key in golden if not key.startswith("_")} == {
        *("scores", "targets", "targets_unknown", "full", "unknown")
    }
    scores = torch.tensor(golden["scores"], dtype=torch.float64)
    labels = torch.tensor(golden[targets], dtype=torch.int8)
    found = {
        **of_scores(scores, labels),
        **{name: of_decisions(decide(scores), labels) for name, decide in DECISIONS.items()},
        "ranking": of_rankings(scores, labels),
    }
    agree(part, found, golden[part])


def agree(place, found, expected):
    if isinstance(expected, dict):
        assert set(found) == set(expected), place
        for name in expected:
            agree(f"{place}/{name}", found[name], expected[name])
        return
    wanted = np.array(expected, dtype=float)  # None is NaN
    np.testing.assert_allclose(np.asarray(found, dtype=float), wanted, rtol=0, atol=1e-12, err_msg=place)
