"""SVG that may stand within any page."""

import re
import warnings
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from mlic.charts import (
    Bins,
    Curve,
    compare,
    cooccurrence,
    draw_cooccurrence,
    precision_by_support,
    precision_recall,
    precision_recall_of_classes,
    reliability,
    score_histogram,
    svg,
    threshold_curves,
)

STRANGE = [
    "<b>bold</b> & brave",
    "$x_1$",
    "_hidden",
    "3$ & 5$",
    "犬",
    "قطة",
    "a\nb\x00",
    "'\"",
    "é" * 300,
    "",
    "{}",
    "%s",
]


def curve_of(scores: np.ndarray, labels: np.ndarray) -> Curve:
    order = np.argsort(-scores)
    hits = np.cumsum(labels[order] == 1)
    if not hits[-1:].any():
        return Curve(np.zeros(0), np.zeros(0), np.zeros(0))
    return Curve(hits / np.arange(1, len(hits) + 1), hits / hits[-1], scores[order])


def every_chart(classes: list[str], samples: int) -> dict[str, Figure]:
    """All charts of random scores; the first class has no positives where there are several."""
    rng = np.random.default_rng(len(classes))
    scores, labels = rng.random((samples, len(classes))), rng.integers(-1, 2, (samples, len(classes))).astype(np.int8)
    if len(classes) > 1:
        labels[:, 0] = np.minimum(labels[:, 0], 0)
    curves = [curve_of(*pair) for pair in zip(scores.T, labels.T, strict=True)]
    precisions = np.array([curve.precision.mean() if len(curve.precision) else np.nan for curve in curves], dtype=float)
    support = (labels == 1).sum(0)
    micro = curve_of(scores.ravel(), labels.ravel())
    shares = cooccurrence(labels == 1, labels >= 0)
    bins = Bins(np.array([0.2, np.nan]), np.array([0.3, np.nan]), np.array([samples, 0]))
    name = classes[0] if classes else "all"
    return {
        "precision_recall": precision_recall(classes, curves, precisions, micro, 0.5),
        "of_classes": precision_recall_of_classes(classes, curves, precisions, np.full(len(classes), 0.5)),
        "thresholds": threshold_curves(name, micro, 0.5),
        "reliability": reliability(bins, bins),
        "support": precision_by_support(classes, precisions, support),
        "cooccurrence": draw_cooccurrence(classes, shares, shares, support),
        "histogram": score_histogram(name, scores.ravel(), labels.ravel(), 0.5),
        "compare": compare(("_a", "$b$"), classes, precisions, precisions / 2, precisions / 3, precisions / 1.5),
    }


@pytest.fixture(scope="module")
def strange() -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {name: svg(figure) for name, figure in every_chart(STRANGE, 60).items()}


def ids(text: str) -> set[str]:
    return {element.attrib["id"] for element in ElementTree.fromstring(text).iter() if "id" in element.attrib}


def test_every_chart_is_xml_with_a_title_that_is_its_label_for_screen_readers(strange: dict[str, str]):
    for text in strange.values():
        root = ElementTree.fromstring(text)
        title = root[0]
        assert title.tag.endswith("title")
        assert title.text == root.attrib["aria-label"] != ""
        assert root.attrib["role"] == "img"
        assert text.startswith("<svg ")


def test_nothing_points_out_of_the_page(strange: dict[str, str]):
    for text in strange.values():
        assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
        assert not re.search(r"<(style|script|metadata|a|foreignObject)\b", text)
        assert all(link.startswith(("#", "data:image/png;base64,")) for link in re.findall(r'href="([^"]*)', text))


def test_ids_of_two_charts_on_a_page_differ_and_each_reference_has_its_id(strange: dict[str, str]):
    of_each = [ids(text) for text in strange.values()]
    assert sum(map(len, of_each)) == len(set.union(*of_each)) > 5
    for text, known in zip(strange.values(), of_each, strict=True):
        assert set(re.findall(r"url\(#([^)]*)\)", text)) | set(re.findall(r'href="#([^"]*)', text)) == known


def test_names_are_shown_as_they_are(strange: dict[str, str]):
    said = "\n".join(ElementTree.fromstring(strange["of_classes"]).itertext())
    for name in (
        "<b>bold</b> & brave"[:17],
        "$x_1$",
        "_hidden",
        "3$ & 5$",
        "犬",
        "قطة",
        "a b\ufffd",
        "'\"",
        "{}",
        "%s",
    ):
        assert name in said
    assert "é" * 17 + "…" in said
    assert "é" * 19 not in said


def test_equal_figures_give_equal_text(strange: dict[str, str]):
    assert {name: svg(figure) for name, figure in every_chart(STRANGE, 60).items()} == strange


def test_a_figure_may_be_written_twice():
    figure = every_chart(["dog", "cat"], 30)["compare"]
    assert svg(figure) == svg(figure)


def test_neutral_ink_is_that_of_the_text_around_and_no_background_is_drawn(strange: dict[str, str]):
    for text in strange.values():
        assert "currentColor" in text
        colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})', text))
        assert colours <= {"#2f86bd", "#cf6f1b", "#3a9a5f", "#8f6bc1", "#80868c"}


def test_text_is_text_in_the_font_of_the_reader(strange: dict[str, str]):
    for text in strange.values():
        assert "<text" in text
        assert text.count("font-family") == 1
        assert "DejaVu" not in text


@pytest.mark.parametrize(("classes", "samples"), [([], 0), (["one"], 0), (["one"], 1), (["a", "b"], 1)])
def test_few_or_no_samples_and_classes_draw_without_a_warning(classes: list[str], samples: int):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in every_chart(classes, samples).values():
            ElementTree.fromstring(svg(figure))


def test_a_matplotlibrc_changes_nothing():
    figure = every_chart(["dog", "cat"], 30)["precision_recall"]
    with matplotlib.rc_context({"axes.grid": True, "font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert svg(every_chart(["dog", "cat"], 30)["precision_recall"]) == svg(figure)
        assert matplotlib.rcParams["font.size"] == 30


def test_a_thousand_classes_take_few_bytes():
    for name, figure in every_chart([f"class {number}" for number in range(1200)], 40).items():
        assert len(svg(figure)) < 120_000, name


def test_points_say_their_class_when_a_pointer_rests_on_them(strange: dict[str, str]):
    root = ElementTree.fromstring(strange["support"])
    said = [title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")][1:]
    assert len(said) == len(STRANGE) - 1
    assert [text.split(":")[0] for text in said[:2]] == ["$x_1$", "_hidden"]


def test_a_path_keeps_its_places_to_a_tenth_of_a_point():
    figure = Figure(figsize=(4, 3))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1))
    axes.set_axis_off()
    x = np.linspace(0, 1, 30)
    y = np.random.default_rng(0).random(30)
    axes.plot(x, y, color="#2f86bd")
    found = re.search(r'd="(M[^"]*)"[^>]*stroke="#2f86bd"', svg(figure))
    assert found
    places = [np.zeros(2)]
    for command, numbers in re.findall(r"([Mlhv])([^Mlhv]*)", found[1]):
        step = [float(number) for number in numbers.split()]
        if command == "M":
            places.append(np.array(step))
        else:
            places.append(places[-1] + {"l": step, "h": [*step, 0], "v": [0, *step]}[command][:2])
    drawn = np.array(places[1:])
    assert np.abs(drawn - np.column_stack([x * 288, (1 - y) * 216])).max() < 0.051
