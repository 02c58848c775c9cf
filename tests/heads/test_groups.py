import pytest
import torch

from mlic.errors import UsageError
from mlic.heads.groups import GroupLinear, groups_of_classes

SIZES = [(1, 1), (7, 7), (7, 3), (80, 80), (101, 100), (150, 100), (199, 100), (200, 100), (10_000, 100), (10_000, 99)]


@pytest.mark.parametrize(("num_classes", "num_groups"), SIZES)
def test_no_group_is_empty_and_sizes_differ_by_one_at_most(num_classes: int, num_groups: int) -> None:
    sizes = groups_of_classes(num_classes, num_groups).bincount(minlength=num_groups)
    assert len(sizes) == num_groups
    assert sizes.sum() == num_classes
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


def test_the_groups_are_the_papers_where_their_number_divides_the_classes() -> None:
    assert groups_of_classes(10_000, 100).equal(torch.arange(10_000) // 100)


@pytest.mark.parametrize(("num_classes", "num_groups"), SIZES)
def test_each_class_has_a_row_of_its_own_in_the_matrix_of_its_group(num_classes: int, num_groups: int) -> None:
    layer = GroupLinear(1, num_classes, num_groups)
    assert layer.weight.shape == (num_groups, -(-num_classes // num_groups), 1)
    torch.nn.init.ones_(layer.weight)
    number = torch.arange(num_groups, dtype=torch.float32).view(1, -1, 1)  # each query tells its number
    assert layer(number).equal(groups_of_classes(num_classes, num_groups)[None].float())
    layer.weight.data = torch.arange(layer.weight.numel()).view_as(layer.weight).float()
    assert len(layer(torch.ones_like(number)).unique()) == num_classes


@pytest.mark.parametrize("num_groups", [0, -1, 81])
def test_groups_without_a_class_are_refused(num_groups: int) -> None:
    with pytest.raises(UsageError, match=rf"num_groups is {num_groups}; expected 1 to 80"):
        GroupLinear(4, 80, num_groups)
