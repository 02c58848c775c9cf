"""What takes predictions and writes them: to an open text file, a row at a time, or sorted at the end."""

from collections.abc import Callable, Sequence

from mlic.predict.formats import ALL, Csv, Format, Jsonl, Text
from mlic.predict.prediction import Prediction, Shown, Writable

__all__ = ["CsvWriter", "JsonlWriter", "TextWriter", "sort_predictions"]


class _Writer:
    """Writes the head of a format at once, and then each prediction."""

    def __init__(self, stream: Writable, form: Format) -> None:
        self._stream = stream
        self._form = form
        stream.write(form.head())

    def __call__(self, prediction: Prediction) -> None:
        """Writes one prediction."""
        self._stream.write(self._form.row(prediction))


class CsvWriter(_Writer):
    """Writes `path,labels,error` and then a column with the score of each class; labels are joined by `|`.

    Args:
        stream: where to; opened with `newline=""`.
        classes: the names of the classes, in order.
        shown: which scores; see `mlic.predict.formats.Csv`.

    Raises:
        UsageError: if a class is called like one of the first columns, or has a `|` in its name.
    """

    def __init__(self, stream: Writable, classes: Sequence[str], shown: Shown = ALL) -> None:
        super().__init__(stream, Csv(classes, shown))


class JsonlWriter(_Writer):
    """Writes an object a line: `path`, `labels` (a list), `scores` (class to score) and `error` (null if none).

    Args:
        stream: where to.
        shown: which scores.
    """

    def __init__(self, stream: Writable, shown: Shown = ALL) -> None:
        super().__init__(stream, Jsonl(shown))


class TextWriter(_Writer):
    """Writes the path, below it a line `label (score = 0.12345)` for each class, the highest first, and an empty line.

    Args:
        stream: where to.
        shown: which scores.
    """

    def __init__(self, stream: Writable, shown: Shown = ALL) -> None:
        super().__init__(stream, Text(shown))


def sort_predictions(predictions: Sequence[Prediction], by: str) -> list[Prediction]:
    """Returns predictions by `path`, or by the score of a class, the highest first; those without scores come last.

    Example:
        >>> rows = [Prediction("b", (), {"cat": 0.25}), Prediction("c", (), {}, "?"), Prediction("a", (), {"cat": 1.0})]
        >>> [row.path for row in sort_predictions(rows, "cat")]
        ['a', 'b', 'c']
    """
    if by == "path":
        return sorted(predictions, key=lambda row: row.path)
    key: Callable[[Prediction], float] = lambda row: -row.scores[by] if row.scores else float("inf")  # noqa: E731
    return sorted(predictions, key=key)
