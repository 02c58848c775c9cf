"""Splits of a `LabelTable` that look at its labels, or that repeat a split of the past.

`LabelTable.split` needs no look at the labels: it moves no sample as others come and go. A stratified split gives each
side its share of every class, and another one as soon as samples or labels change; keep its result in files.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from mlic.errors import UsageError
from mlic.labels.cells import check_fractions
from mlic.labels.table import LabelTable
from mlic.strings import gather, offsets_of

__all__ = ["legacy_split", "sides_without", "stratified_split"]

_LEGACY_RANGE = 2**27 - 1  # MAX_NUM_IMAGES_PER_CLASS of retrain.py
_BLOCK = 1 << 16  # groups that are lists of Python at a time


def stratified_split(table: LabelTable, fractions: Mapping[str, float], salt: str = "") -> dict[str, LabelTable]:
    """Splits the samples so that each side has its share of the positives of every class.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-Label Data"): the
    class with the fewest positives left is shared out next, each sample to the side that still wants most of that
    class, then to the one that wants most samples. Samples without any known positive are shared out at the end, the
    labelled and the unlabelled ones each in proportion. Unknown cells count for nothing; a soft label is a positive
    above 0.5.

    Where the table has groups, a group goes to one side as a whole: those that ask for most come first, and each goes
    to the side whose samples and positives come nearest to what it wants (in the sense of chi-squared).

    The sides depend on the paths relative to the root, the labels, the groups and the salt: not on the order of the
    samples or classes, and not on where the folder is. Sizes are near to what is asked for, not equal to it.

    Args:
        table: what to split.
        fractions: side -> the share of samples it takes, 0 to 1; what remains is "train".
        salt: another one gives another split.

    Returns:
        "train" and the named sides, each with its samples in the order of the table.

    Raises:
        UsageError: if a side is called "train", a fraction is not within 0 to 1, or they exceed 1 together.

    Example:
        >>> from pathlib import Path
        >>> present = [["cat"]] * 8 + [["owl"]] * 4
        >>> table = LabelTable.from_present(map(str, range(12)), ["cat", "owl"], present, root=Path())
        >>> stratified_split(table, {"val": 0.25})["val"].support().tolist()
        [2, 1]
    """
    check_fractions(fractions)
    rest = 1 - sum(fractions.values())
    shares = np.array([rest if rest > 1e-9 else 0, *fractions.values()], np.float64)
    unit_of, digests = _units(table, salt)
    strata = _count_strata(table, unit_of, len(digests))
    if table.groups is None:
        sides = _share_samples(strata, digests, shares)[unit_of]
    else:
        sides = _share_groups(strata, np.bincount(unit_of), digests, shares)[unit_of]
    return {side: table.take(np.flatnonzero(sides == number)) for number, side in enumerate(["train", *fractions])}


def legacy_split(table: LabelTable, fractions: Mapping[str, float], prefix: str = "") -> dict[str, LabelTable]:
    """Splits the samples as TensorFlow's retrain.py and Multi-label-Inception-net do, to compare with their results.

    Their rule: the SHA-1 of an image's path as the script saw it, without `_nohash_` and what follows, becomes a
    percentage; what is below the percentage of validation is validation, then comes testing, the rest is training.

    Args:
        table: what to split.
        fractions: the shares of "val" and "test", 0 to 1; the script's own are 0.1 each.
        prefix: what the script's paths have before those of the table, such as "images/" for `--image_dir images`.

    Returns:
        "train", and those of "val" and "test" that are asked for.

    Raises:
        UsageError: if another side is asked for, a fraction is not within 0 to 1, or they exceed 1 together.
    """
    check_fractions(fractions)
    for side in fractions:
        if side not in ("val", "test"):
            raise UsageError(f"the classic script knows no side '{side}'; it makes train, val and test")
    # The script's percentages are whole numbers, which a hundred times a float need not be.
    val, test = (round(100 * fractions.get(side, 0.0), 9) for side in ("val", "test"))
    percentage = _legacy_percentages(table, prefix)
    is_val, is_below = percentage < val, percentage < test + val
    rows = {"train": ~is_val & ~is_below, "val": is_val, "test": is_below & ~is_val}
    return {side: table.take(np.flatnonzero(rows[side])) for side in ("train", *fractions)}


def sides_without(sides: Mapping[str, LabelTable]) -> dict[str, list[str]]:
    """Returns the classes of which a side has no known positive, in their order; sides that lack none are left out.

    Example:
        >>> from pathlib import Path
        >>> table = LabelTable.from_present(["a.jpg"], ["cat", "owl"], [["cat"]], root=Path())
        >>> sides_without({"val": table})
        {'val': ['owl']}
    """
    lacking = {
        side: [table.classes[column] for column in np.flatnonzero(table.support() == 0)]
        for side, table in sides.items()
    }
    return {side: names for side, names in lacking.items() if names}


def _legacy_percentages(table: LabelTable, prefix: str) -> Float64[np.ndarray, " samples"]:
    before, ending = prefix.encode("utf-8", "surrogatepass"), re.compile(rb"_nohash_.*$")
    # The digest modulo 2**27 is in its last four bytes.
    ends = b"".join(hashlib.sha1(ending.sub(b"", before + path)).digest()[-4:] for path in table.paths.encoded())
    return (np.frombuffer(ends, ">u4") & _LEGACY_RANGE) * (100.0 / _LEGACY_RANGE)


def _units(table: LabelTable, salt: str) -> tuple[Int64[np.ndarray, " samples"], UInt64[np.ndarray, " units"]]:
    """Returns to which unit, a sample or a group, each sample belongs, and the units' hashes, sorted."""
    key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
    digests: list[bytes] = []
    unit_of = np.arange(len(table))
    if table.groups is None:
        digests = [hashlib.blake2b(path, digest_size=8, key=key).digest() for path in table.paths.encoded()]
    else:
        numbers: dict[bytes, int] = {}
        for row, (group, path) in enumerate(zip(table.groups.encoded(), table.paths.encoded(), strict=True)):
            unit_of[row] = numbers.setdefault(group, len(digests)) if group else len(digests)
            if unit_of[row] == len(digests):
                # A group called like a path is not that path.
                name, kind = (group, b"group") if group else (path, b"")
                digests.append(hashlib.blake2b(name, digest_size=8, key=key, person=kind).digest())
    values = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
    order = np.argsort(values, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[unit_of], values[order]


@dataclass(frozen=True)
class _Strata:
    """How many samples each unit has in each stratum: the positives of each class, and those that have none.

    Unit `i` has the strata `indptr[i]` to `indptr[i + 1]` of the other arrays. The classes come first, by name, then
    labelled samples without any positive, then unlabelled ones.
    """

    num_strata: int
    indptr: Int64[np.ndarray, " boundaries"]
    units: Int64[np.ndarray, " cells"]
    strata: Int64[np.ndarray, " cells"]
    counts: Int64[np.ndarray, " cells"]

    def totals(self) -> Float64[np.ndarray, " strata"]:
        """Returns how many samples each stratum has."""
        return np.bincount(self.strata, self.counts, self.num_strata).astype(np.float64)


def _count_strata(table: LabelTable, unit_of: Int64[np.ndarray, " samples"], num_units: int) -> _Strata:
    rows = np.repeat(np.arange(len(table)), np.diff(table.indptr))
    present = table.values > 0.5
    rows, columns = rows[present], table.columns[present]
    by_name = np.empty(table.num_classes, np.int64)
    by_name[sorted(range(table.num_classes), key=table.classes.__getitem__)] = np.arange(table.num_classes)
    has_none = np.ones(len(table), np.bool_)
    has_none[rows] = False
    others = np.flatnonzero(has_none)
    stratum_of_others = table.num_classes + ~table.is_labelled[others]
    num_strata = table.num_classes + 2
    keys, counts = np.unique(
        unit_of[np.concatenate([rows, others])] * num_strata + np.concatenate([by_name[columns], stratum_of_others]),
        return_counts=True,
    )
    units, strata = np.divmod(keys, num_strata)
    return _Strata(num_strata, offsets_of(np.bincount(units, minlength=num_units)), units, strata, counts)


def _share_samples(
    cells: _Strata, digests: UInt64[np.ndarray, " units"], shares: Float64[np.ndarray, " sides"]
) -> Int64[np.ndarray, " units"]:
    """Returns the side of each sample, by iterative stratification."""
    side_of = np.full(len(digests), -1)
    by_stratum = np.argsort(cells.strata, kind="stable")
    starts = offsets_of(np.bincount(cells.strata, minlength=cells.num_strata))
    left = cells.totals()
    # Rounded, so that equal demands are equal numbers.
    demand, room = np.outer(shares, left).round(9), (shares * len(digests)).round(9).tolist()
    while (stratum := _rarest(left)) >= 0:
        units = cells.units[by_stratum[starts[stratum] : starts[stratum + 1]]]
        units = units[side_of[units] < 0]
        chosen = _hand_out(demand[:, stratum].tolist(), room, digests[units].tolist())
        side_of[units] = chosen
        offsets, (strata,) = gather(cells.indptr, units, cells.strata)
        places = np.repeat(chosen, np.diff(offsets)) * cells.num_strata + strata
        taken = np.bincount(places, minlength=demand.size).reshape(demand.shape)
        demand -= taken
        left -= taken.sum(axis=0)
    return side_of


def _rarest(left: Float64[np.ndarray, " strata"]) -> int:
    """Returns the stratum of which least is left, the two without any positive last of all; -1 where nothing is."""
    for first, last in ((0, len(left) - 2), (len(left) - 2, len(left))):
        some = np.flatnonzero(left[first:last] > 0)
        if len(some):
            return first + int(some[np.argmin(left[first:last][some])])
    return -1


def _hand_out(demand: list[float], room: list[float], digests: Sequence[int]) -> Int64[np.ndarray, " units"]:
    """Gives each sample to the side that wants most of a stratum, then to the one that wants most samples.

    Both lists, an item a side, are lowered by what is handed out. Among sides that want the same, the sample's hash
    picks one.
    """
    chosen = np.empty(len(digests), np.int64)
    for unit, digest in enumerate(digests):
        most = max(demand)
        sides = [side for side, wanted in enumerate(demand) if wanted == most]
        if len(sides) > 1:
            most = max(room[side] for side in sides)
            sides = [side for side in sides if room[side] == most]
        side = sides[digest % len(sides)]
        demand[side] -= 1
        room[side] -= 1
        chosen[unit] = side
    return chosen


def _share_groups(
    cells: _Strata,
    sizes: Int64[np.ndarray, " units"],
    digests: UInt64[np.ndarray, " units"],
    shares: Float64[np.ndarray, " sides"],
) -> Int64[np.ndarray, " units"]:
    """Returns the side of each group.

    The distance that each step lowers most is the sum over sides and strata of (wanted - given)^2 / (share x total),
    the samples being one more stratum.
    """
    side_of = np.zeros(len(digests), np.int64)
    totals = cells.totals()
    weights = np.bincount(cells.units, weights=cells.counts**2 / totals[cells.strata], minlength=len(digests))
    order = np.lexsort((np.arange(len(digests)), -weights))
    per_sample, per_positive = 1 / max(1, sizes.sum()), (1 / np.maximum(totals, 1)).tolist()
    sides = [
        _Side(number, share, (share * totals).tolist(), share * float(sizes.sum()))
        for number, share in enumerate(shares.tolist())
        if share
    ]
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        offsets, (strata, counts) = gather(cells.indptr, block, cells.strata, cells.counts)
        edges, its_strata, its_counts = offsets.tolist(), strata.tolist(), counts.tolist()
        for place, (unit, size, digest) in enumerate(
            zip(block.tolist(), sizes[block].tolist(), digests[block].tolist(), strict=True)
        ):
            its = slice(edges[place], edges[place + 1])
            vector = list(zip(its_strata[its], its_counts[its], strict=True))
            gains = [side.gain(size * per_sample, size, vector, per_positive) for side in sides]
            best = [side for side, gain in zip(sides, gains, strict=True) if gain == max(gains)]
            side_of[unit] = best[digest % len(best)].take(size, vector)
    return side_of


@dataclass
class _Side:
    """What a side still wants: samples, and of each stratum."""

    number: int
    share: float
    demand: list[float]
    room: float

    def gain(self, weight: float, size: int, vector: list[tuple[int, int]], per_positive: list[float]) -> float:
        """Returns how much nearer the side comes to what it wants, if it takes a group."""
        gain = weight * (2 * self.room - size)
        for stratum, count in vector:
            gain += count * (2 * self.demand[stratum] - count) * per_positive[stratum]
        return gain / self.share

    def take(self, size: int, vector: list[tuple[int, int]]) -> int:
        """Takes a group, and returns the number of the side."""
        self.room -= size
        for stratum, count in vector:
            self.demand[stratum] -= count
        return self.number
