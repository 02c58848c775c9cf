import base64
import io

import pytest
from PIL import Image

from mlic.report.thumbnails import NO_ROOM, thumbnails


def opened(thumbnail):
    head, _, data = thumbnail.uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_thumbnail_is_at_most_160_pixels_wide_and_high_and_has_the_shape_of_the_image(tmp_path):
    Image.new("RGB", (2000, 500), "red").save(tmp_path / "wide.jpg")
    Image.new("RGB", (20, 10), "red").save(tmp_path / "small.png")
    made = thumbnails(["wide.jpg", "small.png"], tmp_path, 10**6)
    for name, size in {"wide.jpg": (160, 40), "small.png": (20, 10)}.items():
        assert opened(made[name]).size == (made[name].width, made[name].height) == size


def test_an_image_that_lies_on_its_side_is_turned_upright(tmp_path):
    image = Image.new("RGB", (400, 200), "blue")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert thumbnails(["turned.jpg"], tmp_path, 10**6)["turned.jpg"][1:3] == (80, 160)


def test_what_cannot_be_read_has_a_reason_in_place_of_a_picture(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    made = thumbnails(["gone.jpg", "text.jpg"], tmp_path, 10**6)
    assert made["gone.jpg"].reason == "no such file"
    assert made["text.jpg"].reason.startswith("not an image")
    assert not made["gone.jpg"].uri
    assert not made["text.jpg"].uri


@pytest.mark.parametrize("room", [0, 1, 3])
def test_the_first_images_get_the_room_that_there_is(images, room):
    names = [f"{index:03}.jpg" for index in range(5)]
    one = max(len(thumbnail.uri) for thumbnail in thumbnails(names, images, 10**6).values())
    made = thumbnails(names, images, room * one)
    assert sum(len(thumbnail.uri) for thumbnail in made.values()) <= room * one
    shown = [bool(made[name].uri) for name in names]
    assert shown == sorted(shown, reverse=True)
    assert sum(shown) >= room
    assert all(thumbnail.reason == NO_ROOM for thumbnail in made.values() if not thumbnail.uri)
