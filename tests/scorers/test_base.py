import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlic.scorers.base import present
from mlic.thresholds import decide


@given(
    hnp.arrays(np.float32, (5, 4), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")])),
    hnp.arrays(np.float32, 4, elements=st.sampled_from([0.0, 0.5, 1.0])),
    st.none() | st.integers(0, 5),
)
def test_decisions_in_numpy_are_those_in_torch(scores, thresholds, at_most):
    scores = np.nan_to_num(scores)  # no decision is made of what is no number
    expected = decide(torch.from_numpy(scores), torch.from_numpy(thresholds), at_most)
    np.testing.assert_array_equal(present(scores, thresholds, at_most), expected.numpy())
