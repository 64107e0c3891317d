"""Data sets of clips: several views of the same frames, read from shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cocon.config.schema import Augmentation, Clip
from cocon.data.cache import FrameCache
from cocon.data.crops import (
    Crop,
    best_crop,
    centre_crop,
    crop_at,
    crop_size,
    five_crops,
    rescale_vectors,
    resized_crop_at,
    scaled,
)
from cocon.data.sampling import clip_frames, eval_windows
from cocon.errors import ShardError
from cocon.shards import ShardSet
from cocon.views import VIEWS

Key = tuple[int, int]


class Clips(NamedTuple):
    """One clip, or after collation a batch of them.

    Attributes:
        video_id: the id; in a batch a list of ids.
        views: ``uint8`` (T, C, crop, crop) per view; in a batch (B, T, C, crop, crop).
    """

    video_id: str
    views: dict[str, Tensor]


class ClipDataset(Dataset[Clips]):
    """Random clips of videos; every view shows the same frames of the video.

    An item's key is (epoch, number of the clip), where the clips of the first video come first. All
    randomness follows from the seed and that key, so neither the number of worker processes nor an
    interruption changes it.

    Args:
        shards: the shards by view; each must hold all of ``video_ids``.
        video_ids: the videos.
        clip: frames and crop sizes.
        augmentation: how crops are drawn; None takes the middle of the video, in time and in space, or where
            it has several clips the middles of as many parts.
        seed: seed of sampling.
        cache_bytes: memory for decoded frames, see :class:`FrameCache`.
        per_video: clips of a video and epoch.

    Raises:
        ShardError: when two views have different numbers of frames of a video.
        ConfigError: when frames are smaller than the crop (at the first such clip).
    """

    def __init__(
        self,
        shards: dict[str, ShardSet],
        video_ids: Sequence[str],
        clip: Clip,
        augmentation: Augmentation | None,
        *,
        seed: int = 0,
        cache_bytes: int = 0,
        per_video: int = 1,
    ) -> None:
        self.video_ids = list(video_ids)
        self.clip = clip
        self.augmentation = augmentation
        self.seed = seed
        self.per_video = per_video
        self.views = list(shards)
        self._cache = FrameCache(shards, cache_bytes)
        for video_id in self.video_ids:
            lengths = {view: self._cache.frames_of(view, video_id) for view in self.views}
            if len(set(lengths.values())) != 1:
                raise ShardError(
                    f"the views of video '{video_id}' differ in their number of frames: {lengths}",
                    "extract all views again from the same file",
                )

    def __len__(self) -> int:
        """Videos."""
        return len(self.video_ids)

    def __getitem__(self, key: Key) -> Clips:
        epoch, number = key
        video, part = divmod(number, self.per_video)
        video_id = self.video_ids[video]
        length = self._cache.frames_of(self.views[0], video_id)
        drawn = self.augmentation is not None
        generator = np.random.default_rng([self.seed, epoch, number]) if drawn else None
        indices = clip_frames(
            length, self.clip, generator=generator, place=(2 * part + 1, 2 * self.per_video)
        )
        shared = generator.random(4) if generator is not None else np.zeros(4)
        views = {}
        for view in self.views:
            frames_FHWC, rows = self._cache.read(view, video_id, indices)
            size = crop_size(self.clip, view)
            crop = self._crop(frames_FHWC, rows, view, generator, shared)
            part_THWC = scaled(crop.of(frames_FHWC)[rows], size)
            if VIEWS[view].content == "vectors" and (crop.height, crop.width) != (size, size):
                part_THWC = rescale_vectors(part_THWC, view, crop, size)
            views[view] = _to_tensor(part_THWC)
        return Clips(video_id, views)

    def _crop(
        self,
        frames_FHWC: np.ndarray,
        rows: np.ndarray,
        view: str,
        generator: np.random.Generator | None,
        shared: np.ndarray,
    ) -> Crop:
        """One crop of a view for all frames of the clip; ``shared`` are random numbers of all views."""
        height, width = frames_FHWC.shape[1:3]
        size = crop_size(self.clip, view)
        if generator is None or self.augmentation is None:
            return centre_crop(height, width, size)
        settings = self.augmentation

        def drawn(numbers: np.ndarray) -> Crop:
            if view not in settings.resized_crop:
                return crop_at(height, width, size, numbers[:2])
            area = np.interp(numbers[2], (0, 1), settings.crop_area)
            aspect = np.exp(np.interp(numbers[3], (0, 1), np.log(settings.crop_aspect)))
            return resized_crop_at(height, width, numbers[:2], float(area), float(aspect))

        if settings.shared_crop:
            return drawn(shared)
        candidates = settings.crop_candidates if VIEWS[view].sparse else 1
        crops = [drawn(numbers) for numbers in generator.random((candidates, 4))]
        return best_crop(frames_FHWC[rows], view, crops) if candidates > 1 else crops[0]


def read_windows(
    shards: ShardSet,
    video_id: str,
    clip: Clip,
    view: str,
    *,
    corners: bool = False,
    part: slice = slice(None),
) -> np.ndarray:
    """The evaluation windows of a video, cut out of the middle.

    Args:
        shards: the frames.
        video_id: the video.
        clip: frames and crop of a window.
        view: name of the view.
        corners: also crop every window at the four corners, five crops in all.
        part: which of the windows; by default all.

    Returns:
        ``uint8`` (W, T, C, crop, crop), W half-overlapping windows (see :func:`eval_windows`); with
        ``corners`` (5 W, ...), first all windows of the middle.
    """
    info = shards.videos[video_id]
    windows_WT = np.stack(eval_windows(info.frames, clip)[part])
    needed, rows = np.unique(windows_WT, return_inverse=True)
    crops = five_crops if corners else _centre_only
    frames_FHWC = shards.read(video_id, needed)
    parts = [
        crop.of(frames_FHWC)[rows.reshape(windows_WT.shape)]
        for crop in crops(info.height, info.width, crop_size(clip, view))
    ]
    windows_WTHWC = np.concatenate(parts) if corners else parts[0]
    return np.ascontiguousarray(windows_WTHWC.transpose(0, 1, 4, 2, 3))


def _centre_only(height: int, width: int, size: int) -> list[Crop]:
    return [centre_crop(height, width, size)]


def _to_tensor(frames_THWC: np.ndarray) -> Tensor:
    # The channels stay last in memory, as stored; collation keeps that.
    return torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2)
