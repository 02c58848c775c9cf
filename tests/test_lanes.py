import threading
import weakref

import pytest
import torch

from mlic.errors import ImageError, UsageError
from mlic.lanes import run_lanes


def decode(number):
    """An image that tells its number; every seventh cannot be read."""
    if number % 7 == 3:
        raise ImageError(f"{number}: not an image")
    return torch.full((3, 4, 4), number % 256, dtype=torch.uint8)


def engine(images):
    return images.float().mean((2, 3))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("num_lanes", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_what_comes_is_in_order_and_each_item_once(num_lanes, batch_size):
    lots = list(run_lanes(range(50), decode, engine, num_lanes=num_lanes, batch_size=batch_size))
    read = [position for lot in lots for position in lot.positions]
    assert read == [number for number in range(50) if number % 7 != 3]
    assert torch.cat([lot.outputs for lot in lots if lot.positions])[:, 0].tolist() == read
    assert [error for lot in lots for error in lot.errors] == [(n, f"{n}: not an image") for n in range(3, 50, 7)]


def test_the_order_holds_when_the_first_item_takes_longest():
    others_done = threading.Event()

    def slow_first(number):
        if number == 0:
            others_done.wait(10)
        if number == 5:
            others_done.set()
        return torch.zeros(3, 1, 1, dtype=torch.uint8)

    lots = run_lanes(range(8), slow_first, engine, num_lanes=2, batch_size=1)
    assert [lot.positions for lot in lots] == [[number] for number in range(8)]


def test_nothing_to_do_gives_nothing():
    assert list(run_lanes([], decode, engine, num_lanes=2)) == []


def test_a_lot_of_which_nothing_can_be_read_has_errors_alone():
    (lot,) = run_lanes([3, 10], decode, engine, num_lanes=1)
    assert (lot.positions, lot.outputs.shape, len(lot.errors)) == ([], (0,), 2)


class BrokenError(Exception):
    pass


def fail_at(limit):
    def check(number):
        if number >= limit:
            raise BrokenError(f"at {number}")
        return decode(number)

    return check


def broken_engine(images):
    raise BrokenError("engine")


def broken_items():
    yield 0
    raise BrokenError("items")


@pytest.mark.parametrize("num_lanes", [1, 3])
@pytest.mark.parametrize(
    ("items", "decoder", "runner"),
    [
        (lambda: range(1000), fail_at(20), engine),
        (lambda: range(1000), decode, broken_engine),
        (broken_items, decode, engine),
    ],
    ids=["decode", "engine", "items"],
)
def test_an_exception_in_a_lane_stops_all_and_is_raised(items, decoder, runner, num_lanes, two_threads):
    before = threading.active_count()
    with pytest.raises(BrokenError):
        list(run_lanes(items(), decoder, runner, num_lanes=num_lanes))
    assert threading.active_count() == before
    assert torch.get_num_threads() == 2


def test_operations_have_one_thread_in_a_lane_and_afterwards_as_many_as_before(two_threads):
    seen = set()

    def look(images):
        seen.add(torch.get_num_threads())
        return engine(images)

    list(run_lanes(range(12), decode, look, num_lanes=3, batch_size=1))
    assert seen == {1}
    assert torch.get_num_threads() == 2


def test_who_stops_fetching_stops_the_lanes(two_threads):
    before = threading.active_count()
    lots = run_lanes(range(10_000), decode, engine, num_lanes=2)
    next(lots)
    lots.close()
    assert threading.active_count() == before
    assert torch.get_num_threads() == 2


def test_nothing_happens_before_the_first_lot_is_fetched(two_threads):
    run_lanes(range(10), lambda number: pytest.fail("decoded"), engine, num_lanes=2)
    assert torch.get_num_threads() == 2


def test_lanes_do_not_run_far_ahead_of_the_caller():
    taken = []

    def items():
        for number in range(300):
            taken.append(number)
            yield number

    ahead = []
    for lot in run_lanes(items(), decode, engine, num_lanes=2, batch_size=3):
        ahead.append(len(taken) - lot.positions[0])
    assert max(ahead) <= 3 * (4 * 2 + 1)


def test_an_image_is_let_go_when_its_lot_is_done():
    images = []

    def remember(number):
        image = torch.zeros(3, 2, 2, dtype=torch.uint8)
        images.append(weakref.ref(image))
        return image

    for _ in run_lanes(range(40), remember, engine, num_lanes=1, batch_size=2):
        assert sum(image() is not None for image in images) <= 4


@pytest.mark.parametrize(("num_lanes", "batch_size"), [(0, 4), (2, 0)])
def test_no_lanes_and_no_batches_are_refused(num_lanes, batch_size):
    with pytest.raises(UsageError, match="expected 1 or more"):
        run_lanes([], decode, engine, num_lanes=num_lanes, batch_size=batch_size)
