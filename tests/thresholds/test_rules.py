import dataclasses

import pytest
from jsonargparse import ArgumentParser

from mlic.errors import UsageError
from mlic.thresholds import DecisionRule


def refused(field, value):
    """What is said about a value that the annotations forbid already, as a caller without a type checker meets it."""
    rule = DecisionRule()
    object.__setattr__(rule, field, value)
    with pytest.raises(UsageError) as caught:
        rule.__post_init__()
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("objective", "recal", "one of f1, precision, recall, fnr, fixed; did you mean 'recall'?"),
        ("scope", "globl", "one of per_class, global; did you mean 'global'?"),
        ("calibration", "isotonic", "one of none, temperature, platt"),
    ],
)
def test_an_unknown_word_is_refused_with_those_that_are_known(field, value, expected):
    assert refused(field, value) == f"{field} is {value!r}; expected {expected}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 0.0}, "beta is 0.0; expected a number above 0"),
        ({"beta": float("nan")}, "beta is nan"),
        ({"beta": float("inf")}, "beta is inf"),
        ({"beta": 2.0, "objective": "fixed"}, "only f1 knows a beta"),
        ({"min_support": -1}, "min_support is -1"),
        ({"at_most": 0}, "at_most is 0"),
        ({"objective": "precision"}, "no target is given; say which precision to reach"),
        ({"objective": "recall"}, "no target is given"),
        ({"target": 0.5}, "target is 0.5, and f1 has none"),
        ({"objective": "precision", "target": 0.0}, "expected a precision, above 0 and at most 1"),
        ({"objective": "recall", "target": 1.1}, "expected a recall"),
        ({"objective": "recall", "target": float("nan")}, "target is nan"),
        ({"objective": "fixed", "target": -0.1}, "expected a score, 0 to 1"),
        ({"objective": "fnr", "target": 1.0}, "above 0 and below 1"),
        ({"objective": "fnr", "target": 0.0}, "above 0 and below 1"),
        ({"objective": "fnr", "at_most": 3}, "cannot be promised"),
        ({"objective": "fnr", "calibration": "platt"}, "choose temperature or none"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        DecisionRule(**arguments)


def test_a_target_that_is_not_given_has_a_value_where_there_is_a_usual_one():
    assert DecisionRule(objective="fnr").level == 0.1
    assert DecisionRule(objective="fixed").level == 0.5
    assert DecisionRule(objective="fixed", target=0.0).level == 0.0


def test_a_rule_survives_the_way_into_a_configuration_and_back():
    rule = DecisionRule(objective="recall", target=0.9, scope="global", min_support=3, at_most=4, calibration="platt")
    assert DecisionRule(**dataclasses.asdict(rule)) == rule


def test_the_command_line_makes_a_rule_and_its_help_explains_every_field():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(DecisionRule, "decision")
    parsed = parser.parse_args(["--decision.objective=recall", "--decision.target=0.9", "--decision.at_most=2"])
    assert parser.instantiate(parsed).decision == DecisionRule(objective="recall", target=0.9, at_most=2)
    text = " ".join(parser.format_help().split())
    for field, words in {
        "objective": "what a threshold is chosen for",
        "beta": "recall counts beta times",
        "target": "to reach",
        "scope": "a threshold for each class",
        "min_support": "number of known positives",
        "at_most": "how many classes an image may have",
        "calibration": "how logits become scores",
    }.items():
        assert f"--decision.{field}" in text
        assert words in text
