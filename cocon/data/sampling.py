"""Samples the frames of clips from a video.

A clip is N blocks of K frames, ``stride`` frames apart (the paper: 8 x 5 frames, every third). A video that
is shorter than N * K * stride frames is never dropped: its stride becomes 0.9 (length - 1) / (N K), and the
positions are rounded down (as in the authors' code).
"""

from __future__ import annotations

import numpy as np

from cocon.config.schema import Clip


def stride_of(length: int, clip: Clip) -> float:
    """The distance between the sampled frames of a video of ``length`` frames, in frames."""
    if length < 1:
        raise ValueError("a video without frames has no clips")
    if length >= clip.frames * clip.stride:
        return float(clip.stride)
    return 0.9 * (length - 1) / clip.frames


def clip_frames(
    length: int,
    clip: Clip,
    start: int | None = None,
    generator: np.random.Generator | None = None,
    place: tuple[int, int] = (1, 2),
) -> np.ndarray:
    """The frame numbers of one clip.

    Args:
        length: frames of the video.
        clip: number of blocks, frames per block and stride.
        start: the first frame. None: drawn evenly from all that leave room for the clip, or, without a
            generator, the one at ``place`` of them, usually the middle.
        generator: source of randomness.
        place: numerator and denominator of a part of the room.

    Returns:
        ``int64`` (N * K,), never decreasing, all in 0 .. length - 1.
    """
    offsets = np.floor(np.arange(clip.frames) * stride_of(length, clip)).astype(np.int64)
    last_start = length - 1 - int(offsets[-1])
    if start is None and generator is not None:
        start = int(generator.integers(last_start + 1))
    elif start is None:
        start = last_start * place[0] // place[1]
    if not 0 <= start <= last_start:
        raise ValueError(f"a clip of a video of {length} frames starts in 0 .. {last_start}, not at {start}")
    result: np.ndarray = start + offsets
    return result


def eval_windows(length: int, clip: Clip) -> list[np.ndarray]:
    """The clips that are averaged when a whole video is evaluated.

    Windows of N blocks overlap by half; the last one lies flush with the end of the video, so that every
    frame at the clip's stride is seen. There is always at least one window.

    Returns:
        Arrays as from :func:`clip_frames`, in the order of time.
    """
    stride = stride_of(length, clip)
    if stride == 0:
        return [np.zeros(clip.frames, np.int64)]
    positions = np.floor(np.arange(int((length - 1) / stride) + 1) * stride).astype(np.int64)
    step = max(1, clip.blocks // 2 * clip.frames_per_block)
    last = len(positions) - clip.frames
    starts = [*range(0, last, step), last]
    return [positions[first : first + clip.frames] for first in starts]
