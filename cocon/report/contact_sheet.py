"""A contact sheet: one video, a row per view, a column per frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cocon.errors import ShardError
from cocon.files import atomic_path
from cocon.report.flow_colour import colour_of_flow, pixels_of_stored
from cocon.report.pictures import PERSONS, draw_skeleton, grey_to_rgb, numbers_of_persons
from cocon.shards import Shard
from cocon.shards.heatmaps import render_heatmaps
from cocon.views import COCO_KEYPOINTS, PHOTOGRAPH, VIEWS

_GAP, _BAR = 2, 16
_PERSON = np.array([255, 80, 60], np.float32)


def write_sheet(
    paths: Sequence[Path], video_id: str, output: Path, *, columns: int = 8, height: int = 150
) -> None:
    """Draw the views of a video found in these shards, and write them as PNG.

    Flow is painted by its direction and speed (the fastest motion is the purest colour); masks are laid over
    rgb in red; of poses, the heatmaps and the keypoints' skeletons are laid over rgb; other views are grey.
    Where a frame of the video has several persons, each has a colour, which stays with the person from frame
    to frame.

    Args:
        paths: shards.
        video_id: the video.
        output: name of the PNG file.
        columns: frames, evenly spaced from the first to the last.
        height: of a picture, px.

    Raises:
        ShardError: when no shard has frames of the video.
    """
    import cv2

    shards = _shards_of(paths, video_id)
    length = min(shard.videos[video_id].frames for shard in shards.values())
    frames = sorted({round(i * (length - 1) / max(columns - 1, 1)) for i in range(columns)})
    info = next(iter(shards.values())).videos[video_id]
    width = max(1, round(height * info.width / info.height))
    size = (width, height)
    if PHOTOGRAPH in shards:
        below = [_scaled(frame, size) for frame in shards[PHOTOGRAPH].read(video_id, frames)]
    else:
        below = [np.full((height, width, 3), 60, np.uint8)] * len(frames)
    rows = [_header(frames, width)]
    for view in (view for view in VIEWS if view in shards):
        pictures = below if view == PHOTOGRAPH else _painted(shards[view], video_id, frames, below, size)
        rows.append(_labelled(view, pictures))
    sheet = np.concatenate(rows)
    written, data = cv2.imencode(".png", sheet[..., ::-1])
    assert written
    with atomic_path(output) as temporary:
        temporary.write_bytes(data.tobytes())


def _shards_of(paths: Sequence[Path], video_id: str) -> dict[str, Shard]:
    shards, reasons = {}, []
    for path in paths:
        shard = Shard(path)
        row = shard.videos.get(video_id)
        if row is not None and row.usable:
            shards[shard.view] = shard
        elif row is not None:
            reasons.append(row.reason)
    if not shards:
        why = f"no shard of {len(paths)} has it"
        if reasons:
            why = f"it was skipped ({'; '.join(dict.fromkeys(reasons))})"
        raise ShardError(f"video '{video_id}' cannot be shown: {why}", "--status lists all videos")
    return shards


def _painted(
    shard: Shard, video_id: str, frames: list[int], below: list[np.ndarray], size: tuple[int, int]
) -> list[np.ndarray]:
    stored_THWC, content = shard.read(video_id, frames), VIEWS[shard.view].content
    if content == "vectors":
        bound = float(shard.parameters["bound"])
        flow_THW2 = pixels_of_stored(stored_THWC, bound)
        speed = float(np.quantile(np.hypot(flow_THW2[..., 0], flow_THW2[..., 1]), 0.995))
        # The smallest nonzero motion in eight bits as the minimum keeps a still video white.
        scale = max(speed, 4 * bound / 127)
        return [_scaled(colour_of_flow(flow_HW2, scale), size) for flow_HW2 in flow_THW2]
    if content == "silhouette":
        return [
            _mixed(rgb, _PERSON, _scaled(mask, size)[..., None])
            for rgb, mask in zip(below, stored_THWC, strict=True)
        ]
    if content != "heatmaps":
        return [_scaled(grey_to_rgb(frame), size) for frame in stored_THWC]
    persons = shard.keypoints(video_id)
    numbers = numbers_of_persons(persons)
    if numbers:
        height, width = stored_THWC.shape[1:3]
        sigma = float(shard.parameters["sigma"])
        heats = [_heat_of_persons(persons[frame], numbers[frame], height, width, sigma) for frame in frames]
        colours = np.array(PERSONS, np.uint8)
    else:
        heats, colours = list(stored_THWC), _colours_of_joints()
    return [
        draw_skeleton(
            _heated(rgb // 2 + 30, heat, colours, size), persons[frame], numbers[frame] if numbers else None
        )
        for rgb, heat, frame in zip(below, heats, frames, strict=True)
    ]


def _colours_of_joints() -> np.ndarray:
    """(17, 3), hues that are evenly spaced, so that neighbouring joints differ."""
    import cv2

    hsv = np.full((1, len(COCO_KEYPOINTS), 3), 255, np.uint8)
    hsv[0, :, 0] = np.linspace(0, 180, len(COCO_KEYPOINTS), endpoint=False)
    result: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
    return result


def _heat_of_persons(
    persons_PJ3: np.ndarray, numbers_P: np.ndarray, height: int, width: int, sigma: float
) -> np.ndarray:
    """(height, width, colours): the strongest heatmap of all joints of the persons of every colour."""
    heat_HWC = np.zeros((height, width, len(PERSONS)), np.uint8)
    heat_PHWJ = render_heatmaps(persons_PJ3, [1] * len(persons_PJ3), height, width, sigma)
    for number, heat_HWJ in zip(numbers_P, heat_PHWJ, strict=True):
        of_colour_HW = heat_HWC[..., number % len(PERSONS)]
        np.maximum(of_colour_HW, heat_HWJ.max(axis=2), out=of_colour_HW)
    return heat_HWC


def _heated(
    rgb: np.ndarray, heat_HWC: np.ndarray, colours_C3: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """The strongest heatmap of every pixel, each in its colour."""
    import cv2

    colour_HW3 = colours_C3[heat_HWC.argmax(axis=2)]
    colour = cv2.resize(colour_HW3, size, interpolation=cv2.INTER_NEAREST)
    return _mixed(rgb, colour.astype(np.float32), _scaled(heat_HWC.max(axis=2), size)[..., None])


def _mixed(rgb: np.ndarray, colour: np.ndarray, weight_HW1: np.ndarray) -> np.ndarray:
    part = weight_HW1.astype(np.float32) * (0.6 / 255)
    result: np.ndarray = np.rint(rgb * (1 - part) + colour * part).astype(np.uint8)
    return result


def _scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    shrinks = size[1] < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _header(frames: list[int], width: int) -> np.ndarray:
    bar = np.full((_BAR, len(frames) * (width + _GAP), 3), 255, np.uint8)
    for column, frame in enumerate(frames):
        _write(bar, f"frame {frame}", column * (width + _GAP) + 2)
    return bar


def _labelled(view: str, pictures: list[np.ndarray]) -> np.ndarray:
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    row = np.concatenate([part for picture in pictures for part in (picture, gap)], axis=1)
    bar = np.full((_BAR, row.shape[1], 3), 255, np.uint8)
    _write(bar, view, 2)
    return np.concatenate([bar, row])


def _write(bar: np.ndarray, text: str, x: int) -> None:
    import cv2

    cv2.putText(bar, text, (x, _BAR - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (20, 20, 20), 1, cv2.LINE_AA)
