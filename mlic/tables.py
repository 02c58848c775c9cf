"""Tables as plain text."""

import math
from collections.abc import Sequence

__all__ = ["text_table"]

Cell = str | int | float | None


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Returns aligned columns, a line a row: words to the left, numbers to the right, what is not defined as `n/a`.

    Example:
        >>> print(text_table(["class", "AP"], [["dog", 0.5], ["cat", None]]), end="")
        class      AP
        dog    0.5000
        cat       n/a
    """
    words = [[_word(cell) for cell in row] for row in rows]
    numeric = [any(isinstance(row[column], int | float) for row in rows) for column in range(len(header))]
    widths = [max(len(line[column]) for line in [list(header), *words]) for column in range(len(header))]
    lines = []
    for line in [list(header), *words]:
        cells = [
            word.rjust(width) if number else word.ljust(width)
            for word, width, number in zip(line, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def _word(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "n/a"
    # A class may have a name of two lines.
    return f"{cell:.4f}" if isinstance(cell, float) else " ".join(str(cell).splitlines())
