"""`optimizer: exact`: the optimum for each penalty, chosen on validation, in an ordinary checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mlic.cli import main
from mlic.datamodules.features import Kept
from mlic.errors import UsageError
from mlic.exact import Exact, ExactHead
from mlic.heads.linear import LinearHead
from mlic.heads.mlp import MLPHead
from mlic.labels import LabelTable
from mlic.losses.bce import BCELoss
from mlic.losses.focal import FocalLoss


@pytest.fixture
def kept() -> Kept:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6, 1, 1)).astype(np.float32)
    labels = (features[:, :3, 0, 0] + rng.normal(size=(40, 3)) > 0.3).astype(np.int8)
    labels[::7, 1] = -1
    table = LabelTable.from_dense([f"{row}.jpg" for row in range(40)], ["a", "b", "c"], labels, root=Path())
    return Kept(table, np.arange(40), [features])


def solved(kept: Kept, penalty: float, loss: BCELoss | None = None) -> LinearHead:
    torch.manual_seed(0)  # where a solver stops, within 1e-4 of the lowest objective, depends on where it starts
    head = LinearHead(6, 3)
    ExactHead(head, loss or BCELoss(), kept).solve(penalty)
    return head


def test_the_weights_are_those_of_scikit_learn(kept):
    head = solved(kept, 0.5)
    features, labels = kept.views[0][:].reshape(40, 6), kept.table.dense()
    scale = features.var(axis=0).mean()
    for column in range(3):
        known = labels[:, column] >= 0
        reference = LogisticRegression(C=1 / (0.5 * scale * 40), tol=1e-8, max_iter=10_000)
        reference.fit(features[known].astype(np.float64), labels[known, column])
        assert head.linear.weight[column].detach().numpy() == pytest.approx(reference.coef_[0], abs=5e-3)
        assert head.linear.bias[column].item() == pytest.approx(reference.intercept_[0], abs=5e-3)


def test_the_optimum_has_no_gradient(kept):
    loss = BCELoss(pos_weight=[2.0, 1.0, 0.5], label_smoothing=0.1)
    head = solved(kept, 0.1, loss)
    features = torch.from_numpy(kept.views[0][:])
    labels = torch.from_numpy(kept.table.dense())
    scale = float(features.flatten(1).var(dim=0, correction=0).mean())
    objective = loss(head(features), labels) + 0.1 * scale / 2 * head.linear.weight.square().sum()
    objective.backward()
    assert head.linear.weight.grad.abs().max() < 2e-3
    assert head.linear.bias.grad.abs().max() < 2e-3


def test_views_count_as_images_of_their_own(kept):
    twice = Kept(kept.table, kept.rows, [kept.views[0], kept.views[0]])
    one, other = (solved(each, 0.3).linear.weight for each in (kept, twice))
    assert torch.allclose(one, other, atol=5e-3)


def test_a_larger_penalty_makes_smaller_weights(kept):
    sizes = [float(solved(kept, penalty).linear.weight.square().sum()) for penalty in (0.01, 0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("head", [MLPHead(6, 3), LinearHead(6, 3, pooling="gem"), LinearHead(6, 3, dropout=0.1)])
def test_heads_that_are_not_linear_are_refused(kept, head):
    with pytest.raises(UsageError, match="solves a linear head without dropout"):
        ExactHead(head, BCELoss(), kept)


def test_other_losses_are_refused(kept):
    with pytest.raises(UsageError, match=r"found FocalLoss; take --model\.loss bce"):
        ExactHead(LinearHead(6, 3), FocalLoss(), kept)


@pytest.mark.parametrize("penalties", [[], [0.0], [-1.0], [float("nan")], [float("inf")]])
def test_penalties_are_above_0(penalties):
    with pytest.raises(UsageError, match="expected finite numbers above 0"):
        Exact([torch.nn.Parameter(torch.zeros(1))], penalties)


@pytest.fixture
def words(small, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    frozen = ["--model.backbone.freeze", "true", "--data.augmentation.flip", "false"]
    return ["fit", *small, *frozen, "--model.optimizer", "exact", "--trainer.max_epochs", "20"]


def fit(words: list[str], capsys, code: int = 0) -> str:
    capsys.readouterr()
    assert main(words) == code, capsys.readouterr().err
    return capsys.readouterr().err


def test_a_training_goes_through_the_penalties_and_keeps_the_best(words, capsys):
    said = fit(words, capsys)
    assert "epoch 1/20: penalty 100.0000" in said
    assert "epoch 13/20: penalty 0.0100" in said
    assert "epoch 14/20" not in said
    lines = Path("runs/run/v1/metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val/mAP")
    scores = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    assert len(scores) == 13
    assert json.loads(Path("runs/run/v1/metrics.json").read_text())["val/mAP"] == pytest.approx(max(scores), abs=1e-6)


def test_a_resumed_path_goes_on_where_it_was(words, capsys):
    fit(words, capsys)
    said = fit([*words, "--trainer.max_epochs", "4"], capsys)
    assert "the first 4 are tried" in said
    said = fit([*words, "--ckpt_path", "runs/run/v2/last.ckpt"], capsys)
    assert "epoch 5/20: penalty 4.6416" in said
    assert "epoch 4/20" not in said
    one, other = (torch.load(f"runs/run/{run}/last.ckpt", weights_only=True)["state_dict"] for run in ("v1", "v3"))
    assert torch.allclose(one["head.linear.weight"], other["head.linear.weight"], rtol=0.02, atol=1e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--features", "off"], "none are kept"),
        (["--model.backbone.freeze", "false"], "none are kept"),
        (["--model.lr_scheduler", "OneCycle"], "has no learning rate"),
        (["--trainer.gradient_clip_val", "1"], "has no learning rate"),
        (["--data.repeat_threshold", "0.5"], "all training samples, each once"),
        (["--trainer.limit_train_batches", "0.5"], "all training samples, each once"),
        (["--model.head", "mlp"], "solves a linear head"),
        (["--model.loss", "focal"], "minimises binary cross-entropy"),
    ],
)
def test_what_cannot_be_solved_is_refused_with_what_to_do(words, capsys, more, message):
    assert message in fit([*words, *more], capsys, code=2)
