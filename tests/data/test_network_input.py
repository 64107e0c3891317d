from __future__ import annotations

import pytest
import torch

from cocon.config.schema import Clip
from cocon.data.network_input import to_network_input
from cocon.views import VIEWS

CLIP = Clip(blocks=3, frames_per_block=2, predicted_blocks=1)


@pytest.mark.parametrize("view", list(VIEWS))
@pytest.mark.parametrize("channels_last", [False, True])
def test_values_and_order(view: str, channels_last: bool) -> None:
    channels = VIEWS[view].channels
    x = torch.randint(0, 256, (2, 6, channels, 5, 4), dtype=torch.uint8)
    if channels_last:
        x = x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    y = to_network_input(x, view, CLIP)
    assert y.shape == (2, 3, channels, 2, 5, 4)
    for block in range(3):
        for frame in range(2):
            for c in range(channels):
                expected = (x[:, 2 * block + frame, c] / 255 - VIEWS[view].mean[c]) / VIEWS[view].std[c]
                torch.testing.assert_close(y[:, block, c, frame], expected)


def test_channels_are_last_in_memory() -> None:
    y = to_network_input(torch.zeros(2, 6, 3, 5, 4, dtype=torch.uint8), "rgb", CLIP)
    assert y.permute(0, 1, 3, 4, 5, 2).is_contiguous()


def test_no_motion_is_zero_and_the_bound_is_one() -> None:
    x = torch.tensor([128, 1, 255], dtype=torch.uint8).repeat(6, 2, 1, 1)[None]
    y = to_network_input(x, "flow", CLIP)
    torch.testing.assert_close(y[0, 0, 0, 0, 0], torch.tensor([0.0, -1.0, 1.0]))
