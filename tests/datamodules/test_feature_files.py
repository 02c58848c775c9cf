import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from mlic.datamodules.base import FeatureBatch
from mlic.datamodules.featurefiles import FeatureFileDataModule
from mlic.datamodules.image import ImageDataModule
from mlic.errors import LabelError, UsageError

CLASSES = ["cat", "dog"]


def write_table(path: Path, names: list[str]) -> Path:
    """An annotation file of images that are nowhere."""
    rows = [f"{name},{number % 2},{number // 2 % 2}" for number, name in enumerate(names)]
    path.write_text("\n".join([f"image,{','.join(CLASSES)}", *rows]) + "\n")
    return path


def of_rows(count: int, *of_one: int, dtype: str = "float32") -> np.ndarray:
    """Features of which the first is the number of the row."""
    features = np.random.default_rng(0).normal(size=(count, *of_one)).astype(dtype)
    features.reshape(count, -1)[:, 0] = np.arange(count)
    return features


def saved(path: Path, features: np.ndarray) -> Path:
    np.save(path, features)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "train.csv", [f"photos/{number}.jpg" for number in range(20)])


@pytest.fixture
def data(table: Path, tmp_path: Path) -> FeatureFileDataModule:
    features = saved(tmp_path / "train.npy", of_rows(20, 3))
    return FeatureFileDataModule(table, val=0.3, test=0.2, features=features, batch_size=5)


def rows_of(batch: FeatureBatch) -> list[int]:
    return batch.features[:, 0, 0, 0].int().tolist()


def test_batches_are_features_with_labels_and_index(data):
    batch = next(iter(data.train_dataloader()))
    assert isinstance(batch, FeatureBatch)
    assert (batch.features.shape, batch.features.dtype) == ((5, 3, 1, 1), torch.float32)
    assert batch.labels.tolist() == [[row % 2, row // 2 % 2] for row in rows_of(batch)]


def test_shares_have_their_rows_of_the_one_file(data):
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    rows = [sorted(row for batch in loader for row in rows_of(batch)) for loader in loaders]
    assert sorted(chain.from_iterable(rows)) == list(range(20))
    assert all(rows)
    for side, its in zip(("train", "val", "test"), rows, strict=True):
        assert list(data.kept(side).table.paths) == [f"photos/{row}.jpg" for row in its]


def test_shares_are_those_of_training_on_images(colours, tmp_path):
    features = saved(tmp_path / "all.npy", of_rows(32, 2))
    ours = FeatureFileDataModule(colours / "train.csv", val=0.3, features=features)
    theirs = ImageDataModule(colours / "train.csv", val=0.3)
    for side in ("train", "val"):
        assert list(ours.kept(side).table.paths) == list(theirs.table(side).paths)


def test_sides_of_their_own_files_have_features_of_their_own(table, tmp_path):
    test = write_table(tmp_path / "test.csv", ["a.jpg", "b.jpg"])
    data = FeatureFileDataModule(
        table,
        test=test,
        features=saved(tmp_path / "train.npy", of_rows(20, 3)),
        test_features=saved(tmp_path / "test.npy", 100 + of_rows(2, 3)),
    )
    (batch,) = data.test_dataloader()
    assert rows_of(batch) == [100, 101]


def test_names_free_the_order_and_let_one_file_serve_all_sides(table, tmp_path):
    test = write_table(tmp_path / "test.csv", ["b.jpg", "a.jpg"])
    names = tmp_path / "names.txt"
    order = np.random.default_rng(1).permutation(20).tolist()
    names.write_text("\n".join([*(f"./photos\\{row}.jpg" for row in order), "unasked.jpg", "a.jpg", "b.jpg"]) + "\n")
    features = of_rows(23, 3)
    features[:20, 0] = order
    data = FeatureFileDataModule(table, test=test, features=saved(tmp_path / "all.npy", features), names=names)
    for batch in data.train_dataloader():
        assert [data.kept("train").table.paths[row] for row in batch.index.tolist()] == [
            f"photos/{row}.jpg" for row in rows_of(batch)
        ]
    (batch,) = data.test_dataloader()
    assert rows_of(batch) == [22, 21]


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4"])
@pytest.mark.parametrize("of_one", [(3,), (3, 2, 5)])
def test_vectors_and_maps_of_both_types_are_read(table, tmp_path, dtype, of_one):
    features = of_rows(20, *of_one, dtype=dtype)
    data = FeatureFileDataModule(table, features=saved(tmp_path / "f.npy", features), val=None)
    (batch,) = [batch for batch in FeatureFileDataModule.train_dataloader(data) if 7 in rows_of(batch)]
    expected = features.astype("float32")[rows_of(batch)].reshape(-1, *(*of_one, 1, 1)[:3])
    assert torch.equal(batch.features.float(), torch.from_numpy(expected))
    assert data.row_shape == (*of_one, 1, 1)[:3]


@pytest.mark.parametrize("name", ["features", "embedding"])
def test_a_tensor_of_safetensors_is_read_as_an_array_is(table, tmp_path, name):
    features = of_rows(20, 3, dtype="float16")
    others = {"ids": np.arange(20)} if name == "features" else {}
    save_file({name: features, **others}, tmp_path / "f.safetensors")
    kept = FeatureFileDataModule(table, val=None, features=tmp_path / "f.safetensors").kept("train")
    assert np.array_equal(kept.views[0][:].reshape(20, 3), features)


def test_an_epoch_shows_rare_classes_more_often(table, tmp_path):
    features = saved(tmp_path / "f.npy", of_rows(20, 3))
    data = FeatureFileDataModule(table, val=None, features=features, repeat_threshold=1.0)
    assert len([row for batch in data.train_dataloader() for row in rows_of(batch)]) > 20


class TestRefused:
    def refused(self, table: Path, message: str, **words: object) -> None:
        with pytest.raises(UsageError, match=message):
            FeatureFileDataModule(table, **{"val": None, **words}).setup("fit")

    def test_another_number_of_rows(self, table, tmp_path):
        features = saved(tmp_path / "f.npy", of_rows(19, 3))
        self.refused(table, r"f\.npy: 19 rows of features, and 20 samples in .*train\.csv; .*names", features=features)

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (np.zeros((20, 3), np.int64), "of the type int64; expected float16 or float32"),
            (np.zeros((20,), np.float32), r"of the shape \[20\]"),
            (np.zeros((20, 3, 2), np.float32), r"of the shape \[20, 3, 2\]"),
            (np.zeros((0, 3), np.float32), r"of the shape \[0, 3\]"),
        ],
    )
    def test_what_is_no_array_of_features(self, table, tmp_path, features, message):
        self.refused(table, message, features=saved(tmp_path / "f.npy", features))

    def test_what_is_no_number_with_all_images_that_have_it(self, table, tmp_path):
        features = of_rows(20, 3)
        features[4, 1], features[11, 2] = np.nan, np.inf
        with pytest.raises(LabelError) as raised:
            FeatureFileDataModule(table, val=None, features=saved(tmp_path / "f.npy", features)).setup("fit")
        assert [line.split("'")[1] for line in str(raised.value).splitlines()[:2]] == ["photos/4.jpg", "photos/11.jpg"]

    def test_images_without_a_row_and_images_with_two(self, table, tmp_path):
        features = saved(tmp_path / "f.npy", of_rows(20, 3))
        names = tmp_path / "names.txt"
        names.write_text("\n".join(f"photos/{number}.png" for number in range(20)))
        message = r"train\.csv: image 'photos/0\.jpg' has no features.*the first is 'photos/0\.png'"
        self.refused(table, message, features=features, names=names)
        names.write_text("a.jpg\n" * 20)
        self.refused(table, r"names\.txt:2: 'a\.jpg' is there twice", features=features, names=names)
        names.write_text("a.jpg\n")
        self.refused(table, r"1 names, and 20 rows in .*f\.npy", features=features, names=names)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("f.npy", b"nothing", r"f\.npy: not a \.npy file of numbers"),
            ("f.npy", b"", r"f\.npy: not a \.npy file of numbers"),
            ("f.safetensors", b"nothing like it", r"f\.safetensors: not a \.safetensors file"),
            ("f.safetensors", b"\x02\0\0\0\0\0\0\0{}", "found nothing; expected one tensor"),
            ("f.csv", b"1,2", "expected a file that ends in .npy or .safetensors"),
        ],
    )
    def test_files_of_something_else(self, table, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        self.refused(table, message, features=tmp_path / name)

    @pytest.mark.parametrize("name", ["f.npy", "f.safetensors"])
    def test_files_that_are_cut_off(self, table, tmp_path, name):
        path = tmp_path / name
        saved(path, of_rows(20, 3)) if name == "f.npy" else save_file({"x": of_rows(20, 3)}, path)
        path.write_bytes(path.read_bytes()[:-5])
        self.refused(table, f"{name}: not a", features=path)

    def test_tensors_of_other_types_and_too_many_of_them(self, table, tmp_path):
        path = tmp_path / "f.safetensors"
        header = json.dumps({"x": {"dtype": "BF16", "shape": [20, 1], "data_offsets": [0, 40]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(40))
        self.refused(table, "of the type BF16; expected F16 or F32", features=path)
        save_file({"a": of_rows(20, 3), "b": of_rows(20, 3)}, path)
        self.refused(table, "found a, b; expected one tensor, or one that is called features", features=path)

    def test_a_side_without_features(self, table, tmp_path):
        features = saved(tmp_path / "f.npy", of_rows(20, 3))
        val = write_table(tmp_path / "val.csv", [f"{number}.jpg" for number in range(20)])
        self.refused(table, "no features of train; .*--data.features PATH$")
        self.refused(table, "no features of val; .*--data.val_features PATH, or", features=features, val=val)
        self.refused(table, r"f\.npy: cannot be read", features=tmp_path / "gone" / "f.npy")

    def test_features_of_a_share(self, table, tmp_path):
        with pytest.raises(UsageError, match="leave out val_features"):
            FeatureFileDataModule(table, val=0.2, features=Path("f.npy"), val_features=Path("g.npy"))
