import csv
from functools import partial

import pytest
import torch
from PIL import Image

from mlic import plugins
from mlic.backbones.precomputed import Precomputed
from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.errors import UsageError
from mlic.explain import MEANINGS, explain, see
from mlic.explain.gradients import grad_cam
from mlic.heads import CAMHead, CSRAHead, Head, LinearHead, MLDecoderHead, MLPHead, Query2LabelHead
from mlic.images import read_image, read_square

HEADS = [plugin.name for plugin in plugins.available("heads") if plugin.built_in]
CLASSES = ("red", "green", "blue")


def sharp(classifier):
    """The classifier with weights that mean the colours, and queries that look for them."""
    head = classifier.head
    with torch.no_grad():
        if isinstance(head, MLPHead):
            head.hidden.weight.copy_(torch.eye(3))
        if isinstance(head, CAMHead):
            head.queries.weight.copy_(20 * torch.eye(3))
        head.linear.weight.copy_((40 * torch.eye(3) - 10).repeat(len(head.linear.weight) // 3, 1))
        (head.bias if isinstance(head, CSRAHead) else head.linear.bias).fill_(-1.0)
    return classifier


SHARP = {
    "linear": (LinearHead, "class_activation"),
    "csra": (partial(CSRAHead, num_heads=2), "class_activation"),
    "cam": (CAMHead, "class_activation"),
    "linear, max": (partial(LinearHead, pooling="max"), "grad_cam"),
    "linear, gem": (partial(LinearHead, pooling="gem"), "grad_cam"),
    "mlp": (partial(MLPHead, hidden=3), "grad_cam"),
}


def patch(path, colour):
    """Where in an image its colour is: more than 40 levels above the other two."""
    pixels = read_image(path).float()
    channel = CLASSES.index(colour)
    others = torch.stack([pixels[other] for other in range(3) if other != channel]).amax(dim=0)
    return pixels[channel] - others > 40


@pytest.mark.parametrize("name", SHARP)
def test_the_mass_of_a_map_lies_on_the_patch_that_makes_the_class(name, colourful, colours):
    head, method = SHARP[name]
    classifier = sharp(colourful(head))
    with (colours / "train.csv").open() as stream:
        rows = list(csv.DictReader(stream))[1:8]
    assert rows[-1]["red"] == rows[-1]["green"] == rows[-1]["blue"] == "1"
    for row in rows:
        found = explain(classifier, read_square(colours / row["image"], 64)[None], CLASSES)
        assert found.method == method
        for place, colour in enumerate(CLASSES):
            if row[colour] == "0":
                continue
            inside = patch(colours / row["image"], colour)
            heat = found.stretched(place, *inside.shape)
            best = divmod(int(heat.argmax()), inside.shape[1])
            assert inside[best], (row["image"], colour)
            # The patch is two or three blocks wide, and those at its border are half of it.
            wide = torch.nn.functional.max_pool2d(inside[None].float(), 9, stride=1, padding=4)[0] > 0
            assert heat[wide].sum() > 0.95 * heat.sum(), (row["image"], colour)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("method", ["auto", "grad_cam"])
def test_every_head_has_a_map_for_each_class_that_is_asked_for(name, backbone, method):
    torch.manual_seed(0)
    classifier = MultiLabelClassifier(
        ["cat", "dog", "owl"],
        backbone=lambda: TimmBackbone(backbone, weights="none", image_size=96),
        head=plugins.load(plugins.find("heads", name)),
    )
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    found = explain(classifier, images, ["owl", "cat"], method)
    assert found.method in MEANINGS
    assert method == "auto" or found.method == "grad_cam"
    assert found.classes == ("owl", "cat")
    height, width = classifier.feature_map(images).shape[2:]
    assert found.raw.shape == found.maps.shape == (2, 2, height, width)
    assert height * width > 1
    assert found.raw.isfinite().all()
    assert 0 <= found.maps.min() <= found.maps.max() <= 1
    for image in (0, 1):
        stretched = found.stretched(1, 30, 50, image=image)
        assert stretched.shape == (30, 50)
        assert 0 <= stretched.min() <= stretched.max() <= 1
    with torch.no_grad():
        scores = classifier.decisions.scores(classifier(images))[:, [2, 0]]
    torch.testing.assert_close(found.scores, scores)
    assert torch.equal(found.present, scores >= found.thresholds)
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_class_activation_tells_the_logit(colourful, colours):
    classifier = sharp(colourful())
    images = torch.stack([read_square(path, 64) for path in sorted((colours / "images").iterdir())[:4]])
    found = explain(classifier, images, ["blue", "red"])
    with torch.no_grad():
        logits = classifier(images)[:, [2, 0]]
    torch.testing.assert_close(found.raw.mean(dim=(2, 3)) - 1.0, logits)
    assert torch.equal(found.lowest, found.raw.flatten(2).min(dim=2).values)
    assert torch.equal(found.highest, found.raw.flatten(2).max(dim=2).values)


def test_grad_cam_of_a_linear_head_is_its_class_activation_divided_by_the_number_of_places():
    torch.manual_seed(0)
    head = LinearHead(6, 3).eval()
    feature_map = torch.randn(2, 6, 4, 5)
    own = head.maps(feature_map)
    assert own is not None
    torch.testing.assert_close(grad_cam(head, feature_map, [2, 0]), own.values[:, [2, 0]].detach() / 20)


@pytest.mark.parametrize("kind", [MLPHead, partial(MLDecoderHead, width=8), partial(Query2LabelHead, width=8)])
def test_grad_cam_weighs_features_by_the_slope_of_the_logit(kind):
    torch.manual_seed(0)
    head = kind(4, 3).eval().double()
    feature_map = torch.randn(1, 4, 2, 3, dtype=torch.float64)
    weights = torch.zeros(4, dtype=torch.float64)
    step = 1e-5
    with torch.no_grad():
        for feature in range(4):
            for row, column in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
                moved = torch.zeros_like(feature_map)
                moved[0, feature, row, column] = step
                slope = head(feature_map + moved)[0, 1] - head(feature_map - moved)[0, 1]
                weights[feature] += slope / (2 * step) / 6
    expected = torch.einsum("f,fhw->hw", weights, feature_map[0])
    torch.testing.assert_close(grad_cam(head, feature_map, [1])[0, 0], expected, rtol=1e-5, atol=1e-8)


def test_an_image_is_explained_alike_alone_and_among_others(colourful, colours):
    classifier = sharp(colourful(partial(MLPHead, hidden=3)))
    images = torch.stack([read_square(path, 64) for path in sorted((colours / "images").iterdir())[:5]])
    together = explain(classifier, images, CLASSES)
    for place in range(5):
        alone = explain(classifier, images[place : place + 1], CLASSES)
        torch.testing.assert_close(alone.raw[0], together.raw[place])


def test_a_map_without_contrast_stays_flat_and_one_that_speaks_against_the_class_is_dark(colourful):
    classifier = sharp(colourful())
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 64, 64)
    found = explain(classifier, red, ["red", "blue"])
    assert torch.equal(found.maps[0, 0], torch.ones(8, 8))
    assert found.highest[0, 1] < 0
    assert torch.equal(found.maps[0, 1], torch.zeros(8, 8))
    assert torch.equal(found.stretched(1, 5, 7), torch.zeros(5, 7))


def test_scores_are_those_of_all_views_and_maps_those_of_the_image(colourful, colours):
    classifier = sharp(colourful())
    image = read_square(sorted((colours / "images").iterdir())[1], 64)[None]
    plain = explain(classifier, image, CLASSES)
    classifier.use_tta("ten_crop")
    averaged = explain(classifier, image, CLASSES)
    assert torch.equal(averaged.raw, plain.raw)
    with torch.no_grad():
        torch.testing.assert_close(averaged.scores, classifier.decisions.scores(classifier.averaged(image)))
    assert not torch.equal(averaged.scores, plain.scores)


def test_it_works_in_inference_mode_and_on_a_frozen_backbone(colourful, colours):
    classifier = sharp(colourful(partial(MLPHead, hidden=3)))
    image = read_square(sorted((colours / "images").iterdir())[1], 64)[None]
    expected = explain(classifier, image, CLASSES)
    classifier.backbone.freeze()
    classifier.train()
    with torch.inference_mode():
        found = explain(classifier, image, CLASSES)
    assert torch.equal(found.raw, expected.raw)
    assert not classifier.training


def test_a_class_counts_once_and_no_class_gives_no_map(colourful):
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    for head in (LinearHead, MLPHead):
        classifier = colourful(head)
        assert explain(classifier, image, ["blue", "red", "blue"]).classes == ("blue", "red")
        assert explain(classifier, image, []).maps.shape == (1, 0, 8, 8)


def test_attention_can_be_asked_for_where_the_head_has_one(colourful):
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    found = explain(colourful(CAMHead), image, ["red"], "attention")
    assert found.method == "attention"
    torch.testing.assert_close(found.raw, torch.full((1, 1, 8, 8), 1 / 64))
    with pytest.raises(UsageError, match="LinearHead has no map of the kind attention; take auto"):
        explain(colourful(), image, ["red"], "attention")
    with pytest.raises(UsageError, match="answers with grad_cam"):
        explain(colourful(MLPHead), image, ["red"], "class_activation")


def test_a_class_that_is_not_there_is_told_with_one_that_is_near(colourful):
    with pytest.raises(UsageError, match="'gren' is not among the 3 classes of the model; did you mean 'green'"):
        explain(colourful(), torch.zeros(1, 3, 64, 64, dtype=torch.uint8), ["red", "gren"])
    with pytest.raises(UsageError, match="there are red, green, blue"):
        explain(colourful(), torch.zeros(1, 3, 64, 64, dtype=torch.uint8), ["zebra"])


def test_a_model_of_features_has_seen_no_image():
    classifier = MultiLabelClassifier(["cat"], backbone=lambda: Precomputed(4))
    image = torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
    for work in (partial(see, classifier, image), partial(explain, classifier, image, ["cat"])):
        with pytest.raises(UsageError, match="has never seen an image"):
            work()


def test_a_head_without_a_gradient_is_told(colourful):
    class Deaf(Head):
        def __init__(self, num_features, num_classes):
            super().__init__()

        def forward(self, feature_map):
            return feature_map.detach().mean(dim=(2, 3))

    with pytest.raises(UsageError, match="Deaf gives logits without a gradient"):
        explain(colourful(Deaf), torch.zeros(1, 3, 64, 64, dtype=torch.uint8), ["red"])


def test_the_map_of_a_squashed_image_is_stretched_to_its_shape(colourful, tmp_path):
    image = Image.new("RGB", (400, 100), (90, 90, 90))
    image.paste((230, 20, 20), (300, 0, 400, 50))  # the right quarter, the upper half
    image.save(tmp_path / "wide.png")
    found = explain(sharp(colourful()), read_square(tmp_path / "wide.png", 64)[None], ["red"])
    heat = found.stretched(0, 100, 400)
    rows, columns = torch.nonzero(heat > 0.5, as_tuple=True)
    assert (rows.max().item(), columns.min().item()) == pytest.approx((50, 300), abs=8)
