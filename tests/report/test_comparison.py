import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mlic.errors import LabelError, UsageError
from mlic.report import compare_reports
from mlic.report.aligned import align


def permuted(scored, name, seed=1):
    """The same samples and classes in another order."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (torch.randperm(size, generator=generator) for size in scored.labels.shape)
    return replace(
        scored,
        name=name,
        classes=tuple(scored.classes[column] for column in columns),
        paths=scored.paths.take(rows.numpy()),
        logits=scored.logits[rows][:, columns],
        labels=scored.labels[rows][:, columns],
        decisions=replace(scored.decisions, thresholds=torch.linspace(0.3, 0.7, len(columns))[columns], at_most=3),
    )


def test_another_order_of_samples_and_classes_is_brought_back(scored):
    straight = replace(scored, decisions=replace(scored.decisions, thresholds=torch.linspace(0.3, 0.7, 5), at_most=3))
    pair = align(scored, permuted(scored, "other"))
    assert (pair.only_a, pair.only_b) == (0, 0)
    assert pair.a.classes == pair.b.classes == scored.classes
    assert list(pair.b.paths) == list(scored.paths)
    assert torch.equal(pair.b.logits, scored.logits)
    assert torch.equal(pair.b.present, straight.present)


def test_samples_that_only_one_has_are_left_out_and_counted(scored):
    a = replace(scored, paths=scored.paths[:40], logits=scored.logits[:40], labels=scored.labels[:40])
    b = replace(scored, paths=scored.paths[10:], logits=scored.logits[10:], labels=scored.labels[10:])
    pair = align(a, b)
    assert (len(pair.a.paths), pair.only_a, pair.only_b) == (30, 10, 20)


def test_other_classes_are_an_error_that_names_them(scored):
    other = replace(scored, name="other", classes=("cat", "dgo", *scored.classes[2:]))
    with pytest.raises(LabelError, match="class 'dog' of 'model' is not one of 'other'; did you mean 'dgo'") as error:
        align(scored, other)
    assert "class 'dgo' of 'other'" in str(error.value)


def test_other_labels_of_an_image_are_an_error_that_says_which(scored):
    labels = scored.labels.clone()
    labels[4, 1] = 1 - labels[4, 1].clamp(0)
    labels[9, 0] = -1 if labels[9, 0] >= 0 else 0
    with pytest.raises(LabelError, match=r"image '004.jpg', class 'dog'") as error:
        align(scored, replace(scored, name="other", labels=labels))
    assert "image '009.jpg', class 'cat'" in str(error.value)
    assert "2 labels differ in all" in str(error.value)


def test_repeated_images_and_no_common_image_are_errors(scored):
    twice = replace(scored, name="twice", paths=type(scored.paths)(["000.jpg", *list(scored.paths)[:-1]]))
    with pytest.raises(UsageError, match=r"'twice': image '000\.jpg' is there twice"):
        align(scored, twice)
    elsewhere = replace(scored, name="far", paths=type(scored.paths)(f"far/{path}" for path in scored.paths))
    with pytest.raises(UsageError, match=r"in common: the first ones are '000\.jpg' and 'far/000\.jpg'"):
        align(scored, elsewhere)


def test_a_comparison_has_the_differences_of_both_models(scored, better, tmp_path):
    files = compare_reports(scored, better, tmp_path, resamples=50)
    content = json.loads(files.json.read_text())
    assert content["version"] == 1
    figure = next(one for one in content["figures"] if one["name"] == "mAP")
    areas = []
    for logits in (scored.logits, better.logits):
        known = [scored.labels[:, column] >= 0 for column in range(4)]
        areas.append(
            np.mean(
                [
                    average_precision_score(scored.labels[rows, column].numpy(), logits[rows, column].numpy())
                    for column, rows in enumerate(known)
                ]
            )
        )
    assert np.isclose(figure["a"], areas[0])
    assert np.isclose(figure["b"], areas[1])
    assert 0 < figure["low"] < figure["b"] - figure["a"] < figure["high"]
    assert figure["b_better"] == 1
    assert content["better"]
    assert "B is better" in files.html.read_text("utf-8")
    assert r"a\|b" in files.markdown.read_text("utf-8")


def test_a_model_beside_itself_differs_in_nothing(scored, tmp_path):
    content = json.loads(compare_reports(scored, permuted_plain(scored), tmp_path, resamples=20).json.read_text())
    for figure in content["figures"]:
        if figure["a"] is not None:
            assert figure["a"] == pytest.approx(figure["b"], abs=1e-12)
    figure = next(one for one in content["figures"] if one["name"] == "mAP")
    assert (figure["low"], figure["high"], figure["b_better"]) == (0, 0, 0.5)
    assert content["better"] == content["worse"] == []


def permuted_plain(scored):
    other = permuted(scored, "itself")
    return replace(other, decisions=scored.decisions)
