"""Files that would keep a lane busy for minutes, or take all memory, and have few pixels or few bytes."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="Starlette is not installed: pip install 'mlic[serve]'")

from mlic.errors import ImageError
from mlic.serve.lanes import read_within
from mlic.serve.traps import refuse_trap


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def segment(marker, data=b""):
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def scans(count):
    """A progressive JPEG of 64 by 64 pixels, each of whose scans says of the whole image that nothing is there."""
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, b"\0" + bytes([1] * 64)),
            segment(0xC2, b"\x08\0\x40\0\x40\x01\x01\x11\0"),
            segment(0xC4, b"\x00\x01" + bytes(15) + b"\x00"),
            segment(0xC4, b"\x10\x01" + bytes(15) + b"\x60"),
            segment(0xDA, b"\x01\x01\x00\0\0\0") + bytes(8),
            (segment(0xDA, b"\x01\x01\x00\x01\x3f\0") + b"\x01") * count,
            b"\xff\xd9",
        )
    )


def tiff(*tags, big=False, order="<"):
    entries = b"".join(struct.pack(order + ("HHQQ" if big else "HHII"), *tag) for tag in sorted(tags))
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    if big:
        return start + struct.pack(order + "HHQQ", 8, 0, 16, len(tags)) + entries + bytes(8)
    return start + struct.pack(order + "IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        ("segments", lambda whole: whole["JPEG"][:2] + segment(0xE5) * 1000 + whole["JPEG"][2:]),
        ("segments", lambda whole: b"\xff\xd8\xff\xd9" + segment(0xE1, b"Exif\0\0") * 1001 + whole["JPEG"][2:]),
        ("between two", lambda whole: whole["JPEG"][:2] + b"\xff" * 2000 + whole["JPEG"][2:]),
        ("between two", lambda whole: whole["JPEG"][:2] + b"\xff\0" * 2000 + whole["JPEG"][2:]),
        ("without any pixels", lambda whole: b"\xff\xd8" + b"\xff" * 2000),
        ("scans", lambda whole: scans(100)),
        ("chunks", lambda whole: whole["PNG"][:33] + chunk(b"abCd") * 20_001 + whole["PNG"][33:]),
        ("blocks", lambda whole: whole["GIF"][:19] + b"!\xfe\1a\0" * 10_001 + whole["GIF"][19:]),
        ("blocks", lambda whole: whole["GIF"][:19] + b"!\xfe" + b"\1a" * 20_001 + b"\0" + whole["GIF"][19:]),
        ("tags", lambda whole: tiff(*[(tag, 3, 1, 1) for tag in range(1001)])),
        ("tags", lambda whole: tiff(*[(tag, 3, 1, 1) for tag in range(1001)], big=True, order=">")),
        ("strips", lambda whole: tiff((256, 4, 1, 1), (273, 4, 65_537, 8))),
        ("tiles", lambda whole: tiff((322, 4, 1, 3000), (323, 4, 1, 3000))),
        ("tiles", lambda whole: tiff((322, 3, 1, 3000), (323, 3, 1, 3000), big=True)),
        ("tiles", lambda whole: tiff((322, 3, 1, 3000 << 16), (323, 4, 1, 3000), order=">")),
    ],
)
def test_a_file_of_more_parts_than_any_program_writes_is_given_to_no_reader(reason, make, scorer, monkeypatch):
    monkeypatch.setattr("mlic.serve.lanes.image_size", lambda data: pytest.fail("Pillow has it"))
    monkeypatch.setattr("mlic.squares.read_pixels", lambda *_: pytest.fail("it was decoded"))
    whole = {}
    for kind in ("JPEG", "PNG", "GIF"):
        file = io.BytesIO()
        Image.new("P" if kind == "GIF" else "RGB", (10, 10)).save(file, kind)
        whole[kind] = file.getvalue()
    with pytest.raises(ImageError, match=reason):
        read_within(scorer, make(whole), 1_000_000)


def test_what_programs_write_is_no_trap():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x010E] = "x" * 60_000
    for kind, how in (
        ("JPEG", {"quality": 95, "exif": exif, "icc_profile": bytes(300_000), "comment": b"x" * 60_000}),
        ("JPEG", {"progressive": True}),
        ("PNG", {"exif": exif}),
        ("GIF", {"save_all": True, "append_images": [image.rotate(90)] * 5, "comment": b"x" * 60_000}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"big_tiff": True}),
        ("WEBP", {}),
        ("BMP", {}),
    ):
        file = io.BytesIO()
        image.save(file, kind, **how)
        refuse_trap(file.getvalue(), 120_000)
        # A phone writes a video behind the picture.
        refuse_trap(file.getvalue() + b"\xff\xda\xff\xe1" * 100_000, 120_000)


def test_files_that_are_cut_anywhere_are_left_to_the_readers():
    for kind in ("JPEG", "PNG", "GIF", "TIFF"):
        file = io.BytesIO()
        Image.new("P" if kind == "GIF" else "RGB", (10, 10)).save(file, kind)
        for end in range(len(file.getvalue())):
            refuse_trap(file.getvalue()[:end], 1000)


def test_an_image_of_one_line_is_not_stretched_over_all_memory(serving, form):
    client = serving()
    for width, height in ((1, 65_536), (65_536, 1)):
        file = io.BytesIO()
        Image.new("L", (width, height)).save(file, "PNG")
        told = client.post("/predict", files=form(file.getvalue())).json()["predictions"][0]["error"]
        assert told == f"{width} by {height} pixels; this server takes sides of 65535 at most"
