"""What a GPU scales with torch, here on the CPU, against OpenCV and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from view_extractors.networks.devices import upload
from view_extractors.networks.resizing import cut_out, resized, scaled, scaled_by_pillow
from view_extractors.networks.rtmdet import GREY, letterbox, letterbox_on_device
from view_extractors.networks.rtmpose import CROP_PX, crop_to_frame, cut

CPU = torch.device("cpu")
#: of frames and results: growing, shrinking, by whole factors and by others, odd, and along one side only
SIZES = [
    ((48, 64), (96, 128)),
    ((48, 64), (97, 131)),
    ((120, 160), (60, 80)),
    ((101, 77), (33, 25)),
    ((90, 130), (64, 92)),
    ((61, 83), (60, 81)),
    ((99, 150), (99, 151)),
    ((64, 64), (64, 64)),
]


def noise(height: int, width: int) -> list[np.ndarray]:
    """Two frames in which every pixel counts."""
    return list(np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8))


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image")


def compare(found: torch.Tensor, expected: torch.Tensor, share: float) -> None:
    """Whole grey levels, at most one apart, and apart in at most this share of the values."""
    assert found.dtype == expected.dtype == torch.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, found.round())
    assert found.min() >= 0
    assert found.max() <= 255
    apart = (found - expected).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() <= share


@pytest.mark.parametrize(("frame", "size"), SIZES)
def test_scaled_as_by_opencv(frame, size, as_on_a_gpu):
    frames = noise(*frame)
    expected = scaled(frames, size, CPU)
    as_on_a_gpu("float16")
    # OpenCV's bilinear filter has weights of 11 bits, and cuts off where torch rounds.
    compare(scaled(frames, size, CPU), expected, 0.15 if size[0] >= frame[0] else 0.001)


@pytest.mark.parametrize(("frame", "size"), SIZES)
def test_scaled_as_by_pillow(frame, size, as_on_a_gpu, pillow):
    frames = noise(*frame)
    expected = scaled_by_pillow(frames, size, CPU, pillow)
    as_on_a_gpu("float16")
    compare(scaled_by_pillow(frames, size, CPU, pillow), expected, 0.01)


@pytest.mark.parametrize("frame", [(120, 200), (200, 120), (480, 1280), (77, 641), (640, 640), (7, 3)])
def test_letterboxed_as_by_opencv(frame):
    frames = noise(*frame)
    pictures, scale = letterbox(frames)
    found, found_scale = letterbox_on_device(upload(frames, CPU))
    compare(found, torch.from_numpy(pictures).permute(0, 3, 1, 2).float(), 0.15)
    np.testing.assert_array_equal(found_scale, scale)
    if frame[0] != frame[1]:
        assert (found[:, :, -1, -1] == GREY).all()


@pytest.mark.parametrize("frame", [(120, 200), (77, 641), (480, 640)])
def test_crops_as_by_opencv(frame):
    """Inside, across each border, far outside, much smaller and much larger than the crop."""
    frames = noise(*frame)
    height, width = frame
    boxes = [[30, 20, 90, 60], [-40, -10, 20, 300], [5.3, 7.7, 0.9 * width, 0.8 * height]]
    boxes += [[width - 9, height - 9, width + 30, height + 50], [50, 40, 54, 46], [-900, -900, -800, -800]]
    maps = [crop_to_frame(np.float32(box)) for box in boxes]
    index = [1, 0, 1, 0, 1, 0]
    found = cut_out(upload(frames, CPU), np.array(index), np.stack(maps), CROP_PX[::-1])
    expected = np.stack([cut(frames[i], m) for i, m in zip(index, maps, strict=True)])
    compare(found, torch.from_numpy(expected).permute(0, 3, 1, 2).float(), 0.001)
    assert found[0].std() > 50
    assert found[5].max() == 0


def test_a_turned_crop_is_cut_out_too():
    frames = noise(60, 80)
    turn = np.array([[0.0, -1.0, 70.0], [1.0, 0.0, 5.0]])
    found = cut_out(upload(frames, CPU), np.array([0]), turn[None], (40, 30))
    # Crop (x, y) is frame (70 - y, 5 + x).
    expected = frames[0][5:35, 31:71][:, ::-1].transpose(2, 1, 0)
    np.testing.assert_array_equal(found[0], expected)


def test_pictures_stay_on_their_device():
    """On torch's meta device, which has no values: nothing waits for them, and no tensor is on the CPU."""
    pixels = upload(noise(60, 80), CPU).to("meta")
    maps = np.stack([crop_to_frame(np.float32([5, 5, 50, 40]))] * 3)
    found = {
        resized(pixels, (30, 40), by_area=True): (2, 3, 30, 40),
        letterbox_on_device(pixels)[0]: (2, 3, 640, 640),
        cut_out(pixels, np.array([0, 1, 1]), maps, (256, 192)): (3, 3, 256, 192),
    }
    for picture, shape in found.items():
        assert picture.device.type == "meta"
        assert picture.shape == shape
