import pytest

from mlic.complaints import condense

UNION = """Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'MultiLabelDataModule'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'mlic.datamodules.image.ImageDataModule':
        {inner}
    - Expected a <class 'NoneType'>
  Given value type: <class 'dict'>
  Given value: x"""


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        (
            'Parser key "model.backbone":\n  Type Callable expects a function: Parser key "freeze":\n'
            "    Expected a <class 'bool'>. Got value: maybe. Got value: Namespace(...)",
            "model.backbone.freeze is 'maybe'; expected bool",
        ),
        (
            UNION.format(inner="Option 'batchsize' is not accepted"),
            "data (mlic.datamodules.image.ImageDataModule) has no option 'batchsize'; did you mean 'batch_size'?",
        ),
        (
            UNION.format(inner="the following arguments are required: train"),
            "--data.train is required; --help tells more",
        ),
        ("Group 'model' does not accept option 'lss.class_path'", "model has no option 'lss'; did you mean 'loss'?"),
        (
            'Parser key "model.optimizer":\n\n  - Expected a path but Adamm\n'
            "  - Expected a dot import path string: Adamm",
            "model.optimizer is 'Adamm', which is no class known here; write its full path: package.module.Class",
        ),
        ("unrecognized arguments: foo", "unrecognized arguments: foo; --help-all lists all"),
        (
            "unrecognized arguments: --trainer.max_epoch 3",
            "unrecognized arguments: --trainer.max_epoch 3; did you mean 'max_epochs'?; --help-all lists all",
        ),
        (
            "Group '' does not accept option 'mdel.loss'",
            "the configuration has no section 'mdel'; did you mean 'model'?",
        ),
    ],
)
def test_a_complaint_becomes_a_sentence(complaint, expected):
    assert condense(complaint) == expected


def test_an_option_that_is_near_to_none_gets_the_list():
    sentence = condense(UNION.format(inner="Option 'zzz' is not accepted"))
    assert "its options: train, val, test, classes" in sentence
