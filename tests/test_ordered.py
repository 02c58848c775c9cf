import os
import threading
import time

import pytest

from mlic.ordered import in_lots, in_order


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(num_threads):
    assert list(in_order(range(50), str, num_threads=num_threads, ahead=8)) == [str(number) for number in range(50)]


def test_no_more_items_are_taken_than_memory_was_promised():
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(items(), str, num_threads=2, ahead=6)
    for fetched in range(1, 20):
        next(results)
        time.sleep(0.001)
        assert len(taken) <= fetched + 6
    results.close()


def test_a_result_may_be_none():
    assert list(in_order("ab", lambda item: None, num_threads=2, ahead=4)) == [None, None]


def test_what_fails_is_raised_where_results_are_fetched():
    with pytest.raises(ZeroDivisionError):
        list(in_order([1, 0, 1], lambda number: 1 / number, num_threads=2, ahead=4))


def test_a_thread_that_waits_for_an_item_keeps_nobody_from_leaving():
    reading, writing = os.pipe()
    with os.fdopen(reading) as lines, os.fdopen(writing, "w") as typed:
        typed.write("a\n")
        typed.flush()
        results = in_order(iter(lines.readline, ""), str.strip, num_threads=2, ahead=4)
        assert next(results) == "a"
        started = time.monotonic()
        results.close()
        assert time.monotonic() - started < 10
        typed.close()  # the thread ends
        for thread in threading.enumerate():
            if thread.name.startswith("lane"):
                thread.join()


def test_lots_are_full_but_for_the_last():
    assert list(in_lots(range(5), 2)) == [[0, 1], [2, 3], [4]]
