from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from mlic.errors import UsageError
from mlic.heads.queries import first_queries, read_embeddings


def saved(path: Path, values: Tensor) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, values.numpy())
        case ".safetensors":
            safetensors.torch.save_file({"text_features": values}, path)
        case ".pt":
            torch.save(values, path)
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors", "a.pt"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_embeddings_are_read_in_float32(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    values = torch.arange(6).view(3, 2).to(dtype)
    found = read_embeddings(saved(tmp_path / name, values))
    assert found.dtype == torch.float32
    assert found.equal(values.float())


def test_a_dict_of_one_tensor_is_that_tensor(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3, 2)}, tmp_path / "a.pt")
    assert read_embeddings(tmp_path / "a.pt").shape == (3, 2)


def test_embeddings_as_long_as_a_query_are_the_queries(tmp_path: Path) -> None:
    values = torch.randn(3, 8)
    assert first_queries(saved(tmp_path / "a.npy", values), 3, 3, 8).equal(values)


def test_a_file_may_have_a_row_for_each_group(tmp_path: Path) -> None:
    values = torch.randn(2, 8)
    assert first_queries(saved(tmp_path / "a.npy", values), 5, 2, 8).equal(values)


def test_the_query_of_a_group_is_the_mean_of_its_classes(tmp_path: Path) -> None:
    values = torch.tensor([[1.0], [2.0], [6.0], [10.0], [20.0]])
    assert first_queries(saved(tmp_path / "a.npy", values), 5, 2, 1).tolist() == [[3.0], [15.0]]


def test_longer_queries_keep_the_angles_of_the_embeddings(tmp_path: Path) -> None:
    values = torch.randn(5, 8)
    queries = first_queries(saved(tmp_path / "a.npy", values), 5, 5, 12)
    assert queries.shape == (5, 12)
    torch.testing.assert_close(queries @ queries.T, values @ values.T)


def test_shorter_queries_keep_the_angles_about(tmp_path: Path) -> None:
    torch.manual_seed(0)
    values = torch.randn(10, 768)
    values[1] = values[0] + 0.3 * torch.randn(768)
    queries = first_queries(saved(tmp_path / "a.npy", values), 10, 10, 256)
    likeness = torch.nn.functional.cosine_similarity(queries[:1], queries)
    assert likeness.argsort(descending=True)[:2].tolist() == [0, 1]


def test_random_queries_are_those_of_the_seed() -> None:
    torch.manual_seed(3)
    first = first_queries(None, 5, 5, 8)
    torch.manual_seed(3)
    assert first_queries(None, 5, 5, 8).equal(first)


@pytest.mark.parametrize("rows", [1, 4, 6])
def test_a_file_for_other_classes_is_refused(tmp_path: Path, rows: int) -> None:
    path = saved(tmp_path / "a.npy", torch.randn(rows, 8))
    with pytest.raises(
        UsageError, match=rf"a\.npy holds {rows} embeddings; expected 5, one per class, or 2, one per g"
    ):
        first_queries(path, 5, 2, 8)


@pytest.mark.parametrize("values", [torch.ones(3), torch.ones(1, 3, 2), torch.ones(0, 2), torch.ones(3, 2) * 1j])
def test_what_is_no_matrix_of_real_numbers_is_refused(tmp_path: Path, values: Tensor) -> None:
    with pytest.raises(UsageError, match="expected a dense matrix of real numbers with a row for each class"):
        read_embeddings(saved(tmp_path / "a.npy", values))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_that_float32_cannot_hold_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(UsageError, match="not finite"):
        read_embeddings(saved(tmp_path / "a.npy", torch.tensor([[1.0, value]], dtype=torch.float64)))


def test_a_sparse_matrix_is_refused_with_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the shape \(3, 3\).*torch\.sparse_coo; expected a dense matrix"):
        read_embeddings(saved(tmp_path / "a.pt", torch.eye(3).to_sparse()))


def test_numbers_may_have_their_bytes_in_either_order(tmp_path: Path) -> None:
    for order in "<>":
        np.save(tmp_path / "a.npy", np.array([[1.0, 2.0]], dtype=f"{order}f4"))
        assert read_embeddings(tmp_path / "a.npy").tolist() == [[1.0, 2.0]]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"queries: no file '.*words\.npy'"):
        read_embeddings(tmp_path / "words.npy")


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0.1 0.2")
    with pytest.raises(UsageError, match=r"ends in '\.txt'; expected \.npy, \.safetensors, \.pt"):
        read_embeddings(tmp_path / "a.txt")


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors", "a.pt"])
def test_a_file_that_is_not_what_its_name_says_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("0.1 0.2")
    with pytest.raises(UsageError, match="cannot be read"):
        read_embeddings(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.pt"])
def test_no_code_in_a_file_is_run(tmp_path: Path, name: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    if name == "a.npy":
        np.save(tmp_path / name, np.array([Trap()], dtype=object), allow_pickle=True)
    else:
        torch.save(Trap(), tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_embeddings(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_a_file_of_several_tensors_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.ones(3, 2), "b": torch.ones(3, 2)}, tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="holds 2 entries; expected one tensor"):
        read_embeddings(tmp_path / "a.safetensors")
