"""What is in a scene: the time of day, the ground, and which classes come together."""

from dataclasses import dataclass
from random import Random

__all__ = ["CLASSES", "MAX_CLASSES", "Plan", "choose_plan"]

CLASSES: tuple[str, ...] = (
    "sun", "moon", "star", "cloud", "rain", "rainbow", "mountain", "tree",
    "flower", "house", "fence", "car", "boat", "fish", "bird", "balloon",
)  # fmt: skip
"""The classes of the data set, in the order of its columns."""

MAX_CLASSES = 6
"""No scene has more."""

_EMPTY_SHARE = 0.022
"""This share of scenes has no class at all: a landscape that somebody looked at and found nothing in."""

_TIMES = {"day": 0.48, "dusk": 0.16, "night": 0.22, "overcast": 0.14}
_GROUNDS = {"meadow": 0.26, "field": 0.14, "snow": 0.13, "desert": 0.09, "sea": 0.19, "lake": 0.19}

_ON_LAND: dict[str, dict[str, float]] = {
    "tree": {"meadow": 0.46, "field": 0.36, "snow": 0.46, "desert": 0.12, "sea": 0.18, "lake": 0.42},
    "house": {"meadow": 0.34, "field": 0.34, "snow": 0.36, "desert": 0.16, "lake": 0.22},
    "flower": {"meadow": 0.34, "field": 0.28, "desert": 0.14, "lake": 0.24, "sea": 0.06},
    "boat": {"sea": 0.5, "lake": 0.42},
    "fish": {"sea": 0.42, "lake": 0.36},
    "mountain": {"meadow": 0.22, "field": 0.18, "snow": 0.3, "desert": 0.28, "sea": 0.14, "lake": 0.26},
}
"""How likely a class is on each ground; a ground that is left out never has it."""


@dataclass(frozen=True)
class Plan:
    """What a scene is to show.

    Attributes:
        time: day, dusk, night or overcast.
        ground: meadow, field, snow, desert, sea or lake.
        road: whether a road runs through it.
        classes: what is in it.
    """

    time: str
    ground: str
    road: bool
    classes: frozenset[str]


def choose_plan(rng: Random) -> Plan:
    """Chooses what a scene shows: none, or 1 to `MAX_CLASSES` classes that can be seen together.

    Rain comes out of a cloud, stars come out where no sun is, sun and moon are not up together, a rainbow needs sun or
    rain and no night, cars need a road, boats and fish need water; fences like houses.

    Example:
        >>> plan = choose_plan(Random(3))
        >>> len(plan.classes) <= MAX_CLASSES
        True
    """
    time = rng.choices(list(_TIMES), list(_TIMES.values()))[0]
    ground = rng.choices(list(_GROUNDS), list(_GROUNDS.values()))[0]
    road = ground in {"meadow", "field", "snow", "desert"} and rng.random() < 0.44
    if rng.random() < _EMPTY_SHARE:
        return Plan(time, ground, road, frozenset())
    classes: set[str] = set()
    while not classes:
        classes = _in_the_sky(rng, time) | _on_the_ground(rng, ground, road)
        while len(classes) > MAX_CLASSES:
            classes.discard(rng.choice(sorted(classes)))
            classes = _possible(classes)
    return Plan(time, ground, road, frozenset(classes))


def _in_the_sky(rng: Random, time: str) -> set[str]:
    """Draws sun, moon, stars, clouds, rain, rainbow, birds and balloons for a time of day."""
    chances = {
        "day": {"sun": 0.48, "cloud": 0.46, "bird": 0.28, "balloon": 0.17},
        "dusk": {"sun": 0.46, "moon": 0.2, "cloud": 0.42, "bird": 0.26, "balloon": 0.16},
        "night": {"moon": 0.56, "star": 0.58, "cloud": 0.3, "bird": 0.1, "balloon": 0.08},
        "overcast": {"cloud": 0.76, "bird": 0.22, "balloon": 0.08},
    }[time]
    classes = {name for name, chance in chances.items() if rng.random() < chance}
    if "cloud" in classes and rng.random() < {"day": 0.18, "dusk": 0.18, "night": 0.28, "overcast": 0.55}[time]:
        classes.add("rain")
    if time == "dusk" and rng.random() < 0.3:
        classes.add("star")
    if rng.random() < (0.46 if "rain" in classes else 0.27):
        classes.add("rainbow")
    if time == "night":
        classes.discard("rainbow")
    return _possible(classes)


def _on_the_ground(rng: Random, ground: str, road: bool) -> set[str]:
    """Draws what stands, drives or swims on a kind of ground."""
    classes = {name for name, chances in _ON_LAND.items() if rng.random() < chances.get(ground, 0.0)}
    fenced = 0.5 if "house" in classes else 0.17
    if ground != "sea" and rng.random() < fenced * (0.4 if ground in {"desert", "lake"} else 1.0):
        classes.add("fence")
    if road and rng.random() < 0.62:
        classes.add("car")
    return classes


def _possible(classes: set[str]) -> set[str]:
    """Drops what cannot be seen beside the rest."""
    kept = set(classes)
    if "cloud" not in kept:
        kept.discard("rain")
    if "sun" in kept:
        kept -= {"moon", "star"}
    if "rain" in kept:
        kept -= {"moon", "star"}
    if not kept & {"sun", "rain"}:
        kept.discard("rainbow")
    return kept
