"""Public data sets as their authors publish them."""

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.csv import CsvReader
from mlic.datamodules.readers.csvpresets import PRESETS
from mlic.datamodules.readers.recognise import recognise
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

CHESTXRAY14 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
OBSERVATIONS = CHEXPERT.split(",")[5:]
ATTRIBUTES = PRESETS["celeba"].classes
HASH = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path, text, encoding="utf-8"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(text.encode(encoding))
    return Path(path)


def read(path, **options):
    return CsvReader(Path(path), **options).read()


def fault(path, **options):
    with pytest.raises(LabelError) as error:
        read(path, **options)
    return str(error.value)


def present(table):
    return [[name for name, cell in zip(table.classes, row, strict=True) if cell == 1] for row in table.dense()]


def readers_of(path):
    return [name for name, reader in installed_readers().items() if reader.recognises(Path(path))]


class TestChestXray14:
    ROWS = (
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143",
        "00000002_000.PNG,No Finding,0,2,81,M,PA,2500,2048,0.171,0.171",
        "00000002_001.png,Pleural_Thickening | Mass,1,2,81,M,PA,2500,2048,0.171,0.171",
    )
    NAMES = ("00000001_000.png", "00000002_000.png", "00000002_001.png")

    def write(self, *rows, end="\n", name="Data_Entry_2017_v2020.csv", encoding="utf-8"):
        return write(f"nih/{name}", "".join(f"{line}{end}" for line in (CHESTXRAY14, *(rows or self.ROWS))), encoding)

    @pytest.fixture(autouse=True)
    def images(self):
        touch(*(f"nih/images/{name}" for name in self.NAMES))

    @pytest.mark.parametrize(
        ("end", "encoding"), [("\n", "utf-8"), (",\r\n", "utf-8-sig"), (",\n\n", "utf-8"), (" \r\n", "utf-8")]
    )
    def test_both_releases_are_read_with_no_option_but_the_path(self, end, encoding, caplog):
        path = self.write(end=end, encoding=encoding)
        assert readers_of(path) == ["csv"]
        with caplog.at_level(logging.INFO):
            table = recognise(path, installed_readers()).read()
        assert table.classes == PRESETS["chestxray14"].classes
        assert present(table) == [["Cardiomegaly", "Emphysema"], [], ["Mass", "Pleural_Thickening"]]
        assert (table.dense() >= 0).all()
        assert (table.num_all_negative, table.num_unlabelled) == (1, 0)
        assert (list(table.paths), table.root) == (list(self.NAMES), Path("nih/images"))
        assert list(table.groups) == ["1", "2", "2"]
        assert table.origins["Mass"] == f"{path}:{7 if end.count(chr(10)) == 2 else 4}"
        (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("mlic.datamodules.r")]
        assert line == (
            f"{path}:1: read with preset: chestxray14: 'No Finding' is an image without any of the 14 classes, and the "
            "images of a patient are a group"
        )

    def test_there_are_14_classes_in_the_order_of_their_names(self):
        assert len(PRESETS["chestxray14"].classes) == 14
        assert "No Finding" not in PRESETS["chestxray14"].classes
        assert list(PRESETS["chestxray14"].classes) == sorted(PRESETS["chestxray14"].classes)

    def test_a_label_that_is_not_among_the_14_is_told(self):
        path = self.write("00000001_000.png,Cardiomegaly|Edma,0,1,58,M,PA,2682,2749,0.143,0.143")
        assert fault(path) == f"{path}:2: class 'Edma' is not among the 14 classes; did you mean 'Edema'?"

    def test_no_finding_beside_a_label_is_told(self):
        path = self.write("00000001_000.png,No Finding|Mass,0,1,58,M,PA,2682,2749,0.143,0.143")
        assert fault(path) == f"{path}:2: 'No Finding' stands beside other labels; expected it alone"

    def test_images_may_be_spread_over_folders_as_their_archives_are(self):
        Path("nih/images/00000001_000.png").rename("nih/00000001_000.png")
        touch("nih/images_001/images/00000001_000.png")
        for name in self.NAMES[1:]:
            Path(f"nih/images/{name}").unlink()
            touch(f"nih/images_012/images/{name}")
        Path("nih/00000001_000.png").unlink()
        table = read(self.write())
        assert table.root == Path("nih")
        assert list(table.paths) == [
            "images_001/images/00000001_000.png",
            "images_012/images/00000002_000.png",
            "images_012/images/00000002_001.png",
        ]
        again = read(write("elsewhere/d.csv", Path("nih/Data_Entry_2017_v2020.csv").read_text()), root=Path("nih"))
        assert list(again.paths) == list(table.paths)
        Path("nih/images_012/images/00000002_001.png").unlink()
        assert "no image '00000002_001.png' below nih;" in fault("nih/Data_Entry_2017_v2020.csv")

    def test_only_the_images_of_an_official_list_are_read(self, caplog):
        only = write("nih/test_list.txt", "00000002_001.png\r\n00000001_000.png\r\n")
        with caplog.at_level(logging.INFO):
            table = read(self.write(), only=only)
        assert list(table.paths) == ["00000001_000.png", "00000002_001.png"]
        assert list(table.groups) == ["1", "2"]
        message = (
            "nih/Data_Entry_2017_v2020.csv: 1 rows are left out, since nih/test_list.txt does not name their images"
        )
        assert message in [record.getMessage() for record in caplog.records]

    def test_an_image_of_the_list_without_a_row_is_told(self):
        path = self.write()
        only = write("nih/test_list.txt", "00000001_000.png\n\n00000009_000.png\n")
        assert fault(path, only=only) == f"nih/test_list.txt:3: no row of {path} is about '00000009_000.png'"
        assert "cannot be read" in fault(path, only=Path("nih/no.txt"))

    def test_what_the_user_gives_wins(self):
        path = self.write()
        table = read(
            path, classes=["Mass", "Emphysema", "Cardiomegaly", "Pleural_Thickening"], group_column="View Position"
        )
        assert table.classes == ("Mass", "Emphysema", "Cardiomegaly", "Pleural_Thickening")
        assert list(table.groups) == ["PA", "PA", "PA"]
        assert read(path, label_column="Patient Gender").classes == ("M",)

    def test_a_table_of_other_columns_is_nobodys_and_needs_the_name(self):
        text = "Image Index,Finding Labels,Patient ID\n00000001_000.png,Mass,17\n"
        path = write("nih/mine.csv", text)
        assert read(path).classes == ("Mass",)
        table = read(path, preset="chestxray14")
        assert (len(table.classes), list(table.groups)) == (14, ["17"])


class TestCheXpert:
    ROWS = (
        "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0",
        "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,"
        ",,-1.0,1.0,,-1.0,-1.0,,-1.0,,-1.0,,1.0,",
        "CheXpert-v1.0-small/train/patient00002/study1/view2_lateral.jpg,Male,83,Lateral,,,,,,,,,,,,,,,",
    )

    def write(self, *rows, path="chexpert/train.csv", end="\n", encoding="utf-8"):
        rows = rows or self.ROWS
        for row in rows:
            touch(Path("chexpert", *Path(row.split(",")[0].replace("\\", "/")).parts[1:]))
        return write(path, "".join(f"{line}{end}" for line in (CHEXPERT, *rows)), encoding)

    @pytest.mark.parametrize(("end", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8-sig"), (" \n\n", "utf-8")])
    def test_it_is_read_with_no_option_but_the_path(self, end, encoding, caplog):
        path = self.write(end=end, encoding=encoding)
        assert readers_of(path) == ["csv"]
        with caplog.at_level(logging.INFO):
            table = recognise(path, installed_readers()).read()
        unknown = [-1] * 14
        assert table.classes == tuple(OBSERVATIONS)
        assert table.dense().tolist() == [
            [1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, 1],
            [-1, -1, -1, 1, -1, -1, -1, -1, -1, -1, -1, -1, 1, -1],
            unknown,
        ]
        assert (table.num_all_negative, table.num_unlabelled) == (0, 1)
        assert (table.root, table.paths[1]) == (Path("chexpert"), "train/patient00002/study2/view1_frontal.jpg")
        assert list(table.groups) == ["patient00001", "patient00002", "patient00002"]
        assert table.origins == dict.fromkeys(OBSERVATIONS, f"{path}:1")
        assert "chexpert/train.csv:1: read with preset: chexpert: -1 and a blank are unknown" in caplog.text

    def column(self, name, path, **options):
        table = read(path, **options)
        return table.dense()[:, table.classes.index(name)].tolist()

    @pytest.mark.parametrize(("policy", "label"), [("ignore", -1), ("positive", 1), ("negative", 0)])
    def test_uncertain_is_unknown_present_or_absent_for_all_classes(self, policy, label):
        path = self.write()
        assert self.column("Edema", path, uncertain=policy) == [-1, label, -1]
        assert self.column("Cardiomegaly", path, uncertain=policy) == [-1, label, -1]

    def test_uncertain_may_differ_from_class_to_class_and_is_unknown_in_the_others(self):
        path, uncertain = self.write(), {"Edema": "positive", "Cardiomegaly": "negative"}
        assert self.column("Edema", path, uncertain=uncertain) == [-1, 1, -1]
        assert self.column("Cardiomegaly", path, uncertain=uncertain) == [-1, 0, -1]
        assert self.column("Atelectasis", path, uncertain=uncertain) == [-1, -1, -1]
        assert self.column("Atelectasis", path, uncertain=uncertain, negative_value=-1) == [-1, 0, -1]

    def test_the_log_does_not_say_that_it_holds_where_an_option_says_otherwise(self, caplog):
        with caplog.at_level(logging.INFO):
            read(self.write(), uncertain="positive")
        assert "-1 and a blank are unknown, and the images of a patient are a group, as far as no option" in caplog.text

    def test_a_blank_is_absent_as_in_the_papers_baseline_when_told_so(self):
        path = self.write()
        assert self.column("Edema", path, negative_value="") == [0, -1, 0]
        assert self.column("Edema", path, negative_value="", uncertain="positive") == [0, 1, 0]
        assert read(path, negative_value="").num_all_negative == 1

    @pytest.mark.parametrize(("option", "label"), [("negative_value", 0), ("unknown_value", -1)])
    def test_the_plain_options_say_what_minus_1_means_too(self, option, label):
        assert self.column("Edema", self.write(), **{option: -1}) == [-1, label, -1]

    def test_the_validation_file_has_1_and_0_alone(self):
        row = "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP," + ",".join(
            ["0.0", "1.0"] * 7
        )
        table = read(self.write(row, path="chexpert/valid.csv"))
        assert table.dense().tolist() == [[0, 1] * 7]
        assert list(table.groups) == ["patient64541"]

    def test_the_folder_may_be_called_as_in_the_file_or_otherwise(self):
        path = self.write()
        below = ["train/patient00001/study1/view1_frontal.jpg"]
        assert list(read(path, root=Path("chexpert")).paths)[:1] == below
        Path("chexpert").rename("CheXpert-v1.0-small")
        assert list(read("CheXpert-v1.0-small/train.csv").paths)[:1] == below
        whole = read("CheXpert-v1.0-small/train.csv", root=Path())
        assert list(whole.paths)[:1] == ["CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"]
        Path("CheXpert-v1.0-small/train.csv").rename("train.csv")
        assert (read("train.csv").root, read("train.csv").paths[0]) == (Path(), f"CheXpert-v1.0-small/{below[0]}")
        Path("CheXpert-v1.0-small").rename("CheXpert-v1.0")
        assert (read("train.csv").root, list(read("train.csv").paths)[:1]) == (Path("CheXpert-v1.0"), below)

    def test_paths_may_be_written_as_on_windows(self):
        path = self.write(self.ROWS[0].replace("/", "\\", 4))
        assert list(read(path).paths) == ["train/patient00001/study1/view1_frontal.jpg"]

    def test_a_missing_image_is_told_as_it_is_written(self):
        path = self.write()
        Path("chexpert/train/patient00001/study1/view1_frontal.jpg").unlink()
        assert fault(path).startswith(
            f"{path}:2: no image 'CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg' below chexpert;"
        )

    def test_classes_may_be_left_out(self):
        path = self.write()
        assert len(read(path, ignore_columns=["No Finding"]).classes) == 13
        assert len(read(path, group_column="Sex").classes) == 14

    def test_a_table_without_the_other_columns_needs_the_name(self):
        header = ",".join(["Path", *OBSERVATIONS])
        row = "CheXpert-v1.0/test/patient64741/study1/view1_frontal.jpg," + ",".join(["-1"] * 14)
        touch("chexpert/test/patient64741/study1/view1_frontal.jpg")
        path = write("chexpert/test.csv", f"{header}\n{row}\n")
        assert "holds -1, which may mean absent or unknown" in fault(path, root=Path("chexpert"), only=None)
        assert read(path, preset="chexpert").num_unlabelled == 1


class TestCelebA:
    ROWS = ("000001.jpg," + ",".join(["-1", "1"] * 20), "000002.JPG," + ",".join(["-1"] * 40))

    def write(self, end="\n"):
        return write("celeba/list_attr_celeba.csv", end.join([",".join(["image_id", *ATTRIBUTES]), *self.ROWS, ""]))

    @pytest.mark.parametrize("images", ["", "img_align_celeba/", "img_align_celeba/img_align_celeba/"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_minus_1_is_absent_and_images_are_where_the_archive_has_them(self, images, end, caplog):
        touch(f"celeba/{images}000001.jpg", f"celeba/{images}000002.jpg")
        path = self.write(end)
        assert readers_of(path) == ["csv"]
        with caplog.at_level(logging.INFO):
            table = read(path)
        assert table.classes == ATTRIBUTES
        assert len(set(ATTRIBUTES)) == 40
        assert table.dense().tolist() == [[0, 1] * 20, [0] * 40]
        assert (table.num_all_negative, table.num_unknown_cells, table.groups) == (1, 0, None)
        assert (list(table.paths), table.root) == (["000001.jpg", "000002.jpg"], Path("celeba", images))
        assert f"{path}:1: read with preset: celeba: -1 is absent" in caplog.text

    def test_what_the_user_says_of_minus_1_wins(self):
        touch("celeba/000001.jpg", "celeba/000002.jpg")
        assert read(self.write(), unknown_value=-1).num_unlabelled == 1
        assert read(self.write(), uncertain={"Young": "ignore"}).dense()[1].tolist() == [0] * 39 + [-1]

    def test_another_table_with_minus_1_is_not_taken_for_it(self):
        touch("celeba/000001.jpg")
        path = write("celeba/mine.csv", "image_id,Bald,Young\n000001.jpg,-1,1\n")
        assert "which may mean absent or unknown" in fault(path)
        assert "class 'Bangs' has no column" in fault(path, preset="celeba")


class TestRoboflow:
    def write(self, side="train", end="\n"):
        names = [f"{stem}_jpg.rf.{HASH}.jpg" for stem in ("x1", "my photo (2)", "x3")] + [
            f"x1_jpg.rf.{HASH[::-1]}.jpg",
            "other.PNG",
        ]
        touch(*(f"export/{side}/{name}" for name in [*names[:4], "other.png"]))
        rows = [f"{name}, {cells}" for name, cells in zip(names, ("1, 0", "0, 0", "1, 1", "1, 0", "0, 1"), strict=True)]
        text = end.join(["filename, Dark Spot, Eye bag", *rows, ""])
        return write(f"export/{side}/_classes.csv", text)

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_the_file_and_its_folder_are_read_with_no_option_but_the_path(self, end, caplog):
        path = self.write(end=end)
        assert readers_of(path) == readers_of(path.parent) == ["csv"]
        with caplog.at_level(logging.INFO):
            table = recognise(path, installed_readers()).read()
        assert table.classes == ("Dark Spot", "Eye bag")
        assert table.dense().tolist() == [[1, 0], [0, 0], [1, 1], [1, 0], [0, 1]]
        assert (table.num_all_negative, table.root) == (1, Path("export/train"))
        assert table.paths[1] == f"my photo (2)_jpg.rf.{HASH}.jpg"
        assert list(table.groups) == ["x1_jpg", "my photo (2)_jpg", "x3_jpg", "x1_jpg", ""]
        assert table.origins["Eye bag"] == "export/train/_classes.csv:1"
        assert "export/train/_classes.csv:1: read with preset: roboflow: each column is a class" in caplog.text
        again = recognise(path.parent, installed_readers()).read()
        assert (again.paths, again.source, again.root) == (table.paths, table.source, table.root)

    def test_the_whole_export_is_told_with_its_three_files(self):
        for side in ("train", "valid", "test"):
            self.write(side)
        files = "export/test/_classes.csv or export/train/_classes.csv or export/valid/_classes.csv"
        expected = f"export: is a folder; name the annotation file in it: {files}"
        assert readers_of("export") == []
        with pytest.raises(LabelError) as error:
            recognise(Path("export"), installed_readers())
        assert str(error.value) == expected
        assert fault("export") == expected

    def test_a_folder_of_other_tables_and_one_without_are_told(self):
        write("photos/b.csv", "image,cat\n")
        write("photos/a.csv", "image,cat\n")
        assert fault("photos") == ("photos: is a folder; name the annotation file in it: photos/a.csv or photos/b.csv")
        Path("empty").mkdir()
        assert fault("empty") == "empty: cannot be read (Is a directory); expected a text file"

    def test_a_class_may_have_the_name_of_a_column_that_lists_labels(self):
        touch("export/train/a.jpg")
        table = read(write("export/train/_classes.csv", "filename, label, path, tags\na.jpg, 1, 0, 1\n"))
        assert (table.classes, table.dense().tolist()) == (("label", "path", "tags"), [[1, 0, 1]])

    def test_another_name_of_the_file_needs_the_name_of_the_preset(self):
        path = self.write().rename("export/train/labels.csv")
        assert read(path).groups is None
        assert read(path, preset="roboflow").groups[0] == "x1_jpg"


class TestPlanet:
    @pytest.fixture
    def path(self):
        touch("planet/train-jpg/train_0.jpg", "planet/train-jpg/train_1.jpg", "planet/train-jpg/train_1.tif")
        return write(
            "planet/train_v2.csv", "image_name,tags\r\ntrain_0,haze primary\r\ntrain_1,primary  clear \r\n\r\n"
        )

    def test_spaces_separate_labels_and_names_lack_their_suffix(self, path):
        assert readers_of(path) == ["csv"]
        table = read(path, preset="planet")
        assert table.classes == ("clear", "haze", "primary")
        assert table.dense().tolist() == [[0, 1, 1], [1, 0, 1]]
        assert (list(table.paths), table.root) == (["train_0.jpg", "train_1.jpg"], Path("planet/train-jpg"))
        assert table.groups is None

    def test_it_is_not_guessed(self, path):
        assert "give delimiter: ' ' if a space separates labels" in fault(
            write(path, path.read_text() + "train_0,primary\ntrain_1,clear\ntrain_0,haze\n"),
            root=Path("planet/train-jpg"),
        )

    def test_the_images_may_be_of_another_kind(self):
        touch("planet/train_0.tif")
        table = read(write("planet/t.csv", "image_name,tags\ntrain_0,haze\n"), preset="planet")
        assert list(table.paths) == ["train_0.tif"]


def test_a_preset_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(LabelError) as error:
        CsvReader(Path("x.csv"), preset="chexprt")
    assert str(error.value) == (
        "there is no preset 'chexprt'; expected one of roboflow, chestxray14, chexpert, celeba, planet; did you mean "
        "'chexpert'?"
    )


def test_a_preset_named_for_another_file_tells_the_columns_it_misses():
    touch("a.jpg")
    path = write("labels.csv", "image,cat\na.jpg,1\n")
    assert (
        fault(path, preset="chexpert").splitlines()[0]
        == "labels.csv:1: there is no column 'Path'; there are image, cat"
    )


FINDINGS = st.lists(
    st.lists(st.sampled_from(PRESETS["chestxray14"].classes), max_size=5, unique=True), min_size=1, max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(FINDINGS, st.sampled_from(["\n", ",\r\n"]))
def test_any_findings_are_read_back(folder, findings, end):
    names = [f"{number:08}_000.png" for number in range(len(findings))]
    touch(*(f"images/{name}" for name in names))
    rows = [
        f"{name},{'|'.join(labels) or 'No Finding'},0,{number},58,M,PA,2682,2749,0.143,0.143"
        for number, (name, labels) in enumerate(zip(names, findings, strict=True))
    ]
    table = read(write("Data_Entry_2017.csv", "".join(line + end for line in [CHESTXRAY14, *rows])))
    assert [set(labels) for labels in present(table)] == [set(labels) for labels in findings]
    assert table.num_all_negative == sum(not labels for labels in findings)


OBSERVED = st.lists(st.lists(st.sampled_from([1, 0, -1, None]), min_size=14, max_size=14), min_size=1, max_size=4)
POLICIES = st.dictionaries(st.sampled_from(OBSERVATIONS), st.sampled_from(["ignore", "positive", "negative"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(OBSERVED, POLICIES, st.booleans())
def test_any_observations_are_read_back_with_any_policies(folder, observed, policies, blank_is_absent):
    names = [f"train/patient{number:05}/study1/view1_frontal.jpg" for number in range(len(observed))]
    touch(*names)
    words = {1: "1.0", 0: "0.0", -1: "-1.0", None: ""}
    rows = [
        ",".join([f"CheXpert-v1.0/{name}", "Male", "61", "Frontal", "AP", *(words[cell] for cell in cells)])
        for name, cells in zip(names, observed, strict=True)
    ]
    path = write("train.csv", "\n".join([CHEXPERT, *rows]))
    table = read(path, uncertain=policies, negative_value="" if blank_is_absent else None)
    meaning = {"ignore": -1, "positive": 1, "negative": 0}
    blank = 0 if blank_is_absent else -1
    expected = [
        [
            blank if cell is None else meaning[policies.get(name, "ignore")] if cell == -1 else cell
            for name, cell in zip(OBSERVATIONS, cells, strict=True)
        ]
        for cells in observed
    ]
    assert table.dense().tolist() == expected
