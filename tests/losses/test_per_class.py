import copy

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses.per_class import PerClass


def test_the_numbers_keep_their_digits_after_they_were_asked_for_in_a_smaller_type():
    numbers = PerClass("weight", [0.1, 0.2])
    numbers.like(torch.zeros(1, 2))
    expected = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert torch.equal(numbers.like(torch.zeros(1, 2, dtype=torch.float64)), expected)


def test_the_tensor_is_made_once_for_a_type():
    numbers = PerClass("weight", [0.1, 0.2])
    assert numbers.like(torch.zeros(1, 2)) is numbers.like(torch.ones(5, 2))


def test_a_copy_has_the_same_numbers():
    numbers = PerClass("weight", [0.1, 0.2])
    numbers.like(torch.zeros(1, 2))
    assert torch.equal(copy.deepcopy(numbers).like(torch.zeros(1, 2)), numbers.like(torch.zeros(1, 2)))


def test_another_number_of_classes_is_refused_by_name():
    with pytest.raises(UsageError, match="weight has 2 numbers and there are 3 classes"):
        PerClass("weight", [0.1, 0.2]).like(torch.zeros(1, 3))
