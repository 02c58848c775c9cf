"""Where images are looked for without a word from the user, and which CSV files are those of other formats."""

from pathlib import Path

import pytest

from mlic.datamodules.readers.csv import CsvReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


class TestRoot:
    @pytest.mark.parametrize(
        ("image", "written", "root"),
        [
            ("set/notes/a.jpg", "a.jpg", "set/notes"),
            ("set/notes/images/a.jpg", "a.jpg", "set/notes/images"),
            ("set/images/a.jpg", "a.jpg", "set/images"),
            ("set/photos/a.jpg", "photos/a.jpg", "set"),
            ("set/photos/a.jpg", "photos\\a.jpg", "set"),
            ("set/notes/train/a.jpg", "a.jpg", "set/notes/train"),
            ("set/notes/train_images/a.jpg", "a", "set/notes/train_images"),
        ],
    )
    def test_it_is_found_in_the_usual_places(self, image, written, root):
        touch(image)
        table = CsvReader(write("set/notes/train.csv", f"image,cat\n{written},1\n")).read()
        assert table.root == Path(root)
        assert table.path(0) == Path(image)

    def test_it_is_the_place_with_most_images_and_the_folder_of_the_file_in_doubt(self):
        touch("set/a.jpg", "set/images/a.jpg", "set/images/b.jpg")
        text = "image,cat\na.jpg,1\nb.jpg,1\n"
        assert CsvReader(write("set/train.csv", text)).read().root == Path("set/images")
        touch("set/b.jpg")
        assert CsvReader(Path("set/train.csv")).read().root == Path("set")

    def test_an_image_that_is_in_none_of_them_is_missing_in_the_folder_of_the_file(self):
        with pytest.raises(LabelError, match=r"set/train\.csv:2: no image 'a\.jpg' below set;"):
            CsvReader(write("set/train.csv", "image,cat\na.jpg,1\n")).read()

    def test_a_path_that_leads_out_of_the_folder_of_the_file_does_not_widen_the_root(self):
        touch("set/a.jpg", "set/notes/b.jpg")
        with pytest.raises(LabelError, match=r"image '\.\./a\.jpg' lies outside the data root set/notes;"):
            CsvReader(write("set/notes/train.csv", "image,cat\n../a.jpg,1\n")).read()

    def test_images_of_a_bucket_are_looked_for_in_its_local_folder(self):
        touch("copy/x/a.jpg", "copy/x/b.jpg")
        text = "image,labels\ngs://bucket/x/a.jpg,cat\nx/b.jpg,\n"
        table = CsvReader(write("set/train.csv", text), uri_prefix={"gs://bucket/": Path("copy")}).read()
        assert list(table.paths) == ["x/a.jpg", "x/b.jpg"]
        assert (table.root.resolve(), table.dense().tolist()) == (Path("copy").resolve(), [[1], [0]])
        with pytest.raises(LabelError, match="nothing is downloaded; fetch the images and give uri_prefix"):
            CsvReader(Path("set/train.csv")).read()


OTHERS = {
    "Open Images": "ImageID,Source,LabelName,Confidence\n000a,verification,/m/0cmf2,1\n",
    "Label Studio": "annotation_id,annotator,choice,created_at,id,image,lead_time\n5,1,cat,x,1,/a.jpg,2.5\n",
    "Vertex": "gs://b/a.jpg,cat,dog\n",
    "Vertex with sides": "training,gs://b/a.jpg,cat,dog\n",
    "names of Open Images": "/m/0cmf2,Airplane\n/m/04bcr3,Table\n",
    "names of Open Images with a header": "LabelName,DisplayName\n/m/0cmf2,Airplane\n",
}


class TestRecognition:
    @pytest.mark.parametrize("text", OTHERS.values(), ids=list(OTHERS))
    def test_tables_of_other_formats_are_left_to_them(self, text):
        assert not CsvReader.recognises(write("set/labels.csv", text))
        assert not CsvReader.recognises(write("set/labels.csv", "\ufeff" + text.replace("\n", "\r\n")))

    @pytest.mark.parametrize(
        "header", ["file_name,labels", "file_name,label", "label,file_name", "left_file_name,label"]
    )
    def test_metadata_of_hugging_face_is_left_to_imagefolder(self, header):
        assert not CsvReader.recognises(write("set/metadata.csv", f"{header}\na.jpg,cat\n"))
        assert CsvReader.recognises(write("set/labels.csv", f"{header}\na.jpg,cat\n"))

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("metadata.csv", "file_name,cat,dog\na.jpg,1,0\n"),
            ("metadata.csv", "image,labels\na.jpg,cat\n"),
            ("labels.csv", "file_name,labels\na.jpg,cat\n"),
            ("labels.TSV", "image\tcat\na.jpg\t1\n"),
            ("labels.csv", "ImageID,cat\na.jpg,1\n"),
            ("labels.csv", "image,annotator,cat\na.jpg,ann,1\n"),
            ("labels.csv", "image,label\na.jpg,cat\na.jpg,dog\n"),
        ],
    )
    def test_a_plain_table_is_read_by_csv_alone(self, name, text):
        touch("set/a.jpg")
        path = write(f"set/{name}", text)
        assert [reader for reader, cls in installed_readers().items() if cls.recognises(path)] == ["csv"]

    @pytest.mark.parametrize("data", [b"", b"\xff\xfeb\0", b"\0", b'"', b"image,cat\n" * 9])
    def test_what_says_nothing_is_left_to_the_messages_of_csv(self, data):
        Path("labels.csv").write_bytes(data)
        assert CsvReader.recognises(Path("labels.csv"))
        with pytest.raises(LabelError):
            CsvReader(Path("labels.csv")).read()


def test_one_row_a_label_is_one_sample_an_image():
    touch("a.jpg", "b.jpg", "c.jpg")
    text = "image,label\na.jpg,dog\nb.jpg,No Finding\na.jpg,cat\nc.jpg,?\na.jpg,dog\nb.jpg,\n"
    table = CsvReader(write("labels.csv", text)).read()
    assert table.classes == ("cat", "dog")
    assert table.dense().tolist() == [[1, 1], [0, 0], [-1, -1]]
    assert (table.num_all_negative, table.num_unlabelled) == (1, 1)
