"""`Spellings` and `Uncertain`: what the cells of a table with a column a class mean."""

from collections.abc import Mapping, Sequence

from mlic.errors import LabelError, did_you_mean

__all__ = [
    "ABSENT",
    "BLANK",
    "FRACTION",
    "MINUS_ONE",
    "PRESENT",
    "UNKNOWN",
    "UNREADABLE",
    "CellValue",
    "Spellings",
    "Uncertain",
]

CellValue = str | int | float
"""What a cell may hold: `-1` in YAML is a number."""

ABSENT, PRESENT, UNKNOWN = 0, 1, 255
"""What a cell says, as a byte; 255 is -1 as int8."""

MINUS_ONE, UNREADABLE, FRACTION, BLANK = 254, 253, 252, 251
"""What a cell says that needs another look: -2 to -5 as int8."""

_WORDS = {"true": PRESENT, "yes": PRESENT, "false": ABSENT, "no": ABSENT, "": BLANK, "?": UNKNOWN, "nan": UNKNOWN}
_NUMBERS = {1.0: PRESENT, 0.0: ABSENT, -1.0: MINUS_ONE}
_POLICIES = {"ignore": UNKNOWN, "positive": PRESENT, "negative": ABSENT}
_REMEMBERED = 10_000
_HINTS = 20


class Spellings(dict[str, int]):
    """From a cell as it is written to its code; reads each spelling once.

    Args:
        negative_value: the spelling that means absent, beside `0`, `false` and `no`.
        unknown_value: the spelling that means unknown, beside `?` and `nan`, and a blank unless that means absent.

    Raises:
        LabelError: if the two are the same, or one of them means present.

    Example:
        >>> spellings = Spellings("never", None)
        >>> [spellings[cell] for cell in (" 1", "0.0", "Never", "?", "", "-1.0", "0.7", "maybe")]
        [1, 0, 0, 255, 251, 254, 252, 253]
    """

    def __init__(self, negative_value: CellValue | None, unknown_value: CellValue | None) -> None:
        super().__init__()
        self.minus_one: int | None = None  # what the user says that -1 means: ABSENT or UNKNOWN
        self._told: list[tuple[str, float | None, int]] = []
        told: list[tuple[str, float | None, int]] = []
        for name, value, code in (
            ("negative_value", negative_value, ABSENT),
            ("unknown_value", unknown_value, UNKNOWN),
        ):
            if value is None:
                continue
            text = str(value).strip().casefold()
            number = _number(text)
            if _read(text, number) == PRESENT:
                raise LabelError(f"{name} is {value!r}, which means present; expected another spelling")
            if any(text == other or (number is not None and number == its) for other, its, _ in told):
                raise LabelError(f"negative_value and unknown_value are both {value!r}; expected two spellings")
            told.append((text, number, code))
            if number == -1:
                self.minus_one = code
            else:
                self._told.append((text, number, code))
        self.is_default = not told
        """Whether the user has said nothing about what cells mean."""

    def __missing__(self, cell: str) -> int:
        text = cell.strip().casefold()
        number = _number(text)
        code = _read(text, number)
        for told, its, meaning in self._told:
            if text == told or (number is not None and number == its):
                code = meaning
        if len(self) < _REMEMBERED:
            self[cell] = code
        return code

    def reads(self, cell: str) -> bool:
        """Says whether a cell is a label, or could be one once it is explained, as `-1` and `0.7` must be."""
        return self[cell] != UNREADABLE

    def knows(self, cell: str) -> bool:
        """Says whether a cell means present or absent."""
        return self[cell] in (ABSENT, PRESENT)


class Uncertain:
    """What -1 means, class by class, as far as anybody says so.

    Args:
        told: for all classes, or class -> policy: `ignore` (unknown), `positive` (present) or `negative` (absent).
        otherwise: what it means for a class that a mapping does not name; None: nobody says so.

    Raises:
        LabelError: if a policy is another word.

    Example:
        >>> Uncertain({"Edema": "positive"}, otherwise=UNKNOWN).codes(["Edema", "Fracture"])
        [1, 255]
        >>> Uncertain({"Edema": "positive"}).codes(["Edema", "Fracture"])
        [1, None]
    """

    def __init__(self, told: str | Mapping[str, str] | None, otherwise: int | None = None) -> None:
        self._classes: dict[str, int] = {}
        self._otherwise = otherwise
        if isinstance(told, str):
            self._otherwise = _policy(told, "")
        elif told is not None:
            self._classes = {name: _policy(policy, f" of '{name}'") for name, policy in told.items()}

    @property
    def is_partial(self) -> bool:
        """Whether some classes are told, and for the others nobody says what -1 means."""
        return bool(self._classes) and self._otherwise is None

    @property
    def says_something(self) -> bool:
        """Whether anything is told at all."""
        return bool(self._classes) or self._otherwise is not None

    def codes(self, classes: Sequence[str]) -> list[int | None]:
        """Returns the code that -1 stands for in each class; None where that is not known."""
        return [self._classes.get(name, self._otherwise) for name in classes]

    def strangers(self, classes: Sequence[str]) -> list[str]:
        """Says of each class that is told and is not among `classes` that it is not."""
        there = frozenset(classes)
        names = [name for name in self._classes if name not in there]
        # To look for a name like another takes time, and no more faults than these are shown.
        hints = [did_you_mean(name, classes) for name in names[:_HINTS]] + [""] * len(names[_HINTS:])
        return [
            f"uncertain names class '{name}', which has no column{hint}"
            for name, hint in zip(names, hints, strict=True)
        ]


def _policy(word: str, whose: str) -> int:
    if word not in _POLICIES:
        expected = "expected ignore (unknown), positive (present) or negative (absent)"
        raise LabelError(f"uncertain{whose} is {word!r}; {expected}{did_you_mean(str(word), list(_POLICIES))}")
    return _POLICIES[word]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _read(text: str, number: float | None) -> int:
    if text in _WORDS:
        return _WORDS[text]
    if number is None:
        return UNREADABLE
    return FRACTION if 0 < number < 1 else _NUMBERS.get(number, UNREADABLE)
