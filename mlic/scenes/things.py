"""The things in a scene: how many, how tall, where."""

from collections.abc import Callable

from mlic.scenes import aloft, built, grown
from mlic.scenes.stage import Stage, Thing

__all__ = ["place_things"]


def place_things(stage: Stage) -> None:
    """Finds places for all that stands, swims or flies low, then draws it from the back to the front."""
    for name, place in _PLACES.items():
        if stage.has(name):
            place(stage)
    stage.draw_things()


def _balloons(stage: Stage) -> None:
    for _ in range(stage.rng.choice([1, 1, 2])):
        sprite = aloft.balloon(stage.rng, stage.pen(stage.rng.uniform(0.27, 0.44)))
        x, y = stage.spot(sprite, (0.14, 0.86), (0.36, max(0.4, stage.horizon + 0.02)))
        stage.canvas.put(sprite, x, y, "balloon")


def _house(stage: Stage) -> None:
    for k in range(stage.rng.choice([1, 1, 1, 2])):
        far, near = stage.land
        y = stage.rng.uniform(far, far + 0.6 * (near - far)) if k == 0 else far
        sprite = built.house(stage.rng, stage.pen(stage.tall_at(0.27, 0.52, y) * (0.8 if k else 1.0), y))
        if stage.rng.random() < 0.5:
            sprite.mirror()
        stage.stand(sprite, "house", (0.2, 0.8), (y, y), 0.55)


def _trees(stage: Stage) -> None:
    rng = stage.rng
    kinds = {"snow": ["snowy", "snowy", "pine"], "sea": ["palm"], "desert": ["palm", "palm", "pine"]}
    kind = rng.choice(kinds.get(stage.plan.ground, ["leafy", "leafy", "autumn", "pine", "poplar"]))
    for _ in range(rng.choice([1, 2, 2, 3, 4]) if stage.plan.ground != "sea" else rng.choice([1, 1, 2])):
        y = rng.uniform(*stage.land)
        tall = stage.tall_at(0.3, 0.62, y)
        sprite = grown.tree(rng, stage.pen(tall, y), kind)
        stage.stand(sprite, "tree", (0.04, 0.96), (y, y), 0.6)


def _fence(stage: Stage) -> None:
    rng = stage.rng
    low, high = stage.front
    tall = rng.uniform(0.12, 0.18)
    y = rng.uniform(low - 0.04, high - 0.03)
    length = rng.choice([rng.uniform(0.5, 0.75), 1.1, 1.1])
    sprite = built.fence(rng, stage.pen(tall, y), length / tall)
    x = 0.5 if length > 1 else rng.choice([length / 2 - 0.02, 1.02 - length / 2])
    stage.things.append(Thing(sprite, x, y, "fence", 0.0))
    stage.taken.append((x - length / 2, y - tall, x + length / 2, y))


def _flowers(stage: Stage) -> None:
    rng = stage.rng
    for _ in range(rng.choice([1, 2, 2, 3])):
        y = rng.uniform(stage.front[0], stage.front[1] + 0.01)
        sprite = grown.flower(rng, stage.pen(rng.uniform(0.23, 0.38), y))
        stage.stand(sprite, "flower", (0.1, 0.9), (y, y))


def _car(stage: Stage) -> None:
    for _ in range(stage.rng.choice([1, 1, 2]) if len(stage.plan.classes) < 4 else 1):
        y = stage.road + stage.rng.uniform(0.02, 0.045)
        sprite = built.car(stage.rng, stage.pen(stage.rng.uniform(0.16, 0.21), 1.0))
        stage.stand(sprite, "car", (0.2, 0.8), (y, y), 0.6)


def _boats(stage: Stage) -> None:
    rng = stage.rng
    for _ in range(rng.choice([1, 1, 2])):
        y = rng.uniform(stage.water[0], stage.water[1])
        sprite = built.boat(rng, stage.pen(stage.tall_at(0.22, 0.5, y), y))
        stage.stand(sprite, "boat", (0.14, 0.86), (y, y), 0.6)


def _fish(stage: Stage) -> None:
    rng = stage.rng
    for _ in range(rng.choice([1, 2, 2, 3])):
        y = rng.uniform(sum(stage.water) / 2, stage.water[1])
        sprite = grown.fish(rng, stage.pen(rng.uniform(0.15, 0.21), 1.0))
        sprite.turn(rng.uniform(-38, 48))
        if rng.random() < 0.5:
            sprite.mirror()
        x, y = stage.spot(sprite, (0.14, 0.86), (y, y))
        foam = grown.splash(rng, stage.pen(rng.uniform(0.07, 0.1), 1.0))
        stage.things.append(Thing(foam, x, y + 0.03, None, 0.0))
        stage.things.append(Thing(sprite, x, y, "fish", 0.0))


def _birds(stage: Stage) -> None:
    rng = stage.rng
    # Dark birds are not seen at night.
    kind, facing = rng.choice([0, 3, 4] if stage.light.dark else [0, 1, 2, 3, 4, 5]), rng.random() < 0.5
    for _ in range(rng.choice([1, 2, 3, 3, 4])):
        sprite = aloft.bird(rng, stage.pen(rng.uniform(0.14, 0.23)), kind)
        if facing:
            sprite.mirror()
        x, y = stage.spot(sprite, (0.08, 0.92), (0.16, max(0.3, stage.horizon + 0.06)), spacing=1.15)
        stage.canvas.put(sprite, x, y, "bird")


# The order in which places are given away: what needs most room comes first.
_PLACES: dict[str, Callable[[Stage], None]] = {
    "balloon": _balloons,
    "house": _house,
    "car": _car,
    "boat": _boats,
    "fish": _fish,
    "tree": _trees,
    "fence": _fence,
    "flower": _flowers,
    "bird": _birds,
}
