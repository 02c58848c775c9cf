import logging
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from PIL import Image

from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.base import Batch
from mlic.datamodules.dataset import ImageDataset, collate
from mlic.datamodules.image import ImageDataModule
from mlic.datamodules.readers.csv import CsvReader
from mlic.datamodules.sampling import Draw
from mlic.errors import ImageError, LabelError, UsageError
from mlic.images import read_image, squash


def write(folder: Path, name: str, rows: list[str]) -> Path:
    """Writes a CSV and the images that it names."""
    for row in rows[1:]:
        path = folder / row.split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            Image.new("RGB", (10, 8), (len(path.name) * 20 % 255, 60, 90)).save(path)
    file = folder / name
    file.write_text("\n".join(rows) + "\n")
    return file


def test_batches_are_bytes_with_labels_and_index(colours):
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", image_size=24, batch_size=5, num_workers=0)
    batch = next(iter(data.val_dataloader()))
    assert isinstance(batch, Batch)
    assert (batch.images.dtype, batch.images.shape) == (torch.uint8, (5, 3, 24, 24))
    assert batch.labels.dtype == torch.int8
    assert batch.index.tolist() == [0, 1, 2, 3, 4]
    assert batch.errors == ()


def test_the_paths_of_a_side_are_those_of_its_rows(colours):
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", image_size=24, num_workers=0)
    paths, root = data.image_paths("val")
    assert [root / path for path in paths] == [data.table("val").path(row) for row in range(len(data.table("val")))]


def test_evaluation_squashes_the_whole_image(colours):
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", image_size=24, num_workers=0)
    batch = next(iter(data.val_dataloader()))
    path = data.table("val").path(0)
    assert torch.equal(batch.images[0], squash(read_image(path), 24))


def test_val_and_test_take_the_columns_of_train_in_its_order(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,1,0", "b.png,0,1"])
    val = write(tmp_path, "val.csv", ["image,dog,cat", "c.png,1,0"])
    data = ImageDataModule(train, val)
    assert data.classes == ("cat", "dog")
    assert data.table("val").dense().tolist() == [[0, 1]]


def test_a_column_that_val_lacks_is_unknown_and_one_too_many_an_error(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,1,0", "b.png,0,1"])
    lacking = write(tmp_path, "lacking.csv", ["image,dog", "c.png,1"])
    extra = write(tmp_path, "extra.csv", ["image,cat,dgo", "c.png,1,0"])
    assert ImageDataModule(train, lacking).table("val").dense().tolist() == [[-1, 1]]
    with pytest.raises(LabelError, match=r"extra\.csv:1: class 'dgo' is not among the 2 classes; did you mean 'dog'\?"):
        ImageDataModule(train, extra).table("val")


def test_a_class_that_a_list_of_labels_never_names_is_absent(tmp_path):
    train = write(tmp_path, "train.csv", ["image,labels", "a.png,cat", "b.png,dog"])
    val = write(tmp_path, "val.csv", ["image,labels", "c.png,dog", "d.png,", "e.png,?"])
    assert ImageDataModule(train, val).table("val").dense().tolist() == [[0, 1], [0, 0], [-1, -1]]


def test_a_share_of_train_is_kept_apart(colours):
    data = ImageDataModule(colours / "train.csv", val=0.2, test=0.2)
    sides = [set(data.table(side).paths) for side in ("train", "val", "test")]
    assert sum(len(side) for side in sides) == len(set().union(*sides)) == 32
    assert all(sides)


def test_adding_images_moves_no_other_image(tmp_path):
    rows = ["image,cat", *(f"{number}.png,{number % 2}" for number in range(60))]
    before = ImageDataModule(write(tmp_path, "a.csv", rows[:41]), val=0.3)
    after = ImageDataModule(write(tmp_path, "b.csv", rows), val=0.3)
    old = set(before.table("train").paths)
    assert old == {path for path in after.table("train").paths if int(Path(path).stem) < 40}


def test_classes_can_be_fixed_with_their_order(colours):
    data = ImageDataModule(colours / "train.csv", classes=["blue", "green", "red"])
    assert data.classes == ("blue", "green", "red")
    assert data.table("train").classes == ("blue", "green", "red")


def test_with_fixed_classes_test_reads_nothing_of_train(tmp_path, colours):
    data = ImageDataModule(tmp_path / "gone.csv", test=colours / "test.csv", classes=["red", "green", "blue"])
    data.setup("test")
    assert len(data.table("test")) == 16


def test_a_reader_stands_wherever_a_path_does(colours):
    data = ImageDataModule(CsvReader(colours / "train.csv"), CsvReader(colours / "val.csv"))
    assert len(data.table("val")) == 16


def test_all_classes_without_a_positive_are_told_at_once(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat,dog,owl", "a.png,1,0,0", "b.png,1,,0"])
    with pytest.raises(LabelError) as raised:
        ImageDataModule(train, None).table("train")
    lines = str(raised.value).splitlines()
    assert [line.split("class ")[1].split()[0] for line in lines[:2]] == ["'dog'", "'owl'"]
    assert lines[0].startswith(f"{train}:1: ")
    assert lines[2] == "2 faults in all"


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"val": 1.5}, r"val is 1\.5; a share of train lies between 0 and 1"),
        ({"val": 0.0}, "val is 0.0"),
        ({"val": 0.6, "test": 0.4}, "nothing is left to learn from"),
    ],
)
def test_impossible_shares_are_told(shares, message, colours):
    with pytest.raises(UsageError, match=message):
        ImageDataModule(colours / "train.csv", **shares)


def test_a_share_that_leaves_nothing_is_told(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat", "a.png,1"])
    with pytest.raises(LabelError, match=r"leaves no sample"):
        ImageDataModule(train, val=0.0001).table("val")


def test_sides_without_data_are_told(colours):
    with pytest.raises(UsageError, match=r"there is no test data; give its annotation file with --data\.test PATH"):
        ImageDataModule(colours / "train.csv").table("test")


def test_an_unreadable_image_is_an_error_that_names_it_or_is_listed(tmp_path, caplog):
    train = write(tmp_path, "train.csv", ["image,cat", "a.png,1", "b.png,0"])
    (tmp_path / "b.png").write_bytes(b"broken")
    batch = collate([ImageDataset(ImageDataModule(train, None).table("train"), 8)[index] for index in range(2)])
    assert batch.images.shape == (1, 3, 8, 8)
    assert batch.index.tolist() == [0]
    with pytest.raises(ImageError, match=r"b\.png.*mend or remove it, or set data\.on_bad_image to skip"):
        ImageDataModule(train, None).on_before_batch_transfer(batch, 0)
    skipping = ImageDataModule(train, None, on_bad_image="skip")
    assert skipping.on_before_batch_transfer(batch, 0) is batch
    with caplog.at_level(logging.WARNING):
        skipping.teardown("fit")
    assert "1 unreadable images were skipped:" in caplog.text
    assert "b.png" in caplog.text


def test_a_batch_of_unreadable_images_is_empty_but_not_lost(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat", "a.png,1", "b.png,0"])
    table = ImageDataModule(train, None).table("train")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"broken")
    batch = collate([ImageDataset(table, 8)[index] for index in range(2)])
    assert len(batch.images) == 0
    assert [index for index, _ in batch.errors] == [0, 1]


def test_augmentation_depends_on_seed_epoch_and_index_alone(colours):
    table = ImageDataModule(colours / "train.csv").table("train")
    first = ImageDataset(table, 16, Augmentation(crop_scale=0.3), seed=1)
    second = ImageDataset(table, 16, Augmentation(crop_scale=0.3), seed=1)
    second[Draw(9, 3)]
    assert torch.equal(first[Draw(0, 2)].image, second[Draw(0, 2)].image)
    other = [ImageDataset(table, 16, first.augmentation, seed=2)[Draw(0, 2)], first[Draw(1, 2)]]
    assert all(not torch.equal(first[Draw(0, 2)].image, sample.image) for sample in other)


def test_a_sample_that_an_epoch_shows_again_is_augmented_in_another_way(colours):
    table = ImageDataModule(colours / "train.csv").table("train")
    dataset = ImageDataset(table, 16, Augmentation(crop_scale=0.3))
    first, again = (dataset[Draw(0, 2, repeat)] for repeat in (0, 1))
    assert not torch.equal(first.image, again.image)
    assert torch.equal(again.image, dataset[Draw(0, 2, 1)].image)
    assert torch.equal(first.labels, again.labels)


def test_a_path_may_be_text(colours):
    data = ImageDataModule(str(colours / "train.csv"), str(colours / "val.csv"))
    assert (len(data.table("train")), len(data.table("val"))) == (32, 16)


@pytest.mark.parametrize(("text", "source"), [("0.2", 0.2), ("val.csv", Path("val.csv")), ("null", None)])
def test_on_the_command_line_a_number_is_a_share_and_other_text_a_path(text, source):
    parser = ArgumentParser()
    parser.add_class_arguments(ImageDataModule, "data")
    config = parser.parse_args(["--data.train", "train.csv", f"--data.val={text}"])
    assert config.data.train == Path("train.csv")
    assert config.data.val == source
    assert type(config.data.val) is type(source)


def test_evaluation_needs_no_train_data_where_the_classes_are_given(colours):
    data = ImageDataModule(test=colours / "test.csv", classes=["red", "green", "blue"])
    assert len(data.table("test")) == 16
    message = r"there is no train data; give its annotation file with --data\.train PATH"
    for side in ("train", "val"):
        with pytest.raises(UsageError, match=message):
            data.table(side)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
        ({"num_workers": -1}, "num_workers is -1; expected 0 or more"),
    ],
)
def test_impossible_sizes_are_told(options, message, colours):
    with pytest.raises(UsageError, match=message):
        ImageDataModule(colours / "train.csv", **options)


def test_classes_that_are_never_absent_are_told_in_one_line(tmp_path, caplog):
    train = write(tmp_path, "train.csv", ["image,cat,dog,owl", "a.png,1,1,1", "b.png,,?,0"])
    ImageDataModule(train, None).table("train")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "mlic.datamodules.checks"]
    assert line.startswith(f"{train}: only ever present or unknown: 'cat', 'dog'; ")


def test_a_bare_path_is_read_with_the_arguments_of_the_reader_of_train(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,1,", "b.png,,1"])
    val = write(tmp_path, "val.csv", ["image,cat,dog", "c.png,1,"])
    data = ImageDataModule(CsvReader(train, negative_value=""), val, str(val))
    assert data.table("val").dense().tolist() == data.table("test").dense().tolist() == [[1, 0]]


def test_a_bare_path_of_another_format_than_that_of_train_is_recognised(tmp_path, colours):
    (tmp_path / "images").mkdir()
    (tmp_path / "image_labels_dir").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "a.png")
    (tmp_path / "image_labels_dir" / "a.png.txt").write_text("red")
    (tmp_path / "labels.txt").write_text("red\nblue")
    data = ImageDataModule(CsvReader(colours / "train.csv", negative_value=""), tmp_path)
    assert data.table("val").support().sum() == 1


def test_positives_that_fell_into_a_share_are_told(tmp_path):
    rows = ["image,cat,dog,owl", *(f"{number}.png,1,0,0" for number in range(20))]
    train = write(tmp_path, "train.csv", rows)
    (taken, *_) = CsvReader(train).read().split({"val": 0.3})["val"].paths
    rows = [row.replace("1,0,0", "1,1,0") if row.startswith(f"{taken},") else row for row in rows]
    with pytest.raises(LabelError) as raised:
        ImageDataModule(write(tmp_path, "train.csv", rows), 0.3).table("train")
    dog, owl, _ = str(raised.value).splitlines()
    assert dog.endswith("its 1 positive fell into the val share; give val a file of its own, or change split_salt")
    assert owl.endswith(
        "so nothing can be learnt about it; add some, or leave the class out with data.drop or data.min_support"
    )


def test_a_training_file_without_any_label_is_told_once(tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,?,?", "b.png,?,?"])
    with pytest.raises(LabelError) as raised:
        ImageDataModule(train, None).table("train")
    assert str(raised.value) == f"{train}: none of the 2 images has labels; expected some that are labelled"


def test_images_on_two_sides_are_counted_and_the_first_are_named(tmp_path, caplog):
    rows = ["image,cat", *(f"{number}.png,{number % 2}" for number in range(5))]
    train = write(tmp_path, "train.csv", rows)
    (tmp_path / "below").mkdir()
    val = CsvReader(write(tmp_path / "below", "val.csv", rows[:5]), root=tmp_path)
    data = ImageDataModule(train, val, write(tmp_path, "test.csv", [rows[0], "9.png,1"]))
    for side in ("train", "val", "test"):
        data.table(side)
    (line,) = [record.getMessage() for record in caplog.records if "both" in record.getMessage()]
    assert line.startswith("4 images are in both train and val: ")
    assert [Path(name).name for name in line.split(": ")[1].split("; ")[0].split(", ")] == [
        "0.png",
        "1.png",
        "2.png",
        "...",
    ]


@pytest.mark.parametrize(("batch_size", "sizes"), [(3, [3, 3]), (4, [4, 3]), (8, [7]), (1, [1] * 7), (6, [6])])
def test_a_training_batch_of_one_left_over_is_dropped(batch_size, sizes, tmp_path):
    train = write(tmp_path, "train.csv", ["image,cat", *(f"{number}.png,{number % 2}" for number in range(7))])
    data = ImageDataModule(train, train, image_size=8, batch_size=batch_size, num_workers=0)
    assert [len(batch.images) for batch in data.train_dataloader()] == sizes
    assert sum(len(batch.images) for batch in data.val_dataloader()) == 7
