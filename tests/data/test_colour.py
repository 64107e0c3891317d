from __future__ import annotations

import colorsys

import pytest
import torch

from cocon.data import colour


@pytest.fixture
def frames() -> torch.Tensor:
    x_FCHW = torch.rand(6, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    x_FCHW[0, :, 0] = 0.5  # grey
    x_FCHW[1, :2, 0] = 0.75  # two equal largest channels
    x_FCHW[2, :, 1] = 0.0  # black
    return x_FCHW


def test_hue_against_colorsys(frames: torch.Tensor) -> None:
    shifts = torch.tensor([0.0, 0.1, -0.25, 0.5, 0.33, -0.5])
    turned = colour.adjust_hue(frames.clone(), shifts)
    for frame, shift, result in zip(frames, shifts, turned, strict=True):
        for before, after in zip(frame.flatten(1).T, result.flatten(1).T, strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before.tolist())
            expected = colorsys.hsv_to_rgb((hue + shift.item()) % 1, saturation, value)
            assert after.tolist() == pytest.approx(expected, abs=2e-6)


def test_brightness(frames: torch.Tensor) -> None:
    factors = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 9.0])
    expected = torch.stack([(x * f).clamp(0, 1) for x, f in zip(frames, factors, strict=True)])
    torch.testing.assert_close(colour.adjust_brightness(frames.clone(), factors), expected)


def test_contrast_and_saturation_pull_towards_grey(frames: torch.Tensor) -> None:
    none, full = torch.zeros(6), torch.ones(6)
    for adjust in (colour.adjust_contrast, colour.adjust_saturation):
        torch.testing.assert_close(adjust(frames.clone(), full), frames)
    luma_F1HW = 0.299 * frames[:, :1] + 0.587 * frames[:, 1:2] + 0.114 * frames[:, 2:]
    grey = colour.adjust_saturation(frames.clone(), none)
    torch.testing.assert_close(grey, luma_F1HW.expand(-1, 3, -1, -1))
    flat = colour.adjust_contrast(frames.clone(), none)
    torch.testing.assert_close(flat, luma_F1HW.mean((2, 3), keepdim=True).expand_as(frames))


def test_values_stay_in_range(frames: torch.Tensor) -> None:
    strong = torch.full((6,), 3.0)
    for adjust in (colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation):
        result = adjust(frames.clone(), strong)
        assert result.min() >= 0
        assert result.max() <= 1
