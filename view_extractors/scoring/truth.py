"""The truth of the demo's renderer: ``<id>.npz``, with one or several persons.

See :class:`cocon.renderer.truth.Truth` for the arrays.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np

from cocon.errors import CoConError
from cocon.loading import read_npz, reading, require
from cocon.shards import VideoInfo
from cocon.views import COCO_KEYPOINTS

Truth = dict[str, np.ndarray]

JOINTS = len(COCO_KEYPOINTS)
PCK_RADIUS = 0.2
"""A keypoint is correct if it is nearer than this to its joint, in torsos."""
_SHOULDERS = [COCO_KEYPOINTS.index("left_shoulder"), COCO_KEYPOINTS.index("right_shoulder")]
_HIPS = [COCO_KEYPOINTS.index("left_hip"), COCO_KEYPOINTS.index("right_hip")]
_OF_SEVERAL = "persons_packed"


def is_of_several(path: Path) -> bool:
    """Whether a file of the truth has an axis of persons.

    Raises:
        CoConError: it is not a truth file.
    """
    again = "render the videos again"
    with (
        reading(path, "file of the truth", CoConError, missing=again, damaged=again),
        ZipFile(path) as members,
    ):
        return f"{_OF_SEVERAL}.npy" in members.namelist()


def load(path: Path, info: VideoInfo, names: tuple[str, ...]) -> Truth:
    """Some arrays of a truth.

    Args:
        path: the file.
        info: of the same video in a shard.
        names: of the arrays.

    Raises:
        CoConError: it is not a truth file, or belongs to another rendering.
    """
    again = "render the videos again"
    with reading(path, "file of the truth", CoConError, missing=again, damaged=again):
        arrays = read_npz(path)
        truth = {name: _check(name, arrays) for name in names}
    lengths = {len(truth[name]) for name in ("joints", "mask_packed") if name in truth}
    if lengths - {info.frames}:
        raise CoConError(
            f"{path} has {max(lengths)} frames, the shard {info.frames}",
            "the videos were rendered again: extract their views again",
        )
    return truth


def _check(name: str, arrays: Truth) -> np.ndarray:
    """One array of a truth, if it has the expected type, shape and range.

    Raises:
        KeyError, ValueError: it does not, or it is missing.
    """
    array = arrays[name]
    persons: tuple[int, ...] = ()
    if _OF_SEVERAL in arrays:
        persons = require(arrays["joints"], "joints", "f", (None, None, JOINTS, 2)).shape[1:2]
        if persons == (0,):
            raise ValueError("'joints' has no person")
    if name == "joints":
        require(array, name, "f", (None, *persons, JOINTS, 2))
    elif name in ("joints_visible", "joints_inside"):
        require(array, name, "b", (len(arrays["joints"]), *persons, JOINTS))
    elif name == "size":
        require(array, name, "iu", (2,))
        if array.min() < 1:
            raise ValueError("'size' is not positive")
    else:
        height, width = (int(side) for side in _check("size", arrays))
        frames = len(arrays["mask_packed"])
        if name == "mask_packed":
            require(array, name, "u", (None, height, -(-width // 8)))
        elif name == "persons_packed":
            require(array, name, "u", (frames, *persons, height, -(-width // 8)))
        elif name == "flow":
            require(array, name, "i", (len(arrays["flow_index"]), height, width, 2))
        elif name == "flow_index":
            require(array, name, "iu", (None,))
            if len(array) and not (0 <= array.min() <= array.max() < frames):
                raise ValueError(f"'flow_index' has frames outside of 0 to {frames - 1}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"'{name}' has numbers that are not finite")
    return array


def true_masks(packed_HB: np.ndarray, truth: Truth, info: VideoInfo) -> np.ndarray:
    """Masks at the stored size: where at least half of the area belongs to the person.

    Args:
        packed_HB: ``mask_packed`` or ``persons_packed``, (..., H, W / 8).
        truth: with ``size``.
        info: has the stored size.

    Returns:
        Bool (..., h, w).
    """
    height, width = truth["size"].tolist()
    masks_NHW = np.unpackbits(packed_HB, axis=-1, count=width).reshape(-1, height, width)
    size = (info.width, info.height)
    stored_NHW = [
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5 for mask in masks_NHW
    ]
    return np.reshape(stored_NHW, (*packed_HB.shape[:-2], info.height, info.width))


def torso(joints_J2: np.ndarray) -> float:
    """Size of the torso in the units of the joints."""
    (left, right), (left_hip, right_hip) = joints_J2[_SHOULDERS], joints_J2[_HIPS]
    lines = ((left + right - left_hip - right_hip) / 2, left - right_hip, right - left_hip)
    return float(max(np.linalg.norm(line) for line in lines))
