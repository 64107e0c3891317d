"""The three stages of a run: decode, infer, write; see :func:`view_extractors.pipeline.run.extract`."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cocon.shards import ShardWriter
from cocon.shards.writer import MISSING
from cocon.video import VideoError, VideoMissingError, open_video
from view_extractors.base import Extractor, Resources, finished
from view_extractors.pipeline.gpu_memory import FittingBatches
from view_extractors.pipeline.inference import frames_at_once, network_key, on_gpu
from view_extractors.pipeline.progress import Progress, Summary
from view_extractors.pipeline.threads import Behind, ahead
from view_extractors.pipeline.work_item import Results, WorkItem

log = logging.getLogger(__name__)

#: batches that wait between two stages
_DEPTH = 2
#: instead, where inference runs on a GPU: bytes of the frames whose results are pending or wait to be written
_PENDING_BYTES = 256 << 20
#: bytes of decoded frames in a batch: large frames come in smaller batches
_BATCH_BYTES = 64 << 20


class Stages:
    """The stages of one run, with its networks.

    Args:
        writers: the shards to write, with their extractors.
        resources: threads and device.
        batch_size: largest number of frames in a batch; None: more on a GPU.
        progress: its methods are called at every step.
        summary: is filled.
        was_there: whether a video's file was there when the videos were listed, where that is known.
    """

    def __init__(
        self,
        writers: Mapping[ShardWriter, Extractor],
        resources: Resources,
        batch_size: int | None,
        progress: Progress,
        summary: Summary,
        was_there: Mapping[str, bool] | None = None,
    ) -> None:
        self._writers = writers
        self._resources = resources
        self._progress = progress
        self._summary = summary
        self._was_there = was_there or {}
        self._fitting = FittingBatches(progress.batches_halved)
        for extractor in writers.values():
            extractor.prepare(resources)
        keys = {key for key in map(network_key, writers.values()) if key}
        self._networks = {key: key[0](key[1], resources) for key in keys}
        self._map: Callable[..., Iterable[Any]] = map
        self._open = contextlib.ExitStack()
        self._on_gpu = any(on_gpu(extractor, resources) for extractor in writers.values())
        self._batch_size = batch_size or frames_at_once(self._on_gpu)
        overlap = resources.threads > 1 or self._on_gpu
        self._depth = _DEPTH if overlap else 0
        order = "at the same time" if overlap else "in turn"
        log.debug("%d threads, device %s; the stages run %s", resources.threads, resources.device, order)

    def run(self, videos: Mapping[str, Path]) -> None:
        """Send the videos that a writer lacks through the stages."""
        pending = {writer: set(writer.pending) for writer in self._writers}
        todo = [video_id for video_id in videos if any(video_id in ids for ids in pending.values())]
        items = (
            WorkItem(
                video_id, videos[video_id], {w: e for w, e in self._writers.items() if video_id in pending[w]}
            )
            for video_id in todo
        )
        self._progress.start(len(todo))
        with contextlib.ExitStack() as stack:
            if self._resources.threads > 2:  # all but the core that inference keeps busy
                self._map = stack.enter_context(ThreadPoolExecutor(self._resources.threads - 1)).map
            stack.enter_context(self._open)
            room = _PENDING_BYTES if self._on_gpu else self._depth
            sink = stack.enter_context(Behind(self._write, room))
            for item, frames in stack.enter_context(ahead(self._decode(items), self._depth)):
                with self._summary.at_work("inference"), item.named_in_errors("inference"):
                    results = self._infer(item, frames)
                sink.put(results, max(_size(frames), *map(_size, results.of_writers)) if self._on_gpu else 1)

    def _decode(self, items: Iterator[WorkItem]) -> Generator[tuple[WorkItem, list[np.ndarray]], None, None]:
        """Batches of RGB frames; an empty one ends its video."""
        for item in items:
            with item.named_in_errors("decoding"):
                try:
                    yield from self._batches(item)
                except VideoMissingError:
                    there = self._was_there.get(item.id, False)
                    item.skipped = True
                    item.reason = (
                        f"{MISSING}, but was there when the videos were listed" if there else MISSING
                    )
                except VideoError as error:
                    item.skipped, item.reason = True, error.message
                yield item, []

    def _batches(self, item: WorkItem) -> Iterator[tuple[WorkItem, list[np.ndarray]]]:
        with contextlib.ExitStack() as stack:
            with self._summary.at_work("decode"):
                video = stack.enter_context(open_video(item.path))
            frames = iter(video)
            while batch := self._batch(frames):
                if not any(item.size):
                    item.start(video.height, video.width, video.rate)
                item.expected_frames = video.expected_frames
                yield item, batch
            item.frames, item.fps, item.reason = video.frames, video.fps, video.reason

    def _batch(self, frames: Iterator[np.ndarray]) -> list[np.ndarray]:
        with self._summary.at_work("decode"):
            batch = list(itertools.islice(frames, 1))
            if batch:
                room = max(1, _BATCH_BYTES // batch[0].nbytes)
                batch += itertools.islice(frames, min(self._batch_size, room) - 1)
            return batch

    def _infer(self, item: WorkItem, frames: Sequence[np.ndarray]) -> Results:
        extractors = list(item.writers.values())
        if item.skipped:
            return Results(item, 0, [[] for _ in extractors])
        if not frames:
            return Results(item, 0, [extractor.finish() for extractor in extractors])
        keys = [network_key(extractor) for extractor in extractors]
        used = {key: self._networks[key] for key in keys if key}
        if not item.started:
            item.started = True
            for network in used.values():
                network.start()
        found = {key: self._fitting(network.infer, frames) for key, network in used.items()}
        return Results(
            item,
            len(frames),
            [
                self._fitting(extractor.process, found[key] if key else frames)
                for extractor, key in zip(extractors, keys, strict=True)
            ],
        )

    def _write(self, results: Results) -> None:
        """Encode results and write them; commit the video after its last results."""
        item = results.item
        with self._summary.at_work("inference"), item.named_in_errors("inference"):
            of_writers = [finished(new) for new in results.of_writers]
        with self._summary.at_work("write"), item.named_in_errors("writing"):
            if not item.spools:
                item.spools = [self._open.enter_context(writer.video(item.id)) for writer in item.writers]
            for extractor, spool, new in zip(item.writers.values(), item.spools, of_writers, strict=True):
                for frame in self._map(extractor.store, new):
                    spool.append(frame)
            if not results.frames:
                item.commit()
                self._open.close()
        if results.frames:
            self._progress.frames(results.frames, item.expected_frames)
            self._summary.frames += results.frames
        else:
            self._summary.count(*item.outcome)
            self._progress.video(item.id, *item.outcome)


def _size(arrays: Sequence[Any]) -> int:
    """Bytes of arrays; other results are small, or as large as the frames while they are pending."""
    return sum(getattr(array, "nbytes", 0) for array in arrays)
