"""What nature made on the ground and in the water: mountains, trees, flowers, fish."""

import itertools
import math
from random import Random

from mlic.scenes.canvas import Colour, Pen, Point, Sprite, mix

__all__ = ["fish", "flower", "mountain", "splash", "tree"]

_WHITE: Colour = (250, 250, 248)
_BLACK: Colour = (24, 24, 30)
_LEAVES: tuple[Colour, ...] = ((70, 130, 60), (96, 148, 62), (52, 112, 72), (130, 150, 60))
_AUTUMN: tuple[Colour, ...] = ((214, 120, 40), (190, 70, 44), (224, 170, 52), (240, 170, 190))
_PETALS: tuple[Colour, ...] = (
    (226, 52, 70),
    (250, 200, 50),
    (240, 120, 170),
    (250, 250, 245),
    (150, 90, 200),
    (245, 130, 50),
    (90, 120, 220),
)


def mountain(rng: Random, pen: Pen, *, snowy: bool) -> Sprite:
    """Draws a rugged peak, its sides lit unequally, with or without a white cap."""
    wide = rng.uniform(1.9, 2.6)
    sprite = pen.sprite(wide)
    rock = rng.choice([(112, 116, 140), (128, 112, 104), (96, 112, 128), (120, 104, 132)])
    left = pen.light.from_left
    peaks = [(wide * rng.uniform(0.4, 0.6), 0.0, 1.0)]
    if rng.random() < 0.7:
        peaks.insert(0, (wide * rng.choice([0.22, 0.3, 0.72, 0.78]), rng.uniform(0.22, 0.42), 0.6))
    for x, top, spread in peaks:
        reach = wide * 0.46 * spread
        west = _ridge(rng, (x, top), (max(0.0, x - reach), 1.0))
        east = _ridge(rng, (x, top), (min(wide, x + reach), 1.0))
        spine = _ridge(rng, (x, top), (x + rng.uniform(-0.14, 0.14), 1.0))
        bright, dark = mix(rock, _WHITE, 0.22), mix(rock, (20, 24, 50), 0.38)
        sprite.polygon([*west, *reversed(spine)], bright if left else dark)
        sprite.polygon([*east, *reversed(spine)], dark if left else bright)
        if snowy:
            cap = rng.uniform(0.3, 0.44)
            sprite.polygon(_cap(west, spine, cap, rng), _WHITE if left else (196, 208, 228))
            sprite.polygon(_cap(east, spine, cap, rng), (196, 208, 228) if left else _WHITE)
    return sprite


def _ridge(rng: Random, start: Point, end: Point) -> list[Point]:
    """A jagged line between two points, seven corners long."""
    points = [start]
    for k in range(1, 6):
        share = k / 6
        x = start[0] + (end[0] - start[0]) * (share + rng.uniform(-0.05, 0.05))
        points.append((x, start[1] + (end[1] - start[1]) * share))
    return [*points, end]


def _cap(flank: list[Point], spine: list[Point], share: float, rng: Random) -> list[Point]:
    """The part of a face above `share` of its height, with a zigzag hem."""
    peak = flank[0]
    depth = peak[1] + (1.0 - peak[1]) * share
    outer, inner = _at(flank, depth), _at(spine, depth + 0.04)
    hem = []
    for k in range(1, 6):
        t = k / 6
        drop = (0.09 if k % 2 else -0.07) * rng.uniform(0.6, 1.2)
        hem.append((outer[0] + (inner[0] - outer[0]) * t, outer[1] + (inner[1] - outer[1]) * t + drop))
    upper = [point for point in flank if point[1] < outer[1]]
    back = [point for point in reversed(spine) if point[1] < inner[1]]
    return [*upper, outer, *hem, inner, *back]


def _at(line: list[Point], y: float) -> Point:
    """Where a descending line passes the height `y`."""
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        if y0 <= y <= y1:
            return x0 + (x1 - x0) * (y - y0) / max(1e-6, y1 - y0), y
    return line[-1]


def tree(rng: Random, pen: Pen, kind: str) -> Sprite:
    """Draws a tree; `kind` is leafy, autumn, poplar, pine, snowy or palm."""
    bark = rng.choice([(104, 72, 48), (90, 66, 52), (120, 90, 66)])
    if kind in {"pine", "snowy"}:
        return _pine(rng, pen, bark, snow=kind == "snowy")
    if kind == "palm":
        return _palm(rng, pen, bark)
    leaf = rng.choice(_AUTUMN if kind == "autumn" else _LEAVES)
    poplar = kind == "poplar"
    wide = 0.46 if poplar else rng.uniform(0.78, 0.95)
    sprite = pen.sprite(wide)
    x = wide / 2
    trunk = 0.035 if poplar else 0.05
    sprite.polygon([(x - trunk, 0.5), (x + trunk, 0.5), (x + trunk * 1.5, 1.0), (x - trunk * 1.5, 1.0)], bark)
    if not poplar:
        sprite.line([(x, 0.74), (x - 0.16, 0.56)], 0.035, bark)
        sprite.line([(x, 0.7), (x + 0.15, 0.52)], 0.03, bark)
    for k in range(rng.randint(11, 14)):
        angle = 2.4 * k + rng.uniform(-0.3, 0.3)
        reach = 0.62 * math.sqrt((k + 0.5) / 13)
        cx, cy = x + reach * (wide / 2 - 0.06) * math.cos(angle), 0.36 + reach * 0.42 * math.sin(angle)
        radius = rng.uniform(0.13, 0.18) * (0.62 if poplar else 1.0)
        tone = mix(leaf, (20, 40, 40) if math.sin(angle) > 0 else (240, 230, 140), rng.uniform(0.0, 0.2))
        sprite.ball(min(max(cx, radius), wide - radius), max(cy, radius), radius, radius, tone, depth=0.5)
    return sprite


def _pine(rng: Random, pen: Pen, bark: Colour, *, snow: bool) -> Sprite:
    sprite = pen.sprite(0.62)
    needles = rng.choice([(40, 92, 70), (52, 104, 62), (34, 82, 84)])
    sprite.box(0.275, 0.82, 0.345, 1.0, bark)
    tiers = rng.randint(4, 5)
    for k in reversed(range(tiers)):
        top = 0.7 * k / tiers
        bottom = top + 0.9 / tiers + 0.1
        half = 0.09 + 0.21 * (k + 1) / tiers
        teeth = [(0.31 + half * (1 - 2 * t / 8), bottom - (0.0 if t % 2 else 0.035)) for t in range(9)]
        sprite.polygon([(0.31, top), *teeth], mix(needles, (10, 30, 40), 0.08 * k))
        side = -1 if pen.light.from_left else 1
        sprite.polygon(
            [(0.31, top), (0.31 + side * half, bottom - 0.035), (0.31, bottom - 0.06)],
            mix(needles, (190, 220, 130), 0.2),
        )
        if snow:
            hem = top + 0.52 * (bottom - top)
            sprite.polygon(
                [
                    (0.31, top),
                    (0.31 - half * 0.55, hem + 0.02),
                    (0.27, hem - 0.03),
                    (0.31, hem + 0.05),
                    (0.36, hem - 0.03),
                    (0.31 + half * 0.55, hem + 0.02),
                ],
                (240, 244, 252),
            )
    return sprite


def _palm(rng: Random, pen: Pen, bark: Colour) -> Sprite:
    sprite = pen.sprite(0.95)
    lean = rng.uniform(-0.16, 0.16)
    crown = (0.475 + lean, 0.27)
    spine = [(0.475 + lean * (t / 8) ** 1.7, 1.0 - 0.73 * t / 8) for t in range(9)]
    for k, (start, end) in enumerate(itertools.pairwise(spine)):
        sprite.line([start, end], 0.06 - 0.003 * k, bark if k % 2 else mix(bark, _WHITE, 0.16))
    for k in range(9):
        angle = math.pi * (1.12 + 0.97 * (k - 0.6) / 7.2)
        leaf = mix((58, 130, 66), (150, 180, 70), rng.random() * 0.6)
        reach = rng.uniform(0.34, 0.4)
        tip = (crown[0] + reach * math.cos(angle), crown[1] + 0.16 + 0.3 * math.sin(angle) * reach / 0.3)
        mid = (crown[0] + 0.55 * reach * math.cos(angle), crown[1] + 0.62 * reach * math.sin(angle) - 0.07)
        sprite.polygon([crown, (mid[0], mid[1] - 0.03), tip, (mid[0], mid[1] + 0.06)], leaf)
    for dx in (-0.03, 0.03):
        sprite.ball(crown[0] + dx, crown[1] + 0.05, 0.032, 0.032, (120, 80, 50))
    return sprite


def flower(rng: Random, pen: Pen) -> Sprite:
    """Draws a bunch of tulips, daisies or sunflowers."""
    sprite = pen.sprite(1.05)
    kind = rng.choice(["daisy", "daisy", "tulip", "sunflower"])
    petal = (248, 190, 40) if kind == "sunflower" else rng.choice(_PETALS)
    green = rng.choice([(70, 134, 60), (88, 150, 70), (50, 116, 70)])
    count = rng.randint(3, 5)
    heads: list[Point] = []
    for k in range(count):
        x = 0.2 + 0.65 * (k + 0.5) / count + rng.uniform(-0.03, 0.03)
        y = rng.uniform(0.2, 0.46)
        foot = 0.525 + (x - 0.525) * 0.4
        sprite.line([(x, y), ((x + foot) / 2 + 0.02, (y + 1) / 2), (foot, 1.0)], 0.028, green)
        lean = rng.choice([-1, 1])
        sprite.polygon(
            [(foot, 0.94), (foot + lean * 0.07, 0.74), (foot + lean * 0.2, 0.62), (foot + lean * 0.13, 0.8)],
            mix(green, (220, 240, 120), 0.15),
        )
        heads.append((x, y))
    for x, y in sorted(heads, key=lambda head: head[1]):
        shade = mix(petal, rng.choice([_WHITE, (120, 20, 60)]), rng.uniform(0.0, 0.22))
        if kind == "tulip":
            sprite.ball(x, y, 0.1, 0.135, shade, depth=0.35)
            for dx in (-0.065, 0.0, 0.065):
                sprite.polygon(
                    [(x + dx - 0.045, y - 0.04), (x + dx * 1.4, y - 0.175), (x + dx + 0.045, y - 0.04)],
                    mix(shade, _WHITE, 0.12 if dx else 0.0),
                )
        else:
            _bloom(sprite, x, y, shade, sunflower=kind == "sunflower")
    return sprite


def _bloom(sprite: Sprite, x: float, y: float, petal: Colour, *, sunflower: bool) -> None:
    """A round flower head: a ring of petals around a heart."""
    petals, reach = (13, 0.115) if sunflower else (9, 0.1)
    for k in range(petals):
        angle = 2 * math.pi * k / petals
        tone = mix(petal, (90, 30, 60), 0.16 if k % 2 else 0.0)
        sprite.ellipse(x + reach * math.cos(angle), y + reach * math.sin(angle), 0.054, 0.054, tone)
    sprite.ellipse(x, y, reach * 0.95, reach * 0.95, petal)
    heart = (92, 58, 36) if sunflower else (246, 196, 60)
    sprite.ball(x, y, 0.075 if sunflower else 0.055, 0.075 if sunflower else 0.055, heart)


def fish(rng: Random, pen: Pen) -> Sprite:
    """Draws a leaping fish with fins, scales and an eye; its head is to the right before it is turned."""
    sprite = pen.sprite(1.75)
    skin = rng.choice([(244, 120, 40), (236, 84, 80), (90, 150, 200), (120, 170, 90), (240, 190, 60), (150, 160, 178)])
    fin = mix(skin, (120, 30, 50), 0.35)
    sprite.polygon([(0.46, 0.5), (0.02, 0.1), (0.14, 0.5), (0.02, 0.92)], fin)
    sprite.polygon([(0.62, 0.3), (0.8, 0.0), (1.2, 0.06), (1.26, 0.28)], fin)
    sprite.polygon([(0.84, 0.72), (0.82, 1.0), (1.06, 0.76)], fin)
    sprite.ball(1.02, 0.5, 0.68, 0.32, skin, depth=0.35)
    sprite.ellipse(1.06, 0.66, 0.48, 0.13, mix(skin, _WHITE, 0.55))
    for k in range(4):
        for j in range(2 + k % 2):
            x, y = 0.62 + 0.17 * k, 0.44 + 0.14 * j - 0.07 * (k % 2)
            sprite.ellipse(x, y, 0.055, 0.055, mix(skin, _WHITE, 0.28))
            sprite.ellipse(x - 0.018, y, 0.05, 0.05, mix(skin, fin, 0.18))
    sprite.polygon([(1.12, 0.5), (0.92, 0.42), (0.9, 0.66)], fin)
    sprite.line([(1.3, 0.3), (1.24, 0.5), (1.3, 0.7)], 0.025, mix(skin, _BLACK, 0.35))
    sprite.ellipse(1.48, 0.43, 0.085, 0.085, _WHITE)
    sprite.ellipse(1.5, 0.43, 0.045, 0.045, _BLACK)
    sprite.line([(1.69, 0.55), (1.58, 0.6)], 0.025, mix(skin, _BLACK, 0.5))
    return sprite


def splash(rng: Random, pen: Pen) -> Sprite:
    """Draws the foam and the drops that a leaping fish leaves on the water."""
    sprite = pen.sprite(2.2)
    foam: Colour = (240, 248, 252)
    sprite.ellipse(1.1, 0.84, 0.8, 0.1, mix(foam, (120, 180, 210), 0.45))
    sprite.ellipse(1.1, 0.82, 0.55, 0.06, foam)
    for _ in range(rng.randint(7, 11)):
        angle, reach = rng.uniform(0.12 * math.pi, 0.88 * math.pi), rng.uniform(0.3, 0.78)
        radius = rng.uniform(0.03, 0.07)
        sprite.ellipse(1.1 + reach * math.cos(angle), 0.8 - reach * math.sin(angle), radius, radius * 1.2, foam)
    return sprite
