"""What holds for every loss: unknown cells, reductions, precision, symmetry between classes, rebuilding."""

import itertools

import pytest
import torch
from torch import nn

from mlic import parts
from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses import (
    ANLSLoss,
    AsymmetricLoss,
    BCELoss,
    DistributionBalancedLoss,
    EMLoss,
    EPRLoss,
    FocalLoss,
    HillLoss,
    LargeLoss,
    Loss,
    Poly1Loss,
    SPLCLoss,
    TwoWayLoss,
    WANLoss,
    ZLPRLoss,
)


def counted(loss):
    """Gives a loss that needs counts the same ones for each class, however many there are."""
    loss.register_forward_pre_hook(lambda loss, inputs: loss.adapt(equal_counts(inputs[0].shape[1])))
    return loss


def equal_counts(classes):
    return ClassCounts(positives=[3] * classes, negatives=[17] * classes, samples=20)


def second_epoch(loss):
    loss.epoch = 1
    return loss


MAKERS = {
    "bce": BCELoss,
    "bce weighted": lambda **kw: BCELoss(pos_weight=3.0, **kw),
    "bce balanced": lambda **kw: counted(BCELoss(pos_weight="balanced", **kw)),
    "bce smoothed": lambda **kw: BCELoss(label_smoothing=0.1, **kw),
    "focal": FocalLoss,
    "focal steep": lambda **kw: FocalLoss(alpha=-1.0, gamma=0.5, **kw),
    "asymmetric": AsymmetricLoss,
    "asymmetric detached": lambda **kw: AsymmetricLoss(detach_weight=True, **kw),
    "asymmetric unclipped": lambda **kw: AsymmetricLoss(clip=0.0, gamma_neg=0.5, gamma_pos=0.5, **kw),
    "poly1": Poly1Loss,
    "poly1 without first term": lambda **kw: Poly1Loss(epsilon=-1.0, **kw),
    "hill": HillLoss,
    "hill steep": lambda **kw: HillLoss(lamb=1.0, gamma=0.5, **kw),
    "splc": SPLCLoss,
    "splc correcting": lambda **kw: SPLCLoss(start_epoch=0, **kw),
    "distribution balanced": lambda **kw: counted(DistributionBalancedLoss(**kw)),
    "distribution balanced without focus": lambda **kw: counted(DistributionBalancedLoss(gamma=0.0, **kw)),
    "two way": TwoWayLoss,
    "zlpr": ZLPRLoss,
    "an_ls": ANLSLoss,
    # By default the weight depends on the number of classes, unknown ones among them.
    "wan": lambda **kw: WANLoss(weight=0.25, **kw),
    "em": EMLoss,
    "epr": lambda **kw: EPRLoss(1.5, **kw),
    "large_loss rejecting": lambda **kw: second_epoch(LargeLoss("reject", 0.2, **kw)),
    "large_loss correcting": lambda **kw: second_epoch(LargeLoss("correct", 0.2, **kw)),
}
# Here what a cell costs depends on other cells of its sample, or of the batch.
TOGETHER = {
    *("distribution balanced", "distribution balanced without focus", "two way", "zlpr"),
    *("epr", "large_loss rejecting", "large_loss correcting"),
}
# Not so in two_way, whose terms are of rows and columns: a cell alone has no side.
OF_CELLS = [name for name in MAKERS if name != "two way"]
SOFT = [name for name, make in MAKERS.items() if make().takes_soft_labels]
REDUCTIONS = ("batchmean", "mean", "sum")


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def make(request):
    return request.param


def table(samples=6, classes=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(samples, classes, generator=generator, dtype=dtype)
    labels = torch.randint(-1, 2, (samples, classes), generator=generator, dtype=torch.int8)
    return logits.requires_grad_(), labels


def gradient(loss, logits, labels):
    return torch.autograd.grad(loss(logits, labels), logits)[0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_unknown_cell_has_a_gradient_of_exactly_0_whatever_its_logit(make, reduction):
    logits, labels = table()
    with torch.no_grad():
        bad = itertools.cycle([float("nan"), float("inf"), -float("inf"), 1e30])
        logits[labels == -1] = torch.tensor([next(bad) for _ in range(int((labels == -1).sum()))], dtype=torch.float64)
    found = gradient(make(reduction=reduction), logits, labels)
    assert found[labels == -1].eq(0).all()
    assert found.isfinite().all()


def test_an_unknown_cell_counts_as_if_it_were_not_there(make):
    logits, labels = table(samples=1, classes=6)
    known = (labels != -1)[0]
    assert 0 < known.sum() < 6
    for reduction in REDUCTIONS:
        loss = make(reduction=reduction)
        torch.testing.assert_close(loss(logits, labels), loss(logits[:, known], labels[:, known]))


def test_a_sample_without_a_known_cell_changes_nothing(make):
    logits, labels = table()
    more = torch.cat([logits, torch.ones(2, 4, dtype=logits.dtype)])
    unknown = torch.cat([labels, torch.full((2, 4), -1, dtype=torch.int8)])
    for reduction in REDUCTIONS:
        loss = make(reduction=reduction)
        torch.testing.assert_close(loss(more, unknown), loss(logits, labels))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("samples", [0, 3])
def test_a_batch_without_a_known_cell_gives_0_and_a_gradient_of_0(make, reduction, samples):
    logits = torch.randn(samples, 4, requires_grad=True)
    total = make(reduction=reduction)(logits, torch.full((samples, 4), -1, dtype=torch.int8))
    assert total.item() == 0
    assert torch.equal(torch.autograd.grad(total, logits)[0], torch.zeros(samples, 4))


@pytest.mark.parametrize("name", OF_CELLS)
def test_batchmean_divides_the_sum_by_samples_and_mean_by_known_cells(name):
    logits, labels = table()
    labels[2] = -1
    known = labels != -1
    total = MAKERS[name](reduction="sum")(logits, labels)
    torch.testing.assert_close(MAKERS[name]()(logits, labels), total / known.any(dim=1).sum())
    torch.testing.assert_close(MAKERS[name](reduction="mean")(logits, labels), total / known.sum())


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in TOGETHER])
def test_adding_classes_does_not_change_the_gradient_of_a_class(name):
    make = MAKERS[name]
    logits, labels = table()
    labels[:, 0] = 1  # so that no sample becomes known by the new classes
    more, more_labels = table(seed=1)
    alone = gradient(make(), logits, labels)
    both = gradient(make(), torch.cat([logits, more], dim=1), torch.cat([labels, more_labels], dim=1))
    torch.testing.assert_close(both[:, :4], alone)


def test_permuting_classes_permutes_the_gradient(make):
    logits, labels = table()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        gradient(make(), logits[:, order].detach().requires_grad_(), labels[:, order]),
        gradient(make(), logits, labels)[:, order],
    )


@pytest.mark.parametrize("name", [name for name in MAKERS if "detached" not in name])
def test_the_gradient_is_the_derivative_of_the_value(name):
    logits, labels = table()
    loss = MAKERS[name]()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_value_and_gradient_are_finite_at_extreme_logits(make, dtype):
    extremes = torch.tensor([-1e4, -200, -100, -88, -30, -1e-8, 0, 1e-8, 17, 30, 88, 100, 200, 1e4])
    cells = torch.tensor(list(itertools.product(extremes, (0.0, 1.0))))
    logits = cells[:, :1].to(dtype).requires_grad_()
    total = make(reduction="sum")(logits, cells[:, 1:].to(torch.int8))
    assert total.isfinite()
    assert torch.autograd.grad(total, logits)[0].isfinite().all()


@pytest.mark.parametrize("name", OF_CELLS)
def test_a_present_class_with_a_hopeless_logit_still_has_a_gradient(name):
    logits = torch.full((1, 1), -1e4, requires_grad=True)
    assert gradient(MAKERS[name](), logits, torch.ones(1, 1, dtype=torch.int8)).item() < -0.2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(make, dtype):
    logits, labels = table(dtype=torch.float32)
    rounded = logits.detach().to(dtype)
    found = make()(rounded, labels)
    assert found.dtype == torch.float32
    assert torch.equal(found, make()(rounded.float(), labels))


def test_autocast_does_not_change_the_loss(make):
    logits, labels = table(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make()(logits, labels)
    assert torch.equal(found, make()(logits, labels))


def test_whole_soft_labels_are_hard_labels(make):
    logits, labels = table()
    assert torch.equal(make()(logits, labels), make()(logits, labels.double()))


@pytest.mark.parametrize("name", SOFT)
def test_soft_labels_have_a_finite_loss_and_gradient(name):
    logits = torch.tensor([[-20.0, -1.0, 0.0, 1.0, 20.0]], dtype=torch.float64, requires_grad=True)
    total = MAKERS[name]()(logits, torch.tensor([[0.5, 0.0, 0.25, 1.0, 0.5]], dtype=torch.float64))
    assert total > 0
    assert torch.autograd.grad(total, logits)[0].isfinite().all()


@pytest.mark.parametrize("name", SOFT)
def test_a_label_that_is_not_a_number_is_not_taken_for_unknown(name):
    assert MAKERS[name]()(torch.zeros(1, 2), torch.tensor([[float("nan"), 1.0]])).isnan()


def test_labels_of_another_shape_are_refused(make):
    loss = make()
    # Past the checker of shapes, which runs in tests only.
    forward = getattr(type(loss).forward, "__wrapped__", type(loss).forward)
    with pytest.raises(UsageError, match=r"\(2, 3\).*\(2, 1\)"):
        forward(loss, torch.zeros(2, 3), torch.zeros(2, 1))


@pytest.mark.parametrize(
    "loss",
    [
        BCELoss(pos_weight=[1.0, 2.0, 3.0, 4.0]),
        BCELoss(2.0, label_smoothing=0.1, reduction="mean"),
        BCELoss("balanced", max_pos_weight=5.0),
        FocalLoss(gamma=1.0, alpha=-1.0),
        AsymmetricLoss(clip=0.1, detach_weight=True, reduction="sum"),
        Poly1Loss(-0.5, "mean"),
        HillLoss(lamb=1.2, margin=0.5, gamma=1.0),
        SPLCLoss(tau=0.7, start_epoch=0),
        DistributionBalancedLoss(map_mu=0.3, neg_scale=5.0),
        TwoWayLoss(tp=2.0, tn=0.5),
        ZLPRLoss("sum"),
        ANLSLoss(0.2, "unknown"),
        WANLoss(0.5, reduction="mean"),
        EMLoss(0.1, "unknown", "sum"),
        EPRLoss(2.5),
        LargeLoss("correct", 0.3),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_loss_is_rebuilt_from_its_spec(loss):
    logits, labels = table()
    again = parts.rebuild(parts.spec(loss), Loss)
    for each in (loss, again):
        each.adapt(ClassCounts(positives=[9, 1, 3, 0], negatives=[1, 9, 7, 10], samples=10))
        each.epoch = 1
    assert type(again) is type(loss)
    assert parts.spec(again) == parts.spec(loss)
    assert torch.equal(again(logits, labels), loss(logits, labels))


def test_a_loss_has_no_state_to_save(make):
    loss = make()
    loss(*table())
    assert loss.state_dict() == {}


def test_a_loss_of_ones_own_needs_cells_alone():
    class Squared(Loss):
        def cells(self, logits, labels):
            return (logits.sigmoid() - labels) ** 2

    logits = torch.tensor([[0.0, 0.0]], requires_grad=True)
    assert Squared()(logits, torch.tensor([[1, -1]], dtype=torch.int8)).item() == 0.25


def test_a_loss_over_whole_rows_needs_forward_alone():
    class Softmax(Loss):
        def forward(self, logits, labels):
            return nn.functional.cross_entropy(logits, labels.float())

    assert Softmax()(torch.zeros(1, 2), torch.tensor([[1, 0]])).item() == pytest.approx(0.6931, abs=1e-4)


def test_a_loss_without_cells_says_what_to_define():
    with pytest.raises(NotImplementedError, match="Loss has to define cells"):
        Loss()(torch.zeros(1, 1), torch.zeros(1, 1))


def test_an_unknown_reduction_is_refused():
    init = getattr(Loss.__init__, "__wrapped__", Loss.__init__)
    with pytest.raises(UsageError, match=r"'avg'.*batchmean, mean, sum"):
        init(Loss(), "avg")


@pytest.mark.parametrize("name", SOFT)
def test_a_soft_label_of_0_or_1_costs_what_a_hard_one_does_and_one_between_is_known(name):
    loss = MAKERS[name]
    logits = torch.tensor([[1.5, -0.5, 2.0]])
    hard, soft = torch.tensor([[1, 0, -1]], dtype=torch.int8), torch.tensor([[1.0, 0.0, -1.0]])
    assert torch.equal(loss()(logits, hard), loss()(logits, soft))
    between = loss()(logits, torch.tensor([[-1.0, -1.0, 0.25]]))
    assert torch.isfinite(between)
    assert between > 0
