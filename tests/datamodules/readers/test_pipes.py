"""A named pipe in the place of a file is told, not waited for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlic.datamodules.readers.coco import CocoReader
from mlic.datamodules.readers.csv import CsvReader
from mlic.datamodules.readers.imagefolder import ImageFolderReader
from mlic.datamodules.readers.openimages import OpenImagesReader
from mlic.datamodules.readers.openmmlab import OpenMMLabReader
from mlic.datamodules.readers.paddle import PaddleReader
from mlic.datamodules.readers.sidecar import SidecarReader
from mlic.errors import LabelError

READERS = [
    (CsvReader, "labels.csv"),
    (CocoReader, "instances.json"),
    (ImageFolderReader, "a.jsonl"),
    (ImageFolderReader, "a.parquet"),
    (OpenImagesReader, "train-annotations-human-imagelabels.csv"),
    (OpenMMLabReader, "a.json"),
    (PaddleReader, "train_list.txt"),
]

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("reader", "name"), READERS)
def test_a_named_pipe_is_refused(reader, name):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    os.mkfifo(name)
    assert not reader.recognises(Path(name))
    with pytest.raises(LabelError, match=rf"{name}: cannot be read \(it is a named pipe\)"):
        reader(Path(name)).read()


def test_a_pipe_among_the_files_of_a_data_set_is_not_an_image_without_labels():
    for folder in ("images", "image_labels_dir"):
        Path("set", folder).mkdir(parents=True)
    Path("set/labels.txt").write_text("cat")
    Path("set/images/a.jpg").touch()
    os.mkfifo("set/image_labels_dir/a.jpg.txt")
    with pytest.raises(LabelError, match="it is a named pipe") as error:
        SidecarReader(Path("set")).read()
    assert error.value.table.num_unlabelled == 1


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="there is no /dev/stdin")
def test_what_another_program_writes_can_be_read():
    Path("a.jpg").touch()
    code = (
        "from pathlib import Path; from mlic.datamodules.readers.csv import CsvReader; "
        "print(CsvReader(Path('/dev/stdin'), root=Path()).read().dense().tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input="image,cat,dog\na.jpg,1,0\n", capture_output=True, text=True, check=True
    )
    assert done.stdout == "[[1, 0]]\n"
