"""`Augmentation`: the random changes that training images go through, a function of a seed."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from mlic.errors import UsageError
from mlic.images import squash

__all__ = ["Augmentation"]

_MAX_RAND_AUGMENT = 30
_WIDEST = 4 / 3
_HUE_PER_STRENGTH = 0.1
_ERASED = (124, 116, 104)  # the mean colour of ImageNet


@dataclass(frozen=True)
class Augmentation:
    """Which random changes training images go through, and how strong they are; off, except for the flip.

    The order is: crop and scale, resize to the square, flip, colours, RandAugment or TrivialAugment, erase. Cropping
    comes before resizing so that a small window keeps the detail of the original, and so that all the rest handles few
    pixels. RandAugment and TrivialAugment come after the colours since they may leave black corners, which would
    otherwise count in the contrast of the image. Erasing comes last, so that nothing changes what is erased with.

    Labels must survive what is done to their images: turn `flip` off when a class depends on left and right (an arrow,
    a letter, a side of the body), keep `color_jitter` small when one depends on colour, and the crops large when a
    label may be at the border; do not `erase` when a label may be small.

    Args:
        flip: mirror left and right, one image in two.
        crop_scale: the smallest share of the area that a random window keeps, above 0 and at most 1; 0.35 is a usual
            value. The share is uniform between it and 1, and the window's shape is that of the image times 3/4 to 4/3
            (Szegedy et al. 2014, arXiv:1409.4842, whose windows have the shape of a square instead and may keep far
            less of a long image). None: the whole image. Not with `random_crop` or `random_scale`.
        rand_augment: the magnitude, 1 to 30, of two operations drawn by RandAugment (Cubuk et al. 2019,
            arXiv:1909.13719); 9 is a usual value, 0 is off. They include colour changes, rotations and shifts.
        color_jitter: the strength, above 0 and at most 1, by which brightness, contrast and saturation are multiplied
            (0.4: by 0.6 to 1.4 each); the hue turns by at most a tenth of it. 0 is off.
        random_crop: retrain.py's `--random_crop`: a margin, in percent of the window's side, 0 to 100, that is cut off
            at random sides. 100 keeps a window of half the width and half the height.
        random_scale: retrain.py's `--random_scale`: the image is scaled up by 0 to this many percent, 0 to 100, before
            the window is cut out.
        random_brightness: retrain.py's `--random_brightness`: pixel values are multiplied by 1 plus or minus at most
            this many percent, 0 to 100.
        trivial_augment: one operation drawn by TrivialAugment, of a magnitude that is drawn as well (Müller & Hutter
            2021, arXiv:2103.10158; the wide range of operations: rotations by up to 135 degrees, strong colour
            changes). Not with `rand_augment`.
        erase: the probability, 0 to 1, that a rectangle of 2 to 33 % of the image is erased (random erasing, Zhong et
            al. 2017, arXiv:1708.04896; with a square of fixed size, cutout, DeVries & Taylor 2017, arXiv:1708.04552).
            0.25 and 0.5 are usual values. It is filled with the mean colour of ImageNet: images are normalised later,
            to about 0 there.

    Raises:
        UsageError: if a value is outside its range, `crop_scale` stands beside a classic crop, or `trivial_augment`
            beside `rand_augment`.

    Example:
        >>> image = torch.arange(12, dtype=torch.uint8).reshape(1, 2, 6).expand(3, 2, 6)
        >>> augmentation = Augmentation(crop_scale=0.5)
        >>> augmentation.augment(image, size=4, seed=7).shape
        torch.Size([3, 4, 4])
        >>> Augmentation(flip=False).is_random
        False
    """

    flip: bool = True
    crop_scale: float | None = None
    rand_augment: int = 0
    color_jitter: float = 0.0
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    trivial_augment: bool = False
    erase: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_scale is not None:
            if not 0 < self.crop_scale <= 1:
                expected = "a share of the image's area above 0 and at most 1, such as 0.35, or null for no crop"
                raise UsageError(f"augmentation: crop_scale is {self.crop_scale}; expected {expected}")
            if self.random_crop or self.random_scale:
                raise UsageError(
                    f"augmentation: crop_scale is {self.crop_scale} beside random_crop {self.random_crop} and "
                    f"random_scale {self.random_scale}; expected one way of cropping: set the others to null or 0"
                )
        if not 0 <= self.rand_augment <= _MAX_RAND_AUGMENT:
            expected = f"a magnitude of 1 to {_MAX_RAND_AUGMENT}, such as 9, or 0 for none"
            raise UsageError(f"augmentation: rand_augment is {self.rand_augment}; expected {expected}")
        if self.trivial_augment and self.rand_augment:
            raise UsageError(
                f"augmentation: trivial_augment stands beside rand_augment {self.rand_augment}; expected one of them: "
                "set trivial_augment to false, or rand_augment to 0"
            )
        if not 0 <= self.erase <= 1:
            raise UsageError(f"augmentation: erase is {self.erase}; expected a probability, 0 to 1, such as 0.25")
        if not 0 <= self.color_jitter <= 1:
            expected = "a strength above 0 and at most 1, such as 0.4, or 0 for none"
            raise UsageError(f"augmentation: color_jitter is {self.color_jitter}; expected {expected}")
        for name in ("random_crop", "random_scale", "random_brightness"):
            if not 0 <= getattr(self, name) <= 100:
                raise UsageError(f"augmentation: {name} is {getattr(self, name)}; expected a percentage, 0 to 100")

    @property
    def is_random(self) -> bool:
        """Whether anything random happens; if not, the result is exactly `mlic.images.squash`."""
        crops = self.crop_scale not in (None, 1.0) or self.random_crop > 0 or self.random_scale > 0
        return self.flip or crops or self._changes_colours or self.trivial_augment or self.erase > 0

    @property
    def smallest_share(self) -> float:
        """The smallest share of the image's height, or of its width, that a window may have; 1 without any crop.

        Example:
            >>> Augmentation(random_crop=25).smallest_share, Augmentation(crop_scale=0.12).smallest_share
            (0.8, 0.3)
        """
        if self.crop_scale is not None:
            return math.sqrt(self.crop_scale / min(_WIDEST, 1 / self.crop_scale))
        return 1 / ((1 + self.random_scale / 100) * (1 + self.random_crop / 100))

    def augment(self, image: UInt8[Tensor, "3 height width"], size: int, seed: int) -> UInt8[Tensor, "3 {size} {size}"]:
        """Changes one image as `seed` says, and leaves torch's random numbers as they were.

        Not for several threads at once: for as long as it takes, torch's global generator is the image's.

        Args:
            image: 0..255.
            size: the side of the result, in pixels.
            seed: 0 to 2**32 - 1. Torch's generator on the CPU ignores the bits above (2.14.1).
        """
        if not self.is_random:
            return squash(image, size)
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would set the generators of the GPUs as well.
            torch.default_generator.manual_seed(seed)
            return self._change(image, size)

    def transform(self, size: int) -> Callable[[UInt8[Tensor, "3 height width"]], UInt8[Tensor, "3 size size"]]:
        """Returns the same changes as a function of the image, drawn from torch's global generator.

        Args:
            size: the side of the results, in pixels.
        """
        return functools.partial(self._change, size=size)

    @property
    def _changes_colours(self) -> bool:
        return self.random_brightness > 0 or self.color_jitter > 0 or self.rand_augment > 0

    def _change(self, image: UInt8[Tensor, "3 height width"], size: int) -> UInt8[Tensor, "3 {size} {size}"]:
        changed = squash(_cut(image, *self._window_sides()), size)
        if self.flip and _uniform(0.0, 1.0) < 0.5:
            changed = changed.flip(-1)
        if self.random_brightness:
            share = self.random_brightness / 100
            changed = _multiply(changed, _uniform(1 - share, 1 + share))
        if self.color_jitter:
            changed = _jitter_colours(changed, self.color_jitter)
        if self.rand_augment:
            changed = _rand_augment(changed, self.rand_augment)
        if self.trivial_augment:
            changed = _trivial_augment(changed)
        if self.erase:
            changed = _erase(changed, self.erase)
        return changed

    def _window_sides(self) -> tuple[float, float]:
        """Draws the height and the width of the window, as shares of the image's."""
        if self.crop_scale is not None:
            area = _uniform(self.crop_scale, 1.0)
            # Neither side may be longer than the image's.
            limit = min(math.log(_WIDEST), -math.log(area))
            shape = math.exp(_uniform(-limit, limit))
            return math.sqrt(area / shape), math.sqrt(area * shape)
        scaled_up = 1 + _uniform(0.0, self.random_scale / 100) if self.random_scale else 1.0
        side = 1 / (scaled_up * (1 + self.random_crop / 100))
        return side, side


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()


def _cut(
    image: UInt8[Tensor, "3 height width"], height_share: float, width_share: float
) -> UInt8[Tensor, "3 window_height window_width"]:
    """Cuts out a window of these shares of the sides, at least 1 pixel each, anywhere."""
    if height_share == width_share == 1:
        return image
    height, width = image.shape[1:]
    window_height = max(1, round(height * height_share))
    window_width = max(1, round(width * width_share))
    # As shares, too: an image that was reduced while it was decoded has its window where the whole one has it.
    top = int(_uniform(0.0, 1.0) * (height - window_height + 1))
    left = int(_uniform(0.0, 1.0) * (width - window_width + 1))
    return image[:, top : top + window_height, left : left + window_width]


def _multiply(image: UInt8[Tensor, "3 height width"], factor: float) -> UInt8[Tensor, "3 height width"]:
    return (image * factor).round_().clamp_(0, 255).to(torch.uint8)


# torchvision takes long to import, and only these need it.
def _jitter_colours(image: UInt8[Tensor, "3 height width"], strength: float) -> UInt8[Tensor, "3 height width"]:
    from torchvision.transforms import v2

    hue = strength * _HUE_PER_STRENGTH
    jitter: Callable[[Tensor], Tensor] = v2.ColorJitter(strength, strength, strength, hue)
    return jitter(image)


def _rand_augment(image: UInt8[Tensor, "3 height width"], magnitude: int) -> UInt8[Tensor, "3 height width"]:
    from torchvision.transforms import v2

    operations: Callable[[Tensor], Tensor] = v2.RandAugment(2, magnitude, _MAX_RAND_AUGMENT + 1)
    return operations(image)


def _trivial_augment(image: UInt8[Tensor, "3 height width"]) -> UInt8[Tensor, "3 height width"]:
    from torchvision.transforms import v2

    operation: Callable[[Tensor], Tensor] = v2.TrivialAugmentWide()
    return operation(image)


def _erase(image: UInt8[Tensor, "3 height width"], probability: float) -> UInt8[Tensor, "3 height width"]:
    from torchvision.transforms import v2

    # Not "random": torchvision draws normal numbers, which mean nothing as bytes (0.29.1).
    eraser: Callable[[Tensor], Tensor] = v2.RandomErasing(probability, value=_ERASED)
    return eraser(image)
