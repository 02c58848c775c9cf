import logging

import mlic.tracking
from mlic.tracking import track


def test_all_items_come_in_order_and_short_work_says_nothing(caplog):
    with caplog.at_level(logging.INFO):
        assert list(track(range(5), 5, "counting")) == [0, 1, 2, 3, 4]
    assert not caplog.records


def test_long_work_tells_how_far_it_is(caplog, monkeypatch):
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(mlic.tracking.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        assert list(track("abcd", 1234, "counting")) == list("abcd")
    assert [record.getMessage() for record in caplog.records] == ["counting: 2 of 1,234", "counting: 4 of 1,234"]
