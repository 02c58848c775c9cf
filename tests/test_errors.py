import pytest

from mlic.errors import Faults, LabelError, did_you_mean


def test_all_faults_come_at_once_and_the_count_last():
    faults = Faults()
    faults.extend(f"a.csv:{line}: wrong" for line in range(2, 5))
    with pytest.raises(LabelError) as raised:
        faults.raise_if_any()
    assert str(raised.value).splitlines() == ["a.csv:2: wrong", "a.csv:3: wrong", "a.csv:4: wrong", "3 faults in all"]


def test_of_many_faults_the_first_twenty_are_shown_and_all_are_counted():
    faults = Faults()
    faults.extend(str(number) for number in range(1000))
    with pytest.raises(LabelError) as raised:
        faults.raise_if_any()
    lines = str(raised.value).splitlines()
    assert lines[:20] == [str(number) for number in range(20)]
    assert lines[20:] == ["1000 faults in all; the first 20 are above"]


def test_no_fault_raises_nothing():
    Faults().raise_if_any()


def test_a_suggestion_ignores_case_and_keeps_the_spelling_of_the_name():
    assert did_you_mean("DGO", ["Dog", "cat"]) == "; did you mean 'Dog'?"


def test_a_far_name_gets_no_suggestion():
    assert did_you_mean("lighthouse", ["cat", "dog"]) == ""
