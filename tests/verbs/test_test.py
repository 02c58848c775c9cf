import json
import re

import pytest

from mlic.cli import main


@pytest.fixture
def best(small, tmp_path, monkeypatch, capsys):
    """The best checkpoint of a run."""
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--trainer.max_epochs", "1"]) == 0, capsys.readouterr().err
    return "runs/run/v1/best.ckpt"


def judged(best, capsys, *words):
    """Returns the exit code, stdout and stderr of a test without a report."""
    capsys.readouterr()
    code = main(["test", "--ckpt_path", best, "--report", "none", *words])
    return code, *capsys.readouterr()


def test_a_test_writes_a_report_beside_the_checkpoint_and_never_over_another(best, tmp_path, capsys):
    for number in (1, 2):
        capsys.readouterr()
        assert main(["test", "--ckpt_path", best]) == 0
        assert f"runs/run/v1/report/v{number}/report.html" in capsys.readouterr().out
    written = {path.name for path in (tmp_path / "runs/run/v1/report/latest").iterdir()}
    assert written == {"report.html", "report.md", "report.json", "scored.npz"}


def test_the_report_names_the_run_the_parts_and_how_decisions_were_made(best, tmp_path, capsys):
    assert main(["test", "--ckpt_path", best, "--report", str(tmp_path / "told")]) == 0
    page = (tmp_path / "told/report.html").read_text(encoding="utf-8")
    for words in ("run/v1", "BCELoss", "LinearHead", "TimmBackbone", "the highest F1, fitted on 16 validation images"):
        assert words in page


def test_the_report_tells_how_many_images_were_not_judged(best, colours, tmp_path, capsys):
    (tmp_path / "some.csv").write_text((colours / "test.csv").read_text() + "broken.jpg,1,0,0\n")
    (tmp_path / "broken.jpg").write_bytes(b"nothing to see")
    (tmp_path / "images").symlink_to(colours / "images")
    words = [
        "--data.test",
        str(tmp_path / "some.csv"),
        "--data.on_bad_image",
        "skip",
        "--report",
        str(tmp_path / "told"),
    ]
    assert main(["test", "--ckpt_path", best, *words]) == 0, capsys.readouterr().err
    about = json.loads((tmp_path / "told/report.json").read_text())["about"]
    assert about["samples"] == "test, 16 images"
    assert about["left out"].startswith("1 images")


def test_a_loss_that_decides_at_0_is_not_said_to_have_thresholds_fitted(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--trainer.max_epochs", "1", "--model.loss", "zlpr"]) == 0
    assert main(["test", "--ckpt_path", "runs/run/v1/best.ckpt", "--report", "told"]) == 0
    about = json.loads((tmp_path / "told/report.json").read_text())["about"]
    assert about["decisions"].startswith("present where the logit is 0 or more, as the loss says")
    capsys.readouterr()
    assert main(["calibrate", "--ckpt_path", "runs/run/v1/best.ckpt"]) == 0
    assert "ZLPRLoss decides where the logit is 0" in capsys.readouterr().err


def test_the_report_and_the_table_have_the_same_figures(best, tmp_path, capsys):
    capsys.readouterr()
    assert main(["test", "--ckpt_path", best, "--report", str(tmp_path / "told"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"] == str(tmp_path / "told/report.html")
    assert main(["report", str(tmp_path / "told"), "--output", str(tmp_path / "again")]) == 0
    figures = {
        each["name"]: each["value"] for each in json.loads((tmp_path / "again/report.json").read_text())["figures"]
    }
    for name in ("mAP", "f1_micro", "f1_macro", "hamming"):
        assert figures[name] == pytest.approx(said[f"test/{name}"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--fail-below", "mAP=0"], 0),
        (["--fail-below", "test/mAP=1.01"], 1),
        (["--fail-below", "mAP=0,OF1=1.01"], 1),
        (["--fail-below", "mAP=0", "--fail-below", "OF1=1.01"], 1),
        (["--fail-above", "hamming=1"], 0),
        (["--fail-above", "hamming=-0.1"], 1),
    ],
)
def test_a_figure_that_falls_short_ends_with_1(words, code, best, capsys):
    found, out, err = judged(best, capsys, *words)
    assert found == code
    assert "test/mAP" in out  # the figures are shown all the same
    assert ("the model falls short" in err) == bool(code)


def test_what_falls_short_is_told_with_its_figure(best, capsys):
    _, out, err = judged(best, capsys, "--fail-below", "mAP=1.01")
    shown = float(re.search(r"test/mAP +(\S+)", out)[1])
    told = re.search(r"falls short: mAP is ([\d.]+), and should be at least 1\.01", err)
    assert float(told[1]) == pytest.approx(shown, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-below", "map=0.8"], "'map' is no figure; did you mean 'mAP'?"),
        (["--fail-below", "mAP"], "'mAP'; expected a figure and a number, such as mAP=0.8"),
        (["--fail-below", "mAP=good"], "expected a figure and a number"),
        (["--fail-below", "mAP=nan"], "expected a figure and a number"),
        (["--fail-below", "mAP=0.8", "--fail-below", "mAP=0.5"], "mAP is given 0.8 and 0.5; expected one number"),
        (["--report", ""], "--report is ''; expected a folder, or none"),
        (["--report", __file__], "which is a file; expected a folder, or none"),
        (["--fail-below", "hamming=0.1"], "of hamming, lower is better; write --fail-above hamming=0.1"),
        (["--fail-above", "mAP=0.1"], "of mAP, higher is better; write --fail-below mAP=0.1"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_before_anything_runs(words, said, capsys):
    assert main(["test", "--ckpt_path", "not-there.ckpt", *words]) == 2
    assert said in capsys.readouterr().err


def test_decisions_are_judged_as_they_are(best, capsys):
    code, _, err = judged(best, capsys, "--model.decision.objective", "recall", "--model.decision.target", "0.9")
    assert code == 2
    assert "mlic calibrate" in err
    assert judged(best, capsys, "--model.decision.at_most", "1")[0] == 0


def test_the_figures_are_shown_where_no_report_can_be_written(best, tmp_path, capsys):
    (tmp_path / "runs/run/v1/report").write_text("in the way")
    capsys.readouterr()
    assert main(["test", "--ckpt_path", best, "--fail-below", "mAP=1.01"]) == 1
    out, err = capsys.readouterr()
    assert "test/mAP" in out
    assert "no report: runs/run/v1/report: cannot be made" in err
    assert "name a folder with --report, or none" in err
    assert "the model falls short: mAP" in err
    assert main(["test", "--ckpt_path", best, "--report", "runs/run/v1/report/below", "--json"]) == 1
    out, err = capsys.readouterr()
    assert "test/mAP" in json.loads(out)
    assert "no report: runs/run/v1/report/below: cannot be made" in err
