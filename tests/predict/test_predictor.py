import threading

import numpy as np
import pytest
import torch
from PIL import Image

from mlic.errors import UsageError
from mlic.images import read_image, squash
from mlic.predict import Predictor, Source


def test_four_lines_of_python_predict(checkpoint, colours):
    prediction = Predictor(checkpoint).predict([colours / "images/000.jpg"])[0]
    assert list(prediction.scores) == ["red", "green", "blue"]
    assert prediction.error == ""


def test_scores_are_those_of_the_bare_model(checkpoint, colours):
    predictor = Predictor(checkpoint, num_workers=0)
    path = colours / "images/005.jpg"
    with torch.inference_mode():
        logits = predictor.classifier(squash(read_image(path), 32).unsqueeze(0))
        scores = predictor.classifier.decisions.scores(logits)
    assert list(predictor.predict([path])[0].scores.values()) == pytest.approx(scores[0].tolist(), abs=1e-6)


def test_labels_are_the_classes_whose_score_reaches_the_threshold(checkpoint, colours):
    predictor = Predictor(checkpoint, num_workers=0)
    predictor.classifier.thresholds.copy_(torch.tensor([0.0, 1.1, 0.0]))
    assert predictor.predict([colours / "images/000.jpg"])[0].labels == ("red", "blue")


def test_there_is_one_row_for_each_path_in_order_whatever_the_batches(checkpoint, colours):
    paths = [str(path) for path in sorted((colours / "images").iterdir())][::-1]
    paths.append(paths[-1])
    one = Predictor(checkpoint, batch_size=1, num_workers=0).predict(paths)
    many = Predictor(checkpoint, batch_size=7, num_workers=2).predict(paths)
    assert [row.path for row in one] == [row.path for row in many] == paths
    for left, right in zip(one, many, strict=True):
        assert left.scores == pytest.approx(right.scores, abs=1e-6)


def test_an_unreadable_image_is_a_row_with_an_error(checkpoint, colours, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    rows = Predictor(checkpoint, batch_size=2, num_workers=0).predict([colours / "images/001.jpg", bad, bad])
    assert [bool(row.error) for row in rows] == [False, True, True]
    assert rows[1].scores == {}
    assert "bad.jpg" in rows[1].error


def test_one_path_alone_is_not_taken_for_its_letters(classifier):
    with pytest.raises(UsageError, match=r"give a list: \['a.jpg'\]"):
        Predictor(classifier).predict("a.jpg")


def test_fewer_than_no_workers_are_refused(classifier):
    with pytest.raises(UsageError, match="num_workers is -1; expected 0 or more"):
        Predictor(classifier, num_workers=-1)


def test_no_path_gives_no_row(checkpoint):
    assert Predictor(checkpoint).predict([]) == []


def test_scores_that_are_no_numbers_are_an_error_and_not_a_row_of_nothing(checkpoint, colours):
    predictor = Predictor(checkpoint, num_workers=0)
    torch.nn.init.constant_(predictor.classifier.head.linear.bias, float("nan"))
    row = predictor.predict([colours / "images/000.jpg"])[0]
    assert (row.labels, row.scores) == ((), {})
    assert "diverged" in row.error


def test_an_image_turned_by_exif_scores_as_the_upright_one(checkpoint, colours, tmp_path):
    upright = Image.open(colours / "images/003.jpg")
    upright.save(tmp_path / "upright.png")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    one, other = Predictor(checkpoint).predict([tmp_path / "upright.png", tmp_path / "turned.png"])
    assert one.scores == pytest.approx(other.scores, abs=1e-6)


def test_a_generator_is_gone_through_no_further_than_memory_was_promised(classifier, images):
    taken, written, ahead = [], [], []

    def paths():
        for _ in range(12):
            for path in images:
                taken.append(path)
                yield path

    def write(prediction):
        written.append(prediction.path)
        ahead.append(len(taken) - len(written))

    Predictor(classifier).write(paths(), write)
    assert written == images * 12
    assert max(ahead) < 100  # a few lots a lane, and those that tell whether there are few


def test_rows_come_while_the_paths_still_come(classifier, images):
    seen = threading.Event()

    def paths():
        yield from images
        assert seen.wait(60), "nothing was written before all paths were there"
        yield images[0]

    assert Predictor(classifier).write(paths(), lambda prediction: seen.set()) == (65, 0)


def test_rows_that_are_there_already_are_not_written_again_and_the_others_are_the_same(classifier, images):
    predictor = Predictor(classifier, engine="torch")
    everything = predictor.predict(images)
    for done in (0, 1, 3, 4, 30, 63, 64):
        rest = []
        assert predictor.write(images, rest.append, done=done) == (64 - done, 0)
        assert rest == everything[done:]


def test_features_are_those_of_the_backbone_in_the_order_of_the_images(classifier, images, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    paths, names, rows = [*images[:6], bad, *images[6:]], [], []

    def keep(some, features):
        names.extend(some)
        rows.extend(features)

    Predictor(classifier, engine="torch").write(paths, lambda prediction: None, write_features=keep)
    assert names == list(map(str, paths))
    assert np.isnan(rows[6]).all()
    with torch.inference_mode():
        square = squash(read_image(tmp_path.joinpath(images[9])), 32)
        expected = classifier.feature_map(square.unsqueeze(0)).mean(dim=(2, 3))[0].numpy()
    np.testing.assert_allclose(rows[10], expected, rtol=1e-3, atol=1e-5)


def test_features_have_a_row_for_each_image_where_none_of_a_lot_can_be_read(classifier):
    sources = [Source(f"{number}.jpg", error="gone") for number in range(9)]
    rows = []
    Predictor(classifier).write(sources, lambda prediction: None, write_features=lambda names, some: rows.extend(some))
    assert np.isnan(rows).all()
    assert np.shape(rows) == (9, classifier.backbone.num_features)


def test_a_threshold_overrides_those_that_were_fitted(classifier, images):
    assert Predictor(classifier, threshold=0.0).predict(images[:1])[0].labels == ("red", "green", "blue")
    assert Predictor(classifier, threshold=1.0).predict(images[:1])[0].labels == ()
    with pytest.raises(UsageError, match=r"threshold is 1\.5; expected a score"):
        Predictor(classifier, threshold=1.5)


def test_views_change_the_scores(classifier, images):
    plain = Predictor(classifier, tta="none").predict(images[1:2])[0]
    flipped = Predictor(classifier, tta="flip").predict(images[1:2])[0]
    classifier.use_tta("none")
    assert plain.scores != flipped.scores


def test_many_images_get_a_faster_engine_and_few_do_not(classifier, images):
    predictor = Predictor(classifier)
    predictor.predict(images[:3])
    assert predictor.engine_name == "plain"
    predictor.predict(images)
    assert predictor.engine_name == "torch"
    predictor.predict(images[:3])
    assert predictor.engine_name == "torch"


def test_an_engine_that_has_begun_goes_on(classifier, images):
    predictor = Predictor(classifier)
    predictor.go_on_with("torch")
    predictor.predict(images[:1])
    assert predictor.engine_name == "torch"
    predictor.go_on_with("abacus")
    assert predictor.engine == "torch"
