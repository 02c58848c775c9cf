"""The stage: sky, hills, fields, sand, snow, water and roads, each in several palettes."""

import math
from dataclasses import dataclass
from random import Random

from mlic.scenes.canvas import Canvas, Colour, Light, Point, mix

__all__ = ["Sky", "choose_sky", "draw_ground", "draw_road", "draw_sky", "draw_water", "wave"]


@dataclass(frozen=True)
class Sky:
    """The colours of one sky: its top, middle and lower edge, what the clouds look like, and the light it gives."""

    top: Colour
    middle: Colour
    low: Colour
    cloud: Colour
    tint: tuple[float, float, float]


_SKIES: dict[str, tuple[Sky, ...]] = {
    "day": (
        Sky((58, 132, 210), (136, 192, 236), (224, 240, 248), (252, 252, 252), (1.0, 1.0, 1.0)),
        Sky((30, 104, 186), (96, 168, 222), (198, 228, 240), (250, 250, 248), (1.0, 0.99, 0.96)),
        Sky((64, 160, 196), (150, 212, 222), (240, 244, 222), (255, 252, 240), (1.0, 0.98, 0.92)),
        Sky((122, 170, 220), (176, 206, 236), (250, 232, 222), (255, 248, 244), (0.98, 0.96, 0.98)),
    ),
    "dusk": (
        Sky((52, 48, 104), (204, 98, 116), (255, 194, 124), (250, 176, 160), (0.94, 0.76, 0.74)),
        Sky((92, 74, 144), (240, 146, 118), (255, 218, 150), (255, 206, 176), (0.98, 0.82, 0.74)),
        Sky((108, 140, 196), (236, 184, 190), (255, 230, 196), (255, 216, 214), (0.96, 0.87, 0.88)),
        Sky((34, 60, 100), (120, 120, 150), (250, 168, 110), (206, 150, 156), (0.84, 0.74, 0.76)),
    ),
    "night": (
        Sky((8, 12, 42), (22, 34, 84), (62, 74, 126), (92, 100, 140), (0.46, 0.52, 0.76)),
        Sky((8, 22, 38), (18, 52, 78), (54, 98, 116), (88, 112, 130), (0.44, 0.56, 0.70)),
        Sky((22, 12, 48), (54, 34, 92), (112, 82, 132), (112, 98, 148), (0.52, 0.48, 0.74)),
    ),
    "overcast": (
        Sky((116, 128, 146), (162, 170, 182), (206, 208, 210), (214, 218, 224), (0.84, 0.86, 0.90)),
        Sky((82, 94, 114), (130, 142, 158), (190, 196, 200), (176, 184, 194), (0.76, 0.80, 0.86)),
        Sky((148, 150, 152), (186, 184, 180), (222, 214, 200), (224, 222, 218), (0.88, 0.86, 0.84)),
    ),
}

_GROUNDS: dict[str, tuple[tuple[Colour, Colour], ...]] = {
    "meadow": (((120, 172, 84), (76, 138, 62)), ((150, 186, 92), (98, 152, 70)), ((102, 158, 96), (58, 118, 72))),
    "field": (((226, 196, 104), (196, 156, 72)), ((190, 178, 96), (150, 134, 70)), ((170, 128, 92), (128, 92, 66))),
    "snow": (((240, 244, 250), (208, 220, 238)), ((246, 244, 246), (220, 220, 234))),
    "desert": (((238, 204, 146), (214, 166, 106)), ((232, 180, 132), (200, 134, 96))),
    "sea": (((240, 222, 176), (222, 194, 140)), ((232, 208, 168), (206, 172, 128))),
    "lake": (((116, 166, 84), (72, 128, 62)), ((150, 176, 90), (100, 140, 70))),
}

_WATERS: tuple[tuple[Colour, Colour], ...] = (
    ((128, 192, 214), (30, 104, 150)),
    ((126, 206, 200), (26, 128, 140)),
    ((120, 160, 196), (40, 76, 122)),
)


def choose_sky(rng: Random, time: str) -> Sky:
    """Returns one of the skies of day, dusk, night or overcast."""
    return rng.choice(_SKIES[time])


def draw_sky(canvas: Canvas, sky: Sky, horizon: float) -> None:
    """Fills the canvas with the sky; its lower edge is at the `horizon`."""
    middle = horizon * 0.6
    canvas.region([(0.0, 0.0), (1.0, 0.0), (1.0, middle), (0.0, middle)], sky.top, sky.middle)
    canvas.region([(0.0, middle), (1.0, middle), (1.0, 1.0), (0.0, 1.0)], sky.low, sky.low)
    canvas.region([(0.0, middle), (1.0, middle), (1.0, horizon + 0.08), (0.0, horizon + 0.08)], sky.middle, sky.low)


def wave(rng: Random, y: float, height: float) -> list[Point]:
    """Returns a gently rolling line from the left to the right border around `y`."""
    first, second = rng.uniform(0, 2 * math.pi), rng.uniform(0, 2 * math.pi)
    slow, fast = rng.uniform(2.5, 5.0), rng.uniform(6.0, 10.0)
    steps = [k / 40 for k in range(41)]
    return [(x, y + height * (0.7 * math.sin(slow * x + first) + 0.3 * math.sin(fast * x + second))) for x in steps]


def _to_bottom(line: list[Point]) -> list[Point]:
    return [*line, (1.0, 1.02), (0.0, 1.02)]


def draw_ground(rng: Random, canvas: Canvas, light: Light, kind: str, horizon: float) -> None:
    """Draws rolling ground of a kind (meadow, field, snow, desert, sea, lake) from the horizon to the lower border."""
    far, near = rng.choice(_GROUNDS[kind])
    bands = 4 if horizon < 0.75 else 2
    for k in range(bands):
        share = k / bands
        y = horizon + (1.0 - horizon) * 0.85 * share**1.3
        height = (0.035 if kind in {"meadow", "desert", "snow"} else 0.016) * (1.0 - 0.4 * share)
        if k == 0:
            height *= rng.choice([0.4, 1.0, 1.5])
        haze = 0.42 * (1.0 - share) ** 2 if bands > 2 else 0.0
        colour = light.on(mix(far, near, share), haze)
        lower = light.on(mix(mix(far, near, share + 0.3), (20, 40, 50), 0.12), haze * 0.4)
        canvas.region(_to_bottom(wave(rng, y, height)), colour, lower)
    _texture(rng, canvas, light, kind, horizon, near)


def _texture(rng: Random, canvas: Canvas, light: Light, kind: str, horizon: float, near: Colour) -> None:
    """Blades of grass, ears, glitter or grains, denser and larger towards the viewer."""
    tall = {"field": 0.035, "meadow": 0.022, "lake": 0.022}.get(kind, 0.0)
    for tone in (mix(near, (250, 250, 190), 0.3), mix(near, (20, 40, 40), 0.3), mix(near, (250, 250, 190), 0.15)):
        lines: list[tuple[Point, Point]] = []
        for _ in range(70):
            depth = rng.random() ** 0.7
            x, y = rng.random(), horizon + 0.03 + (0.97 - horizon) * depth
            if tall:
                lines.append(((x, y), (x + rng.uniform(-0.008, 0.008), y - tall * (0.25 + depth))))
            else:
                lines.append(((x, y), (x + 0.02 * (0.4 + depth), y + rng.uniform(-0.003, 0.003))))
        strength = 0.0 if tall else 0.45
        canvas.strokes(lines, 0.0034, light.on(mix(tone, near, strength)))


def draw_water(
    rng: Random, canvas: Canvas, light: Light, sky: Sky, top: float, shine: tuple[float, Colour] | None
) -> None:
    """Draws water from `top` to the lower border, with ripples and the reflection of a sun or moon (x, colour)."""
    far, near = rng.choice(_WATERS)
    far, near = light.on(far, 0.35), light.on(near, 0.05)
    canvas.region([(0.0, top), (1.0, top), (1.0, 1.0), (0.0, 1.0)], mix(far, sky.low, 0.35), near)
    for tone, share in ((mix(far, (255, 255, 255), 0.4), 0.5), (mix(near, (10, 20, 50), 0.25), 0.5)):
        lines: list[tuple[Point, Point]] = []
        for _ in range(round(120 * share)):
            depth = rng.random() ** 1.2
            x, y = rng.random(), top + 0.008 + (1.0 - top) * depth
            length = 0.02 + 0.07 * depth
            lines.append(((x, y), (x + length, y)))
        canvas.strokes(lines, 0.003, tone)
    if shine:
        x, colour = shine
        canvas.glow(x, top + 0.12, 0.12, 0.26, mix(colour, far, 0.3), 0.5)
        glitter: list[tuple[Point, Point]] = []
        for _ in range(34):
            depth = rng.random()
            half = (0.012 + 0.05 * depth) * rng.random()
            middle, y = x + rng.uniform(-0.03, 0.03) * (1 + depth), top + 0.01 + 0.36 * depth
            glitter.append(((middle - half, y), (middle + half, y)))
        canvas.strokes([line for line in glitter if line[0][1] < 1], 0.005, colour)


def draw_road(rng: Random, canvas: Canvas, light: Light, y: float, width: float) -> None:
    """Draws a road from border to border around `y`, with a broken middle line."""
    tar = rng.choice([(92, 92, 100), (110, 104, 100), (128, 112, 94)])
    edge = mix(tar, (230, 220, 200), 0.5)
    upper, lower = y - width / 2, y + width / 2
    tilt = rng.uniform(-0.01, 0.01)
    for grow, colour in ((0.012, edge), (0.0, tar)):
        corners = [(0.0, upper - grow), (1.0, upper - grow + tilt), (1.0, lower + grow + tilt), (0.0, lower + grow)]
        canvas.region(corners, light.on(mix(colour, (255, 255, 255), 0.08)), light.on(mix(colour, (0, 0, 0), 0.1)))
    dashes: list[tuple[Point, Point]] = []
    start = rng.uniform(-0.1, 0.0)
    for k in range(8):
        x = start + 0.15 * k
        dashes.append(((x, y + tilt * x), (x + 0.075, y + tilt * (x + 0.075))))
    canvas.strokes(dashes, 0.008, light.on((240, 236, 220)))
