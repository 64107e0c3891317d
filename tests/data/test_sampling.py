from __future__ import annotations

import numpy as np
import pytest

from cocon.config.schema import Clip
from cocon.data.sampling import clip_frames, eval_windows, stride_of

CLIP = Clip()  # 8 x 5 frames, stride 3: 120 frames
LENGTHS = (1, 2, 7, 39, 40, 41, 60, 117, 118, 119, 120, 121, 180, 300, 1000)


def test_long_video_every_third_frame() -> None:
    assert clip_frames(300, CLIP, start=7).tolist() == list(range(7, 127, 3))


def test_short_video_by_the_rule_of_the_paper() -> None:
    expected = [int(0.9 * (100 - 1) / 40 * i) for i in range(40)]
    assert clip_frames(100, CLIP, start=0).tolist() == expected


def test_one_frame() -> None:
    assert clip_frames(1, CLIP, generator=np.random.default_rng(0)).tolist() == [0] * 40
    assert [window.tolist() for window in eval_windows(1, CLIP)] == [[0] * 40]


def test_no_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="without frames"):
        stride_of(0, CLIP)


def test_start_outside_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"0 \.\. 182"):
        clip_frames(300, CLIP, start=183)


@pytest.mark.parametrize("length", LENGTHS)
def test_random_clips_lie_in_the_video_and_reach_both_ends(length: int) -> None:
    generator = np.random.default_rng(1)
    clips = np.stack([clip_frames(length, CLIP, generator=generator) for _ in range(2000)])
    assert clips.shape == (2000, 40)
    assert clips.min() == 0
    assert clips.max() == length - 1
    assert (np.diff(clips, axis=1) >= 0).all()


@pytest.mark.parametrize("length", LENGTHS)
def test_middle_clip_is_central(length: int) -> None:
    frames = clip_frames(length, CLIP)
    before, after = frames[0], length - 1 - frames[-1]
    assert 0 <= after - before <= 1


@pytest.mark.parametrize(
    "clip", [CLIP, Clip(stride=1), Clip(blocks=3, frames_per_block=4, predicted_blocks=1)]
)
@pytest.mark.parametrize("length", LENGTHS)
def test_windows_cover_the_video_with_half_overlap(length: int, clip: Clip) -> None:
    windows = eval_windows(length, clip)
    stride = stride_of(length, clip)
    assert all(len(window) == clip.frames for window in windows)
    assert windows[0][0] == 0
    assert length - 1 - windows[-1][-1] < max(stride, 1) + 1
    starts = np.array([window[0] for window in windows])
    half = clip.blocks // 2 * clip.frames_per_block
    assert (np.diff(starts) <= np.ceil(half * stride)).all()
    assert (np.diff(starts)[:-1] == half * stride).all() or length < clip.frames * clip.stride
    assert len({window.tobytes() for window in windows}) == len(windows) or length < clip.frames


def test_number_of_windows() -> None:
    assert [len(eval_windows(length, Clip(stride=1))) for length in (40, 41, 48, 60, 61, 80)] == [
        1,
        2,
        2,
        2,
        3,
        3,
    ]
