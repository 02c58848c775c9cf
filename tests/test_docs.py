"""Every command that the README and the configurations show is run, on small data and with a small backbone."""

import doctest
import re
import shlex
import shutil
from pathlib import Path

import pytest

from mlic.cli import main
from mlic.metrics import FIGURES
from mlic.plugins import available

ROOT = Path(__file__).parents[1]

QUICK = {
    "fit": [
        *("--model.backbone", "test_resnet"),
        *("--model.backbone.weights", "none"),
        *("--model.backbone.image_size", "32"),
        *("--data.num_workers", "0"),
        *("--trainer.max_epochs", "1"),
        *("--trainer.accelerator", "cpu"),
        *("--trainer.devices", "1"),
        *("--trainer.num_nodes", "1"),
    ],
    "test": ["--trainer.accelerator", "cpu"],
    "predict": ["--trainer.accelerator", "cpu"],
}
QUICK["search"] = [*QUICK["fit"], "--trials", "3"]


def quick(words: list[str]) -> list[str]:
    """Returns the words that make a command quick; a training on features has no backbone, and no images to decode."""
    verb = "fit" if words[:2] in (["features", "extract"], ["data", "suspects"]) else words[0]
    if verb == "fit" and "configs/features.yaml" in words:
        return QUICK["fit"][QUICK["fit"].index("--trainer.max_epochs") :]
    return QUICK.get(verb, [])


def commands(text: str) -> list[str]:
    """Returns the lines that are a command of mlic, in the order of the page."""
    lines = (line.removeprefix("#").strip() for line in text.splitlines())
    return [line.split("  #")[0] for line in lines if re.match(r"mlic [a-z]+( |$)", line)]


def pages() -> list[Path]:
    return [
        ROOT / "README.md",
        ROOT / "docs/recipes.md",
        ROOT / "docs/features.md",
        ROOT / "docs/export.md",
        ROOT / "docs/predict.md",
        ROOT / "docs/suspects.md",
        *sorted((ROOT / "configs").glob("*.yaml")),
    ]


@pytest.fixture
def desk(colours: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which the files that the pages speak of exist."""
    shutil.copytree(colours, tmp_path / "photos", dirs_exist_ok=True)
    shutil.copytree(features, tmp_path / "photos", dirs_exist_ok=True)
    shutil.copytree(colours, tmp_path / "mlic-demo")
    shutil.copytree(colours / "images", tmp_path / "new-photos")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    labels = tmp_path / "photos" / "image_labels_dir"
    labels.mkdir()
    names = ["red", "green", "blue"]
    (tmp_path / "photos" / "labels.txt").write_text("\n".join(names))
    for number, image in enumerate(sorted((colours / "images").iterdir())):
        present = [name for bit, name in enumerate(names) if number >> bit & 1]
        (labels / f"{image.name}.txt").write_text("\n".join(present))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_every_command_works(page, desk, capsys):
    found = commands(page.read_text(encoding="utf-8"))
    assert found
    for command in found:
        words = shlex.split(command)[1:]
        if words[0] in ("demo", "serve"):
            continue  # test_demo runs the one, tests/serve the other
        for name in re.findall(r"runs/(\w+)/v\d", command):
            assert Path(f"runs/{name}").is_dir(), f"{command}: nothing on this page makes runs/{name}"
        assert main([*words, *quick(words)]) == 0, f"{command}\n{capsys.readouterr().err}"


def test_the_python_of_the_readme_runs(desk, capsys):
    assert main(["fit", "--data.train", "photos/train.csv", *QUICK["fit"]]) == 0
    shutil.copy("runs/run/v1/best.ckpt", "best.ckpt")
    for name in ("a.jpg", "b.jpg"):
        shutil.copy("photos/images/001.jpg", name)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "a.jpg" in capsys.readouterr().out


def test_the_figures_of_the_three_images_are_what_the_page_says():
    failed, run = doctest.testfile(str(ROOT / "docs/metrics.md"), module_relative=False)
    assert run > 15
    assert not failed


def test_the_page_of_figures_defines_all_that_a_report_shows():
    page = " ".join((ROOT / "docs/metrics.md").read_text(encoding="utf-8").lower().split())
    words = {"f1_micro": "micro f1", "f1_macro": "macro f1", "auroc_macro": "auroc", "f1_weighted": "weighted f1"}
    words |= {"f1_samples": "sample f1", "jaccard_macro": "jaccard", "jaccard_samples": "jaccard"}
    for name in FIGURES:
        assert words.get(name, name.lower().replace("_", " ")) in page, name


RECIPES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/recipes.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_every_configuration_of_the_recipes_is_taken_whole(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(recipe)
    assert main(["fit", "--config", "recipe.yaml", "--data.train", "x.csv", "--print_config"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("kind", ["heads", "losses"])
def test_the_recipes_name_every_part(kind):
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    missing = [part.name for part in available(kind) if part.built_in and f"`{part.name}`" not in page]
    assert not missing


@pytest.mark.parametrize(("kind", "row"), [("losses", "loss"), ("readers", "reader")])
def test_the_readme_counts_the_parts(kind, row):
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| {row} \| ([^|]*) and \[(\d+) more\]", page, re.MULTILINE)
    assert found is not None
    assert len(found[1].split(",")) + int(found[2]) == sum(part.built_in for part in available(kind))
