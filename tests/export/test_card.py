import yaml

from mlic.export.card import model_card


def test_names_that_hurt_break_neither_the_table_nor_the_front_matter(make_classifier, facts_of):
    names = ["a | b", "two\nlines", "---", 'quo"te: yes', "#"]
    facts = {**facts_of(make_classifier()), "classes": names, "metrics": {"val/mAP": 0.5}}
    text = model_card("pets: 'v1'\n", facts, ["model.onnx"])
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["model-index"][0]["name"] == "pets: 'v1'\n"
    rows = [line for line in body.partition("## Figures")[0].splitlines() if line.startswith("| ")]
    shown = [row.rpartition(" | ")[0] for row in rows[2:]]
    assert shown == [
        "| a \\| b",
        "| two lines",
        "| ---",
        '| quo"te: yes',
        "| #",
    ]
