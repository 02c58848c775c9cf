import errno
import json
import logging
import pkgutil
import subprocess
import sys

import pytest

import mlic.verbs
from mlic.cli import main


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["--version"], ["plugins"], ["plugins", "--json"], ["fit", "--help"], ["fitt"]]
)
def test_what_answers_at_once_imports_no_torch(words):
    code = f"import sys; from mlic.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    assert run_python(code).returncode == 0


def test_every_verb_of_the_help_is_a_module_and_the_other_way_round(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    modules = {name for _, name, _ in pkgutil.iter_modules(mlic.verbs.__path__)} - {"evaluate"}
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ") and line[2] != "-"} == modules


@pytest.mark.parametrize("verb", ["demo", "fit", "validate", "test", "predict"])
def test_every_option_of_a_help_page_exists(verb, capsys):
    main([verb, "--help"])
    page = capsys.readouterr().out
    assert main([verb, "--help-all"]) == 0
    known = capsys.readouterr().out
    for datamodule in ("image", "features"):
        main(["fit", "--data.help", datamodule])
        known += capsys.readouterr().out
    promised = {word.rstrip(",:;`)") for word in page.split() if word.startswith("--")}
    ours = {"--json", "--debug", "--help-all"}
    ours |= {"--report", "--fail-below", "--fail-above"} if verb == "test" else set()  # which Lightning's parser lacks
    of_a_default_part = {"--model.backbone.weights", "--model.backbone.freeze", "--model.optimizer.lr"}
    of_a_named_part = {"--model.lr_scheduler.T_max", "--data.augmentation.crop_scale"}
    for option in promised - ours - of_a_default_part - of_a_named_part:
        assert option in known or option.replace("--data.", "--data.init_args.") in known, option


def test_an_unknown_verb_ends_with_2_and_a_suggestion(capsys):
    assert main(["fitt"]) == 2
    assert capsys.readouterr().err.startswith("error: 'fitt' is not a verb; did you mean 'fit'?\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.loss", "asymetric"], "error: no loss is called 'asymetric'; did you mean 'asymmetric'?"),
        (["--model.loss", "focal", "--model.loss.gama", "1"], "has no option 'gama'; did you mean 'gamma'?"),
        (["--trainer.max_epochs", "three"], "error: trainer.max_epochs is 'three'; expected int or null"),
        (["--config", "nowhere.yaml"], "error: nowhere.yaml: No such file or directory"),
        (["--data.train", "nowhere.csv"], "error: nowhere.csv"),
        (["--ckpt_path", "nowhere.ckpt"], "error: nowhere.ckpt: no such checkpoint"),
        ([], "error: there is no train data; give its annotation file with --data.train PATH"),
    ],
)
def test_a_wrong_configuration_ends_with_2_in_few_lines(words, message, capsys):
    assert main(["fit", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.strip().splitlines()) <= 3
    assert said.out == ""


def test_a_traceback_comes_only_when_asked_for(capsys):
    main(["fit", "--model.loss", "asymetric"])
    assert "Traceback" not in capsys.readouterr().err
    main(["fit", "--model.loss", "asymetric", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_what_was_not_foreseen_ends_with_1_and_one_line(monkeypatch, capsys):
    import mlic.verbs.plugins

    def fail(arguments, as_json):
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr(mlic.verbs.plugins, "run", fail)
    assert main(["plugins"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: ZeroDivisionError: division by zero"


@pytest.mark.parametrize("name", [None, "rows.csv"])
def test_a_full_disk_is_told_in_one_line(name, monkeypatch, capsys):
    import mlic.verbs.plugins

    def fail(arguments, as_json):
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr(mlic.verbs.plugins, "run", fail)
    assert main(["plugins"]) == 1
    assert capsys.readouterr().err == f"error: {name or 'the output'}: no space left on the disk\n"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_with_its_own_code(name, code):
    program = (
        "import os, signal, sys, mlic.verbs.plugins as p; from mlic.cli import main\n"
        f"p.run = lambda arguments, as_json: os.kill(os.getpid(), signal.{name})\n"
        "sys.exit(main(['plugins']))"
    )
    ended = run_python(program)
    assert (ended.returncode, ended.stderr) == (code, f"stopped by {name}\n")


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m mlic plugins | true"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""


def test_plugins_lists_one_kind_for_machines(capsys):
    assert main(["plugins", "heads", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)
    assert "linear" in [part["name"] for part in parts]
    assert {part["kind"] for part in parts} == {"heads"}


def test_a_wrong_kind_of_part_gets_a_suggestion(capsys):
    assert main(["plugins", "head"]) == 2
    assert "'head' is not a kind of part; did you mean 'heads'?" in capsys.readouterr().err


def test_the_doctor_tells_versions_and_finds_nothing_wrong(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["problems"] == []
    assert findings["torch"]
    assert findings["cores"] >= 1


def test_the_level_of_the_log_is_afterwards_what_it_was_before(capsys):
    before = logging.getLogger("mlic").level
    assert main(["plugins"]) == 0
    assert logging.getLogger("mlic").level == before
