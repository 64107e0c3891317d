"""The three stages of a run: decode, infer, write; see :func:`view_extractors.pipeline.run.extract`."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from cocon.backends import BACKENDS
from cocon.shards import ShardWriter
from cocon.shards.spool import VideoSpool
from cocon.shards.writer import MISSING
from cocon.video import VideoError, VideoMissingError, open_video
from view_extractors.base import Extractor, Network, Resources
from view_extractors.networks.devices import uses_gpu
from view_extractors.pipeline.gpu_memory import FittingBatches
from view_extractors.pipeline.progress import Progress, Summary
from view_extractors.pipeline.threads import Behind, ahead

#: batches that wait between two stages
_DEPTH = 2
#: bytes of decoded frames in a batch: large frames come in smaller batches
_BATCH_BYTES = 64 << 20


@dataclass
class Job:
    """One video on its way through the stages.

    Attributes:
        id: of the video.
        path: of the video.
        writers: the shards that lack it, each with an extractor of the video's own: while its last results
            are written, the next video has begun.
        spools: per writer, where the stored frames go.
        expected_frames: how many the file promises; 0: it does not say.
        size: height and width of the frames, px.
        fps: frames per second.
        started: inference has begun.
        frames: decoded frames; final, like the next two, when decoding has ended.
        reason: what was wrong with the file.
        skipped: no frame can be decoded, or no view can store one, for this reason.
        refused: the reason, per shard whose view cannot store the video; ``writers`` has it no longer.
    """

    id: str
    path: Path
    writers: dict[ShardWriter, Extractor]
    spools: list[VideoSpool] = field(default_factory=list)
    expected_frames: int = 0
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    started: bool = False
    frames: int = 0
    reason: str = ""
    skipped: bool = False
    refused: dict[ShardWriter, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writers = {writer: copy.copy(extractor) for writer, extractor in self.writers.items()}

    @contextlib.contextmanager
    def named_in_errors(self, stage: str) -> Iterator[None]:
        """Add to any error what was being done to which video."""
        try:
            yield
        except Exception as error:
            error.add_note(f"{stage} of video '{self.id}' ({self.path}) failed; finished videos are kept")
            raise

    def start(self, height: int, width: int, fps: float) -> None:
        """The frames have this size and rate, as far as the file says it: start the extractors.

        Raises:
            VideoError: no view can store them.
        """
        self.size = (height, width)
        for writer, extractor in list(self.writers.items()):
            extractor.fps = fps
            try:
                extractor.start(height, width)
            except VideoError as error:
                self.refused[writer] = error.message
                del self.writers[writer]
        if not self.writers:
            raise VideoError(next(iter(self.refused.values())))

    @property
    def outcome(self) -> tuple[int, str]:
        """How many frames are kept, and what is missing, in any of the views."""
        if self.skipped:
            return 0, self.reason
        return self.frames, "; ".join(filter(None, [self.reason, *self.refused.values()]))

    def commit(self) -> None:
        """Keep the video, or the reason why there is nothing to keep."""
        for writer, reason in self.refused.items():
            writer.skip(self.id, reason)
        if self.skipped:
            for writer in self.writers:
                writer.skip(self.id, self.reason)
            return
        for extractor, spool in zip(self.writers.values(), self.spools, strict=True):
            assert spool.frames == self.frames
            spool.commit(
                height=extractor.stored_size[0],
                width=extractor.stored_size[1],
                source_height=self.size[0],
                source_width=self.size[1],
                fps=self.fps,
                status="repaired" if self.reason else "ok",
                reason=self.reason,
            )


@dataclass(frozen=True)
class Results:
    """What inference hands to writing: per writer of the job, the results for some frames.

    ``frames`` counts the decoded frames that were looked at; 0: the video ends with these results.
    """

    job: Job
    frames: int
    of_writers: list[list[Any]]


class Stages:
    """The stages of one run, with its networks.

    Args:
        writers: the shards to write, with their extractors.
        resources: threads and device.
        batch_size: largest number of frames in a batch.
        progress: is told what happens.
        summary: is filled.
        was_there: whether a video's file was there when the videos were listed, as far as it is known.
    """

    def __init__(
        self,
        writers: Mapping[ShardWriter, Extractor],
        resources: Resources,
        batch_size: int,
        progress: Progress,
        summary: Summary,
        was_there: Mapping[str, bool] | None = None,
    ) -> None:
        self._writers = writers
        self._resources = resources
        self._batch_size = batch_size
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
        overlap = resources.threads > 1 or any(on_gpu(e, resources) for e in writers.values())
        self._depth = _DEPTH if overlap else 0

    def run(self, videos: Mapping[str, Path]) -> None:
        """Send the videos that a writer lacks through the stages."""
        pending = {writer: set(writer.pending) for writer in self._writers}
        todo = [video_id for video_id in videos if any(video_id in ids for ids in pending.values())]
        jobs = (
            Job(
                video_id, videos[video_id], {w: e for w, e in self._writers.items() if video_id in pending[w]}
            )
            for video_id in todo
        )
        self._progress.start(len(todo))
        with contextlib.ExitStack() as stack:
            if self._resources.threads > 2:  # all but the core that inference keeps busy
                self._map = stack.enter_context(ThreadPoolExecutor(self._resources.threads - 1)).map
            stack.enter_context(self._open)
            sink = stack.enter_context(Behind(self._write, self._depth))
            for job, frames in stack.enter_context(ahead(self._decode(jobs), self._depth)):
                with self._summary.at_work("inference"), job.named_in_errors("inference"):
                    results = self._infer(job, frames)
                sink.put(results)

    def _decode(self, jobs: Iterator[Job]) -> Generator[tuple[Job, list[np.ndarray]], None, None]:
        """Batches of RGB frames; an empty one ends its video."""
        for job in jobs:
            with job.named_in_errors("decoding"):
                try:
                    yield from self._batches(job)
                except VideoMissingError:
                    there = self._was_there.get(job.id, False)
                    job.skipped = True
                    job.reason = f"{MISSING}, but was there when the videos were listed" if there else MISSING
                except VideoError as error:
                    job.skipped, job.reason = True, error.message
                yield job, []

    def _batches(self, job: Job) -> Iterator[tuple[Job, list[np.ndarray]]]:
        with contextlib.ExitStack() as stack:
            with self._summary.at_work("decode"):
                video = stack.enter_context(open_video(job.path))
            frames = iter(video)
            while batch := self._batch(frames):
                if not any(job.size):
                    job.start(video.height, video.width, video.rate)
                job.expected_frames = video.expected_frames
                yield job, batch
            job.frames, job.fps, job.reason = video.frames, video.fps, video.reason

    def _batch(self, frames: Iterator[np.ndarray]) -> list[np.ndarray]:
        with self._summary.at_work("decode"):
            batch = list(itertools.islice(frames, 1))
            if batch:
                room = max(1, _BATCH_BYTES // batch[0].nbytes)
                batch += itertools.islice(frames, min(self._batch_size, room) - 1)
            return batch

    def _infer(self, job: Job, frames: Sequence[np.ndarray]) -> Results:
        extractors = list(job.writers.values())
        if job.skipped:
            return Results(job, 0, [[] for _ in extractors])
        if not frames:
            return Results(job, 0, [extractor.finish() for extractor in extractors])
        keys = [network_key(extractor) for extractor in extractors]
        used = {key: self._networks[key] for key in keys if key}
        if not job.started:
            job.started = True
            for network in used.values():
                network.start()
        found = {key: self._fitting(network.infer, frames) for key, network in used.items()}
        return Results(
            job,
            len(frames),
            [
                self._fitting(extractor.process, found[key] if key else frames)
                for extractor, key in zip(extractors, keys, strict=True)
            ],
        )

    def _write(self, results: Results) -> None:
        """Encode results and write them; keep the video when these are its last."""
        job = results.job
        with self._summary.at_work("write"), job.named_in_errors("writing"):
            if not job.spools:
                job.spools = [self._open.enter_context(writer.video(job.id)) for writer in job.writers]
            for extractor, spool, new in zip(
                job.writers.values(), job.spools, results.of_writers, strict=True
            ):
                for frame in self._map(extractor.store, new):
                    spool.append(frame)
            if not results.frames:
                job.commit()
                self._open.close()
        if results.frames:
            self._progress.frames(results.frames, job.expected_frames)
            self._summary.frames += results.frames
        else:
            self._summary.count(*job.outcome)
            self._progress.video(job.id, *job.outcome)


def on_gpu(extractor: Extractor, resources: Resources) -> bool:
    """Whether an extractor's inference runs on a GPU."""
    entry = BACKENDS.get(extractor.view, {}).get(extractor.backend)
    return entry is not None and entry.may_use_gpu(resources.device) and uses_gpu(resources)


NetworkKey = tuple[type[Network], BaseModel | None]


def network_key(extractor: Extractor) -> NetworkKey | None:
    """Extractors with the same key share a network."""
    return (extractor.network, extractor.options) if extractor.network else None
