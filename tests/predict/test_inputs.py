import bz2
import gzip
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from mlic.errors import ImageError, UsageError
from mlic.pixels import read_pixels
from mlic.predict import Inputs, Source, find_images


def test_folders_patterns_and_lists_become_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("a/2.JPG", "a/b/1.png", "a/notes.md", "3.gif"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("a/2.JPG\r\n\r\ngone.jpg\r\n")
    assert find_images(["a"]) == ["a/2.JPG", "a/b/1.png"]
    assert find_images(["a/*.JPG", "3.gif"]) == ["a/2.JPG", "3.gif"]
    assert find_images(["list.txt"]) == ["a/2.JPG", "gone.jpg"]


def test_a_near_file_name_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UsageError, match=r"did you mean 'photo\.jpg'\?"):
        find_images(["foto.jpg"])


def names(words, **options):
    return [source.name for source in Inputs(words, **options)]


def test_folders_come_in_the_order_of_sorted_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (
        "a-b/1.jpg",
        "a/2.jpg",
        "a.b/3.jpg",
        "a.jpg",
        "a/b/4.jpg",
        "ab.jpg",
        ".hidden.jpg",
        ".git/5.jpg",
        "B.jpg",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    shown = [file for file in Path().rglob("*.jpg") if not any(part.startswith(".") for part in file.parts)]
    assert names(["."]) == sorted(map(str, shown))
    assert names([".git"]) == [".git/5.jpg"]  # which is asked for


def test_a_folder_is_not_walked_to_its_end_before_the_first_image_comes(tmp_path, monkeypatch):
    for number in range(5):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/a.jpg").touch()
    scanned = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(path) or scan(path))
    inputs = Inputs([str(tmp_path)])
    scanned.clear()
    next(iter(inputs))
    assert len(scanned) == 2


def test_lists_are_read_line_by_line(tmp_path):
    listed = tmp_path / "list.txt"
    os.mkfifo(tmp_path / "pipe")
    listed.symlink_to(tmp_path / "pipe")
    # A pipe with so little in it that nobody could have read ahead.
    from mlic.predict.lists import in_list

    def write():
        with (tmp_path / "pipe").open("w") as stream:
            stream.write("a.jpg\n" * 20_000)
            stream.flush()
            first.wait(30)

    first = threading.Event()
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    sources = in_list(str(listed))
    assert next(sources).name == "a.jpg"
    first.set()
    assert sum(1 for _ in sources) == 19_999
    thread.join()


def test_a_list_is_looked_up_from_the_working_directory_and_then_beside_itself(tmp_path, monkeypatch):
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/images/a.jpg").write_bytes(b"beside")
    (tmp_path / "b.jpg").write_bytes(b"here")
    (tmp_path / "data/b.jpg").write_bytes(b"beside")
    (tmp_path / "data/list.txt").write_text("images/a.jpg\nb.jpg\ngone.jpg\n")
    monkeypatch.chdir(tmp_path)
    found = {source.name: source.content() for source in Inputs(["data/list.txt"])}
    assert found["images/a.jpg"].read_bytes() == b"beside"
    assert found["b.jpg"].read_bytes() == b"here"
    assert found["gone.jpg"] == Path("gone.jpg")


def test_stray_spaces_are_no_part_of_a_path_unless_a_file_has_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / " lead.jpg").touch()
    (tmp_path / "list.txt").write_text(" lead.jpg\n  other.jpg \n")
    assert names(["list.txt"]) == [" lead.jpg", "other.jpg"]


def test_a_list_that_is_no_text_is_told(tmp_path):
    (tmp_path / "list.txt").write_bytes("a.jpg\n".encode("utf-16"))
    with pytest.raises(UsageError, match=r"list\.txt: not a text of paths"):
        names([str(tmp_path / "list.txt")])


def test_a_column_of_a_csv_has_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbfid,image,cat\r\n1,"a,\n1.jpg",0\r\n2,,1\r\n\r\n3\r\n4,lat\xe9.jpg,0\r\n'
    )
    assert names(["a.csv"]) == ["a,\n1.jpg", "a.csv:4", "a.csv:6", os.fsdecode(b"lat\xe9.jpg")]
    with pytest.raises(ImageError, match=r"a\.csv:4: no path in the column 'image'"):
        list(Inputs(["a.csv"]))[1].content()
    assert names(["a.csv"], column="id") == ["1", "2", "3", "4"]
    (tmp_path / "b.csv").write_text("photo;cat\nb.jpg;1\n")
    assert names(["b.csv"], column="photo") == ["b.jpg"]
    with pytest.raises(UsageError, match=r"b\.csv: which column has the paths\? .* one of photo, cat"):
        Inputs(["b.csv"])
    with pytest.raises(UsageError, match=r"b\.csv: no column 'foto'; did you mean 'photo'\?"):
        Inputs(["b.csv"], column="foto")


def piped(data):
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


def test_a_column_of_no_csv_is_told(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UsageError, match=r"--column x is of a .csv file, and there is none"):
        Inputs([str(tmp_path / "a.jpg")], column="x")


def test_standard_input_has_a_path_a_line_or_each_with_its_end():
    assert names(["-"], stdin=piped(b"a.jpg\r\n\nb, c.jpg\nlat\xe9.jpg")) == [
        "a.jpg",
        "b, c.jpg",
        os.fsdecode(b"lat\xe9.jpg"),
    ]
    assert names(["-"], stdin=piped(b"a\n1.jpg\0 b.jpg\0")) == ["a\n1.jpg", " b.jpg"]
    assert names(["-"], stdin=piped(b"")) == []
    with pytest.raises(UsageError, match="leave out the others"):
        Inputs(["-", "a.jpg"])


def test_of_standard_input_nobody_waits_for_a_lot_to_fill():
    reading, writing = os.pipe()
    os.write(writing, b"a.jpg\nb.jpg\nc.j")
    lots = Inputs(["-"], stdin=reading).lots(4)
    assert [source.name for source in next(lots)] == ["a.jpg", "b.jpg"]
    os.write(writing, b"pg\n")
    assert [source.name for source in next(lots)] == ["c.jpg"]
    os.close(writing)
    assert list(lots) == []


def test_how_many_there_are_is_told_where_that_is_known(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.jpg").touch()
    inputs = Inputs([str(tmp_path)])
    assert [inputs.num_known(enough) for enough in (3, 5, 6)] == [None, None, 5]
    assert inputs.count(threading.Event()) == 5
    given_up = threading.Event()
    given_up.set()
    assert inputs.count(given_up) is None
    lines = Inputs(["-"], stdin=piped(b"a.jpg\nb.jpg\n"))
    assert lines.num_known(10) == 2
    assert len(list(lines)) == 2
    reading, writing = os.pipe()
    os.write(writing, b"a.jpg\n")
    assert Inputs(["-"], stdin=reading).num_known(10) is None  # more may come
    os.close(writing)


def test_patterns_with_two_stars_name_each_file_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/1.jpg").touch()
    (tmp_path / "a/2.jpg").touch()
    assert names(["a/**"]) == ["a/2.jpg", "a/b/1.jpg"]
    assert names(["a/*"]) == ["a/2.jpg", "a/b/1.jpg"]


def shard(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


FILES = {"./000.jpg": b"one", "000.json": b"{}", "sub/001.left.png": b"two", "._002.jpg": b"", "003.JPEG": b"three"}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_tar_files_are_read_without_unpacking(suffix, tmp_path):
    tar = str(tmp_path / f"a.{suffix}")
    shard(tar, FILES, {"tar": "w", "tgz": "w:gz"}.get(suffix, f"w:{suffix.rpartition('.')[2]}"))
    inputs = Inputs([tar])
    assert inputs.has_keys
    sources = list(inputs)
    assert [(source.name, source.key) for source in sources] == [
        (f"{tar}/000.jpg", "000"),
        (f"{tar}/sub/001.left.png", "sub/001"),
        (f"{tar}/003.JPEG", "003"),
    ]
    assert [source.content() for source in sources] == [b"one", b"two", b"three"]
    assert (inputs.count(threading.Event()) is None) == (suffix != "tar")


def test_a_tar_file_that_is_cut_is_an_error_after_what_could_be_read(tmp_path):
    tar = tmp_path / "a.tar"
    shard(tar, {f"{number}.jpg": bytes(2000) for number in range(3)})
    tar.write_bytes(tar.read_bytes()[:4000])
    first, second, damage = Inputs([str(tar)])
    assert len(first.content()) == 2000
    with pytest.raises(ImageError, match=r"1\.jpg: truncated, 928 of 2000 bytes are there"):
        second.content()
    with pytest.raises(ImageError, match="a damaged tar file"):
        damage.content()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_what_is_no_tar_file_or_has_no_image_is_a_row_with_an_error(compress, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"nothing of the kind" * 100)
    shard(tmp_path / "b.tar", {"a.txt": b"x"})
    (tmp_path / "c.tar.gz").write_bytes(compress(b"cut")[:-2])
    errors = [source.error for source in Inputs([str(tmp_path / name) for name in ("a.tar", "b.tar", "c.tar.gz")])]
    assert "a damaged tar file" in errors[0]
    assert "no image in this tar file" in errors[1]
    assert "a damaged tar file" in errors[2]


def test_a_tar_file_of_any_number_of_images_is_gone_through_in_constant_memory(tmp_path):
    import tracemalloc

    shard(tmp_path / "a.tar", {f"{number}.jpg": b"x" for number in range(3000)})
    sources = iter(Inputs([str(tmp_path / "a.tar")]))
    next(sources)
    tracemalloc.start()
    assert sum(1 for _ in sources) == 2999
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 200_000


def test_the_name_of_an_image_opens_what_is_said_of_its_bytes():
    source = Source("a.tar/1.jpg", data=b"no")
    assert source.told(ImageError("image of 2 bytes: not an image")) == "a.tar/1.jpg: not an image"
    assert source.told(ImageError("/data/1.jpg: no such file")) == "/data/1.jpg: no such file"


def test_a_link_that_leads_nowhere_is_a_row_and_hides_no_other_image(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "circle.jpg").symlink_to("circle.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "up.jpg").symlink_to(".")
    names = [str(tmp_path / name) for name in ("a.jpg", "circle.jpg", "gone.jpg")]
    assert find_images([str(tmp_path)]) == names
    assert find_images(names) == names
    assert find_images([str(tmp_path / "[acg]*.jpg")]) == names


def test_names_that_no_file_can_have_are_rows_with_an_error(tmp_path):
    long = "x" * 300
    (tmp_path / "list.txt").write_text(f"{long}\n {long} \na.jpg\n")
    (tmp_path / "list.csv").write_bytes(b"path\na\0b.jpg\n")
    found = list(Inputs([str(tmp_path / "list.txt"), str(tmp_path / "list.csv")]))
    assert [source.name for source in found] == [long, long, "a.jpg", "a\0b.jpg"]
    for source in found:
        with pytest.raises(ImageError, match=r"too long|no such file|no name of a file"):
            read_pixels(source.content())
    with pytest.raises(UsageError, match="no such file, folder or pattern"):
        Inputs([long])


def test_the_sign_between_the_cells_of_a_csv_is_the_one_that_gives_a_column_of_paths(tmp_path):
    (tmp_path / "list.csv").write_text("path,labels,a;b;c;d\nx.jpg,,0.5\n")
    assert find_images([str(tmp_path / "list.csv")]) == ["x.jpg"]
    assert [source.name for source in Inputs([str(tmp_path / "list.csv")], column="path")] == ["x.jpg"]


@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
def test_a_link_in_a_tar_file_is_not_left_out_without_a_word(suffix, tmp_path):
    path = tmp_path / f"shard{suffix}"
    with tarfile.open(path, "w:gz" if suffix == ".tgz" else "w") as archive:
        for name, kind in (("a.jpg", tarfile.REGTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "" if name == "a.jpg" else "a.jpg"
            archive.addfile(entry)
        folder = tarfile.TarInfo("d.jpg")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    found = list(Inputs([str(path)]))
    assert [(source.key, source.error.partition(": ")[2]) for source in found] == [
        ("a", ""),
        ("b", "a link to a.jpg, which in a tar file is not followed"),
        ("c", "a link to a.jpg, which in a tar file is not followed"),
    ]
