"""What people made: houses, fences, cars, boats."""

from random import Random

from mlic.scenes.canvas import Colour, Pen, Sprite, mix

__all__ = ["boat", "car", "fence", "house"]

_WHITE: Colour = (250, 250, 248)
_BLACK: Colour = (24, 24, 30)
_PAINTS: tuple[Colour, ...] = (
    (200, 44, 44),
    (38, 96, 170),
    (240, 190, 50),
    (236, 236, 232),
    (52, 130, 96),
    (60, 62, 72),
    (226, 120, 46),
    (120, 190, 210),
)


def house(rng: Random, pen: Pen) -> Sprite:
    """Draws a house: a gabled front, a long side under its roof, a door, lit or dark windows, a chimney."""
    sprite = pen.sprite(1.35)
    wall = rng.choice(
        [
            (244, 230, 204),
            (236, 236, 230),
            (222, 150, 112),
            (168, 196, 210),
            (240, 210, 130),
            (196, 92, 76),
            (206, 180, 200),
        ]
    )
    roof = rng.choice([(168, 62, 48), (120, 66, 56), (84, 88, 102), (146, 84, 50), (64, 92, 96)])
    trim = rng.choice([_WHITE, (92, 62, 46), (60, 92, 84)])
    pane = (255, 214, 110) if pen.light.dark else (150, 190, 214)
    low = rng.uniform(0.44, 0.5)
    sprite.box(0.98, 0.1, 1.08, 0.4, mix(roof, (90, 60, 50), 0.5))
    sprite.box(0.965, 0.08, 1.095, 0.125, mix(roof, _BLACK, 0.4))
    sprite.box(0.55, low, 1.28, 1.0, mix(wall, (60, 60, 90), 0.2))
    sprite.polygon([(0.06, low), (0.33, 0.1), (0.6, low), (0.6, 1.0), (0.06, 1.0)], wall)
    sprite.polygon([(0.33, 0.06), (1.14, 0.06 + 0.04), (1.34, low + 0.04), (0.6, low + 0.04)], roof)
    for k in range(1, 5):
        t = k / 5
        dark = mix(roof, _BLACK, 0.2)
        y0 = 0.06 + (low - 0.02) * t
        sprite.line([(0.33 + 0.27 * t, y0), (1.14 + 0.2 * t, y0 + 0.04 * (1 - t))], 0.01, dark)
    edge = mix(roof, _WHITE, 0.2)
    sprite.polygon(
        [(0.33, 0.04), (0.64, low + 0.05), (0.57, low + 0.05), (0.33, 0.14), (0.09, low + 0.05), (0.02, low + 0.05)],
        edge,
    )
    sprite.box(0.25, 0.66, 0.41, 1.0, trim)
    sprite.box(0.27, 0.685, 0.39, 1.0, rng.choice([(130, 50, 44), (60, 84, 120), (96, 66, 44), (54, 104, 80)]))
    _window(sprite, 0.33, 0.45, 0.06, trim, pane)
    for x in (0.76, 0.99, 1.18):
        _window(sprite, x, 0.72, 0.075, trim, pane)
    sprite.box(0.06, 0.96, 1.28, 1.0, mix(wall, (70, 64, 64), 0.6))
    return sprite


def _window(sprite: Sprite, x: float, y: float, half: float, trim: Colour, pane: Colour) -> None:
    """A cross-barred window; it shines after dark."""
    tall = half * 1.25
    sprite.box(x - half, y - tall, x + half, y + tall, trim)
    sprite.box(x - half * 0.76, y - tall * 0.8, x + half * 0.76, y + tall * 0.8, pane, glow=sprite.light.dark)
    sprite.box(x - half * 0.1, y - tall, x + half * 0.1, y + tall, trim)
    sprite.box(x - half, y - half * 0.1, x + half, y + half * 0.1, trim)


def fence(rng: Random, pen: Pen, wide: float) -> Sprite:
    """Draws a fence `wide` times as long as high: pointed pickets, or rails between posts."""
    sprite = pen.sprite(wide)
    wood = rng.choice([(246, 244, 238), (246, 244, 238), (168, 120, 80), (150, 104, 70), (190, 150, 104)])
    if pen.light.dark:
        wood = mix(wood, _WHITE, 0.4)
    dark = mix(wood, (60, 50, 60), 0.35)
    pickets = rng.random() < 0.7
    for y in (0.34, 0.72) if pickets else (0.22, 0.5, 0.78):
        sprite.box(0.0, y - 0.06, wide, y + 0.06, dark)
        sprite.box(0.0, y - 0.06, wide, y + 0.02, mix(wood, dark, 0.4))
    step = 0.3 if pickets else 1.15
    half = 0.095 if pickets else 0.1
    count = max(2, round(wide / step))
    for k in range(count):
        x = wide * (k + 0.5) / count
        if pickets:
            sprite.polygon([(x - half, 0.17), (x, 0.0), (x + half, 0.17), (x + half, 1.0), (x - half, 1.0)], wood)
        else:
            sprite.box(x - half, 0.06, x + half, 1.0, wood)
            sprite.box(x - half * 1.2, 0.04, x + half * 1.2, 0.12, mix(wood, _WHITE, 0.3))
        sprite.box(x + half * 0.45, 0.18, x + half, 1.0, mix(wood, dark, 0.6))
    return sprite


def car(rng: Random, pen: Pen) -> Sprite:
    """Draws a saloon, a small car or a van from the side."""
    sprite = pen.sprite(rng.choice([2.1, 2.25]))
    wide = sprite.aspect
    paint = rng.choice(_PAINTS)
    glass = (70, 92, 112) if pen.light.dark else (176, 208, 224)
    kind = rng.choice(["saloon", "small", "van"])
    roofs: dict[str, tuple[float, float, float, float]] = {
        "saloon": (0.2, 0.34, 0.62, 0.8),
        "small": (0.08, 0.2, 0.62, 0.82),
        "van": (0.04, 0.08, 0.74, 0.88),
    }
    a, b, c, d = (share * wide for share in roofs[kind])
    top = 0.02 if kind == "van" else 0.1
    sprite.polygon([(a, 0.46), (b, top + 0.03), (b + 0.06, top), (c - 0.05, top), (c, top + 0.03), (d, 0.46)], paint)
    sprite.polygon(
        [(0.04, 0.5), (0.1, 0.44), (d, 0.42), (wide - 0.1, 0.5), (wide - 0.03, 0.58), (wide - 0.02, 0.8), (0.03, 0.82)],
        paint,
    )
    sprite.box(0.03, 0.68, wide - 0.02, 0.82, mix(paint, _BLACK, 0.3))
    sprite.line([(0.08, 0.5), (wide - 0.12, 0.52)], 0.02, mix(paint, _WHITE, 0.45))
    middle = (b + c) / 2
    inner_top = top + 0.07
    sprite.polygon([(a + 0.12, 0.43), (b + 0.07, inner_top), (middle - 0.03, inner_top), (middle - 0.03, 0.43)], glass)
    sprite.polygon([(middle + 0.03, 0.43), (middle + 0.03, inner_top), (c - 0.05, inner_top), (d - 0.14, 0.43)], glass)
    sprite.line([(middle, 0.46), (middle, 0.78)], 0.012, mix(paint, _BLACK, 0.35))
    sprite.box(middle - 0.16, 0.54, middle - 0.06, 0.57, mix(paint, _BLACK, 0.5))
    sprite.ellipse(wide - 0.09, 0.62, 0.06, 0.05, (255, 244, 190), glow=pen.light.dark)
    sprite.box(0.03, 0.56, 0.09, 0.66, (220, 40, 40), glow=pen.light.dark)
    for x in (0.22 * wide, 0.78 * wide):
        sprite.ellipse(x, 0.8, 0.225, 0.225, mix(paint, _BLACK, 0.55))
        sprite.ellipse(x, 0.8, 0.195, 0.195, _BLACK)
        sprite.ellipse(x, 0.8, 0.105, 0.105, (190, 194, 200))
        sprite.ellipse(x, 0.8, 0.04, 0.04, (90, 92, 100))
    if rng.random() < 0.5:
        sprite.mirror()
    return sprite


def boat(rng: Random, pen: Pen) -> Sprite:
    """Draws a sailing boat, or a fishing boat with a cabin."""
    sprite = pen.sprite(1.0)
    hull = rng.choice(_PAINTS)
    wood: Colour = (96, 66, 46)
    if rng.random() < 0.65:
        sail = rng.choice([_WHITE, (250, 236, 206), (214, 70, 56), (240, 160, 60), (120, 170, 210)])
        mast = 0.48
        sprite.line([(mast, 0.02), (mast, 0.84)], 0.022, wood)
        main = [(mast + 0.03, 0.08), (mast + 0.15, 0.3), (mast + 0.28, 0.5), (mast + 0.36, 0.72), (mast + 0.03, 0.74)]
        sprite.polygon(main, sail)
        sprite.polygon(
            [(mast + 0.03, 0.3), (mast + 0.15, 0.3), (mast + 0.24, 0.44), (mast + 0.03, 0.46)], mix(sail, hull, 0.75)
        )
        sprite.polygon(
            [(mast - 0.03, 0.14), (mast - 0.03, 0.74), (mast - 0.34, 0.74), (mast - 0.2, 0.46)],
            mix(sail, (90, 100, 140), 0.2),
        )
        sprite.polygon([(mast, 0.0), (mast - 0.14, 0.04), (mast, 0.08)], (214, 50, 50))
    else:
        sprite.line([(0.36, 0.14), (0.36, 0.8)], 0.025, wood)
        sprite.line([(0.36, 0.18), (0.86, 0.72)], 0.01, (60, 60, 70))
        sprite.line([(0.36, 0.18), (0.06, 0.74)], 0.01, (60, 60, 70))
        sprite.box(0.42, 0.46, 0.74, 0.8, _WHITE)
        sprite.box(0.39, 0.41, 0.77, 0.48, mix(hull, _BLACK, 0.25))
        for x in (0.47, 0.6):
            sprite.box(
                x, 0.53, x + 0.09, 0.64, (255, 214, 110) if pen.light.dark else (90, 130, 160), glow=pen.light.dark
            )
        sprite.polygon([(0.36, 0.12), (0.2, 0.17), (0.36, 0.22)], (240, 190, 50))
    sprite.polygon([(0.02, 0.74), (0.98, 0.72), (0.84, 1.0), (0.16, 1.0)], hull)
    sprite.polygon([(0.02, 0.74), (0.98, 0.72), (0.965, 0.77), (0.045, 0.79)], mix(hull, _WHITE, 0.7))
    sprite.polygon([(0.12, 0.92), (0.88, 0.92), (0.84, 1.0), (0.16, 1.0)], mix(hull, _BLACK, 0.5))
    if rng.random() < 0.5:
        sprite.mirror()
    return sprite
