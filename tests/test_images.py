import io
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from mlic.errors import ImageError, UsageError
from mlic.images import read_image, squash
from mlic.suffixes import IMAGE_SUFFIXES

EXPECTED = "expected a JPEG, PNG, WebP, BMP, GIF or TIFF"


def encode(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height=48, width=64):
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def planes(pixels):
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def colours(image):
    """The pixels of the first row."""
    return [tuple(pixel) for pixel in image[:, 0].T.tolist()]


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, bits, colour_type, rows, extra=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(width, bits, photometric, pixels, sample_format=1):
    """A TIFF of one row and one channel, without compression."""
    entries = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric)]
    entries += [(273, 134), (277, 1), (278, 1), (279, len(pixels)), (339, sample_format)]
    directory = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + pixels


def message(source):
    with pytest.raises(ImageError) as caught:
        read_image(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_lossless_formats_give_the_exact_pixels(file_format, options):
    pixels = noise(13, 17)
    image = read_image(encode(Image.fromarray(pixels), file_format, **options))
    assert image.dtype == torch.uint8
    assert torch.equal(image, planes(pixels))


@pytest.mark.parametrize(("file_format", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_formats_give_nearly_the_pixels(file_format, options):
    pixels = smooth()
    image = read_image(encode(Image.fromarray(pixels), file_format, **options))
    assert (image.float() - planes(pixels)).abs().mean() < 3


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_what_pillow_decodes(progressive):
    data = encode(Image.fromarray(smooth()), "JPEG", progressive=progressive)
    assert torch.equal(read_image(data), planes(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_a_path_and_its_bytes_give_the_same_pixels(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise(20, 30)).save(path)
    assert torch.equal(read_image(path), read_image(path.read_bytes()))


def test_the_bytes_decide_not_the_suffix(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(Image.fromarray(noise(4, 5)), "PNG"))
    assert torch.equal(read_image(path), planes(noise(4, 5)))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_an_animation_gives_its_first_frame(file_format):
    red, blue = Image.new("RGB", (8, 6), (255, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 255))
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(red, file_format, save_all=True, append_images=[blue], **options)
    assert set(colours(read_image(data))) == {(255, 0, 0)}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(file_format, orientation):
    upright = np.zeros((16, 24, 3), dtype=np.uint8)
    upright[:8, :8] = 255  # one white corner, top left
    # How a camera stores the upright scene, from the EXIF standard: where its row 0 and column 0 lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), file_format, exif=exif.tobytes())
    image = read_image(data)
    assert image.shape == (3, 16, 24)
    assert (image.int() - planes(upright).int()).abs().max() <= 12  # JPEG and WebP round


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_refuse_the_pixels():
    pixels = noise(4, 5)
    data = encode(Image.fromarray(pixels), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert torch.equal(read_image(data), planes(pixels))


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_is_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(noise(4, 5)), "PNG", exif=exif.tobytes())
    assert torch.equal(read_image(data), planes(noise(4, 5)))


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 255, 255, 0), (255, 0, 0))],
)
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_is_ink_on_white_paper(file_format, ink, colour):
    data = encode(Image.new("CMYK", (16, 16), ink), file_format)
    assert (read_image(data).int() - torch.tensor(colour)[:, None, None]).abs().max() <= 2


def test_a_cmyk_jpeg_is_stored_inverted_as_adobe_does_and_read_back():
    data = encode(Image.new("CMYK", (16, 16), (0, 0, 0, 255)), "JPEG")
    assert b"Adobe" in data
    assert read_image(data).max() <= 2


def test_a_palette_gives_its_colours():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    for file_format in ("PNG", "GIF", "BMP", "TIFF"):
        assert colours(read_image(encode(image, file_format))) == [(10, 20, 30), (200, 100, 50)]


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(file_format):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    data = encode(image, file_format, transparency=0)
    assert colours(read_image(data)) == [(255, 255, 255), (200, 100, 50)]


def test_alpha_is_laid_over_white():
    image = Image.new("RGBA", (3, 1))
    for column, pixel in enumerate([(255, 0, 0, 0), (0, 100, 200, 255), (0, 0, 0, 51)]):
        image.putpixel((column, 0), pixel)
    for file_format, options in [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]:
        read = colours(read_image(encode(image, file_format, **options)))
        assert read == [(255, 255, 255), (0, 100, 200), (204, 204, 204)]


def test_grey_with_alpha_is_laid_over_white():
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (0, 0))
    image.putpixel((1, 0), (90, 255))
    assert colours(read_image(encode(image, "PNG"))) == [(255, 255, 255), (90, 90, 90)]


@pytest.mark.parametrize(
    ("bits", "colour_type", "key", "row", "expected"),
    [
        (8, 0, (5,), b"\x05\x06", [(255, 255, 255), (6, 6, 6)]),
        (8, 2, (1, 2, 3), b"\x01\x02\x03\x04\x05\x06", [(255, 255, 255), (4, 5, 6)]),
        (16, 0, (500,), struct.pack(">2H", 500, 25700), [(255, 255, 255), (100, 100, 100)]),
        (16, 2, (500, 600, 700), struct.pack(">6H", 500, 600, 700, 1, 2, 65535), [(255, 255, 255), (0, 0, 255)]),
        (16, 2, (1, 2, 3), struct.pack(">6H", 1, 2, 3, 257, 514, 771), [(255, 255, 255), (1, 2, 3)]),
        (16, 2, (1, 2, 65535), struct.pack(">6H", 1, 2, 65535, 0, 0, 0), [(255, 255, 255), (0, 0, 0)]),
    ],
)
def test_the_transparent_colour_of_a_png_is_white(bits, colour_type, key, row, expected):
    extra = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    assert colours(read_image(png(2, 1, bits, colour_type, b"\0" + row, extra))) == expected


@pytest.mark.parametrize(
    ("alphas", "expected"),
    [((0, 0), [(10, 20, 30), (40, 50, 60)]), ((0, 255), [(255, 255, 255), (40, 50, 60)])],
)
def test_a_bmp_that_leaves_all_its_alpha_0_is_opaque(alphas, expected):
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (10, 20, 30, alphas[0]))
    image.putpixel((1, 0), (40, 50, 60, alphas[1]))
    pixels = image.tobytes("raw", "BGRA")
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 2, 1, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks + bytes(52)
    data = b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + header + pixels
    assert colours(read_image(data)) == expected


def test_one_bit_is_black_and_white():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    for file_format in ("PNG", "BMP", "TIFF", "GIF"):
        assert colours(read_image(encode(image, file_format))) == [(0, 0, 0), (255, 255, 255)]


def test_grey_fills_the_three_channels():
    image = Image.fromarray(noise(5, 6)[..., 0])
    for file_format in ("PNG", "BMP", "TIFF", "GIF"):
        read = read_image(encode(image, file_format))
        assert torch.equal(read, torch.from_numpy(noise(5, 6)[..., 0].copy()).expand(3, 5, 6))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_divided_by_257_and_not_clipped(file_format):
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    greys = read_image(encode(Image.fromarray(values), file_format))[0, 0].tolist()
    assert greys == [0, 0, 1, 1, 128, 254, 255, 255]


def test_pillow_clips_16_bit_grey():
    # Why the conversion is ours. If this fails, Pillow has learned to scale.
    assert Image.fromarray(np.array([[300, 40000]], dtype=np.uint16)).convert("L").tobytes() == b"\xff\xff"


def test_16_bit_grey_of_either_byte_order_is_the_same():
    little = tiff(2, 16, 1, struct.pack("<2H", 1000, 50000))
    assert read_image(little)[0, 0].tolist() == [4, 195]
    assert read_image(png(2, 1, 16, 0, b"\0" + struct.pack(">2H", 1000, 50000)))[0, 0].tolist() == [4, 195]


def test_16_bit_grey_that_pillow_opens_as_integers_is_scaled(monkeypatch):
    # As Pillow 10 opens a PNG, and every Pillow a signed TIFF.
    assert read_image(tiff(2, 16, 1, struct.pack("<2h", 0, 25700), 2))[0, 0].tolist() == [0, 100]
    integers = Image.fromarray(np.array([[0, 257, 65535]], dtype=np.int32))
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: integers)
    assert read_image(png(3, 1, 16, 0, b"\0" + bytes(6)))[0, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
@pytest.mark.parametrize("white", [255, 65535, 2**31 - 1])
def test_32_bit_integers_have_no_white_point(dtype, white):
    sample_format = 1 if dtype is np.uint32 else 2
    source = tiff(2, 32, 1, np.array([0, white], dtype=dtype).tobytes(), sample_format)
    found = f"32-bit integers of 0 to {white}, which have no white point; convert it to 8 or 16 bits"
    assert message(source) == f"image of {len(source)} bytes: {found}"


def test_floats_of_0_to_1_are_scaled():
    image = Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32))
    assert read_image(encode(image, "TIFF"))[0, 0].tolist() == [0, 128, 255]


def test_12_bit_grey_fills_the_range():
    assert read_image(tiff(2, 12, 1, bytes([0xFF, 0xF0, 0x00])))[0, 0].tolist() == [255, 0]


def test_a_tiff_whose_white_is_zero_is_inverted():
    assert read_image(tiff(2, 8, 0, b"\x00\xff"))[0, 0].tolist() == [255, 0]
    assert read_image(tiff(2, 16, 0, struct.pack("<2H", 0, 65535)))[0, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (tiff(2, 16, 1, struct.pack("<2h", -5, 300), 2), "grey values of -5 to 300; expected integers of 0 to 65535"),
        (tiff(2, 32, 1, struct.pack("<2f", 0, 255), 3), "grey values of 0 to 255; expected floats of 0 to 1"),
        (tiff(1, 32, 1, struct.pack("<f", float("nan")), 3), "grey values of nan to nan; expected floats of 0 to 1"),
    ],
)
def test_grey_of_unknown_range_is_refused_rather_than_guessed(source, found):
    assert message(source) == f"image of {len(source)} bytes: {found}: convert it to 8 bits"


def test_16_bit_colour_keeps_its_high_byte():
    row = b"\0" + struct.pack(">3H", 0, 40000, 65535)
    assert colours(read_image(png(1, 1, 16, 2, row))) == [(0, 156, 255)]


def test_ycbcr_and_lab_become_rgb():
    # Compressed: Pillow 12.2 and older do not read what they write without compression.
    grey = encode(Image.new("YCbCr", (4, 4), (100, 128, 128)), "TIFF", compression="tiff_lzw")
    assert set(colours(read_image(grey))) == {(100, 100, 100)}
    # sRGB's red under Pillow's white (D50) is L* 54.3, a* 80.8, b* 69.9; Pillow keeps 2.55 L*, a* + 128, b* + 128.
    red = read_image(encode(Image.new("LAB", (4, 4), (138, 209, 198)), "TIFF"))
    assert (red.int() - torch.tensor([255, 0, 0])[:, None, None]).abs().max() <= 8


def test_a_missing_file_is_named(tmp_path):
    assert message(tmp_path / "a.jpg") == f"{tmp_path / 'a.jpg'}: no such file"


def test_a_folder_is_not_an_image(tmp_path):
    assert message(tmp_path) == f"{tmp_path}: a folder; expected an image"


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    path.touch()
    assert message(path) == f"{path}: empty, 0 bytes; {EXPECTED}"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"some text\n", "not an image"),
        (b"\0" * 100, "not an image"),
        (b"\xff\xd8", "not an image"),
        (b"<!DOCTYPE html><html>404</html>", "not an image but a web page"),
        (b"\0\0\0\x20ftypavif", "not an image but AVIF"),
        (b"\0\0\0\x18ftypheic", "not an image but HEIF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an image but a Git LFS pointer"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
    ],
)
def test_what_is_no_image_is_told(data, found, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert message(path) == f"{path}: {found}; {EXPECTED}"
    assert message(data) == f"image of {len(data)} bytes: {found}; {EXPECTED}"


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_truncated_file_is_refused_never_filled(file_format, share, tmp_path):
    data = encode(Image.fromarray(noise(120, 160)), file_format)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: int(len(data) * share)])
    assert re.fullmatch(
        re.escape(f"{path}: not an image that can be read (") + "(damaged or truncated|truncated|damaged) .*[)]",
        message(path),
    )


def test_a_truncated_jpeg_says_what_is_missing():
    data = encode(Image.fromarray(smooth()), "JPEG")[:-3]
    opening = f"image of {len(data)} bytes: not an image that can be read (truncated JPEG: image file is truncated ("
    assert message(data).startswith(opening)


def test_a_truncated_webp_says_how_much_is_there():
    data = encode(Image.fromarray(smooth()), "WEBP")
    found = f"truncated WebP: {len(data) - 10} of {len(data)} bytes are there"
    assert message(data[:-10]).endswith(f"({found})")


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("preview", [b"", b"Exif\0\0 a preview \xff\xd9 and its end"])
def test_a_jpeg_whose_second_half_is_zeros_is_refused(options, preview):
    data = encode(Image.fromarray(noise(120, 160)), "JPEG", **({"exif": preview} if preview else {}), **options)
    half = len(data) // 2
    assert "truncated JPEG" in message(data[:half] + bytes(len(data) - half))


@pytest.mark.parametrize("tail", [b"\0" * 100, b"\r\n", b"\xff\xd8 a second image", b"\xff"])
def test_what_follows_a_whole_jpeg_does_not_matter(tail):
    data = encode(Image.fromarray(smooth()), "JPEG")
    assert torch.equal(read_image(data + tail), read_image(data))


def test_filling_bytes_between_the_segments_of_a_jpeg_do_not_matter():
    data = encode(Image.fromarray(smooth()), "JPEG")
    assert torch.equal(read_image(data[:2] + b"\xff\xff" + data[2:]), read_image(data))


def test_a_damaged_png_is_refused():
    data = bytearray(encode(Image.fromarray(noise(60, 80)), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert "(damaged PNG: broken data stream when reading image file)" in message(bytes(data))


def test_messages_hold_no_memory_address():
    data = encode(Image.fromarray(smooth()), "PNG")[:30]
    found = "damaged or truncated PNG, or a variant of it that Pillow does not know"
    assert message(data) == f"image of 30 bytes: not an image that can be read ({found})"


@pytest.mark.parametrize("side", [(0, 4), (4, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(side):
    assert message(png(*side, 8, 0, b""))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_above_pillows_limit_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    size = encode(Image.new("L", (10, 10)), "PNG")
    assert read_image(size).shape == (3, 10, 10)
    above = encode(Image.new("L", (11, 10)), "PNG")
    assert message(above).endswith(": 11 by 10 pixels, above Pillow's limit of 100; make it smaller")
    far_above = encode(Image.new("L", (100, 10)), "PNG")
    assert message(far_above).endswith(": PNG above Pillow's limit of 100 pixels")


def test_pillow_that_fills_truncated_files_is_refused(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UsageError, match="LOAD_TRUNCATED_IMAGES is set") as caught:
        read_image(encode(Image.new("RGB", (2, 2)), "PNG"))
    # An option that skips unreadable images must not skip all of them.
    assert not isinstance(caught.value, ImageError)


def test_reading_leaves_pillow_as_it_was():
    before = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
    message(encode(Image.fromarray(smooth()), "JPEG")[:-3])
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == before == (False, Image.MAX_IMAGE_PIXELS)


def test_threads_read_what_one_thread_reads():
    files = [encode(Image.fromarray(noise(40, 50, k)), kind) for k in range(8) for kind in ("JPEG", "PNG", "TIFF")]
    alone = [read_image(file) for file in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read_image, files))
        messages = set(pool.map(message, [files[0][:-3]] * 16))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert messages == {message(files[0][:-3])}


def test_images_can_be_written_to_without_a_warning(recwarn):
    image = read_image(encode(Image.new("RGB", (2, 2)), "PNG"))
    image += 1
    assert image.unique().tolist() == [1]
    assert not recwarn.list


SIZES = [
    ((1, 1), 17),
    ((1, 5000), 32),
    ((5000, 1), 32),
    ((3, 5000), 299),
    ((2, 3), 224),
    ((30, 40), 299),
    ((100, 150), 64),
    ((350, 525), 299),
    ((299, 299), 299),
    ((7, 8), 7),
    ((50, 60), 1),
]


@pytest.mark.parametrize("kind", ["noise", "black and white", "smooth", "white"])
@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_squash_is_pillows_bilinear_within_one_grey_level(shape, size, kind):
    pixels = {
        "noise": noise(*shape),
        "black and white": noise(*shape) // 128 * 255,
        "smooth": smooth(*shape),
        "white": np.full((*shape, 3), 255, dtype=np.uint8),
    }[kind]
    pillow = planes(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
    squashed = squash(planes(pixels), size)
    assert squashed.dtype == torch.uint8
    assert squashed.is_contiguous()
    assert (squashed.int() - pillow.int()).abs().max() <= (0 if kind == "white" else 1)


def test_squash_of_a_square_of_that_size_changes_nothing():
    image = planes(noise(299, 299))
    assert torch.equal(squash(image, 299), image)


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_squash_does_not_depend_on_the_memory_layout(shape, size):
    interleaved = planes(noise(*shape))
    planar = interleaved.clone(memory_format=torch.contiguous_format)
    padded = planes(noise(shape[0] + 4, shape[1] + 6))[:, 2:-2, 3:-3]
    assert torch.equal(squash(interleaved, size), squash(planar, size))
    assert torch.equal(squash(padded, size), squash(padded.contiguous(), size))


def test_squash_does_not_depend_on_the_number_of_threads():
    image, threads = planes(noise(700, 900)), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = squash(image, 299)
        torch.set_num_threads(3)
        assert torch.equal(squash(image, 299), alone)
    finally:
        torch.set_num_threads(threads)


def test_squash_keeps_the_borders():
    image = torch.zeros(3, 100, 400, dtype=torch.uint8)
    image[:, :, :4] = 255
    image[:, :, -4:] = 255
    squashed = squash(image, 50)
    assert squashed[:, :, 0].min() > 50
    assert squashed[:, :, -1].min() > 50
