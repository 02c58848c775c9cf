import io
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

import mlic.jpeg
from mlic.errors import ImageError
from mlic.images import read_image, read_square, squash
from mlic.jpeg import Frame, decode, is_cut, plain_frame, reduction

HAS_TURBO = features.check_feature("libjpeg_turbo")

needs_simplejpeg = pytest.mark.skipif(mlic.jpeg.simplejpeg is None, reason="simplejpeg is not installed")


def encode(image, **options):
    file = io.BytesIO()
    image.save(file, options.pop("file_format", "JPEG"), **options)
    return file.getvalue()


def photograph(height=120, width=160, seed=0):
    """As photographs are: the finer a detail, the fainter (power falls with the square of the frequency)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    fainter = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    planes = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * fainter, (height, width))] * 1
    planes += [0.7 * planes[0] + 0.3 * np.roll(planes[0], 9 * k, axis=1) for k in (1, 2)]
    pixels = np.stack(planes, axis=-1)
    return Image.fromarray(np.clip(128 + 50 * pixels / pixels.std(), 0, 255).astype(np.uint8))


def noise(height=120, width=160, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def lying(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
KINDS = {
    "4:4:4": encode(photograph(), subsampling=0),
    "4:2:2": encode(photograph(), subsampling=1),
    "4:2:0": encode(photograph(), subsampling=2),
    "noise": encode(noise(), subsampling=2),
    "odd sides": encode(photograph(117, 151), subsampling=2),
    "one pixel": encode(Image.new("RGB", (1, 1), (200, 20, 90))),
    "one row": encode(photograph(1, 151), subsampling=2),
    "worst": encode(photograph(), quality=1),
    "best": encode(photograph(), quality=100),
    "optimized": encode(photograph(), optimize=True),
    "progressive": encode(photograph(), progressive=True),
    "progressive 4:4:4": encode(photograph(), progressive=True, subsampling=0),
    "restart markers": encode(photograph(), restart_marker_blocks=2),
    "progressive with restart markers": encode(photograph(), restart_marker_rows=1, progressive=True),
    "grey": encode(photograph().convert("L")),
    "progressive grey": encode(photograph().convert("L"), progressive=True),
    "red, green and blue": encode(photograph(), keep_rgb=True, subsampling=0),
    "profile": encode(photograph(), icc_profile=SRGB),
    "comment": encode(photograph(), comment=b"a comment \xff\xd9"),
    "notes": encode(photograph(), exif=lying(1)),
    "turned": encode(photograph(), exif=lying(6)),
    "turned and mirrored": encode(photograph(117, 151), exif=lying(7), progressive=True),
    "upside down": encode(photograph(), exif=lying(3)),
    "XMP that turns": encode(photograph(), xmp=b'<x tiff:Orientation="8"/>'),
    "several pictures": encode(photograph(), file_format="MPO", save_all=True, append_images=[noise()]),
    "something behind it": encode(photograph()) + bytes(100),
}
ALSO_CMYK = {**KINDS, "CMYK": encode(photograph().convert("CMYK"))}


def without_simplejpeg(call, *arguments):
    """What Pillow gives alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlic.jpeg, "simplejpeg", None)
        return call(*arguments)


def outcome(data, side=None):
    """The pixels, or why there are none."""
    try:
        return read_image(data, side)
    except ImageError as error:
        return str(error)


def assert_nearly_equal(one, other):
    difference = (one.int() - other.int()).abs()
    assert difference.float().mean() <= 1
    assert difference.max() <= (0 if HAS_TURBO else 16)


def assert_same_outcome(data, side=None):
    one, other = outcome(data, side), without_simplejpeg(outcome, data, side)
    if isinstance(one, str) or isinstance(other, str):
        assert isinstance(one, str) == isinstance(other, str)
        assert one == other
    else:
        assert one.shape == other.shape
        assert_nearly_equal(one, other)


@pytest.mark.parametrize("side", [None, 3, 8, 16])
@pytest.mark.parametrize("kind", ALSO_CMYK)
def test_the_fast_path_gives_what_pillow_gives_alone(kind, side):
    data = ALSO_CMYK[kind]
    assert_nearly_equal(read_image(data, side), without_simplejpeg(read_image, data, side))


@needs_simplejpeg
@pytest.mark.parametrize("kind", KINDS)
def test_every_grey_or_colour_jpeg_takes_the_fast_path(kind, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", None)
    assert read_image(KINDS[kind]).shape[0] == 3


@needs_simplejpeg
@pytest.mark.parametrize("kind", ["4:2:0", "progressive", "grey", "profile", "comment", "restart markers"])
def test_the_usual_jpeg_is_read_without_pillow(kind, monkeypatch):
    monkeypatch.setattr(Image, "open", None)
    assert read_image(KINDS[kind]).shape == (3, 120, 160)


@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.integers(1, 100),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
    st.none() | st.integers(1, 40),
)
def test_whatever_is_encoded_both_decode_alike(height, width, quality, subsampling, progressive, grey, restart, side):
    image = noise(height, width).convert("L") if grey else noise(height, width)
    options = {"restart_marker_blocks": restart} if restart else {}
    data = encode(image, quality=quality, subsampling=subsampling, progressive=progressive, **options)
    assert_same_outcome(data, side)


@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1), st.integers(1, 255), st.none() | st.integers(1, 40))
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of notes that are damaged
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_changed_byte_is_judged_alike(kind, place, change, side):
    data = bytearray(KINDS[kind])
    data[min(int(place * len(data)), len(data) - 1)] ^= change
    assert_same_outcome(bytes(data), side)


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 700), st.integers(1, 255))
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_changed_byte_of_the_header_is_judged_alike(kind, place, change):
    data = bytearray(KINDS[kind])
    data[min(place, len(data) - 1)] ^= change
    assert_same_outcome(bytes(data))


@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1), st.booleans(), st.booleans())
@example("grey", 0.014, False, False)  # between the two bytes of a marker
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_cut_is_judged_alike(kind, share, is_padded, is_closed):
    whole = KINDS[kind]
    data = whole[: int(share * len(whole))]
    data += bytes(len(whole) - len(data)) * is_padded + b"\xff\xd9" * is_closed
    assert_same_outcome(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_photograph_is_turned_after_it_was_reduced(orientation):
    data = encode(photograph(160, 240), exif=lying(orientation))
    whole, reduced = read_image(data), read_image(data, 32)
    assert reduced.shape == (3, whole.shape[1] // 2, whole.shape[2] // 2)
    assert (squash(whole, 32).int() - squash(reduced, 32).int()).abs().float().mean() <= 1


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("by", [2, 4, 8])
def test_reduced_decoding_equals_full_decoding_within_one_level_on_average(by, subsampling):
    side = 40
    data = encode(photograph(int(2.5 * by * side), 3 * by * side), subsampling=subsampling, quality=95)
    assert reduction(plain_frame(data), side) == by
    difference = (squash(read_image(data), side).int() - read_square(data, side).int()).abs()
    assert difference.float().mean() <= 1
    assert difference.max() <= 10


@given(st.integers(1, 10**5), st.integers(1, 10**5), st.integers(1, 5000))
def test_what_is_left_is_at_least_two_and_a_half_times_the_square(width, height, side):
    by = reduction(Frame(width, height), side)
    assert by in (1, 2, 4, 8)
    assert by == 1 or min(width, height) >= 2.5 * by * side
    assert by == 8 or min(width, height) < max(2.5 * side, 16) * 2 * by


def test_an_image_of_another_format_is_never_reduced():
    file = io.BytesIO()
    photograph().save(file, "PNG")
    assert read_image(file.getvalue(), 3).shape == (3, 120, 160)


def test_a_square_is_the_squashed_image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(KINDS["4:2:0"])
    for side in (3, 16, 48, 299):
        assert torch.equal(read_square(path, side), squash(read_image(path, side), side))
        assert torch.equal(read_square(path, side), read_square(path.read_bytes(), side))


@pytest.mark.parametrize("side", [None, 1])
def test_a_jpeg_above_pillows_limit_is_refused_before_it_is_decoded(side, monkeypatch):
    whole, above = encode(Image.new("RGB", (100, 100))), encode(Image.new("RGB", (101, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    assert read_image(whole).shape == (3, 100, 100)
    monkeypatch.setattr(mlic.jpeg, "simplejpeg", "may not be asked")
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(ImageError, match="101 by 100 pixels, above"):
        read_image(above, side)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_header_that_lies_about_its_size_takes_no_memory():
    honest = KINDS["4:2:0"]
    place = honest.index(b"\xff\xc0") + 5
    lie = honest[:place] + b"\xff\xdc\xff\xdc" + honest[place + 4 :]
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="limit of"):
            read_image(lie)
        assert tracemalloc.get_traced_memory()[1] < 1e7
    finally:
        tracemalloc.stop()


def test_two_headers_in_one_file_are_left_to_pillow():
    data = KINDS["4:2:0"]
    start = data.index(b"\xff\xc0")
    header = data[start : start + 19]
    assert plain_frame(data) == Frame(160, 120)
    assert plain_frame(data[:start] + header + data[start:]) is None


@pytest.mark.parametrize("kind", ["notes", "turned", "XMP that turns", "several pictures"])
def test_notes_are_left_to_pillow(kind):
    assert plain_frame(KINDS[kind]) is None


def test_four_channels_are_left_to_pillow():
    assert plain_frame(ALSO_CMYK["CMYK"]) is None


def test_more_pixels_than_the_frame_has_room_for_are_refused():
    assert decode(KINDS["4:2:0"], Frame(159, 120)) is None
    assert decode(KINDS["4:2:0"], Frame(160, 121)) is None
    assert is_cut(KINDS["4:2:0"][:-1])
