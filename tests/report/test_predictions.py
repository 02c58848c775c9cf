import io
import json

import numpy as np
import pytest
import torch

from mlic.errors import LabelError
from mlic.labels import LabelTable
from mlic.predict import CsvWriter, JsonlWriter, Prediction
from mlic.report import read_predictions, write_report

CLASSES = ("cat", "dog")


def table(root, **more):
    labels = np.array([[1, 0], [0, 1], [-1, 0], [1, 1]], np.int8)
    return LabelTable.from_dense(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], CLASSES, labels, root=root, **more)


PREDICTIONS = [
    Prediction("b.jpg", ("cat", "dog"), {"cat": 0.31, "dog": 0.75}),
    Prediction("a.jpg", (), {"cat": 0.3, "dog": 0.0}),
    Prediction("c.jpg", (), {}, "truncated JPEG"),
    Prediction("z.jpg", (), {"cat": 0.1, "dog": 0.2}),
]


def written(path, predictions):
    stream = io.StringIO()
    write = CsvWriter(stream, CLASSES) if path.suffix == ".csv" else JsonlWriter(stream)
    for prediction in predictions:
        write(prediction)
    path.write_text(stream.getvalue(), "utf-8")
    return path


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_what_predict_writes_is_joined_with_the_labels(tmp_path, name):
    scored = read_predictions(written(tmp_path / name, PREDICTIONS), table(tmp_path))
    assert list(scored.paths) == ["a.jpg", "b.jpg"]
    assert scored.labels.tolist() == [[1, 0], [0, 1]]
    torch.testing.assert_close(scored.scores, torch.tensor([[0.3, 0.0], [0.31, 0.75]]))
    assert scored.present.tolist() == [[False, False], [True, True]]
    assert scored.about["predictions"].startswith("2 of the 4 images")
    assert scored.about["without prediction"] == "1 images, the first 'd.jpg'"
    assert scored.about["without labels"] == f"1 rows of {name}, the first 'z.jpg'"
    assert scored.about["unreadable"].startswith("1 images that the model could not read, the first 'c.jpg'")


def test_any_csv_with_a_path_and_scores_will_do(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("File;width;dog;cat\r\na.jpg;640;0.2;0.9\r\nd.jpg;640;0.6;0.4\r\n")
    scored = read_predictions(path, table(tmp_path))
    torch.testing.assert_close(scored.scores, torch.tensor([[0.9, 0.2], [0.4, 0.6]]))
    assert scored.present.tolist() == [[True, False], [False, True]]
    assert "width" in scored.about["not used"]
    assert write_report(scored, tmp_path / "report", resamples=3).html.is_file()


def test_absolute_paths_and_roundabout_ones_lead_to_the_same_image(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    path = tmp_path / "out.csv"
    path.write_text(f"path,cat,dog\n{tmp_path}/photos/a.jpg,0.1,0.2\nphotos/../photos/b.jpg,0.3,0.4\n")
    assert list(read_predictions(path, table(tmp_path / "photos")).paths) == ["a.jpg", "b.jpg"]


def test_scores_of_exactly_0_and_1_have_finite_logits(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("path,cat,dog\na.jpg,0,1\nb.jpg,1e-320,0.9999999999999999\n")
    scored = read_predictions(path, table(tmp_path))
    assert scored.logits.isfinite().all()
    assert scored.scores[0].tolist() == [0.0, 1.0]
    write_report(scored, tmp_path / "report", resamples=3)


@pytest.mark.parametrize("score", ["1.5", "-0.1", "nan", "inf", "high", ""])
def test_what_is_no_probability_is_refused_with_its_line(tmp_path, score):
    path = tmp_path / "out.csv"
    path.write_text(f"path,cat,dog\na.jpg,0.1,0.2\nb.jpg,0.1,{score}\n")
    with pytest.raises(LabelError, match=r"out\.csv:3: the score of class 'dog' is .*expected a probability, 0 to 1"):
        read_predictions(path, table(tmp_path))
    lines = tmp_path / "out.jsonl"
    lines.write_text('{"path": "a.jpg", "scores": {"cat": true, "dog": 0.1}}\n')
    with pytest.raises(LabelError, match=r"out\.jsonl:1: the score of class 'cat' is True"):
        read_predictions(lines, table(tmp_path))


def test_an_image_that_is_there_twice_is_refused_with_both_lines(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("path,cat,dog\na.jpg,0.1,0.2\nb.jpg,0.1,0.2\na.jpg,0.3,0.2\n")
    with pytest.raises(LabelError, match=r"out\.csv:4: image 'a\.jpg' is there twice, first on line 2"):
        read_predictions(path, table(tmp_path))


def test_a_class_without_a_column_is_refused_with_the_likeliest_one(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("path,cat,dgo\na.jpg,0.1,0.2\n")
    with pytest.raises(LabelError, match=r"no column 'dog'.*did you mean 'dgo'"):
        read_predictions(path, table(tmp_path))
    lines = tmp_path / "out.jsonl"
    lines.write_text('{"path": "a.jpg", "scores": {"cat": 0.1}}\n')
    with pytest.raises(LabelError, match=r"out\.jsonl:1: no score for class 'dog'"):
        read_predictions(lines, table(tmp_path))


def test_no_column_of_paths_and_no_common_image_are_refused(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("picture,cat,dog\na.jpg,0.1,0.2\n")
    with pytest.raises(LabelError, match="no column is called path, image"):
        read_predictions(path, table(tmp_path))
    path.write_text("path,cat,dog\nq.jpg,0.1,0.2\n")
    with pytest.raises(LabelError, match=r"none of its images, such as 'q\.jpg', is among the 4"):
        read_predictions(path, table(tmp_path))


def test_thresholds_say_what_the_file_says_whatever_made_it(tmp_path):
    generator = np.random.default_rng(0)
    scores = generator.random((4, 2)).round(6)
    for cut in (0.0, 0.2, 0.5, 0.77, 1.1):
        rows = [
            Prediction(
                f"{name}.jpg",
                tuple(c for c, s in zip(CLASSES, row, strict=True) if s >= cut),
                dict(zip(CLASSES, row, strict=True)),
            )
            for name, row in zip("abcd", scores.tolist(), strict=True)
        ]
        found = read_predictions(written(tmp_path / "out.csv", rows), table(tmp_path))
        assert found.present.tolist() == (scores >= cut).tolist()
        assert "decided" not in found.about


def test_labels_that_no_threshold_gives_are_counted(tmp_path):
    rows = [
        Prediction("a.jpg", ("cat",), {"cat": 0.2, "dog": 0.1}),
        Prediction("b.jpg", (), {"cat": 0.9, "dog": 0.1}),
    ]
    found = read_predictions(written(tmp_path / "out.jsonl", rows), table(tmp_path))
    assert found.about["decided"].endswith("of 4 cells otherwise than the file's labels, which no thresholds give")


@pytest.mark.parametrize("labels", ["cat; dog", "bird", "0"])
def test_labels_that_are_joined_otherwise_or_no_classes_are_refused_with_their_line(tmp_path, labels):
    path = tmp_path / "out.csv"
    path.write_text(f'path,labels,cat,dog\na.jpg,cat | dog,0.9,0.8\nb.jpg,"{labels}",0.9,0.8\n')
    with pytest.raises(LabelError, match=rf"out\.csv:3: label '{labels}' has no score; expected names of classes"):
        read_predictions(path, table(tmp_path))


def test_soft_labels_are_hardened(tmp_path):
    soft = LabelTable.from_dense(["a.jpg"], CLASSES, np.array([[0.9, 0.5]]), root=tmp_path)
    path = tmp_path / "out.csv"
    path.write_text("path,cat,dog\na.jpg,0.1,0.2\n")
    assert read_predictions(path, soft).labels.tolist() == [[1, -1]]


def test_a_document_that_is_no_prediction_is_refused_with_its_line(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps({"path": 3, "scores": {}}) + "\n")
    with pytest.raises(LabelError, match=r"out\.jsonl:1: expected an object with path"):
        read_predictions(path, table(tmp_path))
