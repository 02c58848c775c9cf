"""What is seen in the sky: sun, moon, stars, clouds, rain, a rainbow, birds, balloons."""

import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from mlic.scenes.canvas import Canvas, Colour, Pen, Point, Sprite, mix

__all__ = ["balloon", "bird", "cloud", "draw_rain", "draw_rainbow", "moon", "star", "sun"]

_BALLOONS: tuple[tuple[Colour, ...], ...] = (
    ((214, 48, 49), (250, 240, 220)),
    ((230, 126, 34), (241, 196, 15), (192, 57, 43)),
    ((41, 98, 180), (245, 245, 240)),
    ((142, 68, 173), (236, 112, 160)),
    ((22, 140, 120), (244, 208, 63)),
    ((231, 76, 60), (241, 196, 15), (46, 160, 90), (52, 120, 200)),
)

_BIRDS: tuple[tuple[Colour, Colour], ...] = (
    ((240, 240, 242), (120, 128, 140)),
    ((50, 52, 60), (34, 35, 44)),
    ((196, 52, 44), (120, 30, 36)),
    ((52, 110, 190), (28, 66, 130)),
    ((240, 180, 40), (170, 110, 30)),
    ((120, 84, 60), (80, 54, 40)),
)


def sun(rng: Random, pen: Pen, colour: Colour) -> Sprite:
    """Draws a bright disc, often with rays, that shines by itself."""
    sprite = pen.sprite(1.0)
    rays = rng.choice([0, 12, 14, 16, 20])
    radius = 0.31 if rays else 0.44
    turn = rng.random()
    for k in range(rays):
        angle = 2 * math.pi * (k + turn) / rays
        reach = 0.5 if k % 2 else 0.44
        sides = [(angle - 0.12, 0.36), (angle, reach), (angle + 0.12, 0.36)]
        points = [(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for a, r in sides]
        sprite.polygon(points, mix(colour, (255, 190, 60), 0.3), glow=True)
    for step in range(6):
        part = radius * (1.0 - 0.13 * step)
        sprite.ellipse(0.5, 0.5, part, part, mix(colour, (255, 252, 225), 0.18 * step), glow=True)
    return sprite


def moon(rng: Random, pen: Pen) -> Sprite:
    """Draws a full, gibbous or crescent moon with craters."""
    sprite = pen.sprite(1.0)
    colour = rng.choice([(248, 244, 222), (240, 240, 236), (252, 234, 190)])
    grey = mix(colour, (120, 120, 135), 0.32)
    sprite.ellipse(0.5, 0.5, 0.47, 0.47, mix(colour, grey, 0.25), glow=True)
    sprite.ellipse(0.48, 0.48, 0.44, 0.44, colour, glow=True)
    for _ in range(rng.randint(6, 9)):
        angle, reach, radius = rng.uniform(0, 2 * math.pi), rng.uniform(0.05, 0.34), rng.uniform(0.03, 0.09)
        x, y = 0.5 + reach * math.cos(angle), 0.5 + reach * math.sin(angle)
        sprite.ellipse(x, y, radius, radius, grey, glow=True)
        sprite.ellipse(x + 0.012, y + 0.012, radius * 0.8, radius * 0.8, mix(grey, colour, 0.45), glow=True)
    phase = rng.choice([0.0, 0.0, 0.34, 0.42, 0.72])
    if phase:
        bite = Image.new("L", sprite.image.size, 255)
        side = sprite.height
        x = side * (0.5 + phase * rng.choice([-1, 1]))
        ImageDraw.Draw(bite).ellipse([x - 0.47 * side, 0, x + 0.47 * side, 0.94 * side], fill=0)
        sprite.image.putalpha(Image.composite(sprite.image.getchannel("A"), Image.new("L", bite.size), bite))
        sprite.turn(rng.uniform(-40, 40))
    return sprite


def star(rng: Random, pen: Pen) -> Sprite:
    """Draws one twinkling star with four or five points."""
    sprite = pen.sprite(1.0)
    colour = rng.choice([(255, 250, 225), (255, 236, 170), (225, 235, 255)])
    tips, waist = rng.choice([(4, 0.14), (5, 0.21), (5, 0.21)])
    turn = -math.pi / 2
    points: list[Point] = []
    for k in range(2 * tips):
        radius, angle = (waist if k % 2 else 0.5), turn + math.pi * k / tips
        points.append((0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)))
    sprite.polygon(points, colour, glow=True)
    return sprite


def cloud(rng: Random, pen: Pen, colour: Colour) -> Sprite:
    """Draws a heap of soft balls with a flat base."""
    sprite = pen.sprite(rng.uniform(1.8, 2.6))
    wide = sprite.aspect
    lumps = rng.randint(4, 6)
    balls: list[tuple[float, float, float]] = []
    for k in range(lumps):
        place = (k + 0.5) / lumps
        rise = math.sin(math.pi * place)
        radius = 0.2 + 0.2 * rise * rng.uniform(0.8, 1.15)
        balls.append((radius + place * (wide - 2 * radius), 0.82 - radius * rng.uniform(0.9, 1.2), radius))
    middle = wide * rng.uniform(0.4, 0.6)
    balls.insert(0, (middle, 0.42, 0.38))
    shadow = mix(colour, (96, 106, 140), 0.2)
    for x, y, radius in balls:
        sprite.ball(x, y, radius, radius, shadow, depth=0.16)
    for x, y, radius in balls:
        sprite.ball(x, y - 0.1 * radius, radius * 0.84, radius * 0.8, colour, depth=0.1)
    sprite.ball(wide / 2, 0.8, wide * 0.42, 0.13, mix(shadow, colour, 0.3), depth=0.12)
    sprite.soften(0.025, colour)
    sprite.fade(rng.uniform(0.86, 1.0))
    return sprite


def draw_rain(rng: Random, canvas: Canvas, slant: float) -> None:
    """Draws slanting streaks over the whole picture."""
    layer = Image.new("RGBA", (canvas.side, canvas.side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    unit = canvas.side
    for _ in range(rng.randint(110, 190)):
        near = rng.random()
        length = (0.045 + 0.06 * near) * unit
        x, y = rng.uniform(-0.1, 1.1) * unit, rng.uniform(-0.05, 1.0) * unit
        colour = (205, 222, 245, round(96 + 100 * near))
        width = max(1, round((0.004 + 0.005 * near) * unit))
        draw.line([x, y, x + slant * length, y + length], fill=colour, width=width)
    canvas.overlay(layer, "rain")


def draw_rainbow(rng: Random, canvas: Canvas, horizon: float) -> None:
    """Draws a see-through arc of seven colours that stands on the horizon."""
    side = 200
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    outer, width = rng.uniform(0.36, 0.58), rng.uniform(0.085, 0.13)
    centre = (rng.uniform(0.25, 0.75), horizon + rng.uniform(0.0, 0.08))
    reach = np.hypot(x - centre[0], y - centre[1])
    place = np.clip((outer - reach) / width, 0.0, 1.0)
    spectrum = np.array(
        [(235, 60, 60), (245, 140, 50), (250, 220, 70), (90, 200, 100), (70, 150, 235), (90, 90, 210), (150, 80, 190)]
    )
    stops = np.linspace(0.05, 0.95, len(spectrum))
    colours = np.stack([np.interp(place, stops, spectrum[:, channel]) for channel in range(3)], axis=-1)
    soft = np.clip(np.minimum(place, 1.0 - place) / 0.12, 0.0, 1.0)
    alpha = soft * rng.uniform(0.62, 0.85) * np.clip((horizon + 0.05 - y) / 0.2, 0.25, 1.0)
    layer = np.concatenate([colours, 255 * alpha[..., None]], axis=-1)
    canvas.overlay(Image.fromarray(layer.astype(np.uint8)), "rainbow")


def balloon(rng: Random, pen: Pen) -> Sprite:
    """Draws a hot-air balloon with coloured gores and a basket."""
    sprite = pen.sprite(0.74)
    colours = rng.choice(_BALLOONS)
    middle, radius = 0.37, 0.36
    gores = rng.choice([5, 7, 9])
    for k in range(gores):
        # Gores seen from the side: each is narrower than the one it lies on.
        outer = radius * math.cos(math.pi * k / (2 * gores))
        colour = colours[k % len(colours)]
        sprite.ellipse(middle, 0.37, outer, 0.365, colour)
        neck = 0.1 * outer / radius
        sprite.polygon(
            [(middle - outer * 0.93, 0.5), (middle + outer * 0.93, 0.5), (middle + neck, 0.8), (middle - neck, 0.8)],
            colour,
        )
    sprite.round_off(0.5)
    rope: Colour = (70, 55, 45)
    sprite.line([(middle - 0.09, 0.79), (middle - 0.065, 0.9)], 0.008, rope)
    sprite.line([(middle + 0.09, 0.79), (middle + 0.065, 0.9)], 0.008, rope)
    sprite.box(middle - 0.075, 0.885, middle + 0.075, 0.995, (140, 92, 50))
    sprite.box(middle - 0.085, 0.88, middle + 0.085, 0.905, (92, 58, 34))
    return sprite


def bird(rng: Random, pen: Pen, kind: int) -> Sprite:
    """Draws a bird in flight with raised, level or lowered wings; `kind` (any whole number) chooses its colours."""
    sprite = pen.sprite(1.25)
    body, wing = _BIRDS[kind % len(_BIRDS)]
    lift = rng.choice([-0.5, -0.42, -0.3, 0.3])
    far = mix(wing, (255, 255, 255), 0.15)
    sprite.polygon([(0.72, 0.55), (0.44, 0.53), (0.62, 0.55 + lift * 0.86), (0.70, 0.55 + lift * 0.95)], far)
    sprite.polygon([(0.42, 0.53), (0.04, 0.47), (0.0, 0.56), (0.06, 0.66), (0.42, 0.62)], wing)
    sprite.ellipse(0.6, 0.57, 0.32, 0.125, body)
    sprite.ellipse(0.58, 0.62, 0.24, 0.07, mix(body, (255, 255, 255), 0.35))
    sprite.ellipse(0.92, 0.5, 0.115, 0.105, body)
    sprite.polygon([(1.01, 0.46), (1.2, 0.52), (1.01, 0.56)], (244, 160, 40))
    sprite.ellipse(0.95, 0.475, 0.026, 0.026, (250, 250, 250))
    sprite.ellipse(0.955, 0.478, 0.016, 0.016, (15, 15, 20))
    tip = 0.56 + lift
    near = [(0.74, 0.56), (0.46, 0.56), (0.2, 0.56 + lift * 0.6), (0.1, tip), (0.34, 0.56 + lift * 0.92)]
    sprite.polygon(near, wing)
    for k in range(3):
        start = (0.48 + 0.07 * k, 0.56 + lift * 0.12)
        sprite.line([start, (0.2 + 0.08 * k, 0.56 + lift * 0.72)], 0.014, mix(wing, (0, 0, 0), 0.25))
    return sprite
