import numpy as np
import pytest
import torch

from mlic.ranks import ranked, ranks

INFINITY = float("inf")


def marked(values):
    return torch.tensor(values, dtype=torch.int8)


def by_counting(scores, labels):
    """How many known positives, and how many known cells, have the score of each known positive or a higher one."""
    found = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        truth, values = labels[known, column], scores[known, column]
        for score in values[truth == 1].sort().values:
            found.append((column, int((truth[values >= score] == 1).sum()), int((values >= score).sum())))
    return found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(("samples", "classes", "levels"), [(60, 5, 3), (1, 4, 2), (33, 1, 1)])
def test_ranks_are_what_counting_finds(samples, classes, levels, dtype):
    generator = torch.Generator().manual_seed(samples)
    scores = ((torch.randn(samples, classes, generator=generator) * levels).round() / levels).to(dtype)
    labels = torch.randint(-1, 2, (samples, classes), generator=generator).to(torch.int8)
    found = ranks(scores, labels)
    assert [*zip(found.column, found.hits, found.cells, strict=True)] == by_counting(scores, labels)
    assert found.support.tolist() == (labels == 1).sum(dim=0).tolist()
    assert found.known.tolist() == (labels >= 0).sum(dim=0).tolist()


def test_an_unknown_cell_is_not_counted_even_where_a_known_one_has_the_lowest_score_of_all():
    scores = torch.tensor([[-INFINITY], [INFINITY], [0.0], [-INFINITY]])
    found = ranks(scores, marked([[1], [1], [0], [-1]]))
    assert found.hits.tolist() == [2, 1]
    assert found.cells.tolist() == [3, 1]


def test_zero_and_minus_zero_are_equal():
    found = ranks(torch.tensor([[0.0], [-0.0], [0.0]]), marked([[1], [1], [0]]))
    assert found.hits.tolist() == [2, 2]
    assert found.cells.tolist() == [3, 3]


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (4, 3)])
def test_scores_and_labels_stay_as_they_were(shape):
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(shape, generator=generator), torch.ones(shape, dtype=torch.int8)
    labels[0, 0] = -1
    # The transpose of what lies class by class is where sorting in place would do harm.
    turned = scores.t().contiguous().t()
    copies = scores.clone(), labels.clone()
    for given in (scores, turned):
        list(ranked(given, labels))
        assert torch.equal(given, copies[0])
    assert torch.equal(labels, copies[1])


def test_scores_that_learn_can_be_ranked():
    scores = torch.tensor([[0.5]], requires_grad=True)
    assert ranks(scores, marked([[1]])).cells.tolist() == [1]


def test_place_is_where_the_first_cell_of_a_score_stands():
    scores = torch.tensor([[0.5, 0.1], [0.5, 0.9], [0.2, 0.3]])
    found = ranks(scores, marked([[1, 0], [1, 1], [0, 0]]))
    assert found.ordered.ravel()[found.place].tolist() == pytest.approx([0.5, 0.5, 0.9])
    assert found.place.tolist() == [1, 1, 5]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_no_ranks(shape):
    (found,) = ranked(torch.zeros(shape), torch.zeros(shape, dtype=torch.int8))
    assert len(found.column) == 0
    assert np.array_equal(found.support, np.zeros(shape[1]))
