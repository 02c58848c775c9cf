"""The plug-in template, as a second distribution that is really installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An environment in which the template is installed beside mlic."""
    site = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(EXAMPLE)], check=True)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def mlic(words: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlic", *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_plugins_lists_the_parts_of_the_other_distribution(environment, tmp_path):
    parts = json.loads(mlic(["plugins", "--json"], environment, tmp_path).stdout)
    theirs = {(part["kind"], part["name"]) for part in parts if part["distribution"] == "mlic-example"}
    assert theirs == {
        ("backbones", "example_patches"),
        ("heads", "example_max"),
        ("losses", "example_squared"),
        ("readers", "example_names"),
        ("datamodules", "example_noise"),
    }


def test_a_run_with_every_part_from_the_plugin(environment, tmp_path):
    words = [
        *("--data", "example_noise"),
        *("--model.backbone", "example_patches"),
        *("--model.head", "example_max"),
        *("--model.loss", "example_squared"),
        *("--trainer.max_epochs", "30"),
        *("--model.optimizer.lr", "0.01"),
    ]
    ended = mlic(["fit", *words, "--json"], environment, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["val/mAP"] > 0.9  # a brighter channel is easy to see
    ended = mlic(["test", "--ckpt_path", "runs/run/v1/best.ckpt", "--report", "none", "--json"], environment, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["test/mAP"] > 0.9


def test_the_reader_of_the_plugin_feeds_the_image_datamodule(environment, tmp_path):
    from PIL import Image

    folder = tmp_path / "named"
    folder.mkdir()
    for number, labels in enumerate(["dog", "cat", "dog+cat", ""] * 4):
        Image.new("RGB", (20, 20), (number * 10, 0, 0)).save(folder / f"{labels}_{number}.jpg")
    words = [
        *("--model.backbone", "example_patches"),
        *("--data.train", "example_names"),
        *("--data.train.path", str(folder)),
        *("--data.val", "0.3"),
        *("--data.num_workers", "0"),
        *("--trainer.max_epochs", "1"),
    ]
    ended = mlic(["fit", *words], environment, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "runs/run/v1/classes.txt").read_text() == "cat\ndog\n"


def test_no_part_of_the_template_is_longer_than_thirty_lines():
    for path in (EXAMPLE / "mlic_example").glob("*.py"):
        code = [line for line in path.read_text().splitlines() if line and not line.startswith(("import", "from"))]
        assert len(code) <= 30, path.name
