"""Compares extracted views with the truth that the demo data set's renderer wrote down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from cocon.errors import CoConError
from cocon.loading import read_npz, reading, require
from cocon.shards import Shard, ShardSet, VideoInfo
from cocon.views import COCO_KEYPOINTS
from view_extractors.flow.base import bytes_to_flow, rescale_flow

Figures = dict[str, float]
Truth = dict[str, np.ndarray]

PCK_RADIUS = 0.2
JOINTS = len(COCO_KEYPOINTS)
_SHOULDERS = [COCO_KEYPOINTS.index("left_shoulder"), COCO_KEYPOINTS.index("right_shoulder")]
_HIPS = [COCO_KEYPOINTS.index("left_hip"), COCO_KEYPOINTS.index("right_hip")]


def score(shards: Path, truth: Path, shard_count: int | None = None) -> dict[str, Figures]:
    """Score every view of ``shards/<view>/*.h5`` that the truth knows: pose, mask and flow.

    The truth of a video is ``truth/<id>.npz``; videos without one are left out. ``shard_count`` is the number
    of shards of a view; None: all that are there.

    Returns:
        Figures by view; each has ``videos`` beside what the view's function in this module measures.

    Raises:
        CoConError: there is nothing to compare.
    """
    figures = {}
    for view, measure in MEASURES.items():
        if (Path(shards) / view).is_dir():
            shard_set = ShardSet.of_folder(Path(shards) / view, shard_count)
            pairs = list(_pairs(shard_set, Path(truth)))
            if pairs:
                figures[view] = {"videos": float(len(pairs)), **measure(shard_set, pairs)}
    if not figures:
        raise CoConError(
            f"no video of the folders {', '.join(MEASURES)} in {shards} has its truth in {truth}",
            "only the demo data set has a truth; give its folder, for instance data/demo/truth",
        )
    return figures


def table(figures: dict[str, Figures]) -> str:
    """The figures as an aligned table, one line each."""
    rows = [(view, name, f"{value:.4g}") for view, entry in figures.items() for name, value in entry.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{view:<{widths[0]}}  {name:<{widths[1]}}  {value:>{widths[2]}}" for view, name, value in rows
    )


def score_pose(shards: ShardSet, pairs: list[tuple[VideoInfo, Path]]) -> Figures:
    """Detection rate, and PCK@0.2 of the best scored person over the joints inside the frame.

    A joint is correct within 0.2 of the torso's size, the largest of the two diagonals from shoulder to hip
    and the line between the middles of shoulders and hips. Frames without a person count in the detection
    rate only.
    """
    detected, correct = [], []
    for info, path in pairs:
        truth = _load(path, info, ("joints", "joints_visible"))
        source = np.array([info.source_width, info.source_height])
        found = shards.keypoints(info.id)
        for persons, joints, visible in zip(found, truth["joints"], truth["joints_visible"], strict=True):
            detected.append(len(persons) > 0)
            if len(persons):
                best = persons[persons[:, :, 2].mean(axis=1).argmax()]
                # The truth has pixel centres at integers, the shard has pixel corners there.
                distance = np.linalg.norm(best[:, :2] * source - 0.5 - joints, axis=1)
                correct.append((distance < PCK_RADIUS * torso(joints))[visible])
    pck = float(np.concatenate(correct).mean()) if correct else 0.0
    return {"frames": float(len(detected)), "detection rate": float(np.mean(detected)), "PCK@0.2": pck}


def torso(joints_J2: np.ndarray) -> float:
    """Size of the torso in the units of the joints."""
    (left, right), (left_hip, right_hip) = joints_J2[_SHOULDERS], joints_J2[_HIPS]
    lines = ((left + right - left_hip - right_hip) / 2, left - right_hip, right - left_hip)
    return float(max(np.linalg.norm(line) for line in lines))


def score_mask(shards: ShardSet, pairs: list[tuple[VideoInfo, Path]]) -> Figures:
    """Intersection over union at the stored size, both masks cut at .5, mean over frames with a person."""
    ratios = []
    for info, path in pairs:
        true_THW = _true_masks(_load(path, info, ("mask_packed", "size")), info)
        found_THW = shards.read(info.id, np.arange(info.frames))[..., 0] > 127
        union_T = (true_THW | found_THW).sum(axis=(1, 2))
        both_T = (true_THW & found_THW).sum(axis=(1, 2))
        ratios.append((both_T / np.maximum(union_T, 1))[true_THW.any(axis=(1, 2))])
    per_frame = np.concatenate(ratios)
    return {"frames": float(len(per_frame)), "IoU": float(per_frame.mean()) if len(per_frame) else 0.0}


def score_flow(shards: ShardSet, pairs: list[tuple[VideoInfo, Path]]) -> Figures:
    """Mean end-point error in px of the stored size, everywhere and on the person.

    ``still`` is the error of a flow that is zero everywhere, i.e. the mean true motion.
    """
    bounds = {video_id: _bound(shard) for shard in shards.shards for video_id in shard.videos}
    sums = np.zeros(6)
    for info, path in pairs:
        truth = _load(path, info, ("flow_index", "flow", "mask_packed", "size"))
        person_THW = _true_masks(truth, info)[truth["flow_index"]]
        found_FHW2 = bytes_to_flow(shards.read(info.id, truth["flow_index"]), bounds[info.id])
        for found, raw, person in zip(found_FHW2, truth["flow"], person_THW, strict=True):
            true = rescale_flow(raw.astype(np.float32) / 64, (info.height, info.width))
            error, still = np.linalg.norm(found - true, axis=2), np.linalg.norm(true, axis=2)
            sums[:3] += error.size, error.sum(), still.sum()
            sums[3:] += person.sum(), error[person].sum(), still[person].sum()
    everywhere, on_person = sums[:3] / max(sums[0], 1), sums[3:] / max(sums[3], 1)
    return {
        "end-point error": float(everywhere[1]),
        "end-point error, still": float(everywhere[2]),
        "end-point error on the person": float(on_person[1]),
        "end-point error on the person, still": float(on_person[2]),
    }


def _bound(shard: Shard) -> float:
    bound = shard.parameters.get("bound")
    if not isinstance(bound, int | float) or not 0 < bound < math.inf:
        raise CoConError(f"{shard.path} does not say the bound of its flow", "extract it again")
    return bound


MEASURES: dict[str, Callable[[ShardSet, list[tuple[VideoInfo, Path]]], Figures]] = {
    "pose": score_pose,
    "mask": score_mask,
    "flow": score_flow,
}


def _pairs(shards: ShardSet, truth: Path) -> Iterator[tuple[VideoInfo, Path]]:
    for video_id, info in shards.videos.items():
        path = truth / f"{video_id}.npz"
        if info.usable and path.is_file():
            yield info, path


def _load(path: Path, info: VideoInfo, names: tuple[str, ...]) -> Truth:
    again = "render the demo data set again"
    with reading(path, "file of the truth", CoConError, missing=again, damaged=again):
        arrays = read_npz(path)
        truth = {name: _check(name, arrays) for name in names}
    lengths = {len(truth[name]) for name in ("joints", "mask_packed") if name in truth}
    if lengths - {info.frames}:
        raise CoConError(
            f"{path} has {max(lengths)} frames, the shard {info.frames}",
            "the videos were rendered anew: extract their views again",
        )
    return truth


def _check(name: str, arrays: Truth) -> np.ndarray:
    """One array of a truth, if it has the type, shape and range that it should have.

    Raises:
        KeyError, ValueError: it has not, or is missing.
    """
    array = arrays[name]
    if name == "joints":
        require(array, name, "f", (None, JOINTS, 2))
    elif name == "joints_visible":
        require(array, name, "b", (len(arrays["joints"]), JOINTS))
    elif name == "size":
        require(array, name, "iu", (2,))
        if array.min() < 1:
            raise ValueError("'size' is not positive")
    else:
        height, width = (int(side) for side in _check("size", arrays))
        frames = len(arrays["mask_packed"])
        if name == "mask_packed":
            require(array, name, "u", (None, height, -(-width // 8)))
        elif name == "flow":
            require(array, name, "i", (len(arrays["flow_index"]), height, width, 2))
        elif name == "flow_index":
            require(array, name, "iu", (None,))
            if len(array) and not (0 <= array.min() <= array.max() < frames):
                raise ValueError(f"'flow_index' has frames outside of 0 to {frames - 1}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"'{name}' has numbers that are not finite")
    return array


def _true_masks(truth: Truth, info: VideoInfo) -> np.ndarray:
    """Bool (T, h, w) at the stored size: where at least half of the area belongs to the person."""
    height, width = truth["size"].tolist()
    masks_THW = np.unpackbits(truth["mask_packed"], axis=-1, count=width).reshape(-1, height, width)
    size = (info.width, info.height)
    return np.stack(
        [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5 for mask in masks_THW]
    )
