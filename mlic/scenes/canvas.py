"""`Canvas`, `Sprite` and `Light`: shapes with soft shading, drawn large and reduced, and who covers whom."""

import functools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

__all__ = ["Canvas", "Colour", "Light", "Pen", "Point", "Sprite", "mix"]

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

Point = tuple[float, float]

SUPERSAMPLE = 3
"""Everything is drawn this many times larger than the picture; the reduction smooths the edges."""

_SOLID = [255 * (alpha >= 90) for alpha in range(256)]
"""Which alphas (0 to 255) of a sprite count as covering what is behind it."""


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Returns the colour that lies `share` (0 to 1) of the way from `first` to `second`.

    Example:
        >>> mix((0, 100, 200), (100, 100, 100), 0.5)
        (50, 100, 150)
    """
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


@dataclass(frozen=True)
class Light:
    """How a scene is lit.

    Attributes:
        tint: what each channel is multiplied with, about 0.4 (night) to 1 (noon).
        haze: the colour that far things fade to, that of the sky over the horizon.
        from_left: whether the light comes from the left.
        dark: whether lamps are on.
    """

    tint: tuple[float, float, float]
    haze: Colour
    from_left: bool
    dark: bool

    def on(self, colour: Colour, distance: float = 0.0) -> Colour:
        """Returns how `colour` looks in this light at a `distance` from 0 (near) to 1 (lost in haze).

        Example:
            >>> Light((0.5, 0.5, 0.5), (0, 0, 100), True, True).on((200, 100, 0))
            (100, 50, 0)
        """
        red, green, blue = (min(255, round(c * t)) for c, t in zip(colour, self.tint, strict=True))
        return mix((red, green, blue), self.haze, distance)


class Sprite:
    """One object on a transparent ground.

    The unit of length is the sprite's height: y runs from 0 (top) to 1, x from 0 (left) to `aspect`. Colours are given
    as at noon; the light is applied to them, except where a shape glows by itself.

    Args:
        height: in supersampled pixels, at least 2 are used.
        aspect: width over height.
        light: the light of the scene.
        distance: 0 (near) to 1 (lost in haze).
    """

    def __init__(self, height: float, aspect: float, light: Light, distance: float = 0.0) -> None:
        self.height = max(2.0, height)
        self.aspect = aspect
        self.light = light
        self.distance = distance
        size = (max(2, round(self.height * aspect)), max(2, round(self.height)))
        self.image = Image.new("RGBA", size, (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)

    def lit(self, colour: Colour) -> Colour:
        """Returns `colour` as it looks on this sprite."""
        return self.light.on(colour, self.distance)

    def polygon(self, points: Sequence[Point], colour: Colour, *, glow: bool = False) -> None:
        """Fills a polygon."""
        self._draw.polygon(self._pixels(points), fill=colour if glow else self.lit(colour))

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, glow: bool = False) -> None:
        """Fills an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, glow=glow)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, *, glow: bool = False) -> None:
        """Fills an ellipse around (x, y)."""
        corners = self._pixels([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse(corners, fill=colour if glow else self.lit(colour))

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draws a line of a `width` in units of the sprite's height, with round joints."""
        pixels = max(1, round(width * self.height))
        self._draw.line(self._pixels(points), fill=self.lit(colour), width=pixels, joint="curve")

    def ball(self, x: float, y: float, rx: float, ry: float, colour: Colour, *, depth: float = 0.45) -> None:
        """Fills an ellipse that looks round: lit from one side, `depth` (0 to 1) darker on the other."""
        left, top = round((x - rx) * self.height), round((y - ry) * self.height)
        size = (max(1, round(2 * rx * self.height)), max(1, round(2 * ry * self.height)))
        bright = self.lit(mix(colour, (255, 255, 255), 0.16))
        dark = self.lit(mix(colour, (20, 25, 60), depth))
        self.image.paste((*dark, 255), (left, top), _disc().resize(size, Image.Resampling.BILINEAR))
        shine = _sphere(self.light.from_left).resize(size, Image.Resampling.BILINEAR)
        self.image.paste((*bright, 255), (left, top), shine)

    def round_off(self, depth: float = 0.5) -> None:
        """Shades the whole sprite as if it were a ball, its dark side `depth` (0 to 1) darker."""
        alpha = self.image.getchannel("A")
        ramp = _sphere(self.light.from_left).point([round(255 * (1.0 - depth) + v * depth) for v in range(256)])
        ramp = ramp.resize(self.image.size, Image.Resampling.BILINEAR).convert("RGB")
        shaded = ImageChops.multiply(self.image.convert("RGB"), ramp)
        shaded.putalpha(alpha)
        self._replace(shaded)

    def soften(self, radius: float, rim: Colour) -> None:
        """Blurs the sprite, its outline included; the radius is in units of its height.

        The outline fades into the colour `rim`: left alone it would fade into black, the colour of nothing.
        """
        filled = Image.new("RGBA", self.image.size, (*self.lit(rim), 255))
        filled.alpha_composite(self.image)
        blur = ImageFilter.GaussianBlur(radius * self.height)
        soft = filled.convert("RGB").filter(blur)
        soft.putalpha(self.image.getchannel("A").filter(blur))
        self._replace(soft)

    def fade(self, opacity: float) -> None:
        """Makes the sprite see-through: 1 leaves it as it is, 0 hides it."""
        self.image.putalpha(self.image.getchannel("A").point([round(value * opacity) for value in range(256)]))

    def turn(self, degrees: float) -> None:
        """Rotates the sprite against the clock; it grows to hold its corners."""
        self._replace(self.image.rotate(degrees, Image.Resampling.BILINEAR, expand=True))

    def mirror(self) -> None:
        """Swaps left and right."""
        self._replace(ImageOps.mirror(self.image))

    def _replace(self, image: Image.Image) -> None:
        self.image = image
        self._draw = ImageDraw.Draw(image)

    def _pixels(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.height, y * self.height) for x, y in points]


@dataclass(frozen=True)
class Pen:
    """What an object is drawn with: how tall it is (supersampled pixels), in which light and how far away."""

    height: float
    light: Light
    distance: float = 0.0

    def sprite(self, aspect: float) -> Sprite:
        """Returns an empty sprite of this height."""
        return Sprite(self.height, aspect, self.light, self.distance)


class Canvas:
    """A square picture in the making. Positions and lengths are shares of its side; (0, 0) is the upper left corner.

    Beside the colours it keeps who is in front at every pixel, so that it can say how much of a class is seen.

    Args:
        size: the side of the finished picture in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.side = size * SUPERSAMPLE
        self.image = Image.new("RGB", (self.side, self.side))
        self._front = Image.new("L", (self.side, self.side))
        self._ids: dict[str, int] = {}
        self._drawn: Counter[str] = Counter()

    def put(self, sprite: Sprite, x: float, y: float, label: str | None = None) -> None:
        """Puts a sprite, its foot (bottom centre) at (x, y), in front of all that is there."""
        width, height = sprite.image.size
        corner = (round(x * self.side - width / 2), round(y * self.side - height))
        self.image.paste(sprite.image, corner, sprite.image)
        self._cover(sprite.image.getchannel("A"), corner, label)

    def overlay(self, layer: Image.Image, label: str | None = None) -> None:
        """Puts an RGBA picture of any size, stretched over the whole canvas."""
        layer = layer.resize((self.side, self.side), Image.Resampling.BILINEAR)
        self.image.paste(layer, (0, 0), layer)
        self._cover(layer.getchannel("A"), (0, 0), label)

    def region(self, points: Sequence[Point], top: Colour, bottom: Colour) -> None:
        """Fills a polygon with a vertical gradient; it hides what is behind it."""
        pixels = [(x * self.side, y * self.side) for x, y in points]
        first = max(0, math.floor(min(y for _, y in pixels)))
        last = min(self.side, math.ceil(max(y for _, y in pixels)) + 1)
        if last <= first:
            return
        mask = Image.new("L", (self.side, last - first))
        ImageDraw.Draw(mask).polygon([(x, y - first) for x, y in pixels], fill=255)
        share = np.linspace(0.0, 1.0, last - first)[:, None, None]
        rows = np.array(top) * (1.0 - share) + np.array(bottom) * share
        column = Image.fromarray(rows.round().astype(np.uint8))
        self.image.paste(column.resize(mask.size, Image.Resampling.NEAREST), (0, first), mask)
        self._front.paste(0, (0, first), mask)

    def strokes(self, lines: Sequence[tuple[Point, Point]], width: float, colour: Colour) -> None:
        """Draws thin lines that hide nothing: blades of grass, furrows, ripples."""
        draw = ImageDraw.Draw(self.image)
        pixels = max(1, round(width * self.side))
        for (x0, y0), (x1, y1) in lines:
            draw.line([x0 * self.side, y0 * self.side, x1 * self.side, y1 * self.side], fill=colour, width=pixels)

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float) -> None:
        """Blends a soft elliptic spot into the picture: light, or a shadow when the colour is dark."""
        size = (max(1, round(2 * rx * self.side)), max(1, round(2 * ry * self.side)))
        mask = _spot().point([round(value * strength) for value in range(256)]).resize(size, Image.Resampling.BILINEAR)
        self.image.paste(colour, (round((x - rx) * self.side), round((y - ry) * self.side)), mask)

    def visible(self, label: str) -> tuple[float, float]:
        """Returns how much of a class is seen: as a share of what was drawn of it, and of the picture."""
        drawn = self._drawn[label]
        if not drawn:
            return 0.0, 0.0
        seen = self._front.histogram()[self._ids[label]]
        return seen / drawn, seen / self.side**2

    def finish(self) -> Image.Image:
        """Returns the picture at its size."""
        return self.image.resize((self.size, self.size), Image.Resampling.LANCZOS)

    def _cover(self, alpha: Image.Image, corner: tuple[int, int], label: str | None) -> None:
        solid = alpha.point(_SOLID)
        identity = 0 if label is None else self._ids.setdefault(label, len(self._ids) + 1)
        self._front.paste(identity, corner, solid)
        if label is not None:
            self._drawn[label] += solid.histogram()[255]


@functools.cache
def _sphere(from_left: bool) -> Image.Image:
    """A ball under a lamp up on one side: 0 dark (and outside of it), 255 bright."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    towards = -x if from_left else x
    depth = np.sqrt(np.clip(1.0 - x**2 - y**2, 0.0, 1.0))
    bright = np.clip(0.42 + 0.38 * towards - 0.42 * y + 0.25 * depth, 0.0, 1.0) * (x**2 + y**2 <= 1.0)
    return Image.fromarray((255 * bright).astype(np.uint8))


@functools.cache
def _disc() -> Image.Image:
    """A white disc that fills its square."""
    disc = Image.new("L", (256, 256))
    ImageDraw.Draw(disc).ellipse((0, 0, 255, 255), fill=255)
    return disc


@functools.cache
def _spot() -> Image.Image:
    """White in the middle, falling softly to black at the border of its square."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    fall = np.clip(1.0 - np.sqrt(x**2 + y**2), 0.0, 1.0) ** 1.6
    return Image.fromarray((255 * fall).astype(np.uint8))
