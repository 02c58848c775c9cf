import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.samples import Samples, _sort
from mlic.errors import LabelError

SOURCE = Path("labels.txt")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images a.jpg to d.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        Path(f"{name}.jpg").touch()
    return tmp_path


def collect(classes=None, **options):
    return Samples(SOURCE, ImageFiles(Path(), Path()), classes, **options)


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def fill(samples, *lines):
    """Adds lines of an image, a class and a value, with their numbers from 1 on; each image is labelled."""
    for line, (image, name, value) in enumerate(lines, 1):
        row = samples.image(f"{image}.jpg", line)
        samples.labelled(row)
        samples.add(row, samples.column(name, line), line, value)
    return samples


def faults(samples):
    with pytest.raises(LabelError) as error:
        samples.table()
    return str(error.value).splitlines()


class TestTheTable:
    def test_images_keep_their_order_and_classes_are_sorted_by_name(self):
        table = fill(collect(), ("b", "owl", 1), ("a", "cat", 1), ("b", "dog", 1)).table()
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == {"b.jpg": [0, 1, 1], "a.jpg": [1, 0, 0]}
        assert (table.root, table.source, table.open_vocabulary) == (Path(), "labels.txt", False)
        assert table.origins == {"owl": "labels.txt:1", "cat": "labels.txt:2", "dog": "labels.txt:3"}

    def test_classes_that_are_given_keep_their_order_and_places(self):
        table = fill(collect({"owl": 7, "cat": 0}), ("a", "cat", 1)).table(open_vocabulary=True)
        assert (table.classes, table.open_vocabulary) == (("owl", "cat"), True)
        assert cells(table) == {"a.jpg": [0, 1]}
        assert table.origins == {"owl": "labels.txt:7", "cat": "labels.txt"}

    def test_an_image_is_unlabelled_until_it_is_labelled(self):
        samples = collect({"cat": 1, "dog": 2})
        first, second, third = (samples.image(f"{name}.jpg", 1) for name in "abc")
        samples.labelled(second)
        samples.add(third, 0, 1)
        table = samples.table()
        assert first == 0
        assert cells(table) == {"a.jpg": [-1, -1], "b.jpg": [0, 0], "c.jpg": [1, -1]}
        assert (table.num_unlabelled, table.num_all_negative) == (1, 1)

    def test_an_image_written_in_two_ways_is_one(self):
        samples = collect()
        assert [samples.image(written, 1) for written in ("a.jpg", "b.jpg", ".\\a.jpg", "a.JPG")] == [0, 1, 0, 0]
        assert samples.num_images == 2

    @pytest.mark.parametrize(
        "written", [[], ["b.jpg", "a.jpg"], ["b.jpg", "a.JPG"], ["b.jpg", "./a.jpg", "b.jpg"], ["a.jpg", "a.jpg"]]
    )
    def test_many_images_are_added_at_once_as_each_would_be(self, written):
        many, single = collect({"cat": 1}), collect({"cat": 1})
        for more in (written, ["c.jpg", *written, "d.jpg"]):
            assert list(many.images(more, 1)) == [single.image(one, 1) for one in more]
        for samples in (many, single):
            samples.labelled(samples.image("c.jpg", 1))
        assert cells(many.table()) == cells(single.table())

    def test_of_many_images_a_missing_one_is_told_with_its_place(self):
        samples = collect({"cat": 1})
        assert list(samples.images(["a.jpg", "no.jpg", "b.jpg"], 5)) == [0, -1, 1]
        assert faults(samples)[0].startswith("labels.txt:6: no image 'no.jpg'")

    def test_absent_cells_stand_in_a_row_that_is_not_labelled(self):
        samples = collect({"cat": 1, "dog": 1, "owl": 1})
        row = samples.image("a.jpg", 1)
        samples.add(row, 0, 1, 0)
        samples.add(row, 1, 1, 1)
        assert cells(samples.table()) == {"a.jpg": [0, 1, -1]}

    def test_unknown_cells_stand_in_a_labelled_row(self):
        assert cells(fill(collect(), ("a", "cat", -1), ("a", "dog", 1)).table()) == {"a.jpg": [-1, 1]}

    @pytest.mark.parametrize("values", [(1, 1), (1, -1), (-1, 1), (-1, -1, 1)])
    def test_what_is_known_beats_what_is_unknown(self, values):
        assert cells(fill(collect(), *(("a", "cat", value) for value in values)).table()) == {"a.jpg": [1]}
        zeros = (("a", "cat", min(value, 0)) for value in values)
        assert cells(fill(collect(), *zeros).table()) == {"a.jpg": [0]}

    def test_soft_labels_make_a_soft_table(self):
        table = fill(collect(), ("a", "cat", 0.75), ("b", "cat", 1), ("a", "cat", -1), ("b", "dog", -1)).table()
        assert table.is_soft
        assert cells(table) == {"a.jpg": [0.75, 0], "b.jpg": [1, -1]}

    def test_a_soft_label_that_is_whole_is_hard(self):
        table = fill(collect(), ("a", "cat", 1.0), ("b", "cat", 0.0)).table()
        assert not table.is_soft

    def test_many_cells_are_added_at_once_without_those_of_a_fault(self):
        samples = fill(collect({"cat": 1, "dog": 1}), ("a", "cat", 1), ("b", "cat", 0))
        rows, columns = np.array([0, -1, 1, 1], np.int32), np.array([1, 1, -1, 1], np.int64)
        samples.extend(rows, columns, np.array([1, 1, 1, -1], np.int8), np.arange(4))
        assert cells(samples.table()) == {"a.jpg": [1, 1], "b.jpg": [0, -1]}

    @pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64, np.float64])
    def test_many_cells_may_be_of_any_type(self, kind):
        samples = collect({"cat": 1, "dog": 1}, contradiction="unknown")
        samples.labelled(samples.image("a.jpg", 1))
        at = np.array([0, 0, 0])
        samples.extend(at, np.array([1, 0, 1]), np.array([0, 1, 1]).astype(kind), at)
        assert cells(samples.table()) == {"a.jpg": [1, -1]}

    def test_groups_are_kept_and_a_blank_one_is_the_image_alone(self):
        samples = collect({"cat": 1})
        samples.image("a.jpg", 1, group="ann")
        samples.image("b.jpg", 2)
        samples.image("a.jpg", 3, group="ann")
        groups = samples.table().groups
        assert groups is not None
        assert list(groups) == ["ann", ""]

    def test_there_are_no_groups_where_all_are_blank(self):
        samples = collect({"cat": 1})
        samples.image("a.jpg", 1)
        assert samples.table().groups is None

    def test_a_table_without_any_cell_is_unlabelled(self):
        samples = collect({"cat": 1})
        samples.image("a.jpg", 1)
        assert samples.table().num_unlabelled == 1


class TestContradictions:
    def test_present_and_absent_contradict_with_both_places(self):
        lines = [("a", "cat", -1), ("a", "cat", 0), ("a", "cat", -1), ("b", "cat", 1), ("a", "cat", 1), ("a", "cat", 0)]
        assert faults(fill(collect(), *lines)) == [
            "labels.txt:5: class 'cat' is present in image 'a.jpg', but absent at labels.txt:2; expected one of them"
        ]

    def test_two_soft_labels_contradict(self):
        assert faults(fill(collect(), ("a", "cat", 0.25), ("a", "cat", 0.5))) == [
            "labels.txt:2: class 'cat' is 0.5 in image 'a.jpg', but 0.25 at labels.txt:1; expected one of them"
        ]

    def test_they_may_be_unknown_instead_and_counted(self, caplog):
        lines = [("a", "cat", 0), ("a", "cat", 1), ("a", "dog", 1), ("b", "dog", 1), ("b", "dog", 0)]
        with caplog.at_level(logging.WARNING):
            table = fill(collect(contradiction="unknown"), *lines).table()
        assert cells(table) == {"a.jpg": [-1, 1], "b.jpg": [0, -1]}
        assert caplog.messages == ["labels.txt: 2 labels are said to be present and absent, so they are unknown"]

    def test_nothing_is_told_where_nothing_contradicts(self, caplog):
        with caplog.at_level(logging.WARNING):
            fill(collect(contradiction="unknown"), ("a", "cat", 1), ("a", "cat", 1)).table()
        assert not caplog.messages

    def test_the_first_twenty_are_told_and_all_are_counted(self):
        names = [f"class {i:03}" for i in range(100)]
        lines = faults(fill(collect(), *(("a", name, value) for value in (1, 0) for name in names)))
        assert len(lines) == 21
        assert lines[19].startswith("labels.txt:120: class 'class 019' is absent in image 'a.jpg'")
        assert lines[20] == "100 faults in all; the first 20 are above"


class TestFaults:
    def test_a_missing_image_is_told_with_its_place_and_gives_no_row(self):
        samples = fill(collect(), ("a", "cat", 1))
        assert samples.image("no.jpg", 5, hint="; or think again") == -1
        samples.labelled(-1)
        samples.add(-1, 0, 5)
        samples.add(0, -1, 5)
        assert faults(samples) == [
            "labels.txt:5: no image 'no.jpg' below .; expected a file there, or give root: the folder that the paths "
            "start from; or think again"
        ]

    def test_a_blank_image_and_a_blank_class_are_told(self):
        samples = collect()
        assert (samples.image("", 1), samples.column("", 2)) == (-1, -1)
        assert faults(samples)[:2] == [
            "labels.txt:1: the path of an image is blank; expected one",
            "labels.txt:2: the name of a class is blank; expected one",
        ]

    def test_a_class_that_is_not_among_those_given_is_told_with_a_guess(self):
        samples = fill(collect({"cat": 0, "dog": 0}), ("a", "dgo", 1), ("a", "zebra", 1))
        assert faults(samples) == [
            "labels.txt:1: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "labels.txt:2: class 'zebra' is not among the 2 classes",
            "2 faults in all",
        ]

    def test_an_image_in_two_groups_is_told(self):
        samples = collect({"cat": 1})
        samples.image("a.jpg", 1, group="ann")
        assert samples.image("a.jpg", 2, group="bob") == 0
        assert faults(samples) == ["labels.txt:2: image 'a.jpg' is in group 'bob', but before in 'ann'; expected one"]

    def test_no_image_and_no_class_are_told(self):
        assert faults(collect()) == [
            "labels.txt: no sample; expected at least one image",
            "labels.txt: no class; expected at least one",
            "2 faults in all",
        ]
        assert faults(collect({"cat": 1})) == ["labels.txt: no sample; expected at least one image"]

    def test_a_place_that_is_no_line_is_told_in_words(self):
        samples = fill(collect(where=lambda place: f"labels.txt: item {place - 1}"), ("no", "cat", 1))
        assert faults(samples)[0].startswith("labels.txt: item 0: no image 'no.jpg'")

    def test_a_fault_without_place_is_the_files(self):
        samples = collect({"cat": 1})
        samples.image("a.jpg", 1)
        samples.fault(0, "it is no good")
        assert faults(samples) == ["labels.txt: it is no good"]

    def test_what_could_be_read_comes_with_the_error(self):
        samples = fill(collect(), ("a", "cat", 1), ("no", "cat", 1), ("b", "dog", 1))
        with pytest.raises(LabelError) as error:
            samples.table()
        assert cells(error.value.table) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}


CELLS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([1, 0, -1]), st.booleans()), max_size=40
)


@settings(max_examples=100)
@given(CELLS, st.sets(st.integers(0, 3)), st.booleans())
def test_any_cells_said_in_any_order_make_the_table_that_they_say(said, labelled, fixed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFiles, "find", lambda self, written: written)
        samples = collect(dict.fromkeys(["c0", "c1", "c2"], 1) if fixed else None, contradiction="unknown")
        rows = [samples.image(name, 1) for name in "abcd"]
        columns = [samples.column(f"c{at}", 1) for at in (2, 0, 1)]
    names = [2, 0, 1]
    for row in labelled:
        samples.labelled(rows[row])
    for row, at, value, many in said:
        if many:
            samples.extend(*(np.array([cell]) for cell in (rows[row], columns[at], value, 1)))
        else:
            samples.add(rows[row], columns[at], 1, value)
    expected = [[0 if row in labelled else -1] * 3 for row in range(4)]
    for row in range(4):
        for at in range(3):
            values = {value for r, a, value, _ in said if (r, a) == (row, at)}
            known = values - {-1}
            if values:
                expected[row][names[at]] = known.pop() if len(known) == 1 else -1
    assert samples.table().dense().tolist() == expected


def test_keys_are_sorted_alike_whether_or_not_they_leave_room_for_a_position():
    for far in (0, 1 << 60):
        keys = np.array([7, 3, 7, 1, 3], np.int64) + far
        assert _sort(keys).tolist() == [3, 1, 4, 0, 2]
        assert (keys - far).tolist() == [1, 3, 3, 7, 7]
