"""`mlic search`: tries a space over kept features, ranks, and writes a configuration that `fit` reproduces."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from mlic.cli import main


@pytest.fixture
def words(small, tmp_path, monkeypatch) -> list[str]:
    """The words of a search behind a tiny frozen backbone, whose space is in space.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    frozen = ["--model.backbone.freeze", "true", "--data.augmentation.flip", "false"]
    rate = ["--model.optimizer", "AdamW", "--model.optimizer.lr", "0.05"]
    return ["search", "--space", "space.yaml", *small, *frozen, *rate]


def space(**places: object) -> None:
    Path("space.yaml").write_text(yaml.safe_dump(places), encoding="utf-8")


def run(words: list[str], capsys, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    returned = main(words)
    out, err = capsys.readouterr()
    assert returned == code, err
    return out, err


def rows(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_the_best_configuration_gives_its_score_again(words, capsys):
    space(**{"model.optimizer.lr": {"low": 1e-3, "high": 0.1, "log": True}, "model.loss": ["bce", "focal"]})
    out, _ = run([*words, "--trials", "6", "--output", "best.yaml", "--json"], capsys)
    result = json.loads(out)
    trials = rows("best.trials.jsonl")
    assert len(trials) == 6
    scores = [trial["val/mAP"] for trial in trials]
    assert result["val/mAP"] == max(scores)
    assert [place["val/mAP"] for place in result["ranking"]] == sorted(
        (place["val/mAP"] for place in result["ranking"]), reverse=True
    )
    out, _ = run(["fit", "--config", "best.yaml", "--json"], capsys)
    assert json.loads(out)["val/mAP"] == pytest.approx(max(scores), abs=0.05)


def test_an_exact_trial_is_a_path_whose_best_penalty_is_written(words, capsys):
    space(**{"model.optimizer": ["exact"]})
    out, _ = run([*words, "--trials", "2", "--output", "best.yaml", "--json"], capsys)
    exact = [trial for trial in rows("best.trials.jsonl") if "exact" in json.dumps(trial["choices"]).lower()]
    assert len(exact) == 1
    best = json.loads(out)
    if best["ranking"][0]["trial"] == exact[0]["trial"]:
        assert len(yaml.safe_load(Path("best.yaml").read_text())["model"]["optimizer"]["init_args"]["penalties"]) == 1


def test_the_same_seed_tries_the_same(words, capsys):
    space(**{"model.optimizer.lr": {"low": 1e-3, "high": 0.1, "log": True}})
    for name in ("one", "other"):
        run([*words, "--trials", "4", "--output", f"{name}.yaml"], capsys)
    one, other = ([(t["choices"], t["val/mAP"]) for t in rows(f"{name}.trials.jsonl")] for name in ("one", "other"))
    assert one == other


def test_the_table_says_what_was_found(words, capsys):
    space(**{"model.loss": ["bce", "asymmetric"]})
    out, _ = run([*words, "--trials", "3", "--output", "best.yaml"], capsys)
    assert "val/mAP" in out
    assert "next       mlic fit --config best.yaml" in out


def test_a_trial_that_fails_is_a_row(words, capsys, colours, tmp_path):
    table = (colours / "train.csv").read_text().splitlines()
    soft = [table[0], *(line.replace(",1", ",0.9") for line in table[1:])]
    (tmp_path / "images").symlink_to(colours / "images")
    (tmp_path / "soft.csv").write_text("\n".join(soft) + "\n")
    space(**{"model.loss": ["bce", "zlpr", "large_loss"]})
    reader = ["--data.train", "csv", "--data.train.path", "soft.csv", "--data.train.soft", "true"]
    run([*words, *reader, "--trials", "5", "--output", "best.yaml"], capsys)
    trials = rows("best.trials.jsonl")
    assert any(trial["state"] == "failed" and "soft labels" in trial["error"] for trial in trials)
    assert any(trial["state"] == "done" for trial in trials)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"model.lossy": ["bce"]}, "loss"),
        ({"model.loss": ["bcd"]}, "bce"),
        ({"model.loss": []}, "choice"),
        ({"model.optimizer.lr": {"low": 1.0, "high": 0.1}}, "low"),
        ({}, "space.yaml"),
    ],
)
def test_a_bad_space_ends_at_once(words, capsys, places, message, tmp_path):
    space(**places)
    _, err = run([*words, "--output", "best.yaml"], capsys, code=2)
    assert message in err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--trials", "0"], "--trials is '0'"),
        (["--trials", "many"], "--trials is 'many'"),
        (["--features", "off"], "features are off"),
        (["--data.augmentation.flip", "true"], "training images are augmented at random"),
    ],
)
def test_what_cannot_be_searched_is_refused(words, capsys, more, message):
    space(**{"model.loss": ["bce"]})
    assert message in run([*words, *more, "--output", "best.yaml"], capsys, code=2)[1]


def test_nothing_is_overwritten(words, capsys):
    space(**{"model.loss": ["bce"]})
    Path("best.yaml").write_text("mine")
    assert "best.yaml is there already" in run([*words, "--output", "best.yaml"], capsys, code=2)[1]
    assert Path("best.yaml").read_text() == "mine"


def test_without_optuna_the_error_says_what_to_install(words, capsys, monkeypatch):
    space(**{"model.loss": ["bce"]})
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert 'pip install "mlic[search]"' in run(words, capsys, code=2)[1]
