"""`Stage`: a scene while it is composed, its light, its perspective and who stands where."""

import math
from dataclasses import dataclass
from random import Random

from mlic.scenes.backdrop import choose_sky
from mlic.scenes.canvas import Canvas, Colour, Light, Pen, Sprite
from mlic.scenes.plan import Plan

__all__ = ["Stage", "Thing"]


@dataclass(frozen=True)
class Thing:
    """A sprite with its foot at (x, y), waiting for those behind it."""

    sprite: Sprite
    x: float
    y: float
    label: str | None
    shadow: float


class Stage:
    """A scene while it is composed. Positions and lengths are shares of the picture's side."""

    def __init__(self, rng: Random, plan: Plan, size: int) -> None:
        self.rng = rng
        self.plan = plan
        self.canvas = Canvas(size)
        self.sky = choose_sky(rng, plan.time)
        gloom = 0.9 if "rain" in plan.classes else 1.0
        red, green, blue = self.sky.tint
        tint = (red * gloom, green * gloom, blue * gloom)
        self.light = Light(tint, self.sky.low, rng.random() < 0.5, plan.time == "night")
        self.horizon = rng.uniform(0.42, 0.56) if plan.ground in {"sea", "lake"} else rng.uniform(0.48, 0.66)
        self.things: list[Thing] = []
        self.taken: list[tuple[float, float, float, float]] = []
        self.shine: tuple[float, Colour] | None = None
        # Where feet may stand (from y, to y): trees and houses; flowers and fences; boats and fish.
        self.land = (self.horizon + 0.05, 0.96)
        self.front = (0.93, 1.0)
        self.water = (0.0, 0.0)
        self.road = 0.0

    def has(self, name: str) -> bool:
        """Says whether the plan names a class."""
        return name in self.plan.classes

    def pen(self, height: float, y: float | None = None) -> Pen:
        """A pen for something `height` tall; with its foot at `y` on the ground, haze lies before what is far."""
        distance = 0.0
        if y is not None:
            distance = 0.3 * max(0.0, 1.0 - (y - self.horizon) / max(0.05, 1.0 - self.horizon)) ** 2
        return Pen(height * self.canvas.side, self.light, distance)

    def spot(
        self, sprite: Sprite, xs: tuple[float, float], ys: tuple[float, float], spacing: float = 1.0
    ) -> tuple[float, float]:
        """Finds a place for the sprite's foot, within ranges, where it overlaps little with what has a place."""
        wide = sprite.image.width / self.canvas.side * spacing
        tall = sprite.image.height / self.canvas.side
        best = (math.inf, 0.0, 0.0)
        for _ in range(14):
            x, y = self.rng.uniform(*xs), self.rng.uniform(*ys)
            overlap = sum(_overlap((x - wide / 2, y - tall, x + wide / 2, y), box) for box in self.taken)
            best = min(best, (overlap / (wide * tall), x, y))
            if overlap < 0.06 * wide * tall:
                break
        _, x, y = best
        self.taken.append((x - wide / 2, y - tall, x + wide / 2, y))
        return x, y

    def stand(
        self, sprite: Sprite, label: str, xs: tuple[float, float], ys: tuple[float, float], shadow: float = 0.0
    ) -> None:
        """Gives a sprite a place on the ground; it is drawn when its turn comes."""
        x, y = self.spot(sprite, xs, ys)
        self.things.append(Thing(sprite, x, y, label, shadow))

    def tall_at(self, low: float, high: float, y: float) -> float:
        """How tall something is that is `low` at the horizon and `high` at the lower border, with its foot at `y`."""
        share = (y - self.horizon) / max(0.05, 1.0 - self.horizon)
        return (low + (high - low) * min(1.0, max(0.0, share))) * self.rng.uniform(0.88, 1.12)

    def draw_things(self) -> None:
        """Draws all that has a place on the ground, from the back to the front, on its shadow."""
        for thing in sorted(self.things, key=lambda thing: thing.y):
            if thing.shadow:
                half = thing.sprite.image.width / self.canvas.side * thing.shadow
                shift = half * (0.35 if self.light.from_left else -0.35)
                self.canvas.glow(thing.x + shift, thing.y - 0.005, half, half * 0.22, (10, 18, 30), 0.6)
            self.canvas.put(thing.sprite, thing.x, thing.y, thing.label)


def _overlap(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> float:
    """The area that two upright boxes (left, top, right, bottom) share."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, wide) * max(0.0, tall)
