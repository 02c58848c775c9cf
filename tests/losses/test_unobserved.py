"""What holds for every loss that has its own way with unobserved labels, beside what holds for every loss."""

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import ANLSLoss, BCELoss, EMLoss, EPRLoss, LargeLoss, UnobservedLoss, WANLoss


def begun(loss):
    loss.epoch = 2
    return loss


MAKERS = {
    "an_ls": ANLSLoss,
    "wan": WANLoss,
    "em": EMLoss,
    "epr": lambda **kw: EPRLoss(1.5, **kw),
    "reject": lambda **kw: begun(LargeLoss("reject", 0.1, **kw)),
    "correct": lambda **kw: begun(LargeLoss("correct", 0.1, **kw)),
}
REDUCTIONS = ("batchmean", "mean", "sum")


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def make(request):
    return request.param


def table(samples=6, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 2, (samples, classes), generator=generator, dtype=torch.int8)
    return logits.requires_grad_(), labels


def gradient(loss, logits, labels):
    return torch.autograd.grad(loss(logits, labels), logits)[0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_sample_of_which_nothing_is_known_changes_nothing(make, reduction):
    logits, labels = table()
    more = torch.cat([logits, torch.ones(2, 4, dtype=logits.dtype)])
    unknown = torch.cat([labels, torch.full((2, 4), -1, dtype=torch.int8)])
    loss = make(unobserved="unknown", reduction=reduction)
    torch.testing.assert_close(loss(more, unknown), loss(logits, labels))


@pytest.mark.parametrize("samples", [0, 3])
def test_a_batch_of_which_nothing_is_known_gives_0_and_a_gradient_of_0(make, samples):
    logits = torch.randn(samples, 4, requires_grad=True)
    total = make(unobserved="unknown")(logits, torch.full((samples, 4), -1, dtype=torch.int8))
    assert total.item() == 0
    assert torch.autograd.grad(total, logits)[0].eq(0).all()


def test_the_two_meanings_differ_by_what_marks_an_unobserved_label(make):
    # No sample is without a known label here: a present one in each.
    logits, _ = table()
    marked = torch.tensor([[1, -1, -1, -1], [-1, 1, 1, -1]] * 3, dtype=torch.int8)
    one, other = make(unobserved="unknown"), make(unobserved="absent")
    torch.testing.assert_close(one(logits, marked), other(logits, marked.clamp(min=0)))
    torch.testing.assert_close(gradient(one, logits, marked), gradient(other, logits, marked.clamp(min=0)))


def test_the_gradient_is_the_derivative_of_the_value(make):
    logits, labels = table()
    loss = make(unobserved="unknown")
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)


@pytest.mark.parametrize("name", ["an_ls", "em", "reject"])
def test_a_known_absent_label_costs_its_cross_entropy(name):
    options = {"smoothing": 0.0} if name == "an_ls" else {}
    loss = MAKERS[name](unobserved="unknown", **options)
    logits, labels = torch.randn(3, 2), torch.tensor([[1, 0]] * 3)
    torch.testing.assert_close(loss(logits, labels), BCELoss()(logits, labels))


def test_a_soft_label_is_refused_here_and_before_a_training(make):
    assert not make().takes_soft_labels
    with pytest.raises(UsageError, match=r"a label is 0\.5"):
        make()(torch.zeros(1, 2), torch.tensor([[0.5, 1.0]]))


def test_another_meaning_is_refused():
    # Past the checker of types, which runs in tests only.
    init = getattr(UnobservedLoss.__init__, "__wrapped__", UnobservedLoss.__init__)
    with pytest.raises(UsageError, match=r"'missing'.*absent, unknown"):
        init(EMLoss(), "missing")
