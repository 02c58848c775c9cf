import logging
import sys

import mlic.tracking
from mlic.tracking import Progress, track


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


def test_progress_tells_the_rate_and_the_time_that_is_left(caplog, monkeypatch):
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(mlic.tracking.time, "monotonic", lambda: next(clock))
    total = []
    progress = Progress("predicting", "images", lambda: total[-1] if total else None)
    progress.start(100)  # at 3 s
    with caplog.at_level(logging.INFO):
        progress.add(60)  # at 6 s: nothing yet
        progress.add(60)
        progress.add(60)
        progress.add(60)
        total.append(2000)
        for _ in range(4):
            progress.add(60)
    progress.close()
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "predicting: 340 images, 13.3 a second",
        "predicting: 520 of 2,000 images, 12.7 a second, 2 min left",
    ]


def test_progress_on_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = Progress("predicting", "images", lambda: 4)
    progress.start(1)
    monkeypatch.setattr(progress._bar, "delay", 0)
    progress.add(2)
    progress._bar.refresh()
    progress.close()
    assert "predicting:  75%" in capsys.readouterr().err
