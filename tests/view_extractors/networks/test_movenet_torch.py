"""What the maps say, on planted ones; and the real network against LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.view_extractors.networks.published import fetched, real_frames, with_litert
from view_extractors.networks.movenet_torch import MoveNetMultiPose, read_maps

HEIGHT, WIDTH = 24, 32
#: centre (y, x), and size (h, w), cells
PERSONS = [((8, 9), (12, 8)), ((14, 24), (16, 10))]


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


class Maps:
    """Maps of a picture; heat is planted as probabilities."""

    def __init__(self) -> None:
        self.centre = torch.full((1, HEIGHT, WIDTH, 1), -30.0)
        self.offset = torch.zeros(1, HEIGHT, WIDTH, 2)
        self.size = torch.zeros(1, HEIGHT, WIDTH, 2)
        self.heat = torch.full((1, HEIGHT, WIDTH, 17), -30.0)
        self.heat_offset = torch.zeros(1, HEIGHT, WIDTH, 34)
        self.way = torch.zeros(1, HEIGHT, WIDTH, 34)

    def person(self, centre, size, score, keypoint_score, beside=(0, 0)) -> np.ndarray:
        """A person with keypoints on the box's diagonal; where the centre leads is ``beside`` them."""
        y, x = centre
        self.centre[0, y, x] = logit(score)
        self.offset[0, y, x] = torch.tensor([0.25, -0.25])
        self.size[0, y, x] = torch.tensor(size)
        cells = [(y - 4 + j // 2, x - 3 + j // 3) for j in range(17)]
        for j, (row, column) in enumerate(cells):
            self.heat[0, row, column, j] = logit(keypoint_score)
            self.heat_offset[0, row, column, 2 * j : 2 * j + 2] = torch.tensor([0.5, 0.125])
            self.way[0, y, x, 2 * j] = row - y + beside[0]
            self.way[0, y, x, 2 * j + 1] = column - x + beside[1]
        return np.add(cells, (0.5, 0.125)) / [HEIGHT, WIDTH]

    def read(self) -> np.ndarray:
        maps = (self.centre, self.offset, self.size, self.heat, self.heat_offset, self.way)
        return read_maps(*maps)[0].numpy()


def test_persons_are_read_from_their_maps():
    maps = Maps()
    (first, second), (large, small) = [centre for centre, _ in PERSONS], [size for _, size in PERSONS]
    points = [maps.person(second, small, 0.6, 0.5), maps.person(first, large, 0.9, 0.8)][::-1]
    found = maps.read()
    assert found.shape == (6, 56)
    for person, (y, x), (h, w), expected, score, keypoint_score in zip(
        found, (first, second), (large, small), points, (0.9, 0.6), (0.8, 0.5), strict=False
    ):
        np.testing.assert_allclose(person[:51].reshape(17, 3)[:, :2], expected, atol=1e-6)
        np.testing.assert_allclose(person[2:51:3], keypoint_score, atol=1e-6)
        box = [y + 0.25 - h / 2, x - 0.25 - w / 2, y + 0.25 + h / 2, x - 0.25 + w / 2]
        np.testing.assert_allclose(person[51:55], np.array(box) / ([HEIGHT, WIDTH] * 2), atol=1e-6)
        assert person[55] == pytest.approx(score * keypoint_score, abs=1e-6)
    assert found[2:, 55].max() < 1e-6


def test_a_keypoint_counts_less_the_further_it_lies_from_where_the_centre_leads():
    maps = Maps()
    maps.person(*PERSONS[0], 0.9, 0.8, beside=(1, 2))
    expected = 0.8 * np.exp(-(1 + 4) / (0.3 * HEIGHT))
    np.testing.assert_allclose(maps.read()[0, 2:51:3], expected, rtol=1e-3)


def test_a_better_keypoint_outside_of_the_box_is_not_taken():
    maps = Maps()
    points = maps.person(*PERSONS[0], 0.9, 0.5)
    maps.heat[0, 2, 9, 0] = logit(0.99)  # a cell below the upper side, whose place is 2.25
    maps.heat[0, 4, 5, 0] = logit(0.99)  # the first column in the box is 5
    maps.way[0, 8, 9, :2] = torch.tensor([-4.0, -4.0])
    np.testing.assert_allclose(maps.read()[0, :2], np.array([4, 5]) / [HEIGHT, WIDTH], atol=1e-6)
    maps.size[0, 8, 9, 1] = 7  # now it is 6
    np.testing.assert_allclose(maps.read()[0, :2], points[0], atol=1e-6)


def test_doubtful_keypoints_do_not_count_for_the_person():
    maps = Maps()
    maps.person(*PERSONS[0], 0.9, 0.8)
    maps.heat[0, :, :, 5:] = torch.where(maps.heat[0, :, :, 5:] > 0, logit(0.1), -30.0)
    assert maps.read()[0, 55] == pytest.approx(0.9 * 0.8, abs=1e-6)
    maps.heat[0] = torch.where(maps.heat[0] > -20, logit(0.1), -30.0)
    assert maps.read()[0, 55] == 0


def test_of_centres_that_are_near_each_other_the_best_is_taken():
    maps = Maps()
    maps.person(*PERSONS[0], 0.9, 0.8)
    maps.centre[0, 9, 11] = logit(0.89)
    maps.centre[0, 8, 12] = logit(0.5)  # three cells away
    found = maps.read()
    assert found[0, 55] == pytest.approx(0.9 * 0.8, abs=1e-6)
    maps.centre[0, 9, 11] = -30
    np.testing.assert_array_equal(found[0], maps.read()[0])


@pytest.fixture(scope="module")
def path() -> Path:
    return fetched("movenet")


@pytest.fixture(scope="module")
def network(path) -> MoveNetMultiPose:
    return MoveNetMultiPose(path)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1e-3, but for keypoints with no score: their place is any of many that are equal."""
    scored = np.repeat(expected[..., 2:51:3] > 1e-3, 3, axis=-1)
    np.testing.assert_allclose(found[..., 51:], expected[..., 51:], atol=1e-3)
    np.testing.assert_allclose(found[..., :51][scored], expected[..., :51][scored], atol=1e-3)
    np.testing.assert_allclose(found[..., 2:51:3], expected[..., 2:51:3], atol=1e-3)


@pytest.mark.parametrize("size", [(96, 128), (192, 256), (256, 192)])
def test_persons_in_real_frames_are_those_of_litert(path, network, shared_data, size):
    frames = real_frames(shared_data, 2, *size)
    (expected,) = with_litert(path, frames)
    assert (expected[:, :2, 55] > 0.2).all(), "two persons in every frame"
    same(network(torch.from_numpy(frames)).numpy()[:, :2], expected[:, :2])


def test_noise_is_read_as_litert_reads_it(path, network):
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)
    (expected,) = with_litert(path, frames)
    same(network(torch.from_numpy(frames)).numpy(), expected)


def test_a_batch_equals_its_frames_one_by_one(network):
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8))
    single = torch.cat([network(frames[i : i + 1]) for i in range(3)])
    same(network(frames).numpy(), single.numpy())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_a_cpu_gives(path, network, shared_data):
    frames = torch.from_numpy(real_frames(shared_data, 3, 192, 256))
    found = MoveNetMultiPose(path).cuda()(frames.cuda())
    assert found.is_cuda
    same(found.cpu().numpy()[:, :2], network(frames).numpy()[:, :2])
