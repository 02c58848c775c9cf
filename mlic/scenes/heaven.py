"""The upper half of a scene: sky, stars, sun or moon, rainbow and clouds, in this order."""

from mlic.scenes import aloft
from mlic.scenes.backdrop import draw_sky
from mlic.scenes.canvas import Light, Pen, mix
from mlic.scenes.stage import Stage

__all__ = ["draw_heaven"]


def draw_heaven(stage: Stage) -> None:
    """Draws the sky and what is far up in it."""
    draw_sky(stage.canvas, stage.sky, stage.horizon)
    if stage.has("star"):
        _stars(stage)
    if stage.has("sun"):
        _sun(stage)
    if stage.has("moon"):
        _moon(stage)
    if stage.has("rainbow"):
        aloft.draw_rainbow(stage.rng, stage.canvas, stage.horizon)
    if stage.has("cloud"):
        _clouds(stage)


def _stars(stage: Stage) -> None:
    rng = stage.rng
    for _ in range(rng.randint(25, 50)):
        x, y, r = rng.random(), rng.uniform(0, stage.horizon), rng.uniform(0.003, 0.006)
        stage.canvas.glow(x, y, r * 2, r * 2, (255, 255, 240), 0.9)
    for _ in range(rng.randint(8, 15)):
        sprite = aloft.star(rng, stage.pen(rng.uniform(0.045, 0.095)))
        x, y = stage.spot(sprite, (0.04, 0.96), (0.1, stage.horizon - 0.04), spacing=1.2)
        half = sprite.image.height / stage.canvas.side
        stage.canvas.glow(x, y - half / 2, half, half, (230, 235, 255), 0.35)
        stage.canvas.put(sprite, x, y, "star")


def _sun(stage: Stage) -> None:
    rng, dusk = stage.rng, stage.plan.time == "dusk"
    colour = rng.choice([(255, 150, 60), (255, 110, 70), (255, 190, 90)] if dusk else [(255, 222, 90), (255, 236, 130)])
    tall = rng.uniform(0.2, 0.34)
    sprite = aloft.sun(rng, stage.pen(tall), colour)
    lowest = stage.horizon + 0.03 if dusk else stage.horizon - 0.06
    x, y = stage.spot(sprite, (0.12, 0.88), (0.22, max(0.24, lowest)))
    for reach, strength in ((1.7, 0.45), (0.9, 0.6)):
        stage.canvas.glow(x, y - tall / 2, tall * reach, tall * reach, mix(colour, (255, 255, 230), 0.4), strength)
    stage.canvas.put(sprite, x, y, "sun")
    stage.shine = (x, mix(colour, (255, 255, 235), 0.5))


def _moon(stage: Stage) -> None:
    rng = stage.rng
    tall = rng.uniform(0.17, 0.28)
    sprite = aloft.moon(rng, stage.pen(tall))
    x, y = stage.spot(sprite, (0.12, 0.88), (0.24, max(0.26, stage.horizon - 0.08)))
    stage.canvas.glow(x, y - tall / 2, tall * 1.3, tall * 1.3, (214, 222, 250), 0.4)
    stage.canvas.put(sprite, x, y, "moon")
    stage.shine = (x, (236, 236, 220))


def _clouds(stage: Stage) -> None:
    rng = stage.rng
    rainy = stage.has("rain")
    colour = mix(stage.sky.cloud, (70, 78, 100), rng.uniform(0.25, 0.45) if rainy else 0.0)
    for _ in range(rng.randint(2, 4) if rainy else rng.choice([1, 2, 2, 3])):
        # A cloud's colour is that of its sky already: no light is put upon it again.
        pen = Pen(
            rng.uniform(0.14, 0.25) * stage.canvas.side,
            Light((1.0, 1.0, 1.0), stage.sky.low, stage.light.from_left, stage.light.dark),
        )
        sprite = aloft.cloud(rng, pen, colour)
        x, y = stage.spot(sprite, (0.08, 0.92), (0.16, max(0.2, stage.horizon - 0.12)))
        stage.canvas.put(sprite, x, y, "cloud")
