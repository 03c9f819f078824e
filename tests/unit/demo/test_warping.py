"""Digits that are turned, moved and bent: what changes, what does not, and that a seed gives the same copies."""

import numpy as np
import pytest

from demo.warping import Warp, sampled, turned, warped


@pytest.fixture
def images():
    made = np.zeros((3, 28, 28, 1), np.uint8)
    made[:, 6:22, 10:18] = np.random.default_rng(1).integers(40, 256, (3, 16, 8, 1))
    return made


def test_images_sampled_where_their_pixels_are_stay_as_they_are(images):
    row, column = (np.broadcast_to(grid, (3, 28, 28)).astype(np.float32) for grid in np.mgrid[0:28, 0:28])
    assert np.array_equal(sampled(images, row, column), images)
    assert np.array_equal(sampled(images, row + 2, column)[:, :-2], images[:, 2:])


def test_beyond_the_edge_is_background(images):
    away = np.full((3, 28, 28), 1000, np.float32)
    assert not sampled(images, away, away).any()
    assert not sampled(images, -away, away).any()


def test_a_quarter_turn_to_the_left_is_exact(images):
    assert np.array_equal(turned(images, 90.0), np.rot90(images, axes=(1, 2)))
    assert np.array_equal(turned(images, 0.0), images)


def test_a_seed_gives_the_same_copies_and_another_one_others(images):
    one = warped(images, Warp(), 1)
    assert (one.shape, one.dtype) == (images.shape, np.uint8)
    assert np.array_equal(one, warped(images, Warp(), 1))
    assert not np.array_equal(one, warped(images, Warp(), 2))
    assert not np.array_equal(one, images)


def test_no_spread_changes_nothing(images):
    assert np.array_equal(warped(images, Warp(0, 0, 0, 0, 0), 1), images)
