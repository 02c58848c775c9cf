import dataclasses
import pickle
import subprocess
import sys

import pytest
import torch
from jsonargparse import ArgumentParser

from mlic.datamodules.augmentation import Augmentation
from mlic.errors import UsageError
from mlic.images import squash

OFF = Augmentation(flip=False)
EACH = [
    Augmentation(),
    Augmentation(flip=False, crop_scale=0.35),
    Augmentation(flip=False, rand_augment=9),
    Augmentation(flip=False, color_jitter=0.4),
    Augmentation(flip=False, random_crop=20),
    Augmentation(flip=False, random_scale=20),
    Augmentation(flip=False, random_brightness=20),
    Augmentation(flip=False, trivial_augment=True),
    Augmentation(flip=False, erase=0.5),
    Augmentation(True, None, 9, 0.4, 10, 10, 10, False, 0.5),
]


def noise(height=40, width=60):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def coordinates(height, width):
    """The first channel holds each pixel's row, the second its column."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0] = torch.arange(height, dtype=torch.uint8)[:, None]
    image[1] = torch.arange(width, dtype=torch.uint8)
    return image


def windows(augmentation, height=200, width=250, seeds=200):
    """Height and width share of the windows, from the rows and columns that are seen."""
    image = coordinates(height, width)
    for seed in range(seeds):
        # Of the window's size or larger: the extreme rows and columns are seen unmixed.
        changed = augmentation.augment(image, 256, seed).int()
        rows, columns = changed[0], changed[1]
        yield (int(rows.max() - rows.min()) + 1) / height, (int(columns.max() - columns.min()) + 1) / width


def test_off_is_squash():
    assert not OFF.is_random
    assert torch.equal(OFF.augment(noise(), 32, 0), squash(noise(), 32))
    assert torch.equal(OFF.transform(32)(noise()), squash(noise(), 32))


def test_off_draws_no_random_number():
    before = torch.get_rng_state()
    OFF.transform(32)(noise())
    assert torch.equal(torch.get_rng_state(), before)


def test_only_the_flip_is_on_by_default():
    assert Augmentation() == Augmentation(
        flip=True,
        crop_scale=None,
        rand_augment=0,
        color_jitter=0.0,
        random_crop=0,
        random_scale=0,
        random_brightness=0,
        trivial_augment=False,
        erase=0.0,
    )


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
def test_each_option_is_random_and_gives_a_uint8_square(augmentation):
    assert augmentation.is_random
    changed = augmentation.augment(noise(), 33, 0)
    assert changed.shape == (3, 33, 33)
    assert changed.dtype == torch.uint8


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
def test_a_seed_gives_one_image_and_other_seeds_give_others(augmentation):
    images = [augmentation.augment(noise(), 32, seed) for seed in range(12)]
    again = [augmentation.augment(noise(), 32, seed) for seed in range(12)]
    assert all(torch.equal(one, other) for one, other in zip(images, again, strict=True))
    assert any(not torch.equal(images[0], other) for other in images[1:])


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
def test_augment_leaves_the_global_generator_untouched(augmentation):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    augmentation.augment(noise(), 32, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_augment_leaves_the_global_generator_untouched_when_it_fails():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        Augmentation().augment(noise(), 0, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
def test_augment_does_not_depend_on_what_was_drawn_before(augmentation):
    torch.manual_seed(1)
    first = augmentation.augment(noise(), 32, 5)
    torch.rand(100)
    assert torch.equal(augmentation.augment(noise(), 32, 5), first)


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
def test_transform_draws_from_the_global_generator_what_augment_draws_from_the_seed(augmentation):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        changed = augmentation.transform(32)(noise())
    assert torch.equal(changed, augmentation.augment(noise(), 32, 7))


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
def test_the_image_itself_is_not_changed(augmentation):
    image = noise(32, 32)
    for seed in range(6):
        augmentation.augment(image, 32, seed)
    assert torch.equal(image, noise(32, 32))


@pytest.mark.parametrize("augmentation", EACH, ids=repr)
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1)])
def test_images_of_extreme_shape_are_taken(augmentation, shape):
    for seed in range(5):
        assert augmentation.augment(noise(*shape), 16, seed).shape == (3, 16, 16)


def test_torch_ignores_the_high_half_of_a_seed():
    # Why `augment` asks for seeds below 2**32 (torch 2.14.1).
    one = torch.rand(4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(one, torch.rand(4, generator=torch.Generator().manual_seed(5 + 2**32)))


def test_the_flip_mirrors_half_of_the_images():
    image = noise(8, 8)
    flipped = 0
    for seed in range(1000):
        changed = Augmentation().augment(image, 8, seed)
        if torch.equal(changed, image.flip(-1)):
            flipped += 1
        else:
            assert torch.equal(changed, image)
    assert 440 < flipped < 560  # four standard deviations


@pytest.mark.parametrize("smallest", [0.1, 0.35, 0.8])
def test_crop_scale_keeps_at_least_its_share_of_the_area(smallest):
    shares = list(windows(Augmentation(flip=False, crop_scale=smallest)))
    areas = [height * width for height, width in shares]
    shapes = [width / height for height, width in shares]
    assert smallest - 0.02 <= min(areas) < smallest + 0.1
    assert 0.9 < max(areas) <= 1
    assert max(shapes) <= 4 / 3 + 0.05
    assert min(shapes) >= 3 / 4 - 0.05
    assert sum(areas) / len(areas) == pytest.approx((1 + smallest) / 2, abs=0.06)


def test_crop_scale_keeps_its_share_of_a_long_image():
    image = torch.arange(200, dtype=torch.uint8).expand(3, 4, 200)
    for seed in range(50):
        changed = Augmentation(flip=False, crop_scale=0.5).augment(image, 200, seed).int()
        assert changed.max() - changed.min() >= 0.5 * 200 - 2


def test_crop_scale_1_is_the_whole_image():
    assert not Augmentation(flip=False, crop_scale=1.0).is_random
    assert torch.equal(Augmentation(flip=False, crop_scale=1.0).augment(noise(), 32, 0), squash(noise(), 32))
    assert torch.equal(Augmentation(flip=False, crop_scale=1.0).transform(32)(noise()), squash(noise(), 32))


@pytest.mark.parametrize(("percent", "side"), [(10, 1 / 1.1), (50, 1 / 1.5), (100, 0.5)])
def test_random_crop_cuts_off_a_margin_of_fixed_size(percent, side):
    shares = list(windows(Augmentation(flip=False, random_crop=percent), seeds=20))
    assert all(share == pytest.approx((side, side), abs=0.01) for share in shares)


def test_random_crop_reaches_every_border():
    tops = set()
    for seed in range(100):
        changed = Augmentation(flip=False, random_crop=100).augment(coordinates(20, 20), 10, seed)
        tops.add(int(changed[0].min()))
    assert tops == set(range(11))


def test_random_scale_scales_up_by_at_most_its_percentage():
    heights = [height for height, _ in windows(Augmentation(flip=False, random_scale=100))]
    assert min(heights) == pytest.approx(0.5, abs=0.03)
    assert max(heights) == pytest.approx(1.0, abs=0.03)


def test_random_brightness_multiplies_by_at_most_its_percentage():
    image = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    levels = []
    for seed in range(200):
        changed = Augmentation(flip=False, random_brightness=30).augment(image, 4, seed)
        assert len(changed.unique()) == 1
        levels.append(int(changed[0, 0, 0]))
    assert 70 <= min(levels) <= 73
    assert 127 <= max(levels) <= 130


def test_random_brightness_clips_at_white():
    image = torch.full((3, 4, 4), 250, dtype=torch.uint8)
    brightest = max(Augmentation(flip=False, random_brightness=100).augment(image, 4, seed).max() for seed in range(20))
    assert brightest == 255


def test_color_jitter_moves_no_pixel():
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[:, 2:5, 1:4] = 200
    for seed in range(10):
        changed = Augmentation(flip=False, color_jitter=0.5).augment(image, 8, seed)
        assert len(changed[:, 2:5, 1:4].flatten(1).unique(dim=1).T) == 1
        assert changed[0, 3, 2] > changed[0, 0, 0]


def test_color_jitter_multiplies_brightness_by_at_most_its_strength():
    image = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    levels = [int(Augmentation(flip=False, color_jitter=0.3).augment(image, 4, s)[0, 0, 0]) for s in range(100)]
    assert 68 <= min(levels) < 80
    assert 120 < max(levels) <= 132


def test_a_larger_magnitude_of_rand_augment_changes_more():
    image = squash(noise(4, 4), 32)

    def change(magnitude):
        augmentation = Augmentation(flip=False, rand_augment=magnitude)
        return sum((augmentation.augment(image, 32, s).float() - image).abs().mean().item() for s in range(40))

    assert change(1) < change(30)


MEAN_COLOUR = torch.tensor([124, 116, 104], dtype=torch.uint8)


def erased(changed):
    """Where an image that was black is not black any more."""
    return (changed != 0).any(0)


def test_erase_fills_a_rectangle_with_the_mean_colour_and_leaves_the_rest():
    black = torch.zeros(3, 64, 64, dtype=torch.uint8)
    shares = []
    for seed in range(200):
        changed = Augmentation(flip=False, erase=1.0).augment(black, 64, seed)
        window = erased(changed)
        rows, columns = window.any(1).nonzero().flatten(), window.any(0).nonzero().flatten()
        assert window.sum() == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        assert torch.equal(changed[:, window].unique(dim=1).flatten(), MEAN_COLOUR)
        shares.append(window.float().mean().item())
    assert 0.015 < min(shares) < 0.06
    assert 0.28 < max(shares) <= 0.34


def test_erase_is_done_as_often_as_its_probability_says():
    black = torch.zeros(3, 16, 16, dtype=torch.uint8)
    augmentation = Augmentation(flip=False, erase=0.25)
    times = sum(bool(erased(augmentation.augment(black, 16, seed)).any()) for seed in range(1000))
    assert 195 < times < 305  # four standard deviations


def test_what_is_erased_with_is_changed_by_nothing_else():
    changes = {"random_brightness": 90, "color_jitter": 1.0, "crop_scale": 0.5}
    for more in ({"rand_augment": 30}, {"trivial_augment": True}):
        augmentation = Augmentation(flip=True, erase=1.0, **changes, **more)
        for seed in range(10):
            changed = augmentation.augment(noise(), 32, seed)
            assert (changed == MEAN_COLOUR[:, None, None]).all(0).float().mean() > 0.01


def test_erase_draws_last_and_so_changes_nothing_that_is_drawn_before():
    plain, erasing = (
        Augmentation(crop_scale=0.5, rand_augment=9),
        Augmentation(crop_scale=0.5, rand_augment=9, erase=1.0),
    )
    for seed in range(10):
        changed = erasing.augment(noise(), 32, seed)
        same = (changed == plain.augment(noise(), 32, seed)).all(0)
        assert (same | (changed == MEAN_COLOUR[:, None, None]).all(0)).all()


def test_trivial_augment_applies_one_operation_of_a_drawn_magnitude():
    from torchvision.transforms import v2

    image = squash(noise(4, 4), 32)
    for seed in range(20):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            expected = v2.TrivialAugmentWide()(image)
        changed = Augmentation(flip=False, trivial_augment=True).augment(image, 32, seed)
        assert torch.equal(changed, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"erase": 1.5}, "erase is 1.5; expected a probability, 0 to 1, such as 0.25"),
        ({"erase": -0.5}, "erase is -0.5; expected a probability"),
        ({"erase": float("nan")}, "erase is nan; expected a probability"),
        ({"trivial_augment": True, "rand_augment": 9}, "trivial_augment stands beside rand_augment 9; expected one of"),
        ({"crop_scale": 0.0}, "crop_scale is 0.0; expected a share of the image's area above 0 and at most 1"),
        ({"crop_scale": 1.5}, "crop_scale is 1.5; expected a share"),
        ({"crop_scale": float("nan")}, "crop_scale is nan; expected a share"),
        ({"rand_augment": -1}, "rand_augment is -1; expected a magnitude of 1 to 30, such as 9, or 0 for none"),
        ({"rand_augment": 31}, "rand_augment is 31; expected a magnitude"),
        ({"color_jitter": -0.1}, "color_jitter is -0.1; expected a strength above 0 and at most 1, such as 0.4"),
        ({"color_jitter": 1.1}, "color_jitter is 1.1; expected a strength"),
        ({"random_crop": 101}, "random_crop is 101; expected a percentage, 0 to 100"),
        ({"random_scale": -1}, "random_scale is -1; expected a percentage, 0 to 100"),
        ({"random_brightness": 200}, "random_brightness is 200; expected a percentage, 0 to 100"),
        ({"crop_scale": 0.5, "random_crop": 10}, "crop_scale is 0.5 beside random_crop 10 and random_scale 0"),
        ({"crop_scale": 0.5, "random_scale": 10}, "expected one way of cropping"),
    ],
)
def test_a_value_outside_its_range_is_refused(arguments, message):
    with pytest.raises(UsageError, match=r"^augmentation: ") as caught:
        Augmentation(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rand_augment": 30},
        {"rand_augment": 1},
        {"color_jitter": 1.0},
        {"random_crop": 100},
        {"crop_scale": 0.01},
        {"erase": 1.0},
    ],
)
def test_the_ends_of_the_ranges_are_taken(arguments):
    for seed in range(5):
        Augmentation(**arguments).augment(noise(), 16, seed)


def test_augmentation_and_its_transform_reach_a_spawned_worker():
    augmentation = Augmentation(crop_scale=0.5)
    assert pickle.loads(pickle.dumps(augmentation)) == augmentation
    transform = pickle.loads(pickle.dumps(augmentation.transform(16)))
    assert transform(noise()).shape == (3, 16, 16)


@pytest.mark.parametrize(("off", "on"), [("Augmentation(crop_scale=0.5, random_brightness=5)", "color_jitter=0.1")])
def test_torchvision_is_imported_only_when_an_option_needs_it(off, on):
    code = f"""
import sys, torch
from mlic.datamodules.augmentation import Augmentation
image = torch.zeros(3, 8, 8, dtype=torch.uint8)
{off}.augment(image, 4, 0)
assert "torchvision" not in sys.modules
Augmentation({on}).augment(image, 4, 0)
assert "torchvision" in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def configure(augmentation: Augmentation = OFF):
    return augmentation


def instantiate(parser, arguments):
    # instantiate_classes is deprecated since jsonargparse 4.49.
    method = parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes
    return method(parser.parse_args(arguments)).augmentation


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Augmentation()),
        (["--augmentation.flip=false"], Augmentation(flip=False)),
        (
            ["--augmentation.trivial_augment=true", "--augmentation.erase=0.25"],
            Augmentation(trivial_augment=True, erase=0.25),
        ),
        (["--augmentation", '{"crop_scale": 0.35, "rand_augment": 9}'], Augmentation(crop_scale=0.35, rand_augment=9)),
        (
            ["--augmentation", "{crop_scale: 1}", "--augmentation.crop_scale=0.5"],
            Augmentation(crop_scale=0.5),
        ),
        (
            ["--augmentation.crop_scale=0.5", "--augmentation.crop_scale=null", "--augmentation.random_crop=5"],
            Augmentation(random_crop=5),
        ),
    ],
)
def test_jsonargparse_fills_it_from_dicts_and_single_options(arguments, expected):
    of_function = ArgumentParser(exit_on_error=False)
    of_function.add_function_arguments(configure)
    assert instantiate(of_function, arguments) == dataclasses.replace(expected, flip=False)
    option = ArgumentParser(exit_on_error=False)
    option.add_argument("--augmentation", type=Augmentation, default=Augmentation())
    assert instantiate(option, arguments) == expected


def test_jsonargparse_passes_on_what_the_augmentation_refuses():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--augmentation", type=Augmentation, default=Augmentation())
    with pytest.raises(UsageError, match=r"crop_scale is 2\.0; expected"):
        instantiate(parser, ["--augmentation.crop_scale=2"])


def test_jsonargparse_shows_what_each_option_means():
    parser = ArgumentParser()
    parser.add_argument("--augmentation", type=Augmentation)
    shown = " ".join(parser.format_help().split())
    for field in dataclasses.fields(Augmentation):
        assert f"--augmentation.{field.name}" in shown
    assert "the smallest share of the area" in shown


@pytest.mark.parametrize(
    "augmentation",
    [
        OFF,
        Augmentation(),
        Augmentation(crop_scale=0.35),
        Augmentation(crop_scale=0.9),
        Augmentation(crop_scale=1.0),
        Augmentation(random_crop=20, random_scale=30),
    ],
    ids=repr,
)
def test_no_window_is_smaller_than_the_smallest_share(augmentation):
    seen = [min(sides) for sides in windows(augmentation)]
    pixel = 1 / 200
    assert min(seen) >= augmentation.smallest_share - pixel
    assert min(seen) <= augmentation.smallest_share + 0.06  # 200 draws come near it
