import os
from pathlib import Path

import pytest

from mlic.datamodules.annotations.imagefiles import ImageFiles, without_images
from mlic.errors import LabelError

HERE = Path()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def refusal(files, written):
    with pytest.raises(LabelError) as error:
        files.find(written)
    return str(error.value)


class TestLocate:
    GUESSES = ("../images", "../images/train", "../train")

    def locate(self, *written, root=None, **options):
        return ImageFiles.locate(root, Path("data/annotations"), written, guesses=self.GUESSES, **options)

    @pytest.mark.parametrize("place", ["annotations", "images", "images/train", "train"])
    def test_images_are_found_beside_the_file_or_where_they_usually_are(self, place):
        touch(f"data/{place}/a.jpg", f"data/{place}/b.jpg")
        files = self.locate("a.jpg", "b.jpg")
        assert (files.root, files.find("b.jpg")) == (Path("data") / place, "b.jpg")

    def test_the_folder_with_most_of_the_images_wins(self):
        touch("data/images/a.jpg", "data/train/a.jpg", "data/train/b.jpg", "data/annotations/c.jpg")
        assert self.locate("a.jpg", "b.jpg", "c.jpg").root == Path("data/train")

    def test_the_first_wins_in_doubt(self):
        touch("data/annotations/a.jpg", "data/images/a.jpg", "data/train/a.jpg")
        assert self.locate("a.jpg").root == Path("data/annotations")
        Path("data/annotations/a.jpg").unlink()
        assert self.locate("a.jpg").root == Path("data/images")

    def test_paths_that_no_folder_has_start_from_the_folder_of_the_file(self):
        files = self.locate("a.jpg")
        assert refusal(files, "a.jpg") == (
            "no image 'a.jpg' below data/annotations; "
            "expected a file there, or give root: the folder that the paths start from"
        )

    def test_a_root_that_is_given_is_taken_as_it_is(self):
        touch("data/images/a.jpg")
        assert self.locate("a.jpg", root=Path("elsewhere")).root == Path("elsewhere")

    def test_a_suffix_in_another_case_and_a_backslash_count(self):
        touch("data/train/sub/a.JPG")
        assert self.locate("sub\\a.jpg").root == Path("data/train")

    def test_no_more_than_the_first_hundred_paths_are_looked_at(self):
        touch("data/images/99.jpg", "data/train/100.jpg", "data/train/101.jpg")
        assert self.locate(*(f"{i}.jpg" for i in range(102))).root == Path("data/images")

    def test_an_absolute_path_is_found_in_the_folder_above_too(self, folder):
        touch("data/images/a.jpg")
        files = ImageFiles.locate(
            None, Path("data/annotations"), [f"{folder}/data/images/a.jpg"], guesses=["..", "../images"]
        )
        assert (files.root, files.find(f"{folder}/data/images/a.jpg")) == (Path("data"), "images/a.jpg")

    def test_paths_that_cannot_be_found_do_not_stop_it(self):
        touch("data/train/a.jpg")
        assert self.locate("s3://b/c.jpg", "", "\0", "../../x.jpg", "x" * 5000, "a.jpg").root == Path("data/train")

    def test_each_folder_is_listed_once(self, monkeypatch):
        touch("data/train/a.jpg", "data/train/b.jpg")
        listed, scandir = [], os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: listed.append(os.fspath(path)) or scandir(path))
        files = self.locate("a.jpg", "b.jpg")
        files.find("a.jpg")
        assert len(listed) == len(set(listed)) == 4


class TestURIs:
    def files(self, root=None, uri_prefix=None):
        touch("local/sub/a.jpg", "local/b.jpg", "secret.jpg")
        return ImageFiles.locate(root, HERE, [], uri_prefix=uri_prefix or {"s3://bucket/": "local"})

    def test_the_root_is_the_folder_that_stands_for_the_prefix(self, folder):
        files = self.files()
        assert files.root == folder / "local"
        assert [files.find("s3://bucket/sub/a.jpg"), files.find("s3://bucket/b.JPG")] == ["sub/a.jpg", "b.jpg"]

    def test_the_root_is_what_several_folders_have_in_common(self, folder):
        touch("other/c.jpg")
        files = self.files(uri_prefix={"s3://bucket": Path("local"), "gs://x/y/": Path("other")})
        assert files.root == folder
        assert [files.find("s3://bucket/b.jpg"), files.find("gs://x/y/c.jpg")] == ["local/b.jpg", "other/c.jpg"]

    def test_a_root_may_be_given_beside_it(self):
        assert self.files(root=HERE).find("s3://bucket/b.jpg") == "local/b.jpg"

    def test_the_longest_prefix_wins(self):
        touch("other/c.jpg")
        files = self.files(uri_prefix={"s3://bucket/": "local", "s3://bucket/sub/": "other"})
        assert files.find("s3://bucket/sub/c.jpg") == "other/c.jpg"

    @pytest.mark.parametrize("prefix", ["s3://bucket", "s3://bucket/"])
    def test_a_prefix_ends_where_a_name_does(self, prefix):
        files = self.files(uri_prefix={prefix: "local"})
        assert files.find("s3://bucket//b.jpg") == "b.jpg"
        assert refusal(files, "s3://bucket-of-another/b.jpg").endswith(
            "give uri_prefix: {'s3://bucket-of-another/': 'the local folder that holds what is below it'}"
        )

    def test_a_prefix_may_end_with_a_sign(self):
        assert (
            self.files(uri_prefix={"https://x.org/get?file=": "local"}).find("https://x.org/get?file=b.jpg") == "b.jpg"
        )

    @pytest.mark.parametrize("written", ["C:\\photos\\sub\\a.jpg", "C:/photos/sub/a.jpg"])
    def test_paths_of_another_machine_may_have_a_prefix_too(self, written):
        assert self.files(uri_prefix={"C:\\photos": "local"}).find(written) == "sub/a.jpg"

    def test_paths_without_a_prefix_start_from_the_root(self, folder):
        assert [self.files().find("b.jpg"), self.files().find(f"{folder}/local/b.jpg")] == ["b.jpg", "b.jpg"]

    def test_a_missing_image_is_told_as_it_is_written(self, folder):
        assert refusal(self.files(), "s3://bucket/c.jpg").startswith(
            f"no image 's3://bucket/c.jpg' below {folder / 'local'}; "
        )

    @pytest.mark.parametrize("rest", ["../secret.jpg", "sub/../../secret.jpg", "sub\\..\\..\\secret.jpg"])
    def test_a_uri_does_not_lead_out_of_its_folder(self, rest):
        assert refusal(self.files(root=HERE), f"s3://bucket/{rest}") == (
            f"image 's3://bucket/{rest}' lies outside local, which 's3://bucket/' stands for"
        )

    def test_a_folder_outside_the_root_is_refused(self):
        assert refusal(self.files(root=Path("local/sub")), "s3://bucket/b.jpg") == (
            "image 's3://bucket/b.jpg' lies outside the data root local/sub; "
            "expected one below it, or give root: a folder that holds all images"
        )

    @pytest.mark.parametrize(
        ("written", "start"),
        [
            ("gs://b/sub/a.jpg", "gs://b/"),
            ("https://x.org/a.jpg?v=1", "https://x.org/"),
            ("file:///home/a.jpg", "file:///"),
            ("gs://b", "gs://b"),
        ],
    )
    def test_nothing_is_downloaded(self, written, start):
        assert refusal(ImageFiles(HERE, HERE), written) == (
            f"image '{written}' is a URI, and nothing is downloaded; fetch the images and give "
            f"uri_prefix: {{'{start}': 'the local folder that holds what is below it'}}"
        )


class TestNames:
    def test_a_name_with_a_suffix_stands_for_no_stem(self):
        touch("a.jpg.png", "b.v1.png")
        files = ImageFiles(HERE, HERE)
        assert refusal(files, "a.jpg").startswith("no image 'a.jpg' below .;")
        assert files.find("b.v1") == "b.v1.png"

    @pytest.mark.parametrize("written", ["a.jpg/", "a.jpg/.", "a.jpg//", "./", "", "/"])
    def test_a_path_that_ends_as_a_folder_is_no_image(self, written):
        touch("a.jpg")
        assert _found(written) == []

    def test_names_of_the_root_itself_are_told_from_other_paths(self):
        touch("a.jpg", "b.jpg", "sub/c.jpg", "s3:")
        files = ImageFiles(HERE, HERE)
        assert files.are_in_root(["a.jpg", "b.jpg", "a.jpg"])
        for other in ("c.jpg", "sub/c.jpg", "sub", "./a.jpg", "a.JPG", ""):
            assert not files.are_in_root(["a.jpg", other])
        assert not ImageFiles(HERE, HERE, {"a": "sub"}).are_in_root(["a.jpg"])
        assert not ImageFiles(Path("no"), HERE).are_in_root(["a.jpg"])

    def test_a_backslash_is_never_part_of_a_name(self):
        touch("sub/a.jpg", "b.jpg", "sub\\b.jpg", "sub\\c.jpg")
        files = ImageFiles(HERE, HERE)
        assert [files.find("b.jpg"), files.find("sub\\a.jpg")] == ["b.jpg", "sub/a.jpg"]
        assert refusal(files, "sub\\b.jpg").startswith("no image 'sub\\b.jpg' below .;")
        assert not files.are_in_root(["sub\\b.jpg"])

    def test_a_file_that_came_after_the_listing_is_found(self):
        files = ImageFiles(HERE, HERE)
        touch("a.jpg")
        files.find("a.jpg")
        touch("b.jpg")
        assert files.find("b.jpg") == "b.jpg"


def _found(written):
    try:
        return [ImageFiles(HERE, HERE).find(written)]
    except LabelError:
        return []


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("a.jpg", "a.jpg"),
        ("./b//a.jpg", "b/a.jpg"),
        ("b\\a", "b/a"),
        ("{root}/b/a.jpg", "b/a.jpg"),
        ("/elsewhere/a.jpg", "/elsewhere/a.jpg"),
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg"),
    ],
)
def test_without_images_a_path_is_what_the_file_says(tmp_path, written, path):
    written = written.replace("{root}", str(tmp_path))
    with without_images():
        files = ImageFiles.locate(None, tmp_path, [written], guesses=["images"])
        assert files.find(written) == path
        assert not files.are_in_root([written])
    assert files.root == tmp_path
    with pytest.raises(LabelError):
        ImageFiles.locate(None, tmp_path, [written]).find(written)
