"""The lower half of a scene: mountains, ground or water, a road, and where things may stand."""

from mlic.scenes import grown
from mlic.scenes.backdrop import draw_ground, draw_road, draw_water, wave
from mlic.scenes.canvas import Pen, mix
from mlic.scenes.stage import Stage

__all__ = ["draw_earth"]


def draw_earth(stage: Stage) -> None:
    """Draws mountains, ground, water and road, and settles where things may stand."""
    rng, horizon = stage.rng, stage.horizon
    if stage.has("mountain"):
        for _ in range(rng.choice([1, 1, 2])):
            pen = Pen(rng.uniform(0.26, 0.44) * stage.canvas.side, stage.light, rng.uniform(0.08, 0.26))
            sprite = grown.mountain(rng, pen, snowy=rng.random() < 0.7)
            stage.canvas.put(sprite, rng.uniform(0.1, 0.9), horizon + 0.03, "mountain")
    if stage.plan.ground == "sea":
        _sea(stage)
        return
    draw_ground(rng, stage.canvas, stage.light, stage.plan.ground, horizon)
    if stage.plan.ground == "lake":
        _lake(stage)
    elif stage.plan.road:
        stage.road = rng.uniform(0.8, 0.88)
        width = rng.uniform(0.11, 0.15)
        draw_road(rng, stage.canvas, stage.light, stage.road, width)
        stage.land = (horizon + 0.05, stage.road - width / 2 - 0.02)
        stage.front = (0.98, 1.04)


def _sea(stage: Stage) -> None:
    rng, horizon = stage.rng, stage.horizon
    draw_water(rng, stage.canvas, stage.light, stage.sky, horizon, stage.shine)
    shore = 1.0
    if stage.plan.classes & {"tree", "flower"} or rng.random() < 0.4:
        shore = rng.uniform(0.82, 0.88)
        surf = wave(rng, shore, 0.018)
        foam = stage.light.on((250, 252, 252))
        stage.canvas.region([(x, y - 0.012) for x, y in surf] + [(1.0, 1.02), (0.0, 1.02)], foam, foam)
        sand = rng.choice([(240, 222, 176), (232, 208, 168), (226, 214, 190)])
        wet = stage.light.on(mix(sand, (120, 90, 60), 0.2))
        stage.canvas.region([*surf, (1.0, 1.02), (0.0, 1.02)], wet, stage.light.on(sand))
    stage.water = (horizon + 0.06, shore - 0.04)
    stage.land = (min(0.97, shore + 0.06), 1.0)


def _lake(stage: Stage) -> None:
    rng, horizon = stage.rng, stage.horizon
    top = horizon + rng.uniform(0.05, 0.09)
    draw_water(rng, stage.canvas, stage.light, stage.sky, top, stage.shine)
    bank = rng.uniform(0.84, 0.9)
    grass = rng.choice([(96, 152, 74), (124, 160, 80), (76, 132, 76)])
    line = [*wave(rng, bank, 0.018), (1.0, 1.02), (0.0, 1.02)]
    stage.canvas.region(
        [(x, y - 0.012) for x, y in line], stage.light.on((150, 130, 100)), stage.light.on((120, 100, 80))
    )
    stage.canvas.region(line, stage.light.on(grass), stage.light.on(mix(grass, (20, 50, 40), 0.35)))
    stage.land = (top - 0.01, top + 0.005)
    stage.front = (0.97, 1.02)
    stage.water = (top + 0.1, bank - 0.03)
