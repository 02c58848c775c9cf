"""Digests of images: by content, read again when a file has changed, and right without a memory."""

import hashlib
import os
import sqlite3
import types

import pytest

from mlic.digests import ImageDigests, code_digest


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def settled(monkeypatch) -> None:
    """Makes files look as if they had not been written just now."""
    monkeypatch.setattr("mlic.digests._SETTLED", -100)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def test_a_digest_is_that_of_the_content(image, tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"two")
    found = ImageDigests(tmp_path / "memory").of([image, tmp_path / "b.jpg", image])
    assert [row.tobytes() for row in found] == [digest(b"one"), digest(b"two"), digest(b"one")]


def test_a_file_that_was_seen_is_not_read_again(image, tmp_path, settled, monkeypatch):
    digests = ImageDigests(tmp_path / "memory")
    digests.of([image])
    monkeypatch.setattr("mlic.digests._digest", lambda path: pytest.fail("the file was read"))
    assert digests.of([image])[0].tobytes() == digest(b"one")


def test_a_changed_file_is_read_again(image, tmp_path, settled):
    digests = ImageDigests(tmp_path / "memory")
    digests.of([image])
    image.write_bytes(b"two")
    assert digests.of([image])[0].tobytes() == digest(b"two")
    image.write_bytes(b"three")
    assert digests.of([image])[0].tobytes() == digest(b"three")


def test_a_changed_file_of_the_old_size_and_time_is_read_again(image, tmp_path, settled):
    digests = ImageDigests(tmp_path / "memory")
    digests.of([image])
    times = (image.stat().st_atime_ns, image.stat().st_mtime_ns)
    image.write_bytes(b"two")
    os.utime(image, ns=times)  # as archives do where all files have one time
    assert digests.of([image])[0].tobytes() == digest(b"two")


def test_a_file_that_was_written_just_now_is_not_remembered(image, tmp_path):
    image.write_bytes(b"new")
    digests = ImageDigests(tmp_path / "memory")
    digests.of([image])
    times = image.stat()
    image.write_bytes(b"old")
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digests.of([image])[0].tobytes() == digest(b"old")


def test_a_file_with_an_old_time_that_was_written_just_now_is_not_remembered(image, tmp_path, monkeypatch):
    os.utime(image, (0, 0))
    ImageDigests(tmp_path / "memory").of([image])
    with sqlite3.connect(tmp_path / "memory") as memory:
        assert memory.execute("SELECT count(*) FROM digests").fetchone() == (0,)


def test_a_memory_that_is_damaged_further_on_is_told_and_done_without(tmp_path, settled, caplog):
    paths = [tmp_path / f"{number}.jpg" for number in range(300)]
    for path in paths:
        path.write_bytes(path.name.encode())
    memory = tmp_path / "memory"
    ImageDigests(memory).of(paths)
    data = bytearray(memory.read_bytes())
    data[8192:] = b"x" * (len(data) - 8192)
    memory.write_bytes(data)
    assert [row.tobytes() for row in ImageDigests(memory).of(paths)] == [digest(path.name.encode()) for path in paths]
    assert "cannot be" in caplog.text


def test_comments_and_docstrings_are_no_code(tmp_path, monkeypatch):
    def digest_of_code(name: str, source: str) -> str:
        (tmp_path / f"{name}.py").write_text(source)
        module = types.ModuleType("plugin")
        module.__file__ = str(tmp_path / f"{name}.py")
        return code_digest([module])

    one = digest_of_code("one", "def double(x):\n    return 2 * x\n")
    assert (
        digest_of_code("same", '"""A module."""\ndef double(x):  # twice\n    """Doubles."""\n    return 2 * x\n')
        == one
    )
    assert digest_of_code("other", "def double(x):\n    return 3 * x\n") != one
    assert digest_of_code("longer", "y = 1\ndef double(x):\n    return 2 * x\n") != one


def test_what_cannot_be_read_has_no_digest(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    found = ImageDigests(None).of([tmp_path / "gone.jpg", tmp_path / "folder.jpg"])
    assert [row.tobytes() for row in found] == [bytes(16)] * 2


def test_no_images_have_no_digests():
    assert ImageDigests(None).of([]).shape == (0, 16)


def test_a_memory_that_is_none_is_told_and_done_without(image, tmp_path, caplog):
    memory = tmp_path / "memory"
    memory.write_bytes(b"this is no data base" * 100)
    assert ImageDigests(memory).of([image])[0].tobytes() == digest(b"one")
    assert "cannot be remembered" in caplog.text


def test_a_memory_that_another_process_writes_is_waited_for_or_done_without(image, tmp_path, monkeypatch):
    digests = ImageDigests(tmp_path / "memory")
    digests.of([])
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, timeout: connect(path, timeout=0.01))
    with connect(tmp_path / "memory") as other:
        other.execute("BEGIN IMMEDIATE")
        assert digests.of([image])[0].tobytes() == digest(b"one")


def test_more_images_than_are_read_at_a_time_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("mlic.digests._BLOCK", 3)
    paths = [tmp_path / f"{number}.jpg" for number in range(10)]
    for number, path in enumerate(paths):
        path.write_bytes(str(number).encode())
    found = ImageDigests(tmp_path / "memory").of(iter(paths))
    assert [row.tobytes() for row in found] == [digest(str(number).encode()) for number in range(10)]
