"""Which classes are learnt, what stands in place of unknown labels, and soft labels."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mlic.cli import main
from mlic.datamodules.classes import check_keys
from mlic.datamodules.dataset import ImageDataset, collate
from mlic.datamodules.image import ImageDataModule
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError, UsageError
from mlic.labels import LabelTable


def write(folder: Path, name: str, rows: list[str]) -> Path:
    """Writes a CSV and the images that it names."""
    for row in rows[1:]:
        path = folder / row.split(",")[0]
        if not path.exists():
            Image.new("RGB", (10, 8), (len(path.name) * 20 % 255, 60, 90)).save(path)
    file = folder / name
    file.write_text("\n".join(rows) + "\n")
    return file


class SoftReader(LabelReader):
    """Gives labels that are probabilities."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def read(self) -> LabelTable:
        labels = np.array([[0.9, 0.5, -1], [0.25, 0, 0.75], [0, 1, 0.5], [-1, -1, -1]])
        return LabelTable.from_dense(
            [f"{name}.png" for name in "abcd"],
            ["ant", "bee", "cat"],
            labels,
            root=self.path.parent,
            source=str(self.path),
        )


def told(caplog, start: str) -> str:
    """The one line of the log that starts so."""
    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith(start)]
    return line


@pytest.fixture(autouse=True)
def _listening(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def pets(tmp_path) -> Path:
    """A file with the classes cat, dog, puppy and owl, in which nobody says whether owl is in b.png."""
    rows = ["image,cat,dog,puppy,owl", "a.png,1,0,0,1", "b.png,0,1,0,", "c.png,0,0,1,0", "d.png,1,0,0,0"]
    return write(tmp_path, "pets.csv", rows)


class TestClasses:
    def test_a_file_names_them_and_their_order(self, pets, tmp_path):
        file = tmp_path / "classes.txt"
        file.write_bytes("\ufeffdog \r\n\r\n  cat\r\nowl\r\npuppy\r\n\r\n".encode())
        for classes in (file, str(file)):
            data = ImageDataModule(pets, None, classes=classes)
            assert data.classes == ("dog", "cat", "owl", "puppy")
            assert data.table("train").dense()[0].tolist() == [0, 1, 1, 0]

    def test_each_of_them_is_named_once(self, pets, tmp_path):
        file = tmp_path / "classes.txt"
        file.write_text("cat\ndog\n\ncat\ndog\n")
        with pytest.raises(LabelError) as raised:
            _ = ImageDataModule(pets, classes=file).classes
        assert str(raised.value).splitlines() == [
            f"{file}:4: class 'cat' is there twice, first in {file}:1; expected it once",
            f"{file}:5: class 'dog' is there twice, first in {file}:2; expected it once",
            "2 faults in all",
        ]
        with pytest.raises(LabelError, match=r"classes\[2\]: class 'cat' is there twice, first in classes\[0\]; expec"):
            _ = ImageDataModule(pets, classes=["cat", "dog", "cat"]).classes

    def test_at_least_one_is_named(self, pets, tmp_path):
        file = tmp_path / "classes.txt"
        file.write_text("\n\n")
        for classes, where in ((file, str(file)), ([], "classes")):
            with pytest.raises(LabelError) as raised:
                _ = ImageDataModule(pets, classes=classes).classes
            assert str(raised.value) == f"{where}: no class; expected at least one"

    def test_a_file_that_is_not_there_is_told(self, pets, tmp_path):
        with pytest.raises(LabelError, match=r"gone\.txt: cannot be read \(No such file or directory\)"):
            _ = ImageDataModule(pets, classes=tmp_path / "gone.txt").classes


class TestChanges:
    def test_classes_are_renamed_then_merged_then_dropped(self, pets):
        data = ImageDataModule(
            pets, None, rename={"puppy": "whelp"}, merge={"canine": ["whelp", "dog"]}, drop=["owl"], classes=None
        )
        assert data.classes == ("cat", "canine")
        assert data.table("train").dense().tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]

    def test_val_follows_train_and_may_lack_what_is_renamed_merged_or_dropped(self, pets, tmp_path):
        val = write(tmp_path, "val.csv", ["image,puppy,cat", "e.png,1,0", "f.png,0,1"])
        data = ImageDataModule(
            pets, val, val, rename={"owl": "bird"}, merge={"canine": ["dog", "puppy"]}, drop=["bird"]
        )
        # Nobody says whether a dog is in f.png.
        assert data.table("val").dense().tolist() == data.table("test").dense().tolist() == [[0, 1], [1, -1]]

    def test_a_share_of_train_has_its_classes(self, tmp_path):
        rows = ["image,cat,dog", *(f"{number}.png,{number % 2},{1 - number % 2}" for number in range(40))]
        data = ImageDataModule(write(tmp_path, "train.csv", rows), 0.3, rename={"dog": "hound"})
        assert data.table("val").classes == data.table("train").classes == ("cat", "hound")
        assert len(data.table("val")) + len(data.table("train")) == 40

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rename": {"dgo": "hound"}}, r"rename: class 'dgo' is not among the 4 classes; did you mean 'dog'\?"),
            ({"merge": {"x": ["cat", "dgo"]}}, r"merge: class 'dgo' is not among the 4 classes; did you mean 'dog'\?"),
            ({"drop": ["dgo"]}, r"drop: class 'dgo' is not among the 4 classes; did you mean 'dog'\?"),
            ({"rename": {"puppy": "dog"}}, r"pets\.csv:1: rename: .* use merge instead: \{dog: \[dog, puppy\]\}"),
            ({"merge": {"cat": ["dog", "puppy"]}}, r"pets\.csv:1: merge: 'cat' is a class already; .* list it too"),
            ({"drop": ["cat", "dog", "owl", "puppy"]}, "drop: no class is left of the 4"),
            ({"unknown_per_class": {"dgo": "negative"}}, r"unknown_per_class: class 'dgo' .*; did you mean 'dog'\?"),
        ],
    )
    def test_what_train_does_not_have_is_told(self, options, message, pets):
        with pytest.raises(LabelError, match=message):
            ImageDataModule(pets, None, **options).table("train")

    def test_names_are_text(self):
        check_keys("rename", {"no": "n"})
        with pytest.raises(UsageError, match="rename: the name 1 is no text; put it into quotation marks"):
            check_keys("rename", {"a": "b", 1: "c"})

    def test_evaluation_changes_the_classes_without_reading_train(self, pets, tmp_path):
        data = ImageDataModule(
            tmp_path / "gone.csv", test=pets, classes=["pet", "owl"], merge={"pet": ["cat", "dog", "puppy"]}
        )
        assert data.table("test").dense().tolist() == [[1, 1], [1, -1], [1, 0], [1, 0]]


class TestMinSupport:
    def test_rarer_classes_are_left_out_and_told_in_one_line(self, pets, caplog):
        data = ImageDataModule(pets, None, min_support=2)
        assert data.classes == ("cat",)
        assert data.table("train").dense().ravel().tolist() == [1, 0, 0, 1]
        line = told(caplog, "train: 3 of 4 classes")
        assert line.endswith("have fewer than 2 positives and are left out: 'dog' (1), 'puppy' (1), 'owl' (1)")

    def test_it_counts_what_is_left_of_train_after_merging(self, tmp_path):
        rows = ["image,cat,dog,pup", *(f"{n}.png,{n % 2},{int(n % 6 == 0)},{int(n % 6 == 2)}" for n in range(60))]
        train = write(tmp_path, "train.csv", rows)
        whole = ImageDataModule(train, 0.3).table("train").support()
        assert 1 <= whole[1] < 10
        assert 1 <= whole[2] < 10
        together = int(whole[1] + whole[2])
        options = {"merge": {"canine": ["dog", "pup"]}}
        assert ImageDataModule(train, 0.3, min_support=together, **options).classes == ("cat", "canine")
        assert ImageDataModule(train, 0.3, min_support=together + 1, **options).classes == ("cat",)

    def test_what_is_left_out_of_train_is_left_out_of_val_and_nothing_else_is(self, pets, tmp_path):
        val = write(tmp_path, "val.csv", ["image,owl,cat", "e.png,1,0"])
        other = write(tmp_path, "other.csv", ["image,owl,cat,fish", "e.png,1,0,1"])
        data = ImageDataModule(pets, val, other, min_support=2)
        assert data.table("val").dense().tolist() == [[0]]
        with pytest.raises(LabelError, match=r"other\.csv:1: class 'fish' is not among the 1 classes"):
            data.table("test")

    def test_one_class_has_to_be_frequent_enough(self, pets):
        with pytest.raises(LabelError) as raised:
            _ = ImageDataModule(pets, None, min_support=3).classes
        assert str(raised.value) == (
            f"{pets}: none of the 4 classes has 3 positives among the 4 training samples; the most frequent has 2, so "
            "lower min_support"
        )

    def test_with_fixed_classes_the_others_of_a_file_are_left_out_and_told(self, pets, caplog):
        data = ImageDataModule(None, test=pets, classes=["owl", "cat"], min_support=2)
        assert data.table("test").dense()[0].tolist() == [1, 1]
        assert told(caplog, "test: 2 classes") == (
            "test: 2 classes of the file are not among the 2 and are left out: 'dog', 'puppy'"
        )

    def test_a_fixed_class_that_is_rare_is_told(self, pets):
        with pytest.raises(LabelError) as raised:
            ImageDataModule(pets, None, classes=["owl", "cat"], min_support=2).table("train")
        assert str(raised.value) == (
            f"{pets}:1: class 'owl' has 1 positive among the 4 training samples, fewer than the min_support of 2, and "
            "classes asks for it; take it out of classes, or lower min_support"
        )

    def test_it_is_a_number_of_positives(self, pets):
        with pytest.raises(UsageError, match="min_support is -1; expected a number of positives, 0 or more"):
            ImageDataModule(pets, min_support=-1)


class TestUnknown:
    @pytest.fixture
    def partial(self, tmp_path) -> Path:
        return write(tmp_path, "partial.csv", ["image,cat,dog", "a.png,1,", "b.png,,1", "c.png,0,0", "d.png,?,?"])

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, [[1, -1], [-1, 1], [0, 0], [-1, -1]]),
            ({"unknown": "negative"}, [[1, 0], [0, 1], [0, 0], [-1, -1]]),
            ({"unknown": {"soft": 0.25}}, [[1, 0.25], [0.25, 1], [0, 0], [-1, -1]]),
            ({"unknown_per_class": {"dog": {"soft": 0.75}}}, [[1, 0.75], [-1, 1], [0, 0], [-1, -1]]),
            ({"unknown": "negative", "unknown_per_class": {"cat": "ignore"}}, [[1, 0], [-1, 1], [0, 0], [-1, -1]]),
        ],
    )
    def test_the_policy_holds_for_train_alone_and_for_what_somebody_labelled(self, options, expected, partial):
        data = ImageDataModule(partial, partial, **options)
        assert data.table("train").dense().tolist() == expected
        assert data.table("val").dense().tolist() == [[1, -1], [-1, 1], [0, 0], [-1, -1]]

    def test_what_became_of_unknown_labels_is_told(self, partial, caplog):
        ImageDataModule(partial, None, unknown="negative", unknown_per_class={"cat": {"soft": 0.5}}).table("train")
        line = told(caplog, "train: of ")
        assert line == "train: of 4 unknown labels 1 are taken as hard ones, 1 as soft ones, and 2 stay unknown"

    def test_a_soft_label_for_an_unknown_one_is_no_positive(self, tmp_path):
        train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,1,", "b.png,0,"])
        with pytest.raises(LabelError, match="class 'dog' has no positive"):
            ImageDataModule(train, None, unknown={"soft": 0.9}).table("train")

    def test_a_class_that_became_absent_somewhere_is_no_longer_never_absent(self, tmp_path, caplog):
        train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,1,1", "b.png,?,1", "c.png,1,0"])
        ImageDataModule(train, None, unknown="negative").table("train")
        assert "only ever present or unknown" not in caplog.text

    def test_a_class_that_min_support_left_out_may_have_a_policy(self, pets):
        options = {"min_support": 2, "unknown_per_class": {"owl": "negative"}}
        assert ImageDataModule(pets, None, **options).table("train").classes == ("cat",)
        assert ImageDataModule(pets, None, classes=["cat"], **options).table("train").classes == ("cat",)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"unknown": {"soft": 2.0}}, r"unknown is \{soft: 2\.0\}; expected a probability, 0 to 1"),
            (
                {"unknown_per_class": {"cat": {"soft": -1.0}}},
                r"unknown_per_class: cat is \{soft: -1\.0\}; expected a pr",
            ),
        ],
    )
    def test_a_policy_that_is_none_is_told_at_once(self, options, message):
        with pytest.raises(UsageError, match=message):
            ImageDataModule("gone.csv", **options)


class TestSoftLabels:
    @pytest.fixture
    def soft(self, tmp_path) -> SoftReader:
        for name in "abcd":
            Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
        return SoftReader(tmp_path / "soft.txt")

    def test_batches_of_train_hold_them_as_they_are(self, soft):
        data = ImageDataModule(soft, None, image_size=8, batch_size=4, num_workers=0)
        (batch,) = data.train_dataloader()
        assert batch.labels.dtype == torch.float32
        expected = torch.tensor([[0.9, 0.5, -1], [0.25, 0, 0.75], [0, 1, 0.5], [-1, -1, -1]])
        assert torch.equal(batch.labels, expected[batch.index])
        assert data.has_soft_labels

    def test_what_is_evaluated_on_is_hard_and_told(self, soft, caplog):
        data = ImageDataModule(soft, soft, image_size=8, batch_size=4, num_workers=0)
        (batch,) = data.val_dataloader()
        assert batch.labels.dtype == torch.int8
        assert batch.labels.tolist() == [[1, -1, -1], [0, 0, 1], [0, 1, -1], [-1, -1, -1]]
        assert told(caplog, "val: 5 soft labels") == (
            "val: 5 soft labels are taken as present above 0.5, as absent below, and as unknown at 0.5"
        )

    def test_a_batch_without_a_readable_image_keeps_the_kind_of_labels(self, soft, tmp_path):
        table = ImageDataModule(soft, None).table("train")
        (tmp_path / "a.png").write_bytes(b"broken")
        assert collate([ImageDataset(table, 8)[0]]).labels.dtype == torch.float32

    def test_unknown_labels_may_become_soft_ones(self, tmp_path):
        train = write(tmp_path, "train.csv", ["image,cat,dog", "a.png,1,", "b.png,0,1"])
        assert not ImageDataModule(train, None).has_soft_labels
        assert not ImageDataModule(train, None, unknown="negative").has_soft_labels
        assert ImageDataModule(train, None, unknown={"soft": 0.1}).has_soft_labels


USER_PARTS = """
from mlic import Loss

class HardLoss(Loss):
    takes_soft_labels = False

    def cells(self, logits, labels):
        assert labels.dtype == logits.dtype
        return -labels * logits.sigmoid().log() - (1 - labels) * (-logits).sigmoid().log()
"""


class TestThroughTheCommandLine:
    @pytest.fixture
    def words(self, small, colours, tmp_path, monkeypatch) -> list[str]:
        (tmp_path / "soft_parts.py").write_text(USER_PARTS)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)
        return [*small, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]

    def test_soft_labels_are_learnt_and_evaluated_on_hard_ones(self, words, colours, capsys):
        rows = [f"images/{number:03}.jpg,{number / 31:.3f},,{1 - number / 31:.3f}" for number in range(32)]
        rows[0], rows[31] = "images/000.jpg,0,1,0.5", "images/031.jpg,1,0,0.25"
        (colours / "soft.csv").write_text("\n".join(["image,red,green,blue", *rows]))
        reader = ["--data.train", "csv", "--data.train.path", str(colours / "soft.csv"), "--data.train.soft", "true"]
        reader += ["--data.val", "0.2"]
        assert main(["fit", *words, *reader]) == 0, capsys.readouterr().err
        said = capsys.readouterr().err
        assert "val: " in said
        assert "soft labels are taken as present above 0.5" in said
        assert main(["validate", "--ckpt_path", "runs/run/v1/best.ckpt"]) == 0, capsys.readouterr().err

    @pytest.mark.parametrize("loss", ["bce", "focal", "asymmetric"])
    def test_built_in_losses_take_soft_labels_for_unknown_ones(self, loss, words, colours, tmp_path, capsys):
        rows = (colours / "train.csv").read_text().splitlines()
        (colours / "partial.csv").write_text("\n".join([rows[0], *(row.replace(",0", ",", 1) for row in rows[1:])]))
        words = [word.replace("train.csv", "partial.csv") for word in words]
        soft = ["--data.unknown.soft", "0.25", "--data.unknown_per_class.red", "negative", "--model.loss", loss]
        assert main(["fit", *words, *soft]) == 0, capsys.readouterr().err
        assert "unknown labels" in capsys.readouterr().err

    def test_a_loss_that_takes_no_soft_labels_says_so_before_the_training(self, words, colours, capsys):
        soft = ["--data.unknown.soft", "0.25", "--model.loss", "soft_parts.HardLoss"]
        assert main(["fit", *words, *soft]) == 0, capsys.readouterr().err  # nothing is unknown
        rows = (colours / "train.csv").read_text().splitlines()
        (colours / "partial.csv").write_text("\n".join([rows[0], *(row.replace(",0", ",", 1) for row in rows[1:])]))
        words = [word.replace("train.csv", "partial.csv") for word in words]
        capsys.readouterr()
        assert main(["fit", *words, *soft]) == 2
        assert (
            "error: HardLoss takes no soft labels, and some training labels lie between 0 and 1; take another loss, "
            "such as --model.loss bce, or hard labels (data.unknown may have made soft ones, data.mixing does)"
        ) in capsys.readouterr().err
        assert main(["fit", *words, *soft[2:], "--data.unknown", "negative"]) == 0, capsys.readouterr().err

    def test_a_checkpoint_brings_the_classes_that_min_support_left(self, words, colours, tmp_path, capsys):
        rows = (colours / "train.csv").read_text().splitlines()
        rare = [f"{rows[0]},rare,b.c", *(f"{row},{int(place < 2)},0" for place, row in enumerate(rows[1:]))]
        (colours / "rare.csv").write_text("\n".join(rare) + "\n")
        (tmp_path / "classes.txt").write_text("blue\nred\ngreen\n")
        words = [word.replace("train.csv", "rare.csv").replace("test.csv", "rare.csv") for word in words]
        assert main(["fit", *words, "--data.min_support", "3", "--name", "free"]) == 0, capsys.readouterr().err
        assert "train: 2 of 5 classes have fewer than 3 positives and are left out" in capsys.readouterr().err
        fixed = ["--data.drop", "[rare, b.c]", "--data.classes", "classes.txt", "--name", "fixed"]
        assert main(["fit", *words, *fixed]) == 0, capsys.readouterr().err
        assert (tmp_path / "runs/fixed/v1/classes.txt").read_text() == "blue\nred\ngreen\n"
        config = yaml.safe_load((tmp_path / "runs/fixed/v1/config.yaml").read_text())
        assert config["data"]["init_args"]["classes"] == str(tmp_path / "classes.txt")
        (tmp_path / "classes.txt").unlink()
        (colours / "train.csv").rename(colours / "away.csv")
        capsys.readouterr()
        try:
            for name in ("free", "fixed"):
                assert main(["test", "--ckpt_path", f"runs/{name}/v1/best.ckpt", "--report", "none"]) == 0, (
                    capsys.readouterr().err
                )
            said = capsys.readouterr().err
        finally:
            (colours / "away.csv").rename(colours / "train.csv")
        assert "test: 2 classes of the file are not among the 3 and are left out: 'rare', 'b.c'" in said

    def test_the_printed_configuration_can_be_fed_back(self, small, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        options = {
            "classes": "classes.txt",
            "rename": {"a.b": "new name", "1": "no"},
            "merge": {"x": ["p", "q r"]},
            "drop": ["yes", "null"],
            "min_support": 5,
            "unknown": {"soft": 0.1},
            "unknown_per_class": {"Edema": "ignore", "Pleural Effusion": {"soft": 0.7}},
        }
        Path("c.yaml").write_text(yaml.safe_dump({"data": {"class_path": "image", "init_args": options}}))
        assert main(["fit", *small, "--config", "c.yaml", "--print_config"]) == 0
        printed = capsys.readouterr().out
        Path("d.yaml").write_text(printed)
        assert main(["fit", "--config", "d.yaml", "--print_config"]) == 0
        assert capsys.readouterr().out == printed
        init_args = yaml.safe_load(printed)["data"]["init_args"]
        assert {name: init_args[name] for name in options} == options
        words = [f"--data.{name}={yaml.safe_dump(value, default_flow_style=True)}" for name, value in options.items()]
        words = [word.removesuffix("\n").removesuffix("\n...") for word in words]
        assert main(["fit", *small, *words, "--print_config"]) == 0
        assert capsys.readouterr().out == printed
