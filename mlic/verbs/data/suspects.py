"""`mlic data suspects`: labels that are likely to be wrong, by models that have not seen them."""

import argparse
import csv
import json
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from mlic.errors import UsageError
from mlic.metrics import average_precision
from mlic.suspects import (
    Kind,
    OutOfFold,
    Rates,
    Suspects,
    error_rates,
    find_suspects,
    learnable,
    out_of_fold,
    sure_unknowns,
)
from mlic.tables import text_table
from mlic.thresholds.scaling import temperature_scaling
from mlic.verbs.data.suspectdata import Annotated, SuspectsCLI

__all__ = ["run"]

log = logging.getLogger(__name__)

_LABELS = {1: "present", 0: "absent", -1: "unknown"}
_HEADINGS: dict[Kind, str] = {
    "missing": "perhaps missing: labelled absent, and the score is high",
    "wrong": "perhaps wrong: labelled present, and the score is low",
    "unknown, present": "unknown, and surely present",
    "unknown, absent": "unknown, and surely absent",
}
_COLUMNS = ("path", "class", "label", "score", "suspicion", "kind", "side", "file", "verdict")


class _Words(NamedTuple):
    folds: int
    top: int
    unknown: bool
    output: Path | None
    picture: Path | None
    left: list[str]


class _Found(NamedTuple):
    """All that is to be told."""

    samples: Annotated
    judged: Tensor  # which classes
    scores: Tensor  # of these classes
    labels: Tensor  # of these classes
    suspects: Suspects  # columns count these classes
    rates: Rates
    heads: OutOfFold
    folds: int

    @property
    def classes(self) -> list[str]:
        """The classes that are judged."""
        return [self.samples.classes[column] for column in self.judged.nonzero()[:, 0].tolist()]


def run(arguments: list[str], as_json: bool) -> None:
    """Prints the most suspicious labels, and writes all of them where a file is named."""
    words = _words(arguments)
    samples = SuspectsCLI(words.left).annotated()
    found = _found(samples, words.folds, words.unknown)
    if words.output is not None:
        _write(words.output, found)
    sys.stdout.write(json.dumps(_document(found)) + "\n" if as_json else _page(found, words.top))
    if words.picture is not None:
        _draw(words.picture, found, words.top)
        log.info("picture: %s", words.picture)
    if words.output is not None:
        log.info("%d suspects for review: %s", len(found.suspects.rows), words.output)


def _words(arguments: list[str]) -> _Words:
    parser = argparse.ArgumentParser(prog="mlic data suspects", add_help=False, allow_abbrev=False, exit_on_error=False)
    for option, default in (("--folds", "5"), ("--top", "20"), ("--output", None), ("--picture", None)):
        parser.add_argument(option, default=default)
    parser.add_argument("--unknown", action="store_true")
    said, left = parser.parse_known_args(arguments)
    numbers = {name: _number(name, getattr(said, name), least) for name, least in (("folds", 2), ("top", 1))}
    output, picture = (None if path is None else Path(path) for path in (said.output, said.picture))
    if output is not None and output.suffix.lower() != ".csv":
        raise UsageError(f"--output is {output}; expected a name that ends in .csv")
    if output is not None and output.exists():
        raise UsageError(f"{output} exists, perhaps with verdicts in it; remove it, or name another file with --output")
    if picture is not None and not picture.suffix:
        raise UsageError(f"--picture is {picture}; expected a name with a suffix such as .png")
    for path in (output, picture):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}")
    if left and not left[0].startswith("-"):  # as the other actions take their file
        left = ["--data.train", *left]
    return _Words(numbers["folds"], numbers["top"], said.unknown, output, picture, left)


def _number(name: str, word: str, least: int) -> int:
    if not word.isdecimal() or int(word) < least:
        raise UsageError(f"--{name} is '{word}'; expected a number, {least} or more")
    return int(word)


def _found(samples: Annotated, count: int, with_unknown: bool) -> _Found:
    folds = samples.folds(count)
    judged = learnable(samples.labels, folds, count)
    _tell_left_out(samples, judged, count)
    labels = samples.labels[:, judged]
    heads = out_of_fold(samples.features, labels, folds)
    logits = heads.logits.double()
    scores = torch.sigmoid(temperature_scaling(logits, labels) * logits)
    suspects = find_suspects(scores, labels)
    if with_unknown:
        pairs = zip(suspects, sure_unknowns(scores, labels), strict=True)
        suspects = Suspects(*(torch.cat(pair) for pair in pairs))
    return _Found(samples, judged, scores, labels, suspects, error_rates(scores, labels), heads, count)


def _tell_left_out(samples: Annotated, judged: Tensor, count: int) -> None:
    """Tells which classes are not judged.

    Raises:
        UsageError: if none is.
    """
    if bool(judged.all()):
        return
    present, absent = (samples.labels == 1).sum(dim=0).tolist(), (samples.labels == 0).sum(dim=0).tolist()
    out = [
        f"'{name}' ({present[column]} present, {absent[column]} absent)"
        for column, name in enumerate(samples.classes)
        if not judged[column]
    ]
    shown = ", ".join([*out[:10], *["..."] * (len(out) > 10)])
    needed = f"{count} present and {count} absent, not all in one fold"
    if not bool(judged.any()):
        raise UsageError(f"no class has enough labels to be judged: {shown}; expected {needed}; take fewer --folds")
    log.warning("not judged, for %d classes have too few labels: %s; expected %s", len(out), shown, needed)


def _rows(found: _Found, which: Suspects) -> Iterator[dict[str, Any]]:
    """Yields what is to be told of each suspect."""
    classes, columns = found.classes, [column.tolist() for column in which]
    for row, column, label, score, suspicion, kind in zip(*columns, which.kinds, strict=True):
        side, table, its = found.samples.place(row)
        yield {
            "path": table.paths[its],
            "class": classes[column],
            "label": _LABELS[label],
            "score": round(score, 4),
            "suspicion": None if math.isnan(suspicion) else round(suspicion, 4),
            "kind": kind,
            "side": side,
            "file": table.source,
        }


def _write(path: Path, found: _Found) -> None:
    try:
        with path.open("x", encoding="utf-8", errors="surrogatepass", newline="") as stream:
            writer = csv.DictWriter(stream, _COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(_rows(found, found.suspects))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error


def _document(found: _Found) -> dict[str, Any]:
    return {
        "images": {side: len(table) for side, table in found.samples.tables.items()},
        "folds": found.folds,
        "penalty": found.heads.penalty,
        "loss": found.heads.loss,
        "rates": found.rates._asdict(),
        "classes": {row[0]: dict(zip(_COUNTED[1:], row[1:], strict=True)) for row in _counts(found)},
        "not_judged": [
            name for name, is_judged in zip(found.samples.classes, found.judged, strict=True) if not is_judged
        ],
        "suspects": list(_rows(found, found.suspects)),
    }


def _page(found: _Found, top: int) -> str:
    sides = ", ".join(f"{side} {len(table):,}" for side, table in found.samples.tables.items())
    parts = [
        f"{len(found.labels):,} images ({sides}), each scored by a linear head that has not seen it: {found.folds} "
        f"folds, penalty {found.heads.penalty:g}\n"
        "These are suggestions: the label may be right and the head wrong. Look before you change a label.\n"
    ]
    for kind, which in _by_kind(found.suspects):
        shown = list(_rows(found, which.at(torch.arange(min(top, len(which.rows))))))
        rest = f", the first {len(shown)} of {len(which.rows):,}" if len(which.rows) > len(shown) else ""
        parts.append(f"\n{_HEADINGS[kind]}{rest}\n{_table(shown)}")
    if len(parts) == 1:
        parts.append("\nno label is suspicious\n")
    return "".join([*parts, "\n", text_table([*_COUNTED], _counts(found))])


def _table(shown: Sequence[dict[str, Any]]) -> str:
    header = [name for name in _COLUMNS[:7] if name != "kind" and any(row[name] is not None for row in shown)]
    return text_table(["image", *header[1:]], [[row[name] for name in header] for row in shown])


_COUNTED = ("class", "present", "absent", "unknown", "AP", "missing?", "wrong?")


def _counts(found: _Found) -> list[list[Any]]:
    precision = average_precision(found.scores, found.labels).tolist()
    rows = []
    for column, name in enumerate(found.classes):
        labels = found.labels[:, column]
        accused = found.suspects.labels[found.suspects.columns == column]
        rows.append(
            [
                name,
                *(int((labels == value).sum()) for value in (1, 0, -1)),
                precision[column],
                *(int((accused == value).sum()) for value in (0, 1)),
            ]
        )
    return rows


def _by_kind(suspects: Suspects) -> Iterator[tuple[Kind, Suspects]]:
    kinds = suspects.kinds
    for kind in get_args(Kind):
        its = torch.tensor([place for place, each in enumerate(kinds) if each == kind], dtype=torch.int64)
        if len(its):
            yield kind, suspects.at(its)


def _draw(path: Path, found: _Found, top: int) -> None:
    from mlic.plots import save  # matplotlib takes a while
    from mlic.suspects.pictures import Tile, contact_sheet

    tiles = []
    for kind, which in _by_kind(found.suspects):
        some = which.at(torch.arange(min(top, len(which.rows))))
        for row, place in zip(_rows(found, some), some.rows.tolist(), strict=True):
            _, table, its = found.samples.place(place)
            tiles.append(Tile(table.path(its), row["path"], row["class"], row["label"], row["score"], kind))
    save(
        contact_sheet(
            "Labels that may be wrong: suggestions, to be looked at (blue: labelled absent, red: labelled present)",
            tiles,
        ),
        path,
    )
