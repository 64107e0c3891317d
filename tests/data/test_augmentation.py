from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from cocon.config.schema import Augmentation, Clip
from cocon.data.augmentation import Augmenter, by_operations, check, mirror, way_on
from cocon.data.network_input import to_network_input
from cocon.views import COCO_KEYPOINTS, VIEWS

CLIP = Clip(blocks=4, frames_per_block=2, predicted_blocks=1)
OFF = Augmentation(rgb_flip=0, grey=0, brightness=0, contrast=0, saturation=0, hue=0)


def clips(view: str, count: int = 12) -> torch.Tensor:
    shape = (count, 8, VIEWS[view].channels, 6, 6)
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def still_clips(count: int = 12) -> torch.Tensor:
    """All frames of a clip are the same."""
    return clips("rgb", count)[:, :1].repeat(1, 8, 1, 1, 1)


def augmented(x: torch.Tensor, view: str, settings: Augmentation, seed: int = 0) -> torch.Tensor:
    return Augmenter(settings, CLIP)(x, view, torch.Generator().manual_seed(seed))


def frames_of(x_BNCKHW: torch.Tensor) -> torch.Tensor:
    """Back to (B, T, C, H, W)."""
    return x_BNCKHW.transpose(2, 3).flatten(1, 2)


def unnormalised(x_BNCKHW: torch.Tensor) -> torch.Tensor:
    std, mean = (torch.tensor(v).view(-1, 1, 1) for v in (VIEWS["rgb"].std, VIEWS["rgb"].mean))
    return frames_of(x_BNCKHW) * std + mean


@pytest.mark.parametrize("view", list(VIEWS))
def test_nothing_on_changes_nothing(view: str) -> None:
    x = clips(view)
    assert torch.equal(augmented(x, view, OFF), to_network_input(x, view, CLIP))


@pytest.mark.parametrize("view", list(VIEWS))
def test_flip_is_of_the_whole_clip_and_of_some_clips(view: str) -> None:
    settings = OFF.model_copy(update={f"{view}_flip": 0.5})
    x = clips(view)
    plain = to_network_input(x, view, CLIP)
    every = augmented(x, view, OFF.model_copy(update={f"{view}_flip": 1.0}))
    result = augmented(x, view, settings)
    flipped = [torch.equal(result[b], every[b]) for b in range(len(x))]
    assert [torch.equal(result[b], plain[b]) for b in range(len(x))] == [not f for f in flipped]
    assert 0 < sum(flipped) < len(x)


def test_mirror_of_rgb() -> None:
    x = clips("rgb")
    result = augmented(x, "rgb", OFF.model_copy(update={"rgb_flip": 1.0}))
    assert torch.equal(result, to_network_input(x.flip(-1), "rgb", CLIP))


def test_mirror_of_flow_negates_u_only() -> None:
    x = clips("flow")
    result = augmented(x, "flow", OFF.model_copy(update={"flow_flip": 1.0}))
    plain = to_network_input(x.flip(-1), "flow", CLIP)
    torch.testing.assert_close(result[:, :, 0], -plain[:, :, 0])
    assert torch.equal(result[:, :, 1], plain[:, :, 1])


def test_mirror_of_pose_swaps_left_and_right() -> None:
    x = torch.rand(1, 1, 17, 3, 4)
    result = mirror(x, "pose").flip(-1)
    for channel, name in enumerate(COCO_KEYPOINTS):
        if name == "nose":
            other = "nose"
        else:
            side, part = name.split("_")
            other = {"left": "right", "right": "left"}[side] + "_" + part
        assert torch.equal(result[0, 0, channel], x[0, 0, COCO_KEYPOINTS.index(other)])


@pytest.mark.parametrize("name", ["grey", "brightness", "contrast", "saturation", "hue"])
def test_jitter_differs_between_frames_and_clips(name: str) -> None:
    strength = 0.25 if name == "hue" else 0.5
    result = frames_of(augmented(still_clips(), "rgb", OFF.model_copy(update={name: strength})))
    assert not torch.allclose(result[:, 0], result[:, 1])
    distinct = {frame.numpy().tobytes() for frame in result.flatten(0, 1)}
    assert len(distinct) > (len(result) if name == "grey" else 80)


def test_grey_takes_one_channel_of_some_frames() -> None:
    x = clips("rgb")
    result = unnormalised(augmented(x, "rgb", OFF.model_copy(update={"grey": 0.5})))
    channels = set()
    grey = 0
    for frame, original in zip(result.flatten(0, 1), (x / 255).flatten(0, 1), strict=True):
        if torch.allclose(frame, original, atol=1e-6):
            continue
        grey += 1
        same = [c for c in range(3) if torch.allclose(frame, original[c].expand(3, -1, -1), atol=1e-6)]
        assert len(same) == 1
        channels.add(same[0])
    assert 30 < grey < 66
    assert channels == {0, 1, 2}


def test_grey_frames_stay_grey() -> None:
    settings = Augmentation(grey=1.0)
    result = unnormalised(augmented(clips("rgb"), "rgb", settings))
    torch.testing.assert_close(result[:, :, 0], result[:, :, 1])
    torch.testing.assert_close(result[:, :, 0], result[:, :, 2])


@pytest.mark.parametrize("view", list(VIEWS))
def test_works_on_any_device_without_reading_back(view: str) -> None:
    """On the device "meta" tensors have no values: whatever asks for one, and would wait on a GPU, fails."""
    everything = {f"{name}_flip": 0.5 for name in VIEWS}
    result = augmented(clips(view).to("meta"), view, Augmentation(**everything))
    assert result.device.type == "meta"
    assert result.shape == (12, 4, VIEWS[view].channels, 2, 6, 6)


def test_without_triton_a_gpu_augments_by_operations_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "cocon.data.augmentation_kernels", None)
    way_on.cache_clear()
    assert [way_on(torch.device("cuda")) for _ in range(2)] == [by_operations] * 2
    way_on.cache_clear()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("clips are augmented without fused kernels, which takes longer: ")


@pytest.mark.parametrize("fault", [2e-3, float("nan")])
def test_kernels_that_compute_something_else_are_found_out(fault: float) -> None:
    def slightly_off(*arguments: Any) -> torch.Tensor:
        x = by_operations(*arguments)
        x[1, 1, -1, 0, 2, 3] += fault
        return x

    check(by_operations, torch.device("cpu"))
    with pytest.raises(ArithmeticError, match="away from the correct values"):
        check(slightly_off, torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("view", list(VIEWS))
def test_a_gpu_computes_the_same(view: str) -> None:
    settings = Augmentation(**{f"{name}_flip": 0.5 for name in VIEWS})
    x = clips(view)
    torch.testing.assert_close(augmented(x.cuda(), view, settings).cpu(), augmented(x, view, settings))


def test_a_batch_is_augmented_frame_by_frame_as_each_frame_alone() -> None:
    """Nothing mixes clips: the same draws on other neighbours give the same clip."""
    x, other = clips("rgb"), clips("rgb").flip(0)
    other[4] = x[4]
    first, second = (augmented(batch, "rgb", Augmentation(), 7) for batch in (x, other))
    assert torch.equal(first[4], second[4])
    assert not torch.equal(first[3], second[3])


def test_same_generator_same_result() -> None:
    x = clips("rgb")
    assert torch.equal(augmented(x, "rgb", Augmentation(), 1), augmented(x, "rgb", Augmentation(), 1))
    assert not torch.equal(augmented(x, "rgb", Augmentation(), 1), augmented(x, "rgb", Augmentation(), 2))


def test_input_is_not_changed() -> None:
    x = clips("rgb")
    before = x.clone()
    augmented(x, "rgb", Augmentation())
    assert torch.equal(x, before)
