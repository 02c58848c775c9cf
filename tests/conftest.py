"""Small photographs for tests: patches of colour on noise, where each class is a colour."""

import csv
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

# How long an example takes says nothing about whether it is right, and much about who else uses the machine.
# A commit has one outcome, everywhere; HYPOTHESIS_PROFILE=exploring draws other examples each time.
settings.register_profile("settled", deadline=None, derandomize=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "settled"))

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 230)}

BROWSER_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# The contrast of each text with what is behind it (WCAG 2.1, success criterion 1.4.3).
CONTRAST = """
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => numbers(colour).slice(0, 3).map((one) => one / 255)
  .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
  .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor, parts = numbers(colour);
    if (parts.length < 4 || parts[3] === 1) return colour;
  }
  return "rgb(255, 255, 255)";
};
const faint = new Set();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const one = texts.currentNode.parentElement;
  if (!texts.currentNode.textContent.trim() || one.closest(arguments[0])) continue;
  const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
  if ((a + 0.05) / (b + 0.05) < 4.5) faint.add(one.outerHTML);
}
return [...faint];
"""


def draw(folder: Path, name: str, labels: set[str], seed: int) -> None:
    rng = random.Random(seed)
    image = Image.new("RGB", (64, 48), (rng.randrange(90, 120),) * 3)
    pen = ImageDraw.Draw(image)
    for place, (label, colour) in enumerate(COLOURS.items()):
        if label in labels:
            left = 2 + 20 * place + rng.randrange(4)
            pen.rectangle((left, 6, left + 16, 40), fill=colour)
    image.save(folder / name, quality=90)


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what mlic remembers between runs out of the user's own folders, in subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images/ and train.csv, val.csv, test.csv: three classes, one sample in eight without any."""
    folder = tmp_path_factory.mktemp("colours")
    (folder / "images").mkdir()
    number = 0
    for side, count in {"train": 32, "val": 16, "test": 16}.items():
        with (folder / f"{side}.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["image", *COLOURS])
            for place in range(count):
                labels = {name for bit, name in enumerate(COLOURS) if place >> bit & 1}
                name = f"images/{number:03}.jpg"
                draw(folder, name, labels, seed=number)
                rows.writerow([name, *(int(label in labels) for label in COLOURS)])
                number += 1
    return folder


@pytest.fixture(scope="session")
def features(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.npy, val.npy and test.npy, five numbers an image, and all.npy with names in all.txt."""
    folder = tmp_path_factory.mktemp("features")
    names, everything = [], []
    for side in ("train", "val", "test"):
        with (colours / f"{side}.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))[1:]
        numbers = np.random.default_rng(len(names)).normal(scale=0.3, size=(len(rows), 5))
        numbers[:, :3] += np.array([row[1:] for row in rows], np.float64)
        np.save(folder / f"{side}.npy", numbers.astype(np.float16))
        names += [row[0] for row in rows]
        everything.append(numbers)
    np.save(folder / "all.npy", np.concatenate(everything)[::-1].astype(np.float32))
    (folder / "all.txt").write_text("".join(f"{name}\n" for name in reversed(names)), encoding="utf-8")
    return folder


@pytest.fixture
def small(colours: Path) -> list[str]:
    """The words that make `mlic fit` quick: a tiny backbone without weights, a few steps, one process."""
    return [
        *("--model.backbone", "test_resnet"),
        *("--model.backbone.weights", "none"),
        *("--model.backbone.image_size", "32"),
        *("--data.train", str(colours / "train.csv")),
        *("--data.val", str(colours / "val.csv")),
        *("--data.test", str(colours / "test.csv")),
        *("--data.batch_size", "8"),
        *("--data.num_workers", "0"),
        *("--trainer.max_epochs", "2"),
        *("--trainer.accelerator", "cpu"),
        *("--trainer.devices", "1"),
    ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window, with the folder of its `downloads`; a test of it is skipped where there is none."""
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_path):
        pytest.skip("Chromium and its driver are not installed")
    pytest.importorskip("selenium", reason="selenium is not installed: pip install selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*BROWSER_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        downloads = str(Path(profile) / "downloads")
        options.add_experimental_option("prefs", {"download.default_directory": downloads})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(driver_path))
        driver.downloads = Path(downloads)
        yield driver
        driver.quit()


@pytest.fixture(scope="session")
def faint_texts() -> Callable[..., list[str]]:
    """Finds the elements of an open page whose text hardly stands out, but for those inside `unseen` ones."""

    def faint_texts(browser: Any, unseen: str) -> list[str]:
        return browser.execute_script(CONTRAST, unseen)

    return faint_texts
