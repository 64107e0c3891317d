from __future__ import annotations

import numpy as np
import pytest

from cocon.tracks import Tracks, overlaps


def box(x, y=0.0, width=40.0, height=100.0):
    return [x, y, x + width, y + height]


def follow(tracks, *boxes):
    return tracks.follow(np.array(boxes, float).reshape(-1, 4)).tolist()


def test_ratio_of_intersection_to_union():
    squares = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], float)
    expected = [[1, 50 / 150, 0], [50 / 150, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(overlaps(squares, squares), expected)
    assert overlaps(squares, np.zeros((0, 4))).shape == (3, 0)


def test_two_persons_who_walk_past_each_other_keep_their_numbers():
    tracks = Tracks()
    for step in range(9):
        left, right = box(20 * step, 0), box(160 - 20 * step, 40)
        pair = [left, right] if step % 2 else [right, left]
        expected = [1, 0] if step % 2 else [0, 1]
        assert follow(tracks, *pair) == expected, step


@pytest.mark.parametrize(("hidden", "number"), [(15, 0), (16, 1)])
def test_a_person_may_be_hidden_for_15_frames(hidden, number):
    tracks = Tracks()
    assert follow(tracks, box(0)) == [0]
    for _ in range(hidden):
        assert follow(tracks) == []
    assert follow(tracks, box(5)) == [number]


def test_the_nearest_box_wins_and_the_other_person_is_new():
    tracks = Tracks()
    follow(tracks, box(0))
    assert follow(tracks, box(10), box(2)) == [1, 0]
    assert follow(tracks, box(300), box(4), box(12)) == [2, 0, 1]
