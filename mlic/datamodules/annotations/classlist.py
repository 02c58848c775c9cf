"""`ClassList`: the classes that a file lists, which its labels name by their positions."""

from collections.abc import Sequence

from mlic.datamodules.annotations.jsonfiles import as_written
from mlic.errors import LabelError, did_you_mean

__all__ = ["ClassList"]

_HINTS = 20  # as many faults are shown; to look for a name like another takes time


class ClassList:
    """The classes that a file lists.

    Args:
        listed: the names in order, as the file has them: text, of which spaces around it are no part, or whole numbers.
        where: what opens a message about the list, such as `labels.json: classes`.
        wanted: the classes of the table in order, all of them; None: as they are listed.

    Attributes:
        names: the classes in the order of the table, each with a place for `Samples`: -1 for the first one listed, -2
            for the second.
        faults: what is wrong with the list.

    Example:
        >>> classes = ClassList(["cat", "dog"], "labels.json: classes", wanted=["dog", "cat"])
        >>> classes.names, classes.column(0), classes.origin(-1)
        ({'dog': -2, 'cat': -1}, 1, 'labels.json: classes[0]')
        >>> classes.column(2)
        Traceback (most recent call last):
        ...
        mlic.errors.LabelError: is 2; expected the position of a class, 0 to 1
    """

    def __init__(self, listed: Sequence[object], where: str, wanted: Sequence[str] | None = None) -> None:
        self.faults: list[str] = []
        self._where = where
        listed_names = [self._name(name, position) for position, name in enumerate(listed)]
        places: dict[str, int] = {}
        for position, name in enumerate(listed_names):
            if name in places:
                first = -1 - places[name]
                self.faults.append(f"{where}[{position}]: class '{name}' is there twice, first at [{first}]")
            elif name:
                places[name] = -1 - position
        self.names = places if wanted is None else self._arranged(places, wanted)
        columns = {name: column for column, name in enumerate(self.names)}
        # A faulty name keeps its position, so that the others keep theirs.
        self._columns = [columns.get(name, -1) for name in listed_names]

    def __len__(self) -> int:
        return len(self._columns)

    def origin(self, place: int) -> str:
        """Returns where in the file the class of a place, as in `names`, stands."""
        return f"{self._where}[{-1 - place}]"

    def column(self, position: object) -> int:
        """Returns the column in the table of the class at a position of the list; -1 if its name is a fault.

        Raises:
            LabelError: if there is none; without the place, which the caller knows.
        """
        # True is an integer to Python, but no position.
        if type(position) is int and 0 <= position < len(self._columns):
            return self._columns[position]
        expected = (
            f"the position of a class, 0 to {len(self) - 1}" if len(self) else "no label, since there are no classes"
        )
        raise LabelError(f"is {as_written(position)}; expected {expected}")

    def _name(self, listed: object, position: int) -> str:
        """Returns a name as the table has it; "" for a fault, which is noted."""
        name = str(listed).strip() if isinstance(listed, str) or type(listed) is int else ""
        if not name:
            self.faults.append(
                f"{self._where}[{position}]: the name of a class is {as_written(listed)}; expected a text"
            )
        return name

    def _arranged(self, places: dict[str, int], wanted: Sequence[str]) -> dict[str, int]:
        strangers = places.keys() - set(wanted)
        for name, place in places.items():
            if name in strangers:
                hint = "" if len(self.faults) >= _HINTS else did_you_mean(name, wanted)
                self.faults.append(f"{self.origin(place)}: class '{name}' is not among the {len(wanted)} classes{hint}")
        for name in wanted:
            if name not in places:
                hint = "" if len(self.faults) >= _HINTS else did_you_mean(name, list(places))
                self.faults.append(f"{self._where}: class '{name}' is not among them{hint}")
        return {name: places.get(name, -1) for name in wanted}
