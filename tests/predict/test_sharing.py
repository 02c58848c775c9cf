import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.errors import UsageError
from mlic.predict.inputs import Given
from mlic.predict.sharing import Shard, Share, find_shard, processes_around


def share(total, place, number, size=3):
    lots = Share(Given(map(str, range(total))), Shard(place, number)).lots(size)
    return [int(source.name) for lot in lots for source in lot]


@given(st.integers(0, 40), st.integers(1, 6))
def test_each_image_is_in_one_share(total, number):
    shares = [share(total, place, number) for place in range(number)]
    assert sorted(image for one in shares for image in one) == list(range(total))
    assert [len(one) for one in shares] == [Shard(place, number).share_of(total) for place in range(number)]


def test_how_many_are_in_a_share_is_told_where_all_are_known():
    images = Given([str(number) for number in range(10)])
    assert Share(images, Shard(0, 3)).num_known(5) == 4
    assert Share(images, Shard(0, 3)).num_known(2) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"RANK": "1", "WORLD_SIZE": "4"}, Shard(1, 4)),
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, Shard(3, 8)),
        # In a job array each task is one process of its own, whatever it says of its step.
        (
            {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "5", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
            Shard(2, 5),
        ),
    ],
)
def test_the_environment_tells_which_process_this_is(environment, expected):
    assert find_shard("auto", environment) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("auto", "nothing tells which process this is; expected SLURM_ARRAY_TASK_ID"),
        ("1of2", "expected I/N, such as 0/4"),
        ("4/4", "expected 0/4 to 3/4"),
        ("0/0", "expected 0/1"),
    ],
)
def test_what_is_no_shard_is_told(written, message):
    with pytest.raises(UsageError, match=message):
        find_shard(written, {})


@pytest.mark.parametrize(("first", "last", "count"), [(1, 4, 4), (5, 5, 1), (0, 5, 2)])
def test_a_job_array_whose_numbers_are_no_shares_is_refused(first, last, count):
    environment = {"ID": last, "COUNT": count, "MIN": first, "MAX": last}
    environment = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in environment.items()}
    with pytest.raises(UsageError, match=f"{count} tasks from {first} to {last}; expected --array=0-{count - 1}"):
        find_shard("auto", environment)
    environment |= {"SLURM_ARRAY_TASK_COUNT": str(last + 1), "SLURM_ARRAY_TASK_MIN": "0"}
    assert find_shard("auto", environment) == Shard(last, last + 1)


def test_processes_that_others_have_started_are_seen():
    assert processes_around({}) == 1
    assert processes_around({"WORLD_SIZE": "4"}) == 1  # of whoever has set it
    assert processes_around({"WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x"}) == 4
    assert processes_around({"SLURM_NTASKS": "4"}) == 1  # within an allocation, but not by srun
    assert processes_around({"SLURM_STEP_NUM_TASKS": "4"}) == 4
