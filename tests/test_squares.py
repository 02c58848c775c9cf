import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlic.errors import ImageError
from mlic.images import read_square, squash
from mlic.squares import read_square_array, squash_array, taps

sides = st.one_of(st.integers(1, 12), st.integers(1, 700))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def by_torch(pixels, size):
    return squash(torch.from_numpy(pixels).permute(2, 0, 1), size).numpy()


@settings(max_examples=300, deadline=None)
@given(height=sides, width=sides, size=st.integers(1, 320), seed=st.integers(0, 9), sharp=st.booleans())
def test_the_squash_without_torch_is_that_of_torch_to_the_bit(height, width, size, seed, sharp):
    pixels = noise(height, width, seed)
    if sharp:  # sums that come near to 255 in each step
        pixels = (pixels // 128 * 255).astype(np.uint8)
    assert np.array_equal(squash_array(pixels, size), by_torch(pixels, size))


@pytest.mark.parametrize("size", [1, 7, 64, 224, 299])
@pytest.mark.parametrize("shape", [(1, 1), (1, 8000), (8000, 1), (8000, 60), (37, 8000), (2001, 1999)])
def test_it_is_so_for_pixels_and_posters(shape, size):
    pixels = noise(*shape)
    assert np.array_equal(squash_array(pixels, size), by_torch(pixels, size))


def test_a_square_of_the_size_stays_as_it_is():
    pixels = noise(31, 31)
    assert np.array_equal(squash_array(pixels, 31), pixels.transpose(2, 0, 1))


def test_the_memory_layout_of_the_pixels_does_not_matter():
    pixels = noise(40, 50)
    turned = np.asfortranarray(pixels)
    assert np.array_equal(squash_array(turned[::-1], 17), squash_array(pixels[::-1].copy(), 17))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_gives_the_same_square_with_and_without_torch(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(noise(300, 200)).save(file, "JPEG", exif=exif)
    square = read_square_array(file.getvalue(), 48)
    assert square.flags.c_contiguous
    assert np.array_equal(square, read_square(file.getvalue(), 48).numpy())


def test_what_is_no_image_is_refused():
    with pytest.raises(ImageError, match="not an image"):
        read_square_array(b"hello", 8)


@pytest.mark.parametrize(("size", "resized"), [(5, 5), (3, 9), (500, 299), (8000, 224)])
def test_the_weights_of_each_place_sum_to_one(size, resized):
    first, weights, bits = taps(size, resized)
    assert np.allclose(weights.sum(axis=1) / 2.0**bits, 1, atol=0.01)
    assert weights.max() < 2**15
    assert (first >= 0).all()


def test_an_image_becomes_a_square_without_torch(tmp_path):
    Image.fromarray(noise(30, 20)).save(tmp_path / "a.png")
    code = (
        "import sys; from pathlib import Path; from mlic.squares import read_square_array; "
        "read_square_array(Path('a.png'), 8); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
