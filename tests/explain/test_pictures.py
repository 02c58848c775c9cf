import numpy as np
import pytest
from PIL import Image

from mlic.explain import FileNames, Tile, contact_sheet, overlay
from mlic.explain.lettering import font_for
from mlic.explain.names import safe

LIGHT = np.array([0.2126, 0.7152, 0.0722])


def grey(height, width, level=128):
    return np.full((height, width, 3), level, np.uint8)


def test_the_more_heat_the_brighter():
    heat = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(32, axis=0)
    light = np.array(overlay(grey(32, 256), heat))[16] @ LIGHT
    off_the_line = np.abs(heat[0] - 0.5) > 0.02
    assert (np.diff(light[off_the_line]) > -2).all()
    assert light[-1] - light[0] > 100
    assert light[128] > max(light[120], light[136]) + 50  # the line


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (480, 640)])
def test_a_picture_has_the_size_of_the_image(size):
    heat = np.random.default_rng(0).random(size, np.float32)
    assert overlay(grey(*size), heat).size == size[::-1]


def test_where_nothing_counts_there_is_no_line_and_the_image_can_be_made_out():
    image = grey(40, 40, 20)
    image[:, 20:] = 235
    found = np.array(overlay(image, np.zeros((40, 40), np.float32))).astype(int)
    assert found[:, 20:].mean() > found[:, :20].mean() + 30
    assert found.max() < 200


def test_colours_of_the_image_are_not_taken_for_heat():
    image = grey(4, 4)
    image[:2] = (0, 165, 205)  # as light as the grey below it
    found = np.array(overlay(image, np.full((4, 4), 0.2, np.float32))).astype(int)
    assert np.abs(found[0] - found[3]).max() < 12


@pytest.mark.parametrize("size", [(100, 100), (4000, 10), (10, 4000), (1, 1)])
@pytest.mark.parametrize("number", [0, 1, 9])
def test_a_sheet_takes_images_of_any_shape_and_any_number_of_classes(size, number):
    pixels = grey(*size)
    tiles = [Tile("class", ["0.50, present"], Image.fromarray(pixels))] * number
    sheet = contact_sheet("image.jpg", "what it means", pixels, tiles)
    assert sheet.width < 1500
    assert sheet.height < 1500


def test_long_and_strange_names_do_not_break_a_sheet():
    pixels = grey(30, 40)
    names = ["w" * 500, "a\nb\tc", "$x$ & <b>", "\udcff", "犬と猫", "", "👩🏽‍🚀"]
    tiles = [Tile(name, [name], Image.fromarray(pixels)) for name in names]
    assert contact_sheet("\udcff" * 300, "犬" * 300, pixels, tiles).width < 1500


def test_letters_that_dejavu_lacks_come_from_a_font_of_the_machine_if_there_is_one():
    assert font_for("naïve Ελλάδα", 12).getname()[0] == "DejaVu Sans"
    assert font_for("\U0010fffd", 12).getname()[0] == "DejaVu Sans"  # nobody has it


@pytest.mark.parametrize("text", ["a/b", "..", "a\\b", "c:\\d", "\0", "a\nb", "*?<>|\"'", "", " ", "-", ".hidden"])
def test_a_name_is_of_one_file_that_is_not_hidden(text):
    name = safe(text)
    assert name
    assert not set(name) & set("/\\\0:*?<>|\"' \n")
    assert not name.startswith(".")


def test_a_long_name_is_cut_between_characters():
    assert len(safe("犬" * 300).encode()) <= 80
    assert set(safe("犬" * 300)) == {"犬"}


def test_no_two_files_have_one_name(tmp_path):
    names = FileNames()
    stems = [names.image(path) for path in ("a/1.jpg", "b/1.png", "b/1.png", "1-2.jpg", "1--dog.jpg", "A.jpg", "a.jpg")]
    found = stems + [names.overlay("1", text) for text in ("dog", "Dog", "d/g", "d g", "d_g", "")]
    assert len({name.casefold() for name in found}) == len(found)
    for name in found:
        (tmp_path / f"{name}.png").touch(exist_ok=False)
