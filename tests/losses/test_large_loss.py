"""The largest losses of unobserved labels are not believed."""

import pytest
import torch

from mlic.cli import main
from mlic.errors import UsageError
from mlic.losses import ANLSLoss, LargeLoss


def begun(scheme, share=0.2, epoch=1, **options):
    loss = LargeLoss(scheme, share, **options)
    loss.epoch = epoch
    return loss


@pytest.mark.parametrize("loss", [begun("reject", epoch=0), begun("reject", share=0.0), begun("correct").eval()])
def test_nothing_is_modified_in_the_first_epoch_without_a_share_and_in_evaluation(loss):
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, 0]] * 4)
    torch.testing.assert_close(loss(logits, labels), ANLSLoss(smoothing=0.0)(logits, labels))


def test_the_share_grows_with_the_epochs_and_never_exceeds_all():
    logits, labels = torch.arange(10.0).reshape(1, 10), torch.zeros(1, 10)
    free = [(begun("reject", 0.1, epoch).cells(logits, labels) == 0).sum().item() for epoch in (0, 1, 3, 20)]
    assert free == [0, 1, 3, 10]


def test_observed_labels_are_believed_however_large_their_loss():
    logits = torch.tensor([[-9.0, 9.0, 1.0]], requires_grad=True)
    loss = begun("reject", share=1.0, unobserved="unknown")
    loss(logits, torch.tensor([[1, 0, -1]])).backward()
    assert logits.grad[0, 0] < -0.9
    assert logits.grad[0, 1] > 0.9
    assert logits.grad[0, 2] == 0


def test_of_equal_losses_the_first_is_taken():
    cells = begun("reject", share=0.3).cells(torch.zeros(2, 3), torch.zeros(2, 3))
    assert (cells == 0).nonzero().tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("scheme", ["reject", "correct"])
def test_what_is_forgotten_after_the_step_needs_no_samples(scheme):
    loss = begun(scheme)
    logits, labels = torch.randn(3, 4), torch.zeros(3, 4)
    expected = loss(logits, labels)
    loss.index = torch.arange(7)  # of another batch
    assert torch.equal(loss(logits, labels), expected)


def permanent(share=0.25):
    return begun("correct_permanently", share=share)


def test_what_is_corrected_for_good_stays_so_wherever_its_sample_is_and_a_checkpoint_knows():
    loss, labels = permanent(), torch.zeros(2, 2)
    loss.index = torch.tensor([7, 3])
    loss(torch.tensor([[0.0, 5.0], [0.0, 0.0]]), labels)
    assert loss.memory()["corrected"].tolist() == [[7, 1]]
    again = permanent(share=0.0)
    again.remember(loss.memory())
    again.index = torch.tensor([3, 7])
    logits = torch.zeros(2, 2, requires_grad=True)
    again(logits, labels).backward()
    assert logits.grad[1, 1] < 0  # pulled up, as a present label is
    assert (logits.grad.sign() > 0).sum() == 3


def test_a_corrected_label_is_not_taken_a_second_time():
    loss, labels = permanent(), torch.zeros(1, 4)
    loss.index = torch.tensor([0])
    for _ in range(2):
        loss(torch.tensor([[4.0, 3.0, 2.0, 1.0]]), labels)
    assert loss.memory()["corrected"].tolist() == [[0, 0], [0, 1]]


def test_a_sample_that_is_in_a_batch_twice_is_corrected_in_both_rows():
    loss = permanent(share=0.0)
    loss.remember({"corrected": torch.tensor([[3, 0]])})
    loss.index = torch.tensor([3, 5, 3])
    logits = torch.zeros(3, 2, requires_grad=True)
    loss(logits, torch.zeros(3, 2)).backward()
    assert (logits.grad[:, 0] < 0).tolist() == [True, False, True]


def test_a_training_begins_with_nothing_corrected():
    loss = permanent()
    loss.index = torch.tensor([0])
    loss(torch.ones(1, 4), torch.zeros(1, 4))
    loss.remember({})
    assert loss.memory()["corrected"].shape == (0, 2)


def weights(run, kind):
    checkpoint = torch.load(f"runs/{run}/v1/{kind}.ckpt", weights_only=True)
    return checkpoint["state_dict"], checkpoint["mlic"]["loss_memory"]["corrected"]


@pytest.mark.slow
def test_a_resumed_training_corrects_what_an_uninterrupted_one_does(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"scheme": "correct_permanently", "share_per_epoch": "0.1"}
    words = [*small, "--model.loss", "large_loss"]
    words += [word for name, value in options.items() for word in (f"--model.loss.{name}", value)]
    assert main(["fit", *words, "--name", "whole", "--trainer.max_epochs", "3"]) == 0
    assert main(["fit", *words, "--name", "begun", "--trainer.max_epochs", "2"]) == 0
    resumed = ["fit", "--name", "resumed", "--ckpt_path", "runs/begun/v1/last.ckpt", "--trainer.max_epochs", "3"]
    assert main(resumed) == 0
    assert 0 < len(weights("begun", "last")[1]) < len(weights("whole", "last")[1])
    (state, corrected), (again, corrected_again) = weights("whole", "last"), weights("resumed", "last")
    assert torch.equal(corrected, corrected_again)
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_correcting_for_good_without_knowing_the_samples_is_refused():
    with pytest.raises(UsageError, match="does not know which samples"):
        permanent()(torch.zeros(1, 2), torch.zeros(1, 2))


def test_a_share_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"share_per_epoch is 1\.5"):
        LargeLoss(share_per_epoch=1.5)
