import pytest
import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.backbones.base import Backbone
from mlic.checkpoints import read_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.base import Batch, MultiLabelDataModule
from mlic.errors import CheckpointError, UsageError
from mlic.heads.linear import LinearHead
from mlic.losses.bce import BCELoss
from mlic.losses.zlpr import ZLPRLoss


class Mean(Backbone):
    """Gives the normalised pixels back, so that a test can see them."""

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        self.num_features, self.image_size = 3, 4
        self.mean, self.std = (0.0, 0.5, 1.0), (1.0, 0.5, 0.25)
        self.norm = nn.BatchNorm2d(3) if batch_norm else nn.Identity()

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        return self.norm(images)


class Seen(LinearHead):
    """Returns the mean of the feature map, without learning."""

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        return feature_map.mean(dim=(2, 3)) + 0 * self.linear.bias


def classifier(**parts) -> MultiLabelClassifier:
    return MultiLabelClassifier(["a", "b", "c"], backbone=Mean, **parts)


def batch(size: int = 4) -> Batch:
    images = torch.full((size, 3, 4, 4), 255, dtype=torch.uint8)
    return Batch(images, torch.tensor([[1, 0, -1]] * size, dtype=torch.int8), torch.arange(size))


def test_images_are_normalised_once_with_the_backbones_mean_and_std():
    logits = classifier(head=Seen)(batch(1).images)
    assert logits[0].tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_logits_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert classifier()(batch().images).dtype == torch.float32


def test_a_frozen_backbone_gets_no_gradient_and_keeps_its_statistics():
    def frozen() -> Mean:
        backbone = Mean(batch_norm=True)
        backbone.freeze()
        return backbone

    model = MultiLabelClassifier(["a", "b", "c"], backbone=frozen).train()
    before = model.backbone.norm.running_mean.clone()
    model.loss(model(batch().images), batch().labels).backward()
    assert torch.equal(model.backbone.norm.running_mean, before)
    assert model.backbone.norm.weight.grad is None
    assert model.head.linear.weight.grad is not None
    optimizer = model.configure_optimizers()
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {
        id(p) for p in model.head.parameters()
    }


def test_an_unknown_cell_reaches_no_gradient():
    model = classifier()
    model.loss(model(batch().images), batch().labels).backward()
    assert model.head.linear.bias.grad[2] == 0
    assert model.head.linear.bias.grad[:2].abs().min() > 0


def test_a_batch_without_any_readable_image_has_a_loss_of_zero():
    model = classifier()
    empty = Batch(*(tensor[:0] for tensor in batch()[:3]), errors=((0, "bad"),))
    loss = model.training_step(empty, 0)
    loss.backward()
    assert loss == 0
    assert all((p.grad == 0).all() for p in model.head.parameters())


def test_a_step_scheduler_counts_steps():
    model = classifier(
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer), lr_scheduler_interval="step"
    )
    assert model.configure_optimizers()["lr_scheduler"]["interval"] == "step"


def test_a_plateau_scheduler_watches_the_validation_map():
    model = classifier(lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max"))
    assert model.configure_optimizers()["lr_scheduler"]["monitor"] == "val/mAP"


def test_other_classes_than_the_datas_are_an_error(colours):
    from mlic.datamodules.image import ImageDataModule

    data = ImageDataModule(colours / "train.csv", colours / "val.csv", num_workers=0)
    trainer = pl.Trainer(fast_dev_run=True, accelerator="cpu", logger=False, enable_progress_bar=False)
    with pytest.raises(UsageError, match=r"the data has the classes \['red', 'green', 'blue'\], the model \['a', 'b'"):
        trainer.fit(classifier(), datamodule=data)


def test_a_checkpoint_that_is_missing_is_told(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.ckpt: no such checkpoint"):
        read_checkpoint(tmp_path / "gone.ckpt")


class HardBCE(BCELoss):
    takes_soft_labels = False


class SoftData(MultiLabelDataModule):
    """Says that its labels are soft, and whether a loader was asked for."""

    has_soft_labels = True
    classes = ("a", "b", "c")
    asked = False

    def train_dataloader(self):
        self.asked = True
        soft = batch()._replace(labels=torch.tensor([[0.75, 0.25, -1.0]] * 4))
        return torch.utils.data.DataLoader([soft], batch_size=None)


@pytest.mark.parametrize(("loss", "refused"), [(HardBCE, True), (BCELoss, False)])
def test_a_loss_that_takes_no_soft_labels_is_refused_before_anything_is_loaded(loss, refused):
    data = SoftData()
    trainer = pl.Trainer(fast_dev_run=True, accelerator="cpu", logger=False, enable_progress_bar=False)
    if refused:
        with pytest.raises(
            UsageError, match="HardBCE takes no soft labels, and some training labels lie between 0 and 1"
        ):
            trainer.fit(classifier(loss=loss), datamodule=data)
    else:
        trainer.fit(classifier(loss=loss), datamodule=data)
    assert data.asked != refused


def test_labels_are_hard_unless_a_datamodule_says_otherwise():
    class HardData(MultiLabelDataModule):
        classes = ("a", "b", "c")

    assert not HardData().has_soft_labels


class Two(Mean):
    """Two layers whose depths it tells."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def depths(self) -> dict[str, int]:
        return {name: ("first", "second").index(name.split(".")[0]) for name, _ in self.named_parameters()}


def rates_of(model: MultiLabelClassifier) -> dict[str, float]:
    model.trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False)
    found = model.configure_optimizers()
    optimizer = found if isinstance(found, torch.optim.Optimizer) else found["optimizer"]
    rate_of = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: rate_of[id(p)] for name, p in model.named_parameters()}


def test_each_layer_learns_slower_than_the_next_and_the_head_faster():
    model = MultiLabelClassifier(["a"], backbone=Two, layer_decay=0.5, head_lr_multiplier=10.0)
    found = rates_of(model)
    expected = {"backbone.first": 0.25, "backbone.second": 0.5, "head.linear": 10.0}
    for name, rate in found.items():
        assert rate == pytest.approx(1e-3 * expected[name.rpartition(".")[0]])


def test_layer_decay_is_refused_where_the_backbone_does_not_know_its_layers():
    class Silent(Two):
        depths = Backbone.depths

    model = MultiLabelClassifier(["a"], backbone=Silent, layer_decay=0.5)
    with pytest.raises(UsageError, match="Silent does not tell how deep its layers lie"):
        model.configure_optimizers()


def test_layer_decay_is_refused_where_the_backbone_leaves_out_a_layer():
    class Forgetful(Two):
        def depths(self) -> dict[str, int]:
            return {"first.weight": 0, "first.bias": 0}

    model = MultiLabelClassifier(["a"], backbone=Forgetful, layer_decay=0.5)
    with pytest.raises(UsageError, match=r"Forgetful\.depths\(\) leaves out second\.weight, second\.bias; expected"):
        model.configure_optimizers()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (lambda params: torch.optim.SGD(params, lr=-1.0), r"Invalid learning rate: -1\.0"),
        (lambda params: torch.optim.LBFGS(params), "LBFGS doesn't support .*biases and norms.*AdamW"),
    ],
)
def test_what_an_optimizer_refuses_is_an_error_of_usage(optimizer, message):
    with pytest.raises(UsageError, match=message):
        classifier(optimizer=optimizer).configure_optimizers()


def test_layer_decay_is_nothing_to_a_frozen_backbone():
    def frozen() -> Mean:
        backbone = Mean(batch_norm=True)
        backbone.freeze()
        return backbone

    assert len(MultiLabelClassifier(["a"], backbone=frozen, layer_decay=0.5).configure_optimizers().param_groups) == 2


def test_biases_and_norms_do_not_decay():
    model = MultiLabelClassifier(["a"], backbone=lambda: Mean(batch_norm=True))
    decay_of = {id(p): g["weight_decay"] for g in model.configure_optimizers().param_groups for p in g["params"]}
    decayed = {name for name, p in model.named_parameters() if decay_of[id(p)] > 0}
    assert decayed == {"head.linear.weight"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_decay": 0.0}, "layer_decay is 0.0"),
        ({"layer_decay": 1.5}, "layer_decay is 1.5"),
        ({"head_lr_multiplier": 0.0}, "head_lr_multiplier is 0.0"),
    ],
)
def test_multipliers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        MultiLabelClassifier(["a"], backbone=Mean, **arguments)


class Counting(BCELoss):
    """Notes what it is told."""

    def adapt(self, counts) -> None:
        self.counts = counts


class CountedData(MultiLabelDataModule):
    classes = ("a", "b", "c")

    @property
    def class_counts(self):
        from mlic.labels.counts import ClassCounts

        return ClassCounts([4, 0, 1], [0, 4, 3], 4)

    def train_dataloader(self):
        return torch.utils.data.DataLoader([batch()], batch_size=None)


def test_the_loss_knows_the_epoch_and_the_counts_which_the_checkpoint_brings_back(tmp_path):
    epochs = []

    class Watching(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            epochs.append(pl_module.loss.epoch)

    model = classifier(loss=Counting)
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        callbacks=[Watching()],
    )  # fmt: skip
    trainer.fit(model, datamodule=CountedData())
    assert epochs == [0, 1]
    assert model.loss.counts == CountedData().class_counts
    checkpoint: dict = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "c.ckpt")
    read_checkpoint(tmp_path / "c.ckpt")
    again = MultiLabelClassifier.from_checkpoint(tmp_path / "c.ckpt")
    assert again.loss.counts == CountedData().class_counts == again.class_counts


def test_the_loss_knows_the_epoch_of_a_training_that_goes_on_in_the_middle_of_one(tmp_path):
    class ThreeBatches(CountedData):
        def train_dataloader(self):
            return torch.utils.data.DataLoader([batch()] * 3, batch_size=None)

    class Watching(pl.Callback):
        def __init__(self) -> None:
            self.epochs: list[int] = []

        def on_train_batch_end(self, trainer, pl_module, *_):
            self.epochs.append(pl_module.loss.epoch)
            if trainer.global_step == 4:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    def epochs(**options):
        watching = Watching()
        trainer = pl.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            callbacks=[watching],
        )  # fmt: skip
        trainer.fit(classifier(), datamodule=ThreeBatches(), **options)
        return watching.epochs

    assert epochs() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert epochs(ckpt_path=tmp_path / "middle.ckpt", weights_only=True) == [1, 1, 2, 2, 2]


@pytest.mark.parametrize("loss", [ZLPRLoss, BCELoss])
def test_thresholds_are_fitted_unless_the_loss_decides_at_0_whatever_they_were(loss):
    class Validated(CountedData):
        def val_dataloader(self):
            images = torch.stack([torch.full((3, 4, 4), value, dtype=torch.uint8) for value in (0, 255)])
            labels = torch.tensor([[0, 0, 0], [1, 1, 1]], dtype=torch.int8)
            return torch.utils.data.DataLoader([Batch(images, labels, torch.arange(2))], batch_size=None)

    model = classifier(head=Seen, loss=loss)
    model.thresholds.fill_(0.9)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model, datamodule=Validated())
    fitted = model.thresholds.ne(0.9) & model.thresholds.ne(0.5)
    assert fitted[0].item() != loss.decides_at_zero
    assert model.thresholds.lt(0.9).all()


def test_a_checkpoint_from_before_scores_were_calibrated_calibrates_nothing():
    before = {name: value for name, value in classifier().state_dict().items() if name not in ("slope", "offset")}
    model = classifier()
    model.slope.fill_(3.0)
    model.offset.fill_(1.0)
    checkpoint: dict = {"state_dict": dict(before)}
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    assert model.slope.eq(1).all()
    assert model.offset.eq(0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_in_half_precision_decides_in_single_precision(dtype):
    model = classifier()
    model.thresholds.fill_(0.9985)  # 1 in bfloat16: no score would reach it
    model.to(dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert model.decisions.present(torch.full((1, 3), 7.0)).all()
    torch.testing.assert_close(model.thresholds, torch.full((3,), 0.9985), rtol=0, atol=0)
    assert model.double().thresholds.dtype == torch.float64


class Leftmost(LinearHead):
    """Answers with the first pixel of each channel, so that a mirrored image has other logits."""

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        return feature_map[:, :, 0, 0] + 0 * self.linear.bias


def test_evaluation_averages_the_logits_of_the_views_and_training_does_not():
    model = classifier(head=Leftmost, tta="flip").eval()
    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    images[..., -1] = 255
    one, other = model(images), model(images.flip(-1))
    assert not torch.equal(one, other)
    torch.testing.assert_close(model.averaged(images), (one + other) / 2)
    seen = batch(1)._replace(images=images)
    torch.testing.assert_close(model.predict_step(seen, 0), torch.sigmoid((one + other) / 2))


def test_a_backbone_that_takes_one_size_only_refuses_other_scales():
    class Fixed(Mean):
        def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
            if images.shape[-1] != 4:
                raise ValueError("4 pixels only")
            return images

    with pytest.raises(UsageError, match="32 pixels, which Fixed does not take"):
        MultiLabelClassifier(["a"], backbone=Fixed, tta="multi_scale")
    assert MultiLabelClassifier(["a"], backbone=Mean, tta="multi_scale").averaged(batch().images).shape == (4, 1)


def test_the_views_travel_with_the_checkpoint(tmp_path):
    checkpoint: dict = {"state_dict": classifier(tta="flip").state_dict()}
    classifier(tta="flip").on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "c.ckpt")
    assert MultiLabelClassifier.from_checkpoint(tmp_path / "c.ckpt").tta == "flip"
