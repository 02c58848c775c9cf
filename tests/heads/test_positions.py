import math

import pytest
import torch

from mlic.heads.positions import sine_positions


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 7), (3, 9), (32, 32)])
def test_every_place_has_a_position_of_its_own(height: int, width: int) -> None:
    positions = sine_positions(height, width, 32)
    assert positions.shape == (height * width, 32)
    assert positions.abs().max() <= 1
    distances = torch.cdist(positions, positions) + torch.eye(height * width) * 1e3
    assert distances.min() > 0.05


def test_the_first_half_tells_the_row_and_the_second_the_column() -> None:
    positions = sine_positions(3, 5, 16).view(3, 5, 16)
    assert positions[:, :, :8].equal(positions[:, :1, :8].expand(-1, 5, -1))
    assert positions[:, :, 8:].equal(positions[:1, :, 8:].expand(3, -1, -1))


def test_the_numbers_are_sines_and_cosines_of_slower_and_slower_angles() -> None:
    (place,) = sine_positions(1, 1, 8)  # at pi, and at pi over the root of 10,000
    half = [math.sin(math.pi), math.sin(math.pi / 100), math.cos(math.pi), math.cos(math.pi / 100)]
    torch.testing.assert_close(place, torch.tensor(half * 2))


def test_a_finer_map_has_the_same_positions_between_its_own() -> None:
    coarse = sine_positions(4, 4, 16).view(4, 4, 16)
    fine = sine_positions(12, 12, 16).view(12, 12, 16)
    torch.testing.assert_close(fine[1::3, 1::3], coarse)


def test_places_near_each_other_have_like_positions() -> None:
    positions = sine_positions(1, 14, 64)
    distances = (positions - positions[3]).norm(dim=1)
    assert distances[4] < distances[6] < distances[9]
