"""Evaluates whole videos: averages a network's outputs over half-overlapping windows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cocon.config.schema import Clip
from cocon.config.schema.training import Workers
from cocon.data.augmentation import mirror
from cocon.data.clips import read_windows
from cocon.data.loader import Loader, clip_bytes, number_of_workers
from cocon.data.network_input import normalise, to_network_input, unit_range
from cocon.data.sampling import eval_windows
from cocon.shards import ShardSet
from cocon.terminal import printable
from cocon.transfer import Late

log = logging.getLogger(__name__)

Window = tuple[str, np.ndarray]
T = TypeVar("T")
#: windows of a video, with their crops, that are read together, at most: memory does not grow with its length
_TOGETHER = 64


def usable_videos(shards: ShardSet, video_ids: Iterable[str]) -> list[str]:
    """Those of ``video_ids`` that the extraction did not skip, in the given order.

    Videos that are in no shard are left out too, with a warning; coverage accounts for both.
    """
    infos = shards.videos
    ids = list(video_ids)
    missing = [video for video in ids if video not in infos]
    if missing:
        log.warning(
            "%d videos of the manifest are in no shard of the view %s, for example '%s'",
            len(missing),
            shards.view,
            printable(missing[0]),
        )
    return [video for video in ids if video in infos and infos[video].usable]


class _Windows(Dataset[tuple[str, np.ndarray]]):
    """The windows of a video, uint8 (W, T, C, crop, crop), in several items where it has many."""

    def __init__(self, shards: ShardSet, video_ids: Sequence[str], clip: Clip, corners: bool) -> None:
        self.shards, self.clip, self.corners = shards, clip, corners
        counts = {video: len(eval_windows(shards.videos[video].frames, clip)) for video in video_ids}
        crops = 5 if corners else 1
        together = max(1, _TOGETHER // crops)
        self._parts = [
            (video, slice(first, first + together))
            for video, count in counts.items()
            for first in range(0, count, together)
        ]
        self.most = min(together, max(counts.values(), default=0)) * crops

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> tuple[str, np.ndarray]:
        video, part = self._parts[number]
        windows = read_windows(
            self.shards, video, self.clip, self.shards.view, corners=self.corners, part=part
        )
        return video, windows


def mean_over_windows(
    apply: Callable[[Tensor], Mapping[str, Tensor]],
    shards: ShardSet,
    video_ids: Sequence[str],
    clip: Clip,
    *,
    device: torch.device,
    batch_size: int,
    workers: Workers = 0,
    crops: Literal[1, 10] = 1,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Call ``apply`` with batches of windows and average what it returns over the windows of each video.

    Args:
        apply: From network input (B, N, C, K, H, W) to named outputs (B, D).
        shards: The frames.
        video_ids: The videos, n of them; none may have been skipped.
        clip: Blocks, frames and crop of a window.
        device: Where ``apply`` computes.
        batch_size: Windows per call, across videos.
        workers: Processes that decode; 0: this one; auto: several on a GPU.
        crops: 1: the middle of each window; 10: the middle and the corners, each unchanged and mirrored.

    Returns:
        Each output as float32 (n, D), and the number of windows per video, (n,), those in corners included.
    """
    row = {video: index for index, video in enumerate(video_ids)}
    sums: dict[str, np.ndarray] = {}
    counts: Counter[str] = Counter()
    results = apply_to_windows(
        apply, shards, video_ids, clip, device=device, batch_size=batch_size, workers=workers, crops=crops
    )
    for videos, outputs in results:
        rows = [row[video] for video in videos]
        counts.update(videos)
        for name, y_BD in outputs.items():
            total = sums.setdefault(name, np.zeros((len(row), y_BD.shape[1])))
            np.add.at(total, rows, y_BD)
    windows = np.array([counts[video] for video in video_ids])
    means = {name: (total / windows[:, None]).astype(np.float32) for name, total in sums.items()}
    return means, windows


def apply_to_windows(
    apply: Callable[[Tensor], Mapping[str, Tensor]],
    shards: ShardSet,
    video_ids: Sequence[str],
    clip: Clip,
    *,
    device: torch.device,
    batch_size: int,
    workers: Workers = 0,
    crops: Literal[1, 10] = 1,
) -> Iterator[tuple[list[str], dict[str, np.ndarray]]]:
    """Call ``apply`` with batches of windows; arguments as of :func:`mean_over_windows`.

    A GPU computes a batch while the one before is averaged and the next one is loaded.

    Yields:
        The video of each window of a batch, and each output as float32 (B, D). Videos come in the given
        order, their windows in that of time, crop by crop. With 10 crops an output is the mean of the window
        unchanged and mirrored.
    """
    windows = _Windows(shards, video_ids, clip, crops == 10)
    item_bytes = windows.most * clip_bytes(clip, [shards.view])
    loader = Loader(windows, workers=number_of_workers(workers, device, item_bytes, at_most=True))

    def computed(batch: list[Window]) -> tuple[list[str], dict[str, Late]]:
        x_u8_BTCHW = _uploaded([window for _, window in batch], device)
        with torch.inference_mode():
            outputs = apply(to_network_input(x_u8_BTCHW, shards.view, clip))
            if crops == 10:
                x_BTCHW = mirror(unit_range(x_u8_BTCHW), shards.view)
                mirrored = apply(normalise(x_BTCHW, shards.view, clip))
                outputs = {name: (y_BD + mirrored[name]) / 2 for name, y_BD in outputs.items()}
            late = {name: Late(y_BD.float()) for name, y_BD in outputs.items()}
        return [video for video, _ in batch], late

    for videos, outputs in _one_late(map(computed, _batched(loader, batch_size))):
        yield videos, {name: late.tensor().numpy() for name, late in outputs.items()}


def _uploaded(windows: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Windows as one tensor on the device."""
    shape = (len(windows), *windows[0].shape)
    host = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    np.stack(windows, out=host.numpy())
    return host.to(device, non_blocking=True)


def _one_late(items: Iterable[T]) -> Iterator[T]:
    """The items, each after the next one has been made."""
    for item, _ in pairwise(chain(items, [None])):
        assert item is not None
        yield item


def _batched(videos: Iterable[tuple[str, np.ndarray]], batch_size: int) -> Iterator[list[Window]]:
    batch: list[Window] = []
    for video, windows_WTCHW in videos:
        # A copy, so that a worker's shared memory is released.
        for window_TCHW in np.asarray(windows_WTCHW).copy():
            batch.append((video, window_TCHW))
            if len(batch) == batch_size:
                yield batch
                batch = []
    if batch:
        yield batch
