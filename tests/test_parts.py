import copy
import pickle
from pathlib import Path

import pytest
from torch import nn

from mlic.errors import CheckpointError
from mlic.parts import Part, rebuild, resolve, spec


class Pool(Part, nn.Module):
    def __init__(self, num_features: int, size: int = 2, names: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.num_features, self.size, self.names = num_features, size, names
        self.linear = nn.Linear(num_features, size)


class Lenient(Part):
    def __init__(self, **options: int) -> None:
        self.options = options


def test_a_part_tells_the_arguments_it_was_called_with_by_name():
    assert spec(Pool(3, names=("a", "b")))["init_args"] == {"num_features": 3, "names": ["a", "b"]}


def test_the_leading_arguments_that_others_supply_are_left_out():
    assert spec(Pool(3, 4), given=1)["init_args"] == {"size": 4}


def test_free_keyword_arguments_are_told_by_their_own_names():
    assert spec(Lenient(a=1))["init_args"] == {"a": 1}


def test_paths_are_told_as_strings():
    assert spec(Lenient(a=Path("x/y")))["init_args"] == {"a": "x/y"}


def test_an_argument_that_is_not_plain_data_is_refused_by_name():
    with pytest.raises(CheckpointError, match=r"Lenient\(a=\.\.\.\) is a Linear"):
        spec(Lenient(a=nn.Linear(1, 1)))


def test_a_part_survives_copying_and_pickling():
    for clone in (copy.deepcopy(Pool(3, 5)), pickle.loads(pickle.dumps(Pool(3, 5)))):
        assert spec(clone) == spec(Pool(3, 5))
        assert clone.linear.weight.shape == (5, 3)


def test_rebuilding_gives_an_equal_part():
    from mlic.losses.focal import FocalLoss

    rebuilt = rebuild(spec(FocalLoss(gamma=3.0)), FocalLoss)
    assert spec(rebuilt) == spec(FocalLoss(gamma=3.0))


def test_rebuilding_calls_nothing_but_subclasses_of_the_base():
    with pytest.raises(CheckpointError, match=r"os\.getcwd is named where a Part was expected"):
        rebuild({"class_path": "os.getcwd", "init_args": {}}, Part)


def test_a_part_whose_package_is_missing_is_told_by_its_class_path():
    with pytest.raises(CheckpointError, match=r"no_such_package\.Head cannot be imported.*install the package"):
        rebuild({"class_path": "no_such_package.Head", "init_args": {}}, Part)


def test_arguments_of_another_version_are_told():
    from mlic.losses.bce import BCELoss

    with pytest.raises(CheckpointError, match="does not take the checkpoint's arguments"):
        rebuild({"class_path": "mlic.losses.bce.BCELoss", "init_args": {"sharpness": 1}}, BCELoss)


def test_a_part_from_a_script_gets_its_own_advice():
    with pytest.raises(CheckpointError, match="it was defined in a script; put it into a module"):
        rebuild({"class_path": "__main__.Head", "init_args": {}}, Part)


def test_a_nested_class_resolves():
    assert resolve("collections.abc.Mapping.get").__name__ == "get"
