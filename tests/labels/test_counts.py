from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import mlic.labels.counts
from mlic.labels import LabelTable
from mlic.labels.counts import count, labels_per_image, meetings

LABELS = arrays(np.int8, st.tuples(st.integers(0, 12), st.integers(1, 5)), elements=st.sampled_from([1, 0, -1]))


def table(labels):
    names = [f"c{column}" for column in range(labels.shape[1])]
    return LabelTable.from_dense([f"{row}.jpg" for row in range(len(labels))], names, labels, root=Path())


@given(LABELS)
def test_counts_are_those_of_the_matrix(labels):
    counts = count(table(labels))
    known = labels >= 0
    assert (counts.images, counts.classes) == labels.shape
    assert counts.labelled == known.any(axis=1).sum() == counts.images - counts.unlabelled
    assert counts.all_negative == (labels == 0).all(axis=1).sum()
    assert counts.unknown_cells == (~known).sum()
    assert list(counts.support.values()) == (labels == 1).sum(axis=0).tolist()
    assert list(counts.negatives.values()) == (labels == 0).sum(axis=0).tolist()
    assert counts.cardinality == pytest.approx((labels == 1).sum() / max(1, counts.labelled))


@given(LABELS)
def test_labels_per_image_counts_labelled_samples_only(labels):
    found = labels_per_image(table(labels))
    labelled = labels[(labels >= 0).any(axis=1)]
    assert sum(found.values()) == len(labelled)
    assert all(number == ((labelled == 1).sum(axis=1) == size).sum() for size, number in found.items())


@given(LABELS, st.sampled_from([1, 3, 1 << 22]))
def test_meetings_are_the_upper_triangle_of_the_product(labels, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlic.labels.counts, "_BLOCK_PAIRS", block)
        pairs = meetings(table(labels))
    present = (labels == 1).astype(int)
    product = np.triu(present.T @ present, 1)
    assert {(one, other): number for one, other, number in pairs} == {
        (int(one), int(other)): int(product[one, other]) for one, other in np.argwhere(product)
    }
    assert [number for *_, number in pairs] == sorted((number for *_, number in pairs), reverse=True)


def test_soft_labels_are_counted_as_what_is_more_likely():
    counts = count(table(np.array([[0.9, 0.2], [0.5, -1]], np.float32)))
    assert (counts.support, counts.negatives, counts.soft_cells) == ({"c0": 1, "c1": 0}, {"c0": 0, "c1": 1}, 3)
