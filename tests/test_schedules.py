import pytest
import torch

from mlic.errors import UsageError
from mlic.schedules import OneCycle, WarmupCosine


def optimizer(*rates, **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, **options)


def rates(schedule, made, steps):
    scheduler = schedule.scheduler(made, steps)
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr())
        made.step()
        scheduler.step()
    return torch.tensor(found)


def test_the_warm_up_rises_in_equal_steps_to_the_learning_rate_and_the_cosine_falls_from_it():
    found = rates(WarmupCosine(warmup=0.25), optimizer(0.8), 16)[:, 0]
    torch.testing.assert_close(found[:5], torch.tensor([1, 2, 3, 4, 5]) * 0.16)
    assert (found[5:] < found[4:-1]).all()
    assert found[10] == pytest.approx(0.4)  # half of the cosine


def test_a_cosine_ends_at_its_share_of_each_groups_rate():
    made = optimizer(1.0, 0.1)
    schedule = WarmupCosine(final=0.2)
    scheduler = schedule.scheduler(made, 10)
    for _ in range(14):  # beyond the end it stays there
        made.step()
        scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.2, 0.02])


def test_without_warm_up_the_first_step_has_the_whole_rate():
    assert rates(WarmupCosine(warmup=0.0), optimizer(0.3), 5)[0, 0] == pytest.approx(0.3)


def test_one_cycle_peaks_at_each_groups_rate_after_the_warm_up():
    found = rates(OneCycle(warmup=0.2), optimizer(1.0, 0.1), 50)
    assert found.argmax(dim=0).tolist() == [9, 9]
    torch.testing.assert_close(found.max(dim=0).values, torch.tensor([1.0, 0.1]))
    torch.testing.assert_close(found[0], torch.tensor([1 / 25, 0.1 / 25]))


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_one_cycle_takes_an_optimizer_with_and_without_momentum(options):
    assert rates(OneCycle(), optimizer(1.0, **options), 20).max() == pytest.approx(1.0)


def test_a_schedule_goes_on_where_its_saved_state_stopped():
    whole, made = optimizer(1.0), optimizer(1.0)
    expected = rates(WarmupCosine(), whole, 20)
    first = WarmupCosine().scheduler(made, 20)
    for _ in range(8):
        made.step()
        first.step()
    again = optimizer(1.0)
    state, rate = first.state_dict(), made.state_dict()
    scheduler = WarmupCosine().scheduler(again, 20)
    scheduler.load_state_dict(state)
    again.load_state_dict(rate)
    assert scheduler.get_last_lr() == pytest.approx(expected[8].tolist())
    again.step()
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx(expected[9].tolist())


def resumed(before, planned, after, asked):
    """Returns a schedule for `asked` steps that goes on from another, which made half of `planned` steps."""
    first = before.scheduler(made := optimizer(1.0), planned)
    for _ in range(planned // 2):
        made.step()
        first.step()
    scheduler = after.scheduler(again := optimizer(1.0), asked)
    again.load_state_dict(made.state_dict())
    scheduler.load_state_dict(first.state_dict())
    return scheduler


def test_a_cycle_goes_on_where_it_stopped():
    expected = rates(OneCycle(), optimizer(1.0), 20)[10].tolist()
    assert resumed(OneCycle(), 20, OneCycle(), 20).get_last_lr() == pytest.approx(expected)


def test_a_cycle_that_is_resumed_for_longer_says_what_was_planned_and_what_to_do():
    with pytest.raises(UsageError, match=r"planned for 20 steps.* take 21; .*max_epochs.* without --ckpt_path"):
        resumed(OneCycle(), 20, OneCycle(), 21)


def test_a_cycle_that_is_resumed_for_less_is_told(caplog):
    assert resumed(OneCycle(), 20, OneCycle(), 19).total_steps == 20
    assert "planned for 20 steps of the optimizer, and this training is to take 19: it ends before" in caplog.text


@pytest.mark.parametrize(("before", "after"), [(OneCycle(), WarmupCosine()), (WarmupCosine(), OneCycle())])
def test_another_schedule_than_that_of_the_checkpoint_is_refused(before, after):
    with pytest.raises(UsageError, match=f"lr_scheduler is {type(after).__name__}, and the checkpoint .* another"):
        resumed(before, 20, after, 20)


def test_a_cosine_that_is_resumed_for_longer_is_on_the_longer_curve():
    longer = resumed(WarmupCosine(), 20, WarmupCosine(), 40)
    longer.optimizer.step()
    longer.step()
    assert longer.get_last_lr() == pytest.approx(rates(WarmupCosine(), optimizer(1.0), 40)[11].tolist())


@pytest.mark.parametrize(
    "make",
    [
        lambda: OneCycle(warmup=0.0),
        lambda: OneCycle(warmup=1.0),
        lambda: WarmupCosine(warmup=1.0),
        lambda: WarmupCosine(warmup=-0.1),
        lambda: WarmupCosine(final=1.5),
    ],
)
def test_a_share_out_of_range_is_refused(make):
    with pytest.raises(UsageError, match="expected a share"):
        make()
