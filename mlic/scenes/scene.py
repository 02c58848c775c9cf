"""`draw_scene`: puts what a plan names onto a stage, in perspective, and keeps the picture if all of it can be seen."""

from random import Random

from PIL import Image

from mlic.scenes.aloft import draw_rain
from mlic.scenes.canvas import Canvas
from mlic.scenes.earth import draw_earth
from mlic.scenes.heaven import draw_heaven
from mlic.scenes.plan import Plan, choose_plan
from mlic.scenes.stage import Stage
from mlic.scenes.things import place_things

__all__ = ["compose", "draw_scene", "seen_classes"]

SEEN_SHARE = 0.35
"""A class counts as seen if this share of what was drawn of it is neither covered nor outside the picture ..."""

SEEN_AREA = 0.004
"""... and fills this share of the picture."""


def draw_scene(rng: Random, size: int = 192) -> tuple[Image.Image, frozenset[str]]:
    """Draws one scene.

    What the plan names is drawn, and the scene is composed again until all of it can be seen: no class is hidden
    behind others without being labelled, and none is labelled without being seen.

    Args:
        rng: the source of all chance; equal states give equal pixels with one version of Pillow.
        size: side of the square picture in pixels, at least 64.

    Returns:
        The RGB picture, and the classes that are seen in it: none to six.

    Example:
        >>> image, classes = draw_scene(Random(5), size=64)
        >>> image.size, sorted(classes)
        ((64, 64), ['bird', 'boat'])
    """
    while True:
        plan = choose_plan(rng)
        canvas = compose(rng, plan, size)
        if seen_classes(canvas, plan) == plan.classes:
            return canvas.finish(), plan.classes


def seen_classes(canvas: Canvas, plan: Plan) -> frozenset[str]:
    """Returns the classes of a plan that can be seen on its canvas."""
    seen: set[str] = set()
    for name in plan.classes:
        share, area = canvas.visible(name)
        if share >= SEEN_SHARE and area >= SEEN_AREA:
            seen.add(name)
    return frozenset(seen)


def compose(rng: Random, plan: Plan, size: int) -> Canvas:
    """Draws a plan from the back to the front: sky, ground, what stands on it, rain."""
    stage = Stage(rng, plan, size)
    draw_heaven(stage)
    draw_earth(stage)
    place_things(stage)
    if stage.has("rain"):
        draw_rain(rng, stage.canvas, rng.uniform(-0.45, 0.45))
    return stage.canvas
