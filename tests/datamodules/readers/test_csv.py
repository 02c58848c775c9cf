import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.csv import CsvReader
from mlic.errors import LabelError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images a.jpg to d.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def write(text, path="labels.csv", encoding="utf-8"):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_bytes(text.encode(encoding))
    return Path(path)


def read(text, **options):
    return CsvReader(write(text), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(text, **options):
    with pytest.raises(LabelError) as error:
        read(text, **options)
    return str(error.value).splitlines()


def fault(text, **options):
    (line,) = faults(text, **options)
    return line


@pytest.mark.usefixtures("folder")
class TestOneColumnAClass:
    def test_cells_are_present_absent_or_unknown(self):
        table = read("image_path,cat,dog,night\na.jpg,1,0,0\nb.jpg,0,0,0\nc.jpg,,1,?\nd.jpg,,NaN,\n")
        assert table.classes == ("cat", "dog", "night")
        assert cells(table) == {
            "a.jpg": [1, 0, 0],
            "b.jpg": [0, 0, 0],
            "c.jpg": [-1, 1, -1],
            "d.jpg": [-1, -1, -1],
        }
        assert (table.num_all_negative, table.num_unlabelled) == (1, 1)
        assert table.source == "labels.csv"
        assert table.origins == dict.fromkeys(table.classes, "labels.csv:1")

    @pytest.mark.parametrize(
        ("cell", "label"),
        [
            *((cell, 1) for cell in ("1", "1.0", "1.00", "+1", " 1 ", "True", "TRUE", "yes", "Yes")),
            *((cell, 0) for cell in ("0", "0.0", "-0", "False", "false", "no", "NO")),
            *((cell, -1) for cell in ("", "  ", "?", "nan", "NaN", "NAN")),
        ],
    )
    def test_a_cell_may_be_spelled_in_many_ways(self, cell, label):
        assert cells(read(f"image,cat,dog\na.jpg,{cell},1\nb.jpg,0,0\n"))["a.jpg"] == [label, 1]

    @pytest.mark.parametrize(
        ("options", "label"),
        [
            ({"negative_value": -1}, 0),
            ({"negative_value": "-1"}, 0),
            ({"negative_value": -1.0}, 0),
            ({"unknown_value": -1}, -1),
            ({"unknown_value": "-1"}, -1),
        ],
    )
    def test_minus_1_is_what_the_user_says(self, options, label):
        assert cells(read("image,cat,dog\na.jpg,-1,1\nb.jpg,-1.0,1\n", **options)) == {
            "a.jpg": [label, 1],
            "b.jpg": [label, 1],
        }

    def test_blank_may_be_said_to_be_absent_while_minus_1_is_unknown(self):
        table = read("image,cat,dog\na.jpg,,-1.0\n", negative_value="", unknown_value=-1)
        assert cells(table) == {"a.jpg": [0, -1]}

    def test_minus_1_beside_0_is_refused_as_probably_unknown(self):
        assert fault("image,cat,dog\na.jpg,1,0\nb.jpg,0,-1\n") == (
            "labels.csv:3: column 'dog' holds -1, which may mean absent or unknown; the file has 1, 0 and -1, as where "
            "-1 means uncertain: then give unknown_value: -1; or negative_value: -1 if it means absent"
        )

    def test_minus_1_without_0_is_refused_as_probably_absent(self):
        assert fault("image,cat,dog\na.jpg,1,-1\nb.jpg,-1,-1\n") == (
            "labels.csv:2: column 'dog' holds -1, which may mean absent or unknown; the file has 1 and -1 but no 0, as "
            "where -1 means absent: then give negative_value: -1; or unknown_value: -1 if it means unknown"
        )

    def test_blanks_without_any_0_are_refused(self):
        assert fault("image,cat,dog\na.jpg,1,1\nb.jpg,1,\n") == (
            "labels.csv:3: column 'dog' holds a blank and no cell is 0; if a blank means absent give negative_value: "
            "''; if it means unknown give unknown_value: ''"
        )

    @pytest.mark.parametrize(("options", "label"), [({"negative_value": ""}, 0), ({"unknown_value": ""}, -1)])
    def test_blanks_without_any_0_are_what_the_user_says(self, options, label):
        assert cells(read("image,cat,dog\na.jpg,1,\n", **options)) == {"a.jpg": [1, label]}

    def test_a_question_mark_needs_no_0_beside_it(self):
        assert cells(read("image,cat,dog\na.jpg,1,?\n")) == {"a.jpg": [1, -1]}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"negative_value": 1}, "negative_value is 1, which means present; expected another spelling"),
            ({"unknown_value": "Yes"}, "unknown_value is 'Yes', which means present; expected another spelling"),
            (
                {"negative_value": -1, "unknown_value": "-1.0"},
                "negative_value and unknown_value are both '-1.0'; expected two spellings",
            ),
        ],
    )
    def test_values_that_contradict_are_refused(self, options, message):
        with pytest.raises(LabelError) as error:
            CsvReader(Path("labels.csv"), **options)
        assert str(error.value) == message

    def test_spaces_after_commas_are_no_part_of_names_and_cells(self):
        table = read("filename, Dark Spot, Eye bag\na.jpg, 1, 0\n")
        assert table.classes == ("Dark Spot", "Eye bag")
        assert cells(table) == {"a.jpg": [1, 0]}

    def test_rows_of_one_image_complete_each_other(self):
        table = read("image,cat,dog,owl\na.jpg,1,,\nb.jpg,0,0,0\na.jpg,1,0,\na.jpg,,0,\nb.jpg,0,0,0\n")
        assert cells(table) == {"a.jpg": [1, 0, -1], "b.jpg": [0, 0, 0]}

    def test_rows_of_one_image_must_not_contradict(self):
        assert faults("image,cat,dog\na.jpg,1,0\nb.jpg,1,1\na.jpg,0,0\na.jpg,,1\n") == [
            "labels.csv:4: class 'cat' is absent in image 'a.jpg', but present on line 2; "
            "expected rows of one image to agree",
            "labels.csv:5: class 'dog' is present in image 'a.jpg', but absent on line 2; "
            "expected rows of one image to agree",
            "2 faults in all",
        ]

    def test_columns_that_are_no_classes_are_left_out_on_request(self):
        text = "image,split,cat,patient,dog\na.jpg,train,1,7,0\nb.jpg,val,0,8,1\n"
        table = read(text, ignore_columns=["split"], group_column="patient")
        assert table.classes == ("cat", "dog")
        assert cells(table) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}
        assert list(table.groups) == ["7", "8"]

    def test_a_column_of_text_is_told_once_with_what_to_do(self):
        lines = faults("image,split,cat\na.jpg,train,1\nb.jpg,val,0\n")
        assert lines == [
            "labels.csv:2: column 'split' holds 'train' and 1 more cells that are no labels; if it is no class, give "
            "ignore_columns: ['split']; if its cells list labels, label_column: 'split'"
        ]

    def test_an_unreadable_cell_is_told_with_its_line(self):
        assert faults("image,cat,dog\na.jpg,1,maybe\nb.jpg,0,1\nc.jpg,2,0\nd.jpg,1,1\n") == [
            "labels.csv:4: column 'cat' holds '2'; expected 1 (present), 0 (absent) or blank (unknown), or give "
            "ignore_columns: ['cat'] if it is no class",
            "labels.csv:2: column 'dog' holds 'maybe'; expected 1 (present), 0 (absent) or blank (unknown), or give "
            "ignore_columns: ['dog'] if it is no class",
            "2 faults in all",
        ]

    def test_a_thousand_unreadable_cells_are_counted(self):
        rows = "".join(f"a.jpg,{'x' if i % 3 == 0 else 1}\n" for i in range(3_000))
        lines = faults("image,cat\n" + rows)
        assert lines[0].startswith("labels.csv:2: column 'cat' holds 'x'; expected 1 (present)")
        assert lines[-1] == "21 faults in all; the first 20 are above"

    def test_classes_may_be_told_and_ordered(self):
        assert read("image,cat,dog\na.jpg,1,0\n", classes=["dog", "cat"]).classes == ("dog", "cat")
        assert cells(read("image,cat,dog\na.jpg,1,0\n", classes=["dog", "cat"])) == {"a.jpg": [0, 1]}
        assert faults("image,cat,dgo,age\na.jpg,1,0,7\n", classes=["cat", "dog"]) == [
            "labels.csv:1: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "labels.csv:1: class 'age' is not among the 2 classes; give ignore_columns: ['age'] to leave it out",
            "labels.csv:1: class 'dog' has no column; did you mean 'dgo'?",
            "3 faults in all",
        ]

    def test_each_class_has_one_column_with_a_name(self):
        assert faults("image,cat,,cat\na.jpg,1,0,0\n") == [
            "labels.csv:1: column 3 has no name; name it or take it out (pandas: index=False)",
            "labels.csv:1: column 'cat' is there twice; expected each class once",
            "2 faults in all",
        ]

    def test_a_file_without_a_class_is_refused(self):
        assert fault("image,patient\na.jpg,7\n", group_column="patient") == (
            "labels.csv:1: no column is a class; expected a column a class, or label_column: one that lists labels"
        )

    def test_a_header_of_one_column_is_told_with_the_separators(self):
        expected = "expected several, separated by ',', ';' or a tab, such as image,cat,dog"
        assert fault("image|cat\na.jpg|1\n") == f"labels.csv:1: the only column is 'image|cat'; {expected}"

    def test_a_single_column_called_label_with_1_and_0_is_a_class(self):
        assert cells(read("image,label\na.jpg,1\nb.jpg,0\n")) == {"a.jpg": [1], "b.jpg": [0]}


@pytest.mark.usefixtures("folder")
class TestAColumnThatListsLabels:
    @pytest.mark.parametrize("name", ["label", "labels", "Tags", "Finding Labels", "classes"])
    def test_it_is_found_by_its_name(self, name):
        table = read(f'image_path,{name}\na.jpg,"cat,dog"\nb.jpg,\nc.jpg,dog\n')
        assert table.classes == ("cat", "dog")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [0, 0], "c.jpg": [0, 1]}
        assert table.num_all_negative == 1
        assert table.origins == {"cat": "labels.csv:2", "dog": "labels.csv:2"}

    def test_it_may_be_told(self):
        table = read("image,objects,age\na.jpg,cat|dog,x\nb.jpg,cat,7\n", label_column="objects")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [1, 0]}

    @pytest.mark.parametrize("delimiter", [",", "|", ";"])
    def test_the_delimiter_is_found_if_only_one_occurs(self, delimiter):
        assert read(f'image,tags\na.jpg,"cat {delimiter} big dog"\nb.jpg,cat\n').classes == ("big dog", "cat")

    def test_a_delimiter_that_is_not_clear_must_be_told(self):
        text = 'image,tags\na.jpg,"cat,dog"\nb.jpg,cat\nc.jpg,dog|owl\n'
        assert fault(text) == (
            "labels.csv:4: the cells of column 'tags' hold ',' (line 2) and '|' (line 4); "
            "give delimiter: the one that separates labels"
        )
        assert read(text, delimiter="|").classes == ("cat", "cat,dog", "dog", "owl")

    def test_a_space_separates_labels_only_when_told(self):
        text = "image,tags\na.jpg,haze  primary\nb.jpg,haze\n"
        assert read(text).classes == ("haze", "haze  primary")
        assert cells(read(text, delimiter=" ")) == {"a.jpg": [1, 1], "b.jpg": [1, 0]}

    def test_rows_of_one_image_are_united(self):
        table = read("image,label\na.jpg,dog\nb.jpg,cat\na.jpg,cat\na.jpg,dog\na.jpg,\n")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [1, 0]}

    def test_no_finding_alone_is_all_negative_and_no_class(self):
        header = "Image Index,Finding Labels,Patient ID,OriginalImage[Width,Height]\n"
        table = read(header + "a.jpg,Edema|Mass,1,9,9\nb.jpg,No Finding,2,9,9\n", group_column="Patient ID")
        assert table.classes == ("Edema", "Mass")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [0, 0]}
        assert list(table.groups) == ["1", "2"]

    def test_no_finding_beside_a_label_is_refused(self):
        assert fault("image,labels\na.jpg,Edema|No Finding\n") == (
            "labels.csv:2: 'No Finding' stands beside other labels; expected it alone"
        )

    def test_a_question_mark_is_unlabelled_and_further_spellings_may_be_told(self):
        text = "image,labels\na.jpg,cat\nb.jpg,?\nc.jpg,none\nd.jpg,todo\n"
        table = read(text, negative_value="none", unknown_value="todo")
        assert cells(table) == {"a.jpg": [1], "b.jpg": [-1], "c.jpg": [0], "d.jpg": [-1]}
        assert cells(read("image,labels\na.jpg,cat\nb.jpg,\n", unknown_value=""))["b.jpg"] == [-1]

    def test_the_order_of_classes_does_not_depend_on_that_of_rows(self):
        assert read("image,label\na.jpg,dog\nb.jpg,cat\n").classes == ("cat", "dog")

    def test_classes_may_be_told_so_that_a_typing_error_is_found(self):
        text = "image,label\na.jpg,dog\nb.jpg,\nc.jpg,dgo\n"
        assert fault(text, classes=["dog", "cat"]) == (
            "labels.csv:4: class 'dgo' is not among the 2 classes; did you mean 'dog'?"
        )
        table = read(text.replace("dgo", "dog"), classes=["dog", "cat"])
        assert cells(table) == {"a.jpg": [1, 0], "b.jpg": [0, 0], "c.jpg": [1, 0]}

    def test_a_column_without_any_label_is_refused(self):
        assert fault("image,label\na.jpg,\n") == "labels.csv: column 'label' names no class; expected some labels"

    def test_a_cell_may_be_a_list_as_pandas_or_json_writes_it(self):
        text = 'image,tags\na.jpg,"[\'cat\', \'big, old dog\']"\nb.jpg,"[""cat""]"\nc.jpg,[]\nd.jpg,cat\n'
        table = read(text)
        assert table.classes == ("big, old dog", "cat")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [0, 1], "c.jpg": [0, 0], "d.jpg": [0, 1]}

    @pytest.mark.parametrize(
        "cell", ["['cat' 'dog']", "[cat]", "['cat]", "[None]", "[['cat']]", "[1]", "[\0]", "[{[]: 1}]"]
    )
    def test_a_list_that_cannot_be_read_is_told(self, cell):
        assert fault(f'image,tags\na.jpg,"{cell}"\n') == (
            f"labels.csv:2: column 'tags' holds {cell}, which is no list of texts; expected one such as "
            "['cat', 'dog'], or give delimiter: what separates labels"
        )

    @pytest.mark.parametrize("cell", ["None", "N/A", "null", "-1"])
    def test_a_cell_that_may_mean_none_or_unlabelled_is_refused(self, cell):
        text = f"image,tags\na.jpg,cat\nb.jpg,{cell}\n"
        assert fault(text) == (
            f"labels.csv:3: column 'tags' holds '{cell}'; if it means none of the classes give "
            f"negative_value: '{cell}', if it means not labelled unknown_value: '{cell}'"
        )
        assert cells(read(text, negative_value=cell))["b.jpg"] == [0]
        assert cells(read(text, unknown_value=cell))["b.jpg"] == [-1]
        assert cells(read(text, classes=["cat", cell]))["b.jpg"] == [0, 1]

    def test_few_words_in_many_combinations_are_refused_until_a_delimiter_is_told(self):
        text = "image,tags\na.jpg,cat\nb.jpg,cat dog\nc.jpg,dog\nd.jpg,\n"
        assert fault(text) == (
            "labels.csv:3: the 3 different cells of column 'tags' are made of 2 words; "
            "give delimiter: ' ' if a space separates labels, ',' if each cell is one label"
        )
        assert read(text, delimiter=" ").classes == ("cat", "dog")
        assert read(text, delimiter=",").classes == ("cat", "cat dog", "dog")

    def test_a_guessed_list_beside_columns_of_1_and_0_is_refused(self):
        text = "image,tags,cat\na.jpg,x,1\nb.jpg,y,0\n"
        assert fault(text) == (
            "labels.csv:1: column 'tags' may list labels, but column 'cat' holds 1 and 0 as a class does; "
            "give label_column: 'tags', or ignore_columns: ['tags'] if each other column is a class"
        )
        assert read(text, label_column="tags").classes == ("x", "y")
        assert read(text, ignore_columns=["tags"]).classes == ("cat",)

    def test_two_columns_that_may_list_labels_are_told(self):
        assert fault("image,tags,label\na.jpg,cat,dog\n") == (
            "labels.csv:1: columns 'tags' and 'label' may both list labels; give label_column: one of them"
        )


@pytest.mark.usefixtures("folder")
class TestTheFile:
    @pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    @pytest.mark.parametrize("last", ["", "\n", "\n\n", "\n  \n"])
    def test_byte_order_mark_line_ends_and_blank_lines_do_not_matter(self, ends, encoding, last):
        text = f" image , Größe,dog \n a.jpg , 1,0 \nb.jpg,0,1{last}".replace("\n", ends)
        table = CsvReader(write(text, encoding=encoding)).read()
        assert table.classes == ("Größe", "dog")
        assert cells(table) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_cells_may_be_separated_in_three_ways(self, separator):
        text = 'image,cat,"dog, big; or\tsmall"\na.jpg,1,0\n'
        header, row = next(csv.reader([text.splitlines()[0]])), text.splitlines()[1].split(",")
        with Path("labels.csv").open("w", newline="") as stream:
            csv.writer(stream, delimiter=separator).writerows([header, row])
        assert cells(CsvReader(Path("labels.csv")).read()) == {"a.jpg": [1, 0]}

    @pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "\nsep=;\r"])
    def test_a_first_line_may_say_what_separates_cells(self, first):
        table = read(f"{first}\nimage;cat, dog, owl\na.jpg;1\n")
        assert (table.classes, table.origins) == (
            ("cat, dog, owl",),
            {"cat, dog, owl": f"labels.csv:{2 + first.count(chr(10))}"},
        )

    def test_rows_of_blank_cells_say_nothing(self):
        assert cells(read("image,cat,dog\n,,\na.jpg,1,0\n, ,\n,,,,\n")) == {"a.jpg": [1, 0]}

    def test_lines_are_counted_as_an_editor_counts_them(self):
        text = '\n\nimage,"cat\nand dog"\n\na.jpg,1\nb.jpg,"0\n"\nmissing.jpg,1\n'
        assert fault(text).startswith("labels.csv:9: no image 'missing.jpg' below .;")

    def test_rows_must_be_as_wide_as_the_header(self):
        assert faults("image,cat,dog\na.jpg,1\nb.jpg,1,0,1\nc.jpg,1,0,, \n") == [
            "labels.csv:2: 2 cells, but the header names 3 columns",
            "labels.csv:3: 4 cells, but the header names 3 columns",
            "2 faults in all",
        ]

    def test_a_separator_at_the_end_of_each_line_is_no_column(self):
        assert cells(read("image,cat,\na.jpg,1,\nb.jpg,0\n")) == {"a.jpg": [1], "b.jpg": [0]}

    def test_an_empty_file_and_one_without_rows_are_told(self):
        expected = "labels.csv: the file is empty; expected a header and a row an image"
        assert fault("") == fault("\n \n") == expected
        assert fault("image,cat\n\n") == "labels.csv: no sample below the header; expected a row an image"
        assert fault(",,\na.jpg,1,0\n") == (
            "labels.csv:1: no column has a name; expected a header, such as image,cat,dog"
        )

    def test_a_missing_header_is_told(self):
        assert faults("a.jpg,1,0\nb.jpg,0,1\n")[0] == (
            "labels.csv:1: the first line names an image; expected a header, such as image,cat,dog"
        )

    def test_a_column_that_is_not_there_is_told_with_those_that_are(self):
        assert faults("image,cat\na.jpg,1\n", image_column="imgae", group_column="patient", ignore_columns=["x"]) == [
            "labels.csv:1: there is no column 'x'; there are image, cat",
            "labels.csv:1: there is no column 'imgae'; did you mean 'image'?",
            "labels.csv:1: there is no column 'patient'; there are image, cat",
            "3 faults in all",
        ]

    def test_a_quotation_mark_left_open_is_told_beside_other_faults(self):
        first, second, count = faults('image,cat\nmissing.jpg,1\na.jpg,"1\nb.jpg,0\n')
        assert first == "labels.csv:3: unexpected end of data; is a quotation mark left open?"
        assert second.startswith("labels.csv:2: no image 'missing.jpg'")
        assert count == "2 faults in all"

    def test_a_file_that_is_not_utf_8_is_told_with_the_line(self):
        path = write("image,cat\na.jpg,1\nb\xe9.jpg,1\n", encoding="latin-1")
        with pytest.raises(LabelError) as error:
            CsvReader(path).read()
        assert str(error.value) == (
            "labels.csv:3: byte 0xe9 is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"
        )

    def test_a_file_in_utf_16_is_told(self):
        path = write("image,cat\na.jpg,1\n", encoding="utf-16")
        with pytest.raises(LabelError, match=r"labels\.csv: the file is UTF-16; save it as UTF-8"):
            CsvReader(path).read()

    def test_a_file_that_is_not_there_is_told(self):
        with pytest.raises(LabelError, match=r"no\.csv: cannot be read \(No such file or directory\)"):
            CsvReader(Path("no.csv")).read()
        with pytest.raises(LabelError, match="cannot be read"):
            CsvReader(Path()).read()

    def test_an_image_in_two_groups_is_told(self):
        assert fault("image,p,cat\na.jpg,1,1\nb.jpg,2,1\na.jpg,2,1\n", group_column="p") == (
            "labels.csv:4: image 'a.jpg' is in group '2', but in '1' on line 2; expected one group"
        )

    def test_only_the_suffix_of_an_existing_file_is_recognised(self, folder):
        write("", "x.CSV")
        (folder / "y.csv").mkdir()
        found = {path: CsvReader.recognises(Path(path)) for path in ("x.CSV", "y.csv", "a.jpg", "no.csv")}
        assert found == {"x.CSV": True, "y.csv": False, "a.jpg": False, "no.csv": False}


@pytest.mark.usefixtures("folder")
class TestTheImageColumn:
    @pytest.mark.parametrize(
        "name",
        ["image", "Image_Path", "path", "filename", "file_name", "FILE", "Image Index", "ImageID", "img", "name"],
    )
    def test_it_is_found_by_its_name(self, name):
        assert cells(read(f"cat,{name},dog\n1,a.jpg,0\n")) == {"a.jpg": [1, 0]}

    def test_it_is_the_first_otherwise(self):
        assert cells(read("photo,cat\na.jpg,1\n")) == {"a.jpg": [1]}

    def test_it_is_the_only_one_that_names_image_files(self):
        assert cells(read("cat,photo,dog\n1,a.jpg,0\n0,b.jpg,0\n")) == {"a.jpg": [1, 0], "b.jpg": [0, 0]}

    def test_names_of_files_come_before_numbers(self):
        assert list(read("image_id,file_name,cat\n17,a.jpg,1\n", ignore_columns=["image_id"]).paths) == ["a.jpg"]

    def test_a_column_called_name_may_be_no_image(self):
        assert list(read("name,photo,tags\nx,a,cat\n", ignore_columns=["name"]).paths) == ["a.jpg"]

    @pytest.mark.parametrize("name", ["", "Unnamed: 0"])
    @pytest.mark.parametrize("column", ["image", "photo"])
    def test_the_index_of_pandas_is_ignored_and_told(self, name, column, caplog):
        with caplog.at_level("INFO"):
            assert cells(read(f"{name},{column},cat\n0,a.jpg,1\n1,b.jpg,0\n")) == {"a.jpg": [1], "b.jpg": [0]}
        assert f"labels.csv:1: column 1, '{name}', is ignored" in caplog.text

    def test_a_column_without_a_name_is_not_the_image(self):
        expected = "labels.csv:1: no column is the image's; if column 1 is, name it image"
        assert faults(",cat,dog\na.jpg,1,0\n")[0] == expected

    def test_the_column_that_holds_image_names_is_told_where_images_are_missing(self):
        message = fault("image_id,img_file,cat\nx17,a.jpg,1\n", ignore_columns=["img_file"])
        assert message.endswith("the folder that the paths start from; or give image_column: 'img_file'")

    def test_a_class_may_be_called_path(self):
        assert cells(read("photo,path,tree\na.jpg,1,0\nb.jpg,,1\n")) == {"a.jpg": [1, 0], "b.jpg": [-1, 1]}

    def test_it_may_be_told(self):
        text = "file,copy,cat\na.jpg,b.jpg,1\n"
        assert cells(read(text, image_column="copy", ignore_columns=["file"])) == {"b.jpg": [1]}


class TestImages:
    @pytest.fixture(autouse=True)
    def photos(self, folder):
        (folder / "photos" / "sub").mkdir(parents=True)
        for name in ("sub/a.jpg", "B.JPG", "ä.png"):
            (folder / "photos" / name).touch()

    def paths(self, *written, **options):
        rows = "".join(f'"{path}",1\n' for path in written)
        return list(CsvReader(write(f"image,cat\n{rows}", "photos/labels.csv"), **options).read().paths)

    def fault(self, written, **options):
        with pytest.raises(LabelError) as error:
            self.paths(written, **options)
        return str(error.value)

    def test_paths_start_from_the_folder_of_the_file(self, folder):
        table = CsvReader(write("image,cat\nsub/a.jpg,1\n", "photos/labels.csv")).read()
        assert (list(table.paths), table.root) == (["sub/a.jpg"], Path("photos"))
        assert table.path(0).is_file()

    def test_paths_may_start_elsewhere(self):
        assert self.paths("photos/sub/a.jpg", "a.jpg", root=Path()) == ["photos/sub/a.jpg", "a.jpg"]

    @pytest.mark.parametrize(
        "written", ["sub\\a.jpg", "./sub/a.jpg", "sub//a.jpg", "sub/../sub/./a.jpg", " sub/a.jpg "]
    )
    def test_one_image_has_one_path_however_it_is_written(self, written):
        assert self.paths(written, "sub/a.jpg") == ["sub/a.jpg"]

    def test_an_absolute_path_below_the_root_is_made_relative(self, folder):
        assert self.paths(str(folder / "photos/sub/a.jpg")) == ["sub/a.jpg"]
        (folder / "link").symlink_to(folder / "photos")
        assert self.paths(str(folder / "photos/B.JPG"), root=Path("link")) == ["B.JPG"]

    def test_a_path_that_leads_out_of_the_root_starts_from_the_folder_of_the_file(self, folder, monkeypatch):
        monkeypatch.chdir(folder / "photos" / "sub")
        write("image,cat\n../B.JPG,1\n../sub/a.jpg,1\n")
        assert list(CsvReader(Path("labels.csv"), root=Path("..")).read().paths) == ["B.JPG", "sub/a.jpg"]
        with pytest.raises(LabelError, match="lies outside the data root"):
            CsvReader(Path("labels.csv")).read()

    def test_accents_may_be_composed_otherwise(self, folder):
        (folder / "photos" / "cafe\u0301.jpg").touch()
        assert self.paths("caf\u00e9.jpg", "caf\u00e9") == ["cafe\u0301.jpg"]
        assert self.paths("a\u0308.png") == ["\u00e4.png"]

    @pytest.mark.parametrize("written", ["b.JPG", "B.jpg", "B.Jpg"])
    def test_the_suffix_may_differ_in_case_and_nothing_else(self, written):
        if written == "b.JPG":
            assert self.fault(written).startswith("photos/labels.csv:2: no image 'b.JPG' below photos;")
        else:
            assert self.paths(written) == ["B.JPG"]

    def test_the_file_as_written_comes_first(self, folder):
        (folder / "photos/B.jpg").touch()
        assert self.paths("B.jpg", "B.JPG") == ["B.jpg", "B.JPG"]
        assert self.fault("B.Jpg") == "photos/labels.csv:2: image 'B.Jpg' is one of 'B.JPG' and 'B.jpg'; write which"

    def test_a_name_without_suffix_stands_for_the_one_image_of_that_stem(self, folder):
        (folder / "photos/B.txt").touch()
        assert self.paths("B", "sub/a") == ["B.JPG", "sub/a.jpg"]

    def test_a_missing_image_is_told(self):
        expected = "expected a file there, or give root: the folder that the paths start from"
        assert self.fault("sub/b.jpg") == f"photos/labels.csv:2: no image 'sub/b.jpg' below photos; {expected}"
        for written in ("no/a.jpg", "sub", "sub/", ".", "sub/..", "x" * 5000, "C\0.jpg"):
            assert f"no image '{written}' below photos" in self.fault(written)

    def test_a_broken_link_is_a_missing_image(self, folder):
        (folder / "photos/gone.jpg").symlink_to("nowhere.jpg")
        (folder / "photos/loop.jpg").symlink_to("loop.jpg")
        assert "no image 'gone.jpg'" in self.fault("gone.jpg")
        assert "no image 'loop.jpg'" in self.fault("loop.jpg")
        assert self.paths("B.JPG") == ["B.JPG"]

    @pytest.mark.parametrize(
        "written", ["../a.jpg", "sub/../../a.jpg", "/etc/a.jpg", "/a.jpg", "C:\\x\\a.jpg", "..\\a.jpg"]
    )
    def test_an_image_outside_the_root_is_refused(self, written):
        assert self.fault(written) == (
            f"photos/labels.csv:2: image '{written}' lies outside the data root photos; "
            "expected one below it, or give root: a folder that holds all images"
        )

    def test_a_url_is_refused(self):
        assert self.fault("https://example.org/a.jpg") == (
            "photos/labels.csv:2: image 'https://example.org/a.jpg' is a URI, and nothing is downloaded; fetch the "
            "images and give uri_prefix: {'https://example.org/': 'the local folder that holds what is below it'}"
        )

    def test_a_blank_path_is_told(self):
        assert self.fault(" ") == "photos/labels.csv:2: column 'image' is blank; expected an image"

    def test_each_folder_is_listed_once(self, monkeypatch):
        listed = []
        scandir = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path)) or scandir(path))
        self.paths("sub/a.jpg", "./sub/a.jpg", "B.jpg", "ä.png", "sub\\a.jpg")
        assert sorted(listed) == [Path("photos"), Path("photos/sub")]

    def test_all_faults_are_told_at_once(self):
        text = "image,cat\nno.jpg,1\nB.jpg,1\nB.jpg\n,1\nB.jpg,0\n../a.jpg,x\n"
        with pytest.raises(LabelError) as error:
            CsvReader(write(text, "photos/labels.csv")).read()
        lines = str(error.value).splitlines()
        assert [line.split(":")[1] for line in lines[:-1]] == ["2", "4", "5", "7", "7", "6"]
        assert lines[-1] == "6 faults in all"


NAMES = st.text(st.characters(codec="utf-8", exclude_characters=",|;\0\r\n", exclude_categories=["Z", "C"]), min_size=1)
CLASSES = st.lists(NAMES.filter(lambda name: name.casefold() not in ("?", "nan")), min_size=1, max_size=5, unique=True)
TABLES = CLASSES.flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.lists(st.sampled_from([1, 0, -1]), min_size=len(classes), max_size=len(classes)), min_size=1, max_size=4
        ),
    )
)
SPELLINGS = {1: ["1", "1.0", "True", " yes"], 0: ["0", "0.0", "False", "no "], -1: ["", "?", "NaN", " "]}
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@repeated
@given(TABLES, st.randoms(), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_any_table_written_with_a_column_a_class_is_read_back(folder, table, random, separator, ends):
    classes, labels = table
    with Path("labels.csv").open("w", newline="", encoding=random.choice(["utf-8", "utf-8-sig"])) as stream:
        writer = csv.writer(stream, delimiter=separator, lineterminator=ends)
        writer.writerow(["photo", *classes])
        for name, row in zip("abcd", labels, strict=False):
            writer.writerow([f"{name}.jpg", *(random.choice(SPELLINGS[cell]) for cell in row)])
    columns = {} if any(is_column(name) for name in classes) else {"image_column": "photo"}
    found = CsvReader(Path("labels.csv"), unknown_value="", **columns).read()
    assert found.classes == tuple(classes)
    assert found.dense().tolist() == labels


def is_column(name):
    return name.casefold() in ("image", "img", "imageid", "path", "file", "label", "labels", "tags", "classes")


@repeated
@given(TABLES, st.sampled_from(",|;"))
def test_any_table_written_as_lists_of_labels_is_read_back(folder, table, delimiter):
    classes, labels = table
    present = [[name for name, cell in zip(classes, row, strict=True) if cell == 1] for row in labels]
    with Path("labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "label"])
        writer.writerows((f"{name}.jpg", delimiter.join(row)) for name, row in zip("abcd", present, strict=False))
    reader = CsvReader(Path("labels.csv"), label_column="label", delimiter=delimiter, classes=classes)
    assert reader.read().dense().tolist() == [[int(cell == 1) for cell in row] for row in labels]


@repeated
@given(st.binary(max_size=200) | st.text(st.sampled_from('abimage,jpg.;"\n\t 10-|\\/?'), max_size=80).map(str.encode))
def test_any_bytes_are_a_table_or_a_label_error(folder, data):
    for start in (b"", b"image,cat\n", b"image,label\na.jpg,cat\n"):
        Path("labels.csv").write_bytes(start + data)
        outcome = read_or_refuse(Path("labels.csv"))
        assert outcome.startswith("labels.csv") if isinstance(outcome, str) else len(outcome) > 0


def read_or_refuse(path):
    try:
        return CsvReader(path).read()
    except LabelError as error:
        return str(error)
