import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlic.errors import LabelError
from mlic.labels import LabelTable, blocks

SHAPES = st.tuples(st.integers(0, 9), st.integers(1, 5))
HARD = SHAPES.flatmap(lambda shape: hnp.arrays(np.int8, shape, elements=st.sampled_from([1, 0, -1])))
SOFT = SHAPES.flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.sampled_from([1, 0, -1, 0.25, 0.75]), fill=st.just(0))
)


def table(parts, num_rows, num_classes, tmp_path):
    names = [f"class {number}" for number in range(num_classes)]
    return LabelTable.from_blocks(map(str, range(num_rows)), names, parts, root=tmp_path, source="labels.csv")


@settings(max_examples=60)
@given(HARD | SOFT, st.integers(1, 4), st.integers(1, 12))
def test_a_matrix_in_blocks_is_the_matrix(tmp_path_factory, labels, rows_a_block, cells_at_a_time):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_CELLS", cells_at_a_time)
        parts = [labels[start : start + rows_a_block] for start in range(0, len(labels), rows_a_block)]
        found = table(parts, *labels.shape, tmp_path_factory.getbasetemp())
    assert found.dense().tolist() == labels.tolist()
    assert found.is_soft == bool(((labels > 0) & (labels < 1)).any())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([np.zeros((2, 2), np.int8)], "labels.csv: 2 rows of labels for 3 paths; expected one each"),
        (
            [np.zeros((3, 1), np.int8)],
            "labels.csv: a row has 1 labels; expected one for each of 2 classes",
        ),
    ],
)
def test_rows_that_are_too_few_or_too_narrow_are_told(parts, message, tmp_path):
    with pytest.raises(LabelError) as error:
        table(parts, 3, 2, tmp_path)
    assert str(error.value) == message


def test_a_cell_that_is_no_label_is_told(tmp_path):
    with pytest.raises(LabelError, match=r"labels\.csv: a label is 7; expected 1"):
        table([np.array([[0, 7]])], 1, 2, tmp_path)
