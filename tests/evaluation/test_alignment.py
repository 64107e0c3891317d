from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cocon.config.schema import Clip, Network
from cocon.data.network_input import to_network_input
from cocon.evaluation.alignment import BLOCKS, align, block_features, block_frames
from cocon.losses.instances import instance_features
from cocon.models.network import build_network

CLIP = Clip(blocks=4, frames_per_block=3, stride=2, predicted_blocks=1, crop={"mask": 32})


class OneVideo:
    """As much of a set of shards as is read: one video of noise."""

    def __init__(self, frames: int) -> None:
        self.view = "mask"
        self.pixels = np.random.default_rng(0).integers(0, 256, (frames, 36, 40, 1), np.uint8)
        self.videos = {"v": SimpleNamespace(frames=frames, height=36, width=40)}

    def read(self, video_id: str, frames: np.ndarray) -> np.ndarray:
        return self.pixels[frames]


@pytest.mark.parametrize("length", [1, 2, 5, 40, 1000])
def test_blocks_go_from_the_first_to_the_last_frame(length: int) -> None:
    frames = block_frames(length, CLIP)
    assert frames.shape == (BLOCKS, 3)
    assert frames[0, 0] == 0
    assert frames[-1, -1] == length - 1
    assert (np.diff(frames[:, 0]) >= 0).all()
    steps = np.diff(frames, axis=1)
    assert steps.min() >= 0
    assert steps.max() <= CLIP.stride
    if length > 5:
        assert (steps == CLIP.stride).all()
        assert np.ptp(np.diff(frames[:, 0])) <= 1


def test_a_block_of_one_frame_has_no_stride() -> None:
    frames = block_frames(10, Clip(frames_per_block=1), blocks=4)
    assert frames.tolist() == [[0], [3], [6], [9]]


def test_a_block_is_encoded_by_itself() -> None:
    torch.manual_seed(0)
    network = build_network("mask", Network(layers=(1, 1, 1, 1), width=8, features=16))
    shards = OneVideo(30)
    h = block_features(network, shards, "v", CLIP, blocks=5)  # type: ignore[arg-type]
    assert h.shape == (5, 16)
    frames = block_frames(30, CLIP, 5)[3]
    alone = torch.from_numpy(shards.pixels[frames][:, 2:34, 4:36].transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        z = network.encode(to_network_input(alone[None], "mask", CLIP.model_copy(update={"blocks": 1})))
    np.testing.assert_allclose(h[3], instance_features(z)[0].numpy(), atol=1e-5)
    cosines = align(h, h)
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-5)
    assert cosines[0, 1] < 0.9999
