import io

import pytest
from PIL import Image

from mlic.errors import ImageError
from mlic.headers import image_size
from mlic.images import read_image


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_size_is_that_of_the_upright_image(tmp_path, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / "a.jpg"
    Image.new("RGB", (30, 10)).save(path, exif=exif)
    height, width = read_image(path).shape[1:]
    assert image_size(path) == image_size(path.read_bytes()) == (width, height)


def test_a_file_that_is_cut_short_has_a_size_all_the_same(tmp_path):
    file = io.BytesIO()
    Image.effect_noise((300, 100), 90).save(file, "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(file.getvalue()[:2000])
    assert image_size(path) == (300, 100)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_image_is_an_image_error(tmp_path, content):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.jpg: no size can be read"):
        image_size(path)


def test_bytes_that_are_no_image_are_called_by_their_number():
    with pytest.raises(ImageError, match="image of 5 bytes: no size can be read"):
        image_size(b"hello")
