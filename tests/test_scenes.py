import csv
import json
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mlic.errors import UsageError
from mlic.scenes import CLASSES, MAX_CLASSES, contact_sheet, draw_scene, split_sizes, write_scenes
from mlic.scenes.canvas import Canvas, Light, Sprite
from mlic.scenes.plan import Plan, choose_plan
from mlic.scenes.scene import SEEN_AREA, SEEN_SHARE, compose, seen_classes

NOON = Light((1.0, 1.0, 1.0), (200, 220, 240), from_left=True, dark=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("demo") / "scenes", num_images=40, size=64)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [choose_plan(Random(number)) for number in range(4000)]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def square(side: float, colour: tuple[int, int, int] = (200, 30, 30)) -> Sprite:
    sprite = Sprite(side, 1.0, NOON)
    sprite.box(0.0, 0.0, 1.0, 1.0, colour)
    return sprite


# Chance


def test_equal_seeds_draw_equal_pixels_and_labels() -> None:
    first, second = draw_scene(Random("0/7"), size=96), draw_scene(Random("0/7"), size=96)
    assert first[1] == second[1]
    assert np.array_equal(np.asarray(first[0]), np.asarray(second[0]))


def test_other_seeds_draw_other_scenes() -> None:
    pictures = {draw_scene(Random(f"{seed}/1"), size=64)[0].tobytes() for seed in range(6)}
    assert len(pictures) == 6


def test_a_scene_does_not_depend_on_how_many_others_are_drawn(folder: Path, tmp_path: Path) -> None:
    fewer = write_scenes(tmp_path / "fewer", num_images=10, size=64)
    for number in range(1, 11):
        name = f"images/{number:04d}.jpg"
        assert (fewer / name).read_bytes() == (folder / name).read_bytes()


def test_a_scene_is_an_rgb_square_of_the_size_asked_for() -> None:
    image, _ = draw_scene(Random(1), size=100)
    assert (image.mode, image.size) == ("RGB", (100, 100))


# Plans


def test_a_plan_has_at_most_six_classes_and_about_two_percent_have_none(plans: list[Plan]) -> None:
    sizes = Counter(len(plan.classes) for plan in plans)
    assert max(sizes) == MAX_CLASSES == 6
    assert 0.01 < sizes[0] / len(plans) < 0.035
    assert all(sizes[count] > 0.03 * len(plans) for count in range(1, 7))


def test_every_class_is_had_by_at_least_a_twelfth_and_at_most_half_of_the_plans(plans: list[Plan]) -> None:
    counts = Counter(name for plan in plans for name in plan.classes)
    assert set(counts) == set(CLASSES)
    assert min(counts.values()) > len(plans) / 12
    assert max(counts.values()) < len(plans) / 2


def test_rain_comes_with_clouds_but_clouds_come_without_rain_too(plans: list[Plan]) -> None:
    assert all("cloud" in plan.classes for plan in plans if "rain" in plan.classes)
    assert any("rain" not in plan.classes for plan in plans if "cloud" in plan.classes)


@pytest.mark.parametrize("other", ["moon", "star"])
def test_the_sun_is_never_up_with(other: str, plans: list[Plan]) -> None:
    assert not any({"sun", other} <= plan.classes for plan in plans)


def test_there_is_no_sun_and_no_rainbow_at_night(plans: list[Plan]) -> None:
    assert not any(plan.classes & {"sun", "rainbow"} for plan in plans if plan.time == "night")


def test_a_rainbow_needs_sun_or_rain(plans: list[Plan]) -> None:
    assert all(plan.classes & {"sun", "rain"} for plan in plans if "rainbow" in plan.classes)


def test_boats_and_fish_need_water_and_cars_a_road(plans: list[Plan]) -> None:
    assert all(plan.ground in {"sea", "lake"} for plan in plans if plan.classes & {"boat", "fish"})
    assert all(plan.road for plan in plans if "car" in plan.classes)


def test_fences_like_houses(plans: list[Plan]) -> None:
    def share(having: list[Plan]) -> float:
        return sum("fence" in plan.classes for plan in having) / len(having)

    with_house = [plan for plan in plans if "house" in plan.classes]
    without = [plan for plan in plans if "house" not in plan.classes]
    assert share(with_house) > 2 * share(without) > 0


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("star", lambda plan: plan.time == "night"),
        ("moon", lambda plan: plan.time == "night"),
        ("boat", lambda plan: plan.ground in {"sea", "lake"}),
        ("fish", lambda plan: plan.ground in {"sea", "lake"}),
        ("car", lambda plan: plan.road),
        ("rain", lambda plan: plan.time == "overcast"),
    ],
)
def test_no_background_gives_away(name, here, plans: list[Plan]) -> None:
    shares = [name in plan.classes for plan in plans if here(plan)]
    assert 0.2 < sum(shares) / len(shares) < 0.75


# What is seen


def test_a_label_is_given_if_and_only_if_the_class_is_seen() -> None:
    for number in range(25):
        rng = Random(number)
        plan = choose_plan(rng)
        canvas = compose(rng, plan, 64)
        for name in CLASSES:
            share, area = canvas.visible(name)
            seen = share >= SEEN_SHARE and area >= SEEN_AREA
            assert (name in seen_classes(canvas, plan)) == seen
            assert (area > 0) <= (name in plan.classes)


def test_what_is_covered_is_not_visible() -> None:
    canvas = Canvas(64)
    canvas.put(square(60.0), 0.5, 0.5, "car")
    assert canvas.visible("car") == (1.0, pytest.approx(60 * 60 / 192**2))
    cover = Sprite(60.0, 0.5, NOON)
    cover.box(0.0, 0.0, 0.5, 1.0, (0, 0, 0))
    canvas.put(cover, 0.5, 0.5)
    assert canvas.visible("car")[0] == pytest.approx(0.5, abs=0.03)
    canvas.put(square(90.0), 0.5, 0.6, "tree")
    assert canvas.visible("car") == (0.0, 0.0)
    assert canvas.visible("tree")[0] == 1.0


def test_what_is_outside_of_the_picture_is_not_visible() -> None:
    canvas = Canvas(64)
    canvas.put(square(60.0), 0.0, 0.5, "car")
    assert canvas.visible("car")[0] == pytest.approx(0.5, abs=0.03)


def test_ground_hides_what_is_behind_it() -> None:
    canvas = Canvas(64)
    canvas.put(square(60.0), 0.5, 1.0, "sun")
    canvas.region([(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)], (0, 80, 0), (0, 60, 0))
    assert canvas.visible("sun") == (0.0, 0.0)


def test_a_class_that_was_never_drawn_is_not_visible() -> None:
    assert Canvas(64).visible("sun") == (0.0, 0.0)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_leaves_its_mark_on_the_pixels(name: str) -> None:
    ground = "lake" if name in {"boat", "fish"} else "meadow"
    time = "night" if name in {"moon", "star"} else "day"
    classes = frozenset({name, "cloud"} if name == "rain" else {name})
    canvas = compose(Random(name), Plan(time, ground, name == "car", classes), 96)
    assert canvas.visible(name)[1] >= SEEN_AREA


# Files


def test_the_folder_has_the_layout_that_a_users_own_data_has(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"images", "train.csv", "val.csv", "test.csv", "README.txt", ".scenes.json"}
    assert len(list((folder / "images").iterdir())) == 40
    assert "train.csv" in (folder / "README.txt").read_text(encoding="utf-8")


def test_every_row_names_an_image_and_gives_each_class_1_or_0(folder: Path) -> None:
    paths: list[str] = []
    for split, count in split_sizes(40).items():
        rows = rows_of(folder / f"{split}.csv")
        assert len(rows) == count
        for row in rows:
            assert list(row) == ["image", *CLASSES]
            assert {row[name] for name in CLASSES} <= {"0", "1"}
            paths.append(row["image"])
    assert sorted(paths) == [f"images/{number:04d}.jpg" for number in range(1, 41)]
    for path in paths:
        with Image.open(folder / path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))


def test_the_rows_are_the_labels_of_the_drawn_scenes(folder: Path) -> None:
    for number, row in enumerate(rows_of(folder / "train.csv")[:8], start=1):
        _, classes = draw_scene(Random(f"0/{number}"), size=64)
        assert {name for name in CLASSES if row[name] == "1"} == classes


def test_a_data_set_that_is_there_is_not_drawn_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)
    monkeypatch.setattr("mlic.scenes.dataset.draw_scene", lambda *_: pytest.fail("drawn again"))
    assert write_scenes(folder, num_images=40, size=64) == folder
    assert contents(folder) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    write_scenes(tmp_path, num_images=10, size=64)
    assert len(rows_of(tmp_path / "train.csv")) == 6


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not a folder of drawn scenes; name a folder that is new or empty"):
        write_scenes(tmp_path, num_images=10, size=64)
    assert contents(tmp_path) == {"holiday.jpg": b"mine"}


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "scenes").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not a folder of drawn scenes"):
        write_scenes(tmp_path / "scenes", num_images=10, size=64)


@pytest.mark.parametrize("change", [{"seed": 1}, {"num_images": 41}, {"size": 65}])
def test_scenes_drawn_otherwise_are_left_alone(change: dict[str, int], folder: Path) -> None:
    with pytest.raises(UsageError, match="delete the folder or name another"):
        write_scenes(folder, **{"num_images": 40, "size": 64, "seed": 0, **change})


def test_a_missing_image_or_table_is_told(tmp_path: Path) -> None:
    write_scenes(tmp_path, num_images=10, size=64)
    (tmp_path / "images/0003.jpg").unlink()
    (tmp_path / "val.csv").unlink()
    with pytest.raises(UsageError, match=r"has 9 of 10 scenes and no val.csv; delete the folder"):
        write_scenes(tmp_path, num_images=10, size=64)


def test_a_damaged_marker_is_told(tmp_path: Path) -> None:
    (tmp_path / ".scenes.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="is damaged"):
        write_scenes(tmp_path, num_images=10, size=64)


def test_an_interrupted_call_leaves_nothing_and_the_next_one_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = 0

    def interrupted(rng: Random, size: int) -> tuple[Image.Image, frozenset[str]]:
        nonlocal drawn
        drawn += 1
        if drawn == 4:
            raise KeyboardInterrupt
        return draw_scene(rng, size)

    with monkeypatch.context() as patch:
        patch.setattr("mlic.scenes.dataset.draw_scene", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_scenes(tmp_path / "scenes", num_images=10, size=64)
    assert list((tmp_path / "scenes").iterdir()) == []
    write_scenes(tmp_path / "scenes", num_images=10, size=64)
    assert json.loads((tmp_path / "scenes/.scenes.json").read_text(encoding="utf-8"))["num_images"] == 10


def test_what_a_killed_process_left_behind_does_not_hinder(tmp_path: Path) -> None:
    (tmp_path / ".drawing-abc/images").mkdir(parents=True)
    write_scenes(tmp_path, num_images=10, size=64)
    assert len(rows_of(tmp_path / "test.csv")) == 2


@pytest.mark.parametrize("wrong", [{"num_images": 9}, {"size": 63}, {"size": 1025}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=str(next(iter(wrong.values())))):
        write_scenes(tmp_path / "scenes", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_the_contact_sheet_shows_the_scenes_of_the_data_set() -> None:
    sheet = contact_sheet([2], columns=1, size=64)
    scene, _ = draw_scene(Random("0/2"), size=64)
    assert np.array_equal(np.asarray(sheet)[4:68, 4:68], np.asarray(scene))
    assert ImageDraw.Draw(sheet).im.getbbox() == (0, 0, *sheet.size)


@pytest.mark.slow
def test_every_class_has_40_positives_in_train_and_5_in_val_and_test(tmp_path: Path) -> None:
    write_scenes(tmp_path, size=64)
    for split, least in (("train", 40), ("val", 5), ("test", 5)):
        rows = rows_of(tmp_path / f"{split}.csv")
        support = {name: sum(row[name] == "1" for row in rows) for name in CLASSES}
        assert min(support.values()) >= least, support
    counts = Counter(sum(row[name] == "1" for name in CLASSES) for row in rows_of(tmp_path / "train.csv"))
    assert counts[0] > 0
    assert max(counts) <= MAX_CLASSES
