"""Scores extracted views against the truth of the demo's renderer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cocon.errors import CoConError
from cocon.shards import Shard, ShardSet, VideoInfo
from view_extractors.flow.base import bytes_to_flow, rescale_flow
from view_extractors.scoring.several import score_masks, score_poses
from view_extractors.scoring.truth import PCK_RADIUS, is_of_several, load, torso, true_masks

Figures = dict[str, float]


def score(shards: Path, truth: Path, shard_count: int | None = None) -> dict[str, Figures]:
    """Score every view of ``shards/<view>/*.h5`` that has a truth: pose, mask and flow.

    The truth of a video is ``truth/<id>.npz``; videos without one are left out. ``shard_count`` is the number
    of shards of a view; None: all that are there.

    Returns:
        Figures by view; each has ``videos`` next to what the view's function in this module measures. Poses
        and masks of videos whose truth has several persons are listed separately, see :func:`of_several`.

    Raises:
        CoConError: there is nothing to compare.
    """
    figures = {}
    for view, measure in MEASURES.items():
        if (Path(shards) / view).is_dir():
            shard_set = ShardSet.of_folder(Path(shards) / view, shard_count)
            pairs = list(_pairs(shard_set, Path(truth)))
            several = [pair for pair in pairs if view in MEASURES_OF_SEVERAL and is_of_several(pair[1])]
            alone = [pair for pair in pairs if pair not in several]
            if alone:
                figures[view] = {"videos": float(len(alone)), **measure(shard_set, alone)}
            if several:
                found = MEASURES_OF_SEVERAL[view](shard_set, several)
                figures[of_several(view)] = {"videos": float(len(several)), **found}
    if not figures:
        raise CoConError(
            f"no video of the folders {', '.join(MEASURES)} in {shards} has its truth in {truth}",
            "only videos of `cocon render` have a truth: pass its folder, for example data/demo/truth",
        )
    return figures


def of_several(view: str) -> str:
    """The key of the figures of videos with several persons."""
    return f"{view}, several persons"


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
        truth = load(path, info, ("joints", "joints_visible"))
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


def score_mask(shards: ShardSet, pairs: list[tuple[VideoInfo, Path]]) -> Figures:
    """Intersection over union at the stored size, both masks cut at .5, mean over frames with a person."""
    ratios = []
    for info, path in pairs:
        truth = load(path, info, ("mask_packed", "size"))
        true_THW = true_masks(truth["mask_packed"], truth, info)
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
        truth = load(path, info, ("flow_index", "flow", "mask_packed", "size"))
        person_THW = true_masks(truth["mask_packed"], truth, info)[truth["flow_index"]]
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
        raise CoConError(f"{shard.path} does not record the bound of its flow", "extract it again")
    return bound


Measure = Callable[[ShardSet, list[tuple[VideoInfo, Path]]], Figures]
MEASURES: dict[str, Measure] = {"pose": score_pose, "mask": score_mask, "flow": score_flow}
MEASURES_OF_SEVERAL: dict[str, Measure] = {"pose": score_poses, "mask": score_masks}


def _pairs(shards: ShardSet, truth: Path) -> Iterator[tuple[VideoInfo, Path]]:
    for video_id, info in shards.videos.items():
        path = truth / f"{video_id}.npz"
        if info.usable and path.is_file():
            yield info, path
