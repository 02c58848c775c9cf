"""Assumed negatives with smoothing; `an` is the same without."""

import pytest

from mlic.errors import UsageError
from mlic.losses import ANLSLoss


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"smoothing is 0\.5"):
        ANLSLoss(smoothing=0.5)
