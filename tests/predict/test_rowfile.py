import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.errors import UsageError
from mlic.predict import Prediction, Source
from mlic.predict.arrays import ArrayFile, open_features
from mlic.predict.formats import Csv, Jsonl, Text
from mlic.predict.inputs import Given
from mlic.predict.rowfile import RowFile, Verified, unfinished

NAMES = ['a,"\n.jpg', "b.jpg", "c\udce9\r.jpg", "d.jpg", "e.jpg", "f.jpg"]
ROWS = [Prediction(name, ("cat",), {"cat": 0.5, "dog": place / 8}) for place, name in enumerate(NAMES)]
FORMS = [Csv(["cat", "dog"]), Jsonl(), Text()]
NOTE = {"facts": {"checkpoint": "abc"}, "engine": "torch"}


def write(path, form, rows, left=None):
    file = RowFile(path, form, NOTE, left)
    for row in rows:
        file(row)
    return file


@pytest.mark.parametrize("form", FORMS, ids=["csv", "jsonl", "txt"])
def test_a_file_that_was_cut_at_any_byte_ends_as_the_one_that_was_not(form, tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "rows"
    write(whole, form, ROWS).finish()
    expected = whole.read_bytes()
    for cut in range(len(expected) + 1):
        write(path, form, []).close()
        path.write_bytes(expected[:cut])
        left = unfinished(path, form, NOTE["facts"])
        assert left.is_noted
        assert list(left.names()) == [form.name(name) for name in NAMES[: left.num_rows]]
        write(path, form, ROWS[left.num_rows :], left).finish()
        assert path.read_bytes() == expected
    assert {file.name for file in tmp_path.iterdir()} == {"whole", "rows"}


def test_a_row_whose_features_are_lost_is_lost_too(tmp_path):
    path, features = tmp_path / "rows.jsonl", tmp_path / "f.npy"
    write(path, Jsonl(), ROWS).close()
    kept = ArrayFile(features, 2)
    kept.add(NAMES[:4], np.ones((4, 2), np.float32))
    kept.close()
    features.write_bytes(features.read_bytes()[:-1])
    left = unfinished(path, Jsonl(), NOTE["facts"], (features, 2))
    assert left.num_rows == 3
    write(path, Jsonl(), [], left).close()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


def test_there_is_a_note_as_long_as_rows_are_missing(tmp_path):
    path = tmp_path / "rows.csv"
    note = tmp_path / "rows.csv.unfinished"
    file = write(path, FORMS[0], ROWS[:2])
    assert json.loads(note.read_text()) == NOTE
    file.close()
    assert note.exists()
    assert unfinished(path, FORMS[0], NOTE["facts"]).engine == "torch"
    with pytest.raises(UsageError, match=r"made with another checkpoint \(abc, now abd\)"):
        unfinished(path, FORMS[0], {"checkpoint": "abd"})
    write(path, FORMS[0], ROWS).finish()
    assert not note.exists()
    assert unfinished(tmp_path / "gone.csv", FORMS[0], {}) is None


def test_rows_of_an_earlier_run_are_not_taken_for_those_of_a_new_one_that_could_not_begin(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    write(path, FORMS[0], ROWS).finish()
    opened = Path.open

    def refused(self, *words, **options):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *words, **options)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(UsageError, match="cannot be written"):
        RowFile(path, FORMS[0], {"facts": {"checkpoint": "new"}, "engine": "torch"})
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_of_some_other_program_is_left_alone(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("path,score\na.jpg,1\n")
    with pytest.raises(UsageError, match="its first line is not that of these classes"):
        unfinished(path, FORMS[0], {})
    (tmp_path / "rows.jsonl").write_text('{"name": 1}\n')
    with pytest.raises(UsageError, match=r"rows\.jsonl: line 1 is no prediction"):
        unfinished(tmp_path / "rows.jsonl", Jsonl(), {})


def test_rows_are_there_before_the_file_is_finished(tmp_path, monkeypatch):
    import mlic.predict.rowfile as module

    clock = iter(range(100))
    monkeypatch.setattr(module.time, "monotonic", lambda: 2 * next(clock))
    before = []
    file = RowFile(tmp_path / "rows.csv", FORMS[0], NOTE, before=lambda: before.append(1))
    file(ROWS[0])
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 3  # one name has two lines
    assert before == [1]
    file.close()


def test_images_have_to_be_those_that_rows_are_there_of(tmp_path):
    path = tmp_path / "rows.csv"
    write(path, FORMS[0], ROWS[:3]).close()
    left = unfinished(path, FORMS[0], {})

    def names(images):
        verified = Verified(Given(images), left, FORMS[0])
        return [source.name for lot in verified.lots(2) for source in lot]

    assert names(NAMES) == NAMES
    assert names(NAMES[:3]) == NAMES[:3]
    with pytest.raises(UsageError, match=r"row 2 is of 'b\.jpg', and image 2 is 'x\.jpg'"):
        names([NAMES[0], "x.jpg", *NAMES[2:]])
    with pytest.raises(UsageError, match="3 rows are there, of 2 images"):
        names(NAMES[:2])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.integers(0, 5),
    width=st.integers(1, 4),
    lost=st.integers(0, 60),
    suffix=st.sampled_from(["npy", "safetensors"]),
)
def test_features_that_were_cut_anywhere_go_on_after_the_last_whole_row(kept, width, lost, suffix, tmp_path):
    rows = np.arange(6 * width, dtype=np.float32).reshape(6, width)
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"f.{suffix}"
    file = ArrayFile(whole, width)
    file.add([], rows)
    file.finish()
    cut = ArrayFile(path, width)
    cut.add([], rows[:kept])
    cut.close()
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - lost)])
    there = ArrayFile.rows_in(path, width)
    assert there <= kept
    file = open_features(path, width, there)
    file.add([], rows[there:])
    file.finish()
    assert path.read_bytes() == whole.read_bytes()


def test_features_are_read_by_those_who_read_such_files(tmp_path):
    from safetensors.numpy import load_file

    from mlic.datamodules.featurearrays import open_features as mapped

    rows = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for suffix, load in {"npy": np.load, "safetensors": lambda path: load_file(path)["features"]}.items():
        path = tmp_path / f"f.{suffix}"
        file = ArrayFile(path, 5)
        file.add([], rows)
        file.flush()
        file.finish()
        file.flush()  # does no harm
        np.testing.assert_array_equal(load(path), rows)
        np.testing.assert_array_equal(mapped(path), rows)


def test_a_source_is_itself():
    source = Source("a", path="b")
    assert Source.of(source) is source
