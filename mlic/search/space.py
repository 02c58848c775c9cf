"""`Space`: the choices that a search has."""

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from mlic.configuration import expand_names, read_yaml
from mlic.errors import UsageError, did_you_mean
from mlic.exact import Exact
from mlic.parts import Spec, resolve
from mlic.search.places import MODEL, PARTS, VALUES, Config, arguments_of, known_place, owner, put, taken

__all__ = ["Choice", "Picker", "Range", "Space"]

_ENDS = ("low", "high", "log")


class Range(NamedTuple):
    """Numbers to choose from.

    Attributes:
        low: the least; whole numbers are meant where both ends are whole.
        high: the greatest.
        log: whether each decade is as likely as another.
    """

    low: float
    high: float
    log: bool = False


class Option(NamedTuple):
    """One of several choices.

    Attributes:
        label: what tells it from the others.
        value: of a part: None, or its class and the arguments that are settled; of an alternative: nothing.
        inner: what there is to choose once it is chosen.
    """

    label: str
    value: Any
    inner: tuple["Axis", ...] = ()


class Axis(NamedTuple):
    """A place and what may stand there."""

    place: str
    choices: tuple[Option, ...] | Range


class Choice(NamedTuple):
    """A point of the space.

    Attributes:
        config: the whole configuration.
        said: what was chosen at each place, for people.
    """

    config: Config
    said: dict[str, str | int | float]


@runtime_checkable
class Picker(Protocol):
    """Chooses; a trial of Optuna behind it."""

    def number(self, name: str, range_: Range) -> int | float:
        """Returns one of the numbers."""
        ...

    def option(self, name: str, labels: Sequence[str]) -> int:
        """Returns the position of one of the labels."""
        ...


class Space:
    """What a search chooses from: for each place of a configuration some choices, or a range of numbers.

    A part that is chosen has its own defaults, and what the choice says; where it is the class that the configuration
    names, it has the configuration's arguments. An argument that has a line of its own concerns the parts that take it.

    Args:
        path: a YAML file.

    Raises:
        UsageError: if the file cannot be read, a place or a part is not known, or there is nothing to choose from.
    """

    def __init__(self, path: str | Path) -> None:
        self._where = str(path)
        self._axes = self._parsed(read_yaml(path), "")
        if not self._axes:
            raise UsageError(f"{path}: no places; expected lines such as `model.loss: [bce, asymmetric]`")

    def choose(self, base: Mapping[str, Any], picker: Picker) -> Choice:
        """Returns a point of the space.

        Args:
            base: the whole configuration, of which it is a variation.
            picker: chooses.
        """
        choice = Choice(copy.deepcopy(dict(base)), {})
        self._walk(self._axes, "", base, picker, choice, set())
        if _is_exact(choice.config["model"]["optimizer"]):
            _leave_out_steps(choice, base)
        return choice

    def check_arguments(self, base: Mapping[str, Any]) -> None:
        """Checks that each argument is one of a part that may be chosen.

        Raises:
            UsageError: if no part takes it.
        """
        for axis in _all_axes(self._axes):
            part = owner(axis.place)
            if part is not None and axis in self._plain_axes():
                classes = [spec["class_path"] for spec in self._named(part, base)]
                self._check_taken(axis.place, axis.place.rpartition(".")[2], classes)
        for axis, option in _all_options(self._axes):
            if axis.place in PARTS and option.value is not None:
                names = [*option.value["init_args"], *(inner.place.rpartition(".")[2] for inner in option.inner)]
                for name in names:
                    self._check_taken(axis.place, name, [option.value["class_path"]])

    def specimens(self, base: Mapping[str, Any]) -> Iterator[tuple[str, Spec]]:
        """Yields parts to be tried out, so that each value of each argument occurs once: their place, and the part."""
        for part in PARTS:
            free = [axis for axis in self._plain_axes() if owner(axis.place) == part]
            found = [(option.value, option.inner) for axis, option in self._options(part) if option.value is not None]
            whole = taken(base, part)
            if whole is not None:
                found.append((whole, ()))
            for spec, inner in found:
                names = arguments_of(spec["class_path"])
                given = [axis for axis in free if names is None or axis.place.rpartition(".")[2] in names]
                yield from ((part, specimen) for specimen in _variants(_completed(spec, whole), [*given, *inner]))

    def _parsed(self, content: Mapping[str, Any], under: str) -> tuple[Axis, ...]:
        axes: list[Axis] = []
        for key, value in content.items():
            place = known_place(f"{under}{key}", self._where)
            if under and place == MODEL:
                raise UsageError(f"{self._where}: {under}{key} stands in an alternative; expected head, loss and so on")
            if any(axis.place == place for axis in axes):
                raise UsageError(f"{self._where}: {place} is there twice")
            single = bool(under) and not isinstance(value, list) and not _is_range(value)
            axes.append(self._axis(place, [value] if single else value))
        return tuple(sorted(axes, key=lambda axis: axis.place.count(".")))

    def _axis(self, place: str, value: Any) -> Axis:
        where = f"{self._where}: {place}"
        if _is_range(value):
            if place in PARTS or place == MODEL:
                raise UsageError(f"{where}: found a range; expected a list of choices")
            found = _range(value, where)
            if place in VALUES:
                for end in (found.low, found.high):
                    _check_value(place, end, where)
            return Axis(place, found)
        if not isinstance(value, list):
            kind = "a mapping" if isinstance(value, Mapping) else f"'{value}'"
            raise UsageError(f"{where}: found {kind}; expected a list of choices, or a range {{low: 0.1, high: 1.0}}")
        if not value:
            raise UsageError(f"{where}: no choices; expected at least one")
        options = [self._option(place, item, number, where) for number, item in enumerate(value, 1)]
        seen: dict[str, int] = {}
        for number, option in enumerate(options):
            seen[option.label] = count = seen.get(option.label, 0) + 1
            if count > 1:
                options[number] = option._replace(label=f"{option.label} #{count}")
        return Axis(place, tuple(options))

    def _option(self, place: str, item: Any, number: int, where: str) -> Option:
        if place == MODEL:
            if not isinstance(item, Mapping):
                raise UsageError(f"{where}: found '{item}'; expected alternatives such as {{head: linear, loss: bce}}")
            return Option(str(number), None, self._parsed(item, "model."))
        if place in PARTS:
            return self._part(place, item, where)
        if place in VALUES:
            _check_value(place, item, where)
        return Option(item if isinstance(item, str) else json.dumps(item), item)

    def _part(self, place: str, item: Any, where: str) -> Option:
        if item is None and place == "model.lr_scheduler":
            return Option("none", None)
        try:
            part = expand_names({"model": {place.removeprefix("model."): item}})["model"][place.removeprefix("model.")]
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if not isinstance(part, Mapping) or not isinstance(part.get("class_path"), str):
            raise UsageError(f"{where}: found {item!r}; expected a name, or {{class_path: NAME, init_args: {{...}}}}")
        try:
            found = resolve(part["class_path"])
        except (ImportError, AttributeError) as error:
            raise UsageError(f"{where}: {part['class_path']} cannot be imported ({error})") from error
        if not (isinstance(found, type) and issubclass(found, PARTS[place])):
            kinds = " or ".join(kind.__name__ for kind in PARTS[place])
            raise UsageError(f"{where}: {part['class_path']} is no {kinds}")
        arguments = part.get("init_args") or {}
        inner = {name: value for name, value in arguments.items() if isinstance(value, list) or _is_range(value)}
        fixed = {name: value for name, value in arguments.items() if name not in inner}
        axes = tuple(self._axis(f"{place}.{name}", value) for name, value in inner.items())
        name = item if isinstance(item, str) else str(item["class_path"])
        said = ", ".join(f"{argument} {value}" for argument, value in fixed.items())
        label = name.rpartition(".")[2] + (f" ({said})" if said and not isinstance(item, str) else "")
        return Option(label, {"class_path": part["class_path"], "init_args": fixed}, axes)

    def _walk(
        self,
        axes: Sequence[Axis],
        prefix: str,
        base: Mapping[str, Any],
        picker: Picker,
        choice: Choice,
        settled: set[str],
    ) -> None:
        for axis in axes:
            part = owner(axis.place)
            if axis.place in settled or (part is not None and not _takes(taken(choice.config, part), axis.place)):
                continue
            settled.add(axis.place)
            name = prefix + axis.place
            if isinstance(axis.choices, Range):
                self._settle(axis.place, picker.number(name, axis.choices), choice)
                continue
            labels = [option.label for option in axis.choices]
            option = axis.choices[picker.option(name, labels) if len(labels) > 1 else 0]
            if axis.place in PARTS:
                whole = taken(base, axis.place)
                put(choice.config, axis.place, None if option.value is None else _completed(option.value, whole))
                choice.said[axis.place] = option.label
                settled |= {f"{axis.place}.{name}" for name in (option.value or {}).get("init_args", {})}
            elif axis.place != MODEL:
                self._settle(axis.place, option.value, choice)
            self._walk(option.inner, f"{name}={option.label}:", base, picker, choice, settled)

    @staticmethod
    def _settle(place: str, value: Any, choice: Choice) -> None:
        part = owner(place)
        if part is None:
            put(choice.config, place, value)
        else:
            taken(choice.config, part)["init_args"][place.rpartition(".")[2]] = copy.deepcopy(value)
        choice.said[place] = value if isinstance(value, str | int | float) else json.dumps(value)

    def _plain_axes(self) -> list[Axis]:
        """Returns the axes that stand in no part's own arguments."""
        found = list(self._axes)
        for axis in self._axes:
            if axis.place == MODEL and not isinstance(axis.choices, Range):
                found += [inner for option in axis.choices for inner in option.inner]
        return found

    def _options(self, place: str) -> list[tuple[Axis, Option]]:
        return [(axis, option) for axis, option in _all_options(self._axes) if axis.place == place]

    def _named(self, place: str, base: Mapping[str, Any]) -> list[Spec]:
        specs = [option.value for _, option in self._options(place)]
        return [spec for spec in (*specs, taken(base, place)) if spec is not None]

    def _check_taken(self, place: str, name: str, classes: Sequence[str]) -> None:
        arguments = [arguments_of(class_path) for class_path in classes]
        if any(names is None or name in names for names in arguments):
            return
        known = sorted({name for names in arguments for name in names or ()})
        of = " and ".join(dict.fromkeys(class_path.rpartition(".")[2] for class_path in classes)) or "nothing"
        near = did_you_mean(name, known) or f"\narguments: {', '.join(known)}"
        raise UsageError(f"{self._where}: {place}: {of} takes no '{name}'{near}")


def _all_axes(axes: Sequence[Axis]) -> Iterator[Axis]:
    for axis in axes:
        yield axis
        for option in () if isinstance(axis.choices, Range) else axis.choices:
            yield from _all_axes(option.inner)


def _all_options(axes: Sequence[Axis]) -> Iterator[tuple[Axis, Option]]:
    for axis in _all_axes(axes):
        if not isinstance(axis.choices, Range):
            yield from ((axis, option) for option in axis.choices)


def _values(axis: Axis) -> list[Any]:
    """Returns what an argument may be; of a range its ends."""
    if isinstance(axis.choices, Range):
        return [axis.choices.low, axis.choices.high]
    return [option.value for option in axis.choices]


def _variants(spec: Spec, axes: Sequence[Axis]) -> Iterator[Spec]:
    first = {axis.place.rpartition(".")[2]: _values(axis)[0] for axis in axes}
    yield {**spec, "init_args": {**spec["init_args"], **first}}
    for axis in axes:
        for value in _values(axis)[1:]:
            yield {**spec, "init_args": {**spec["init_args"], **first, axis.place.rpartition(".")[2]: value}}


def _completed(spec: Spec, base: Spec | None) -> Spec:
    """Returns a part with the arguments that the configuration has for its class."""
    same = base is not None and resolve(base["class_path"]) is resolve(spec["class_path"])
    before = base.get("init_args") or {} if base is not None and same else {}
    return {"class_path": spec["class_path"], "init_args": copy.deepcopy({**before, **spec["init_args"]})}


def _takes(spec: Spec | None, place: str) -> bool:
    names = () if spec is None else arguments_of(spec["class_path"])
    return names is None or place.rpartition(".")[2] in names


def _leave_out_steps(choice: Choice, base: Mapping[str, Any]) -> None:
    """Takes back what an exact solution has no use for: it has no steps."""
    for place in ("model.lr_scheduler", "trainer.gradient_clip_val"):
        put(choice.config, place, None)
    for place in ("data.batch_size", "trainer.max_epochs"):
        put(choice.config, place, taken(base, place))
    for place in [place for place in choice.said if place in VALUES or place.startswith("model.lr_scheduler")]:
        del choice.said[place]


def _is_exact(optimizer: Spec) -> bool:
    return issubclass(resolve(optimizer["class_path"]), Exact)


def _is_range(value: Any) -> bool:
    return isinstance(value, Mapping) and ("low" in value or "high" in value)


def _range(value: Mapping[str, Any], where: str) -> Range:
    for key in value:
        if key not in _ENDS:
            raise UsageError(
                f"{where}: a range has no '{key}'{did_you_mean(str(key), _ENDS)}; it has low, high and log"
            )
    low, high, log = value.get("low"), value.get("high"), value.get("log", False)
    for name, end in (("low", low), ("high", high)):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise UsageError(f"{where}: {name} is '{end}'; expected a number")
    if not isinstance(log, bool):
        raise UsageError(f"{where}: log is '{log}'; expected true or false")
    if not low < high or (log and low <= 0):  # type: ignore[operator]
        least = "above 0 and " if log else ""
        raise UsageError(f"{where}: the range is from {low} to {high}; expected low to be {least}below high")
    whole = isinstance(low, int) and isinstance(high, int)
    return Range(low, high, log) if whole else Range(float(low), float(high), log)  # type: ignore[arg-type]


def _check_value(place: str, value: Any, where: str) -> None:
    if not VALUES[place].fits(value):
        raise UsageError(f"{where}: found '{value}'; expected {VALUES[place].expected}")
