"""The feature store: rows by content, whole or not there, whatever happens to the process or to the disk."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import MlicError, UsageError
from mlic.features import FeatureStore, StoreError


def keys_of(*numbers: int) -> np.ndarray:
    return np.array([list(int(number).to_bytes(16, "little")) for number in numbers], np.uint8).reshape(-1, 16)


def rows_of(*numbers: int, size: int = 3) -> np.ndarray:
    return np.array([[number + 0.25 * place for place in range(size)] for number in numbers], np.float32).reshape(
        -1, size
    )


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path / "store", (3,), "float32")


def put(store: FeatureStore, *numbers: int) -> None:
    with store.writer() as writer:
        writer.add(keys_of(*numbers), rows_of(*numbers))


def files(store: FeatureStore, suffix: str) -> list:
    return sorted(store.folder.glob(f"*{suffix}"))


def test_rows_come_back_under_their_keys_in_the_order_asked_for(store):
    put(store, 5, 1, 9)
    put(store, 2)
    asked = (2, 9, 5, 9)
    assert np.array_equal(store.features(keys_of(*asked))[:], rows_of(*asked))
    assert np.array_equal(store.features(keys_of(*asked))[np.array([3, 0])], rows_of(9, 2))


def test_what_is_missing_is_named_once(store):
    put(store, 1)
    assert store.missing(keys_of(3, 1, 2, 3)).tolist() == [0, 2]
    assert store.has(keys_of(3, 1, 2, 3)).tolist() == [False, True, False, False]


def test_an_empty_store_lacks_everything(store):
    assert store.missing(keys_of(1, 2)).tolist() == [0, 1]
    assert len(store) == 0
    with pytest.raises(MlicError, match="1 of 1 images have no features"):
        store.features(keys_of(1))


def test_no_images_lack_nothing(store):
    assert store.missing(keys_of()).tolist() == []
    assert store.features(keys_of())[:].shape == (0, 3)


def test_keys_that_agree_in_their_first_half_are_told_apart(store):
    near = [1 + (number << 64) for number in (7, 3, 5)]
    with store.writer() as writer:
        writer.add(keys_of(*near), rows_of(7, 3, 5))
    assert np.array_equal(store.features(keys_of(*reversed(near)))[:], rows_of(5, 3, 7))
    assert store.missing(keys_of(1 + (4 << 64), 1 + (9 << 64))).tolist() == [0, 1]


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=8), max_size=5), st.lists(st.integers(0, 40)))
def test_a_store_is_a_mapping(tmp_path_factory, written, asked):
    store = FeatureStore(tmp_path_factory.mktemp("store"), (3,), "float32")
    for numbers in written:
        put(store, *numbers)
    there = {number for numbers in written for number in numbers}
    lacking = [number for number in dict.fromkeys(asked) if number not in there]
    assert [asked[place] for place in store.missing(keys_of(*asked))] == lacking
    present = [number for number in asked if number in there]
    assert np.array_equal(store.features(keys_of(*present))[:], rows_of(*present))
    assert len(store) == len(there)


@pytest.mark.parametrize("place", [0, 13, 35])
def test_a_flipped_bit_in_a_row_makes_this_row_missing_and_no_other(store, place, caplog):
    put(store, 1, 2, 3)
    (rows,) = files(store, ".rows")
    data = bytearray(rows.read_bytes())
    data[place] ^= 1
    rows.write_bytes(data)
    again = FeatureStore(store.folder, (3,), "float32")
    damaged = place // 12
    assert again.missing(keys_of(1, 2, 3)).tolist() == [damaged]
    assert "1 rows are damaged" in caplog.text
    put(again, damaged + 1)
    assert np.array_equal(again.features(keys_of(1, 2, 3))[:], rows_of(1, 2, 3))
    # The next process too takes the whole row, not the damaged one.
    third = FeatureStore(store.folder, (3,), "float32")
    assert third.missing(keys_of(1, 2, 3)).tolist() == []
    assert np.array_equal(third.features(keys_of(1, 2, 3))[:], rows_of(1, 2, 3))


def test_a_flipped_bit_in_a_key_makes_its_row_missing(store):
    put(store, 1, 2)
    (keys,) = files(store, ".keys")
    data = bytearray(keys.read_bytes())
    data[0] ^= 1
    keys.write_bytes(data)
    again = FeatureStore(store.folder, (3,), "float32")
    assert again.missing(keys_of(1, 2)).tolist() == [0]
    assert again.missing(keys_of(0)).tolist() == [0]  # nor is it there under the wrong key


@pytest.mark.parametrize(
    ("suffix", "left", "lacking"), [(".rows", 30, [2]), (".rows", 0, [0, 1, 2]), (".keys", 25, [1, 2])]
)
def test_a_truncated_file_keeps_the_rows_that_are_whole(store, suffix, left, lacking):
    put(store, 1, 2, 3)
    (path,) = files(store, suffix)
    os.truncate(path, left)
    again = FeatureStore(store.folder, (3,), "float32")
    assert again.missing(keys_of(1, 2, 3)).tolist() == lacking
    put(again, *(place + 1 for place in lacking))
    assert np.array_equal(again.features(keys_of(1, 2, 3))[:], rows_of(1, 2, 3))


def test_rows_without_keys_file_and_keys_without_rows_file_are_not_there(store):
    put(store, 1)
    put(store, 2)
    files(store, ".rows")[0].unlink()
    files(store, ".keys")[1].unlink()
    assert FeatureStore(store.folder, (3,), "float32").missing(keys_of(1, 2)).tolist() == [0, 1]


_FILL = """
import sys, numpy as np
from pathlib import Path
from mlic.features import FeatureStore
store = FeatureStore(Path(sys.argv[1]), (3,), "float32")
with store.writer() as writer:
    print("ready", flush=True)
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        key = np.frombuffer(number.to_bytes(16, "little"), np.uint8).reshape(1, 16)
        writer.add(key, np.array([[number, number + 0.25, number + 0.5]], np.float32))
"""


def test_two_processes_fill_it_at_once(store):
    command = [sys.executable, "-c", _FILL, str(store.folder)]
    filling = [subprocess.Popen([*command, *span]) for span in (("0", "300"), ("150", "450"))]
    assert [process.wait(timeout=120) for process in filling] == [0, 0]
    numbers = range(450)
    assert store.missing(keys_of(*numbers)).tolist() == []
    assert np.array_equal(store.features(keys_of(*numbers))[:], rows_of(*numbers))


def test_a_killed_process_leaves_whole_rows_that_the_next_one_goes_on_from(store):
    process = subprocess.Popen(
        [sys.executable, "-c", _FILL, str(store.folder), "0", "1000000"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    while not (store.folder.exists() and any(path.stat().st_size > 2000 for path in files(store, ".keys"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    written = len(FeatureStore(store.folder, (3,), "float32"))
    assert written >= 100
    numbers = range(written + 1)
    assert store.missing(keys_of(*numbers)).tolist() == [written]
    assert np.array_equal(store.features(keys_of(*numbers[:-1]))[:], rows_of(*numbers[:-1]))


def test_float16_rounds_by_a_two_thousandth_at_most(tmp_path):
    store = FeatureStore(tmp_path, (100,), "float16")
    features = np.random.default_rng(0).lognormal(size=(4, 100)).astype(np.float32)
    with store.writer() as writer:
        writer.add(keys_of(1, 2, 3, 4), features)
    kept = store.features(keys_of(1, 2, 3, 4))[:]
    assert kept.dtype == np.float16
    assert np.abs(kept.astype(np.float64) / features - 1).max() <= 1 / 2048


@pytest.mark.parametrize(("dtype", "value"), [("float16", 1e6), ("float32", np.nan), ("float32", np.inf)])
def test_what_is_not_finite_is_refused(tmp_path, dtype, value):
    store = FeatureStore(tmp_path, (2,), dtype)
    with store.writer() as writer, pytest.raises(MlicError, match="not finite"):
        writer.add(keys_of(1), np.array([[1.0, value]], np.float32))
    assert store.missing(keys_of(1)).tolist() == [0]
    assert list(tmp_path.iterdir()) == []  # nor an empty segment


def test_features_of_another_shape_are_refused(store):
    with store.writer() as writer, pytest.raises(MlicError, match=r"shape \(1, 4\); expected \(1, 3\)"):
        writer.add(keys_of(1), rows_of(1, size=4))


def test_another_description_is_another_store(tmp_path):
    description = {"weights": "a", "dtype": "float32"}
    one = FeatureStore.described(tmp_path, "net", description, lambda: (3,))
    other = FeatureStore.described(tmp_path, "net", {**description, "weights": "b"}, lambda: (3,))
    same = FeatureStore.described(tmp_path, "net", dict(reversed(description.items())), lambda: pytest.fail("asked"))
    assert one.folder == same.folder != other.folder
    assert same.shape == (3,)
    assert FeatureStore.folders(tmp_path) == sorted([one.folder, other.folder])
    assert FeatureStore.description_in(one.folder)["weights"] == "a"


def test_a_damaged_description_is_told(tmp_path):
    store = FeatureStore.described(tmp_path, "net", {"dtype": "float32"}, lambda: (3,))
    (store.folder / "space.json").write_text("{")
    with pytest.raises(UsageError, match=r"space\.json: not the description of a feature store"):
        FeatureStore.opened(store.folder)


def test_a_damaged_description_is_written_anew_where_it_is_known(tmp_path):
    store = FeatureStore.described(tmp_path, "net", {"dtype": "float32"}, lambda: (3,))
    put(store, 1)
    (store.folder / "space.json").write_text("")
    again = FeatureStore.described(tmp_path, "net", {"dtype": "float32"}, lambda: (3,))
    assert again.missing(keys_of(1)).tolist() == []


def test_a_store_that_may_only_be_read_serves(tmp_path, monkeypatch):
    store = FeatureStore.described(tmp_path, "net", {"dtype": "float32"}, lambda: (3,))
    put(store, 1)

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    again = FeatureStore.described(tmp_path, "net", {"dtype": "float32"}, lambda: (3,))
    assert np.array_equal(again.features(keys_of(1))[:], rows_of(1))
    with pytest.raises(StoreError, match="Read-only file system"), again.writer():
        pass


def test_without_a_home_it_is_said_what_to_set(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", nobody)
    with pytest.raises(StoreError, match="neither XDG_CACHE_HOME nor HOME is set"):
        FeatureStore.default_root()


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="features cannot be kept there"):
        FeatureStore.described(tmp_path / "file", "net", {"dtype": "float32"}, lambda: (3,))


def test_compacting_keeps_each_whole_row_once(store):
    put(store, 1, 2)
    os.truncate(files(store, ".rows")[0], 13)  # of 2, one byte is left
    put(store, 2, 3)
    put(store, 3)
    assert store.compact() > 0
    assert len(files(store, ".rows")) == len(files(store, ".keys")) == 1
    assert len(store) == 3
    assert np.array_equal(store.features(keys_of(1, 2, 3))[:], rows_of(1, 2, 3))


def test_compacting_what_is_compact_writes_nothing(store):
    put(store, 1, 2)
    before = [path.stat().st_ino for path in sorted(store.folder.iterdir())]
    assert store.compact() == 0
    assert [path.stat().st_ino for path in sorted(store.folder.iterdir())] == before
    assert store.compact(np.array([True, False])) == 32
    assert len(store) == 1


def test_a_store_says_how_large_it_is(store):
    put(store, 1, 2)
    assert store.nbytes == 2 * (3 * 4 + 20)
    assert store.row_bytes == 12


def test_maps_have_a_shape_of_their_own(tmp_path):
    store = FeatureStore.described(tmp_path, "net", {"dtype": "float16"}, lambda: (2, 1, 3))
    with store.writer() as writer:
        writer.add(keys_of(4), np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3))
    features = FeatureStore.opened(store.folder).features(keys_of(4, 4))
    assert features.shape == (2, 2, 1, 3)
    assert features[1:].tolist() == [[[[0, 1, 2]], [[3, 4, 5]]]]
    assert json.loads((store.folder / "space.json").read_text())["shape"] == [2, 1, 3]
