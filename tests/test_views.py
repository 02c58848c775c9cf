import pytest
import torch

from mlic.errors import UsageError
from mlic.views import check_tta, scaled_sides, views


def images(side=64):
    return torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_no_augmentation_is_the_images_themselves():
    (view,) = views(images(), "none")
    assert torch.equal(view, images())


def test_flip_adds_the_mirror_images():
    first, second = views(images(), "flip")
    assert torch.equal(first, images())
    assert torch.equal(second, images().flip(-1))


def test_ten_crop_keeps_size_and_type_and_sees_each_corner():
    marked = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    marked[..., :4, :4] = 255  # the upper left corner alone
    found = list(views(marked, "ten_crop"))
    assert all(view.shape == marked.shape and view.dtype == torch.uint8 for view in found)
    # One of the five crops has that corner, and so has its mirror image.
    assert sum(bool(view.max() > 0) for view in found) == 2


def test_ten_crop_has_the_mirror_image_of_each_crop():
    found = [view.int() for view in views(images(), "ten_crop")]
    for crop in found[:5]:
        assert min((crop.flip(-1) - other).abs().max() for other in found[5:]) <= 1


def test_the_scales_are_multiples_of_32_except_for_the_side_itself():
    assert scaled_sides(299) == (224, 299, 384)
    assert [view.shape[-1] for view in views(images(100), "multi_scale")] == [64, 64, 100, 100, 128, 128]


@pytest.mark.parametrize("side", [32, 33, 63, 64, 65, 96, 224, 299, 384])
def test_the_scales_are_a_smaller_and_a_larger_side(side):
    smaller, same, larger = scaled_sides(side)
    assert smaller < same == side < larger or side == smaller == 32 < larger  # nothing is smaller than 32 pixels
    assert larger % 32 == smaller % 32 == 0


def test_an_even_image_looks_the_same_in_every_view():
    even = torch.full((1, 3, 96, 96), 200, dtype=torch.uint8)
    for tta in ("flip", "multi_scale", "ten_crop"):
        assert all((view == 200).all() for view in views(even, tta))


def test_other_views_are_refused_with_those_that_there_are():
    with pytest.raises(UsageError, match=r"'mirror'.*none, flip, multi_scale, ten_crop"):
        getattr(check_tta, "__wrapped__", check_tta)("mirror")
