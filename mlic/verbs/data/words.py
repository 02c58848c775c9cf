"""Words that name annotations: a source, arguments of its reader, and options of what is done with it."""

import argparse
import inspect
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, Namespace

from mlic.configuration import class_path_of
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.sources import reader_of
from mlic.errors import UsageError, did_you_mean
from mlic.parts import class_of

__all__ = ["ActionParser", "parse"]


class ActionParser(argparse.ArgumentParser):
    """Options of one action. `parse` adds the source, `--reader` and the reader's arguments.

    Args:
        action: its name.
        verb: the verb whose action it is; blank where the action is a verb.
    """

    def __init__(self, action: str, verb: str = "data") -> None:
        super().__init__(prog=" ".join(["mlic", *verb.split(), action]), add_help=False, allow_abbrev=False)
        self._help = f"mlic {verb or action} --help"

    def error(self, message: str) -> NoReturn:
        """Says what is wrong with the words.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.prog}: {message}; see {self._help}")


def parse(parser: ActionParser, arguments: list[str]) -> tuple[argparse.Namespace, LabelReader]:
    """Returns the options of an action, and the reader of its source.

    Args:
        parser: holds the action's own options.
        arguments: the words after the action. The first that is neither an option nor the value of one is the source:
            whatever `train:` of a configuration accepts. Every option that is not the action's is an argument of the
            reader.

    Raises:
        UsageError: if an option is unknown or a value wrong.
        LabelError: if the format of the source is not recognised.
    """
    parser.add_argument("source", metavar="PATH", nargs="?")
    parser.add_argument("--reader")
    words, of_reader = _apart(parser, arguments)
    options, left = parser.parse_known_args(words)
    if options.source is None:
        # Perhaps an option without a value took the path for it; what is wrong with the option is told first.
        options, left = parser.parse_known_args(arguments)
        of_reader = []
    if options.source is None:
        parser.error("the following arguments are required: PATH")
    return options, _reader(parser, options.source, options.reader, of_reader + left)


def _apart(parser: ActionParser, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns the words for the action's own parser, and the reader's options with their values, one each."""
    words, of_reader = list[str](), list[str]()
    rest = iter(arguments)
    for word in rest:
        name, equals, _ = word.partition("=")
        if not name.startswith("--") or name in parser._option_string_actions:
            words.append(word)
        else:
            of_reader.extend([word] if equals else [word, *itertools.islice(rest, 1)])
    return words, of_reader


def _reader(parser: ActionParser, source: str, name: str | None, left: list[str]) -> LabelReader:
    if source.lstrip().startswith("{"):
        spec = _mapping(source)
        if name is not None or left:
            parser.error(f"the source says all about its reader; found {name or left[0]} beside it")
        cls = _named(str(spec["class_path"]))
        said = dict(spec.get("init_args") or {})
        _refuse_strange_names(parser, cls, said)
        return _made(cls, _words_of(cls).parse_object(said))
    if name is None:
        reader = reader_of(Path(source))
        if not left:
            return reader
        cls = type(reader)
    else:
        cls = _named(name)
    _refuse_strange_words(parser, cls, left)
    return _made(cls, _words_of(cls).parse_args([f"--path={source}", *left]))


def _named(name: str) -> type[LabelReader]:
    return class_of(class_path_of("readers", name), LabelReader)


def _words_of(cls: type[LabelReader]) -> ArgumentParser:
    words = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    words.add_class_arguments(cls)
    return words


def _made(cls: type[LabelReader], config: Namespace) -> LabelReader:
    # Only what was said: the defaults are the signature's.
    defaults = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
    return cls(**{name: value for name, value in vars(config).items() if name in defaults and value != defaults[name]})


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        spec = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"the source is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(spec, dict) or "class_path" not in spec:
        raise UsageError("a source in braces is a reader: {class_path: csv, init_args: {path: labels.csv}}")
    return spec


def _refuse_strange_names(parser: ActionParser, cls: type[LabelReader], names: Iterable[str]) -> None:
    known = list(inspect.signature(cls).parameters)
    for name in names:
        if name not in known:
            hint = did_you_mean(str(name), known)
            parser.error(f"{cls.__name__} has no option '{name}'{hint or '; it takes ' + ', '.join(known)}")


def _refuse_strange_words(parser: ActionParser, cls: type[LabelReader], left: list[str]) -> None:
    known = [name for name in inspect.signature(cls).parameters if name != "path"]
    own = [option.removeprefix("--") for option in parser._option_string_actions]
    for place, word in enumerate(left):
        name = word.removeprefix("--").partition("=")[0].partition(".")[0].removesuffix("+")
        if word.startswith("--") and name not in known:
            hint = did_you_mean(name, [*known, *own])
            parser.error(f"no option '--{name}'{hint or ', and ' + cls.__name__ + ' takes ' + ', '.join(known)}")
        if not word.startswith("-") and (place == 0 or not left[place - 1].startswith("--")):
            parser.error(f"one source is expected; found '{word}' too")
