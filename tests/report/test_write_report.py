import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from mlic.errors import MlicError, UsageError
from mlic.labels import Strings
from mlic.report import write_report
from mlic.scored import Scored
from mlic.thresholds import Decisions


class Page(HTMLParser):
    """What a page holds: its tags with their attributes, and its text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def report(scored, tmp_path_factory):
    return write_report(scored, tmp_path_factory.mktemp("report") / "new" / "folder", resamples=20)


def test_all_four_files_are_there_and_the_scores_load_again(report, scored):
    assert [path.name for path in report] == ["report.html", "report.md", "report.json", "scored.npz"]
    assert all(path.is_file() for path in report)
    again = Scored.load(report.scored)
    assert torch.equal(again.logits, scored.logits)
    assert again.classes == scored.classes


def test_equal_scores_give_equal_files(report, scored, tmp_path):
    again = write_report(scored, tmp_path, resamples=20)
    for one, other in zip(report, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_figures_of_each_class_are_those_of_scikit_learn_on_known_cells(report, scored):
    for column, found in enumerate(json.loads(report.json.read_text())["classes"]):
        known = (scored.labels[:, column] >= 0).numpy()
        truth, said = scored.labels[known, column].numpy(), scored.present[known, column].numpy()
        assert (found["support"], found["negatives"]) == ((truth == 1).sum(), (truth == 0).sum())
        assert found["unknown"] == (~known).sum()
        assert (found["false_positives"], found["misses"]) == (
            (said & (truth == 0)).sum(),
            (~said & (truth == 1)).sum(),
        )
        if not truth.any():
            assert found["average_precision"] is None
            assert found["recall"] is None
            continue
        expected = {
            "average_precision": average_precision_score(truth, scored.logits[known, column].numpy()),
            "f1": f1_score(truth, said),
            "precision": precision_score(truth, said),
            "recall": recall_score(truth, said),
        }
        for name, value in expected.items():
            assert np.isclose(found[name], value), name


def test_json_has_a_version_and_knows_no_not_a_number(report):
    def refuse(word):
        raise AssertionError(word)

    content = json.loads(report.json.read_text(), parse_constant=refuse)
    assert content["version"] == 1
    assert content["samples"] == 60
    assert content["known"] + content["unknown"] == 60 * 5
    assert content["unlabelled"] >= 1
    assert {"figures", "classes", "pairs", "decisions", "label_errors", "highest_losses", "mistakes"} <= content.keys()


def test_names_are_shown_as_they_are_in_page_and_markdown(report):
    page = Page(report.html)
    assert "x & <y>" in page.text
    assert "<y>" not in report.html.read_text("utf-8")
    assert r"| a\|b |" in report.markdown.read_text("utf-8")


def test_a_name_that_is_a_script_stays_a_name(scored, tmp_path):
    evil = '"><script>alert(1)</script>'
    named = replace(scored, name=evil, classes=(evil, *scored.classes[1:]), about={evil: evil})
    page = write_report(named, tmp_path, resamples=2).html
    scripts = [tag for tag, _ in Page(page).tags if tag == "script"]
    assert len(scripts) == 1
    assert evil not in page.read_text("utf-8")


def test_each_row_of_a_markdown_table_has_as_many_cells_as_its_heading(report):
    width = None
    for line in report.markdown.read_text("utf-8").splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = None if not line.startswith("|") else width or cells
        assert width is None or cells == width, line


def test_the_page_refers_to_nothing_outside_of_it(report):
    for tag, attributes in Page(report.html).tags:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, name, value)
    text = report.html.read_text("utf-8")
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)
    assert "default-src 'none'" in text


def test_each_image_is_embedded_once_and_has_a_text_in_its_place(report):
    pictures = [attributes for tag, attributes in Page(report.html).tags if tag == "img"]
    embedded = [picture["src"] for picture in pictures if "src" in picture]
    assert len(embedded) == len(set(embedded))
    ids = {picture["id"] for picture in pictures if "src" in picture}
    again = [picture["data-same"] for picture in pictures if "src" not in picture]
    assert again
    assert set(again) <= ids
    assert all(picture["alt"] for picture in pictures)


def test_no_id_is_there_twice_and_each_link_leads_somewhere(report):
    tags = Page(report.html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes in tags if tag == "a"}
    assert links <= set(ids)


def test_images_that_are_not_there_are_placeholders_with_the_reason(scored, tmp_path):
    page = write_report(replace(scored, root=tmp_path / "gone"), tmp_path, resamples=2).html
    assert "No picture: no such file" in page.read_text("utf-8")
    assert not [tag for tag, _ in Page(page).tags if tag == "img"]


def test_few_positives_are_marked(scored, tmp_path):
    report = write_report(scored, tmp_path, resamples=2)
    support = (scored.labels == 1).sum(dim=0).tolist()
    for name, number in zip(scored.classes, support, strict=True):
        if name.isalpha():
            assert (f"| {name} (few) |" in report.markdown.read_text()) == (number < 10)


def test_labels_of_which_nothing_is_known_make_a_report_all_the_same(scored, tmp_path):
    nothing = replace(scored, labels=torch.full_like(scored.labels, -1))
    report = write_report(nothing, tmp_path, resamples=3)
    assert "n/a" in report.markdown.read_text()
    assert json.loads(report.json.read_text())["known"] == 0


@pytest.mark.parametrize(("samples", "classes"), [(1, 1), (1, 5), (60, 1)])
def test_a_single_sample_or_class_makes_a_report(scored, tmp_path, samples, classes):
    small = replace(
        scored,
        classes=scored.classes[:classes],
        paths=scored.paths[1 : samples + 1] if samples == 1 else scored.paths,
        logits=scored.logits[-samples:, :classes],
        labels=scored.labels[-samples:, :classes],
        decisions=Decisions.plain(classes),
    )
    write_report(small, tmp_path, resamples=3)


def test_no_samples_are_refused(scored, tmp_path):
    none = replace(scored, paths=Strings(), logits=scored.logits[:0], labels=scored.labels[:0])
    with pytest.raises(UsageError, match="0 samples of 5 classes; a report needs at least one"):
        write_report(none, tmp_path)


def test_a_folder_that_cannot_be_made_is_told(scored, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MlicError, match=r"file.*cannot be made"):
        write_report(scored, tmp_path / "file", resamples=2)


def test_a_logit_that_is_no_number_counts_for_nothing_where_the_label_is_unknown_and_is_told_elsewhere(
    scored, tmp_path
):
    logits = torch.where(scored.labels < 0, torch.nan, scored.logits)
    text = write_report(replace(scored, logits=logits), tmp_path, resamples=2).json.read_text()
    assert (
        json.loads(text)["figures"]
        == json.loads(write_report(scored, tmp_path, resamples=2).json.read_text())["figures"]
    )
    logits[scored.labels == 1] = torch.nan
    with pytest.raises(MlicError, match="is not a number"):
        write_report(replace(scored, logits=logits), tmp_path, resamples=2)


def test_file_names_that_are_not_utf_8_make_a_page_that_is(scored, tmp_path):
    paths = Strings(f"\udcff{path}" for path in scored.paths)
    report = write_report(replace(scored, paths=paths), tmp_path, resamples=2)
    assert re.search(r"\?\d{3}\.jpg", report.html.read_text("utf-8"))
    assert json.loads(report.json.read_text())["highest_losses"][0]["path"].startswith("\udcff")


@pytest.mark.slow
def test_hundreds_of_classes_leave_some_without_a_gallery_and_say_so(images, tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels = (torch.rand(60, 250, generator=generator) < 0.2).to(torch.int8)
    logits = torch.randn(60, 250, generator=generator)
    names = tuple(f"class {index}" for index in range(250))
    paths = Strings(f"{index:03}.jpg" for index in range(60))
    many = Scored("many", names, paths, images, logits, labels, Decisions.plain(250))
    text = write_report(many, tmp_path, resamples=2).html.read_text("utf-8")
    assert "The other 170 classes" in text
    assert "among the 200 most frequent classes" in text


def test_calibration_thresholds_and_the_greatest_number_are_told(scored, tmp_path):
    decisions = replace(
        scored.decisions, thresholds=torch.linspace(0.2, 0.6, 5), slope=torch.full((5,), 0.5), at_most=2
    )
    text = write_report(replace(scored, decisions=decisions), tmp_path, resamples=2).markdown.read_text()
    assert "the logits are divided by 2 before the sigmoid" in text
    assert "0.2 to 0.6" in text
    assert "an image keeps the 2 classes with the highest scores" in text


def test_surer_scores_that_are_all_1_change_no_rank_of_the_classes_of_an_image(scored, tmp_path):
    surer = replace(scored, decisions=replace(scored.decisions, slope=torch.full((5,), 20.0)))
    assert (surer.scores == 1).sum(dim=1).gt(1).any()
    found = [
        {one["name"]: one["value"] for one in json.loads(report.json.read_text())["figures"]}
        for report in (
            write_report(each, tmp_path / each.name, resamples=2) for each in (scored, replace(surer, name="b"))
        )
    ]
    for name in ("lrap", "coverage_error", "ranking_loss", "one_error"):
        assert found[0][name] == found[1][name]


def test_templates_styles_and_script_are_in_the_wheel(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    root = Path(__file__).parents[2]
    names = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    for path in (root / "mlic/report").glob("*"):
        if path.suffix in (".jinja", ".css", ".js"):
            assert f"mlic/report/{path.name}" in names
