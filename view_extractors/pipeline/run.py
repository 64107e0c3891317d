"""One pass over videos that writes one shard per view and skips finished work."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import cv2

from cocon.errors import ShardError
from cocon.files import check_output, no_room, sha256_of
from cocon.shards import Shard, ShardWriter
from cocon.shards.file_state import FileState
from cocon.shards.parameters import essential
from cocon.shards.verify import verify
from view_extractors.base import Extractor, Output, Resources
from view_extractors.pipeline.progress import Progress, Summary
from view_extractors.pipeline.stages import Stages

log = logging.getLogger(__name__)


def extract(
    videos: Mapping[str, Path],
    outputs: Sequence[Output],
    *,
    max_failed_fraction: float = 0.0,
    resources: Resources | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
    was_there: Mapping[str, bool] | None = None,
    checksums: Mapping[str, str] | None = None,
    remember: bool = False,
) -> Summary:
    """Write one shard per output; every video is decoded once for all of them.

    Outputs whose extractors use the same network share its results. A video that cannot be decoded becomes a
    row "skipped". A killed run resumes where it stopped when it is called again. A shard that holds these
    videos with these settings, each from a file of the size and time that it has now, is left unchanged; from
    a shard in which some videos differ, the others are reused.

    Decoding runs in a thread of its own, ahead of inference, and encoding and writing in another, behind it;
    inference stays in the calling thread. The bytes do not depend on that. With one CPU thread and no GPU
    the stages take turns in the calling thread: such a job never uses a second core.

    Args:
        videos: path of every video by its id, in the order of the shard.
        outputs: the views to write.
        max_failed_fraction: largest fraction of skipped videos that still gives a shard.
        resources: threads and device.
        batch_size: frames that a network sees at once, fewer where frames are large; None: more on a GPU.
        progress: its methods are called at every step.
        was_there: whether a video's file was there when the videos were listed, by id, as far as it is known.
            A video that was already missing then does not count as failed.
        checksums: sha256 by id, of those videos of which it is known.
        remember: keep a hidden second name of each shard, for the next run, in case the shard is removed
            first.

    Returns:
        What was done in this call, and how long each stage took.

    Raises:
        ShardError: more than ``max_failed_fraction`` of the videos failed, the disk is full, another process
            writes one of the shards, or a file has a wrong checksum. Other errors of a backend carry a note
            that names the video.
        OutputError: an output cannot be written; no video has been read.
    """
    resources, progress = resources or Resources(), progress or Progress()
    cv2.setNumThreads(resources.threads)
    wanted = []
    sources = {video_id: FileState.of(path) for video_id, path in videos.items()}
    for output in outputs:
        if _up_to_date(output, sources, checksums or {}):
            progress.up_to_date(output.path)
        else:
            check_output(output.path)
            wanted.append(output)
    if wanted and checksums:
        sources = {
            video_id: _read(videos[video_id], checksums.get(video_id, ""), source)
            for video_id, source in sources.items()
        }
    summary = Summary()
    writers: dict[ShardWriter, Extractor] = {}
    with contextlib.ExitStack() as stack, _full_disk_explained(writers):
        for output in wanted:
            writer = stack.enter_context(_writer(output, sources, remember))
            log.debug("%s: %d of %d videos to do", output.path, len(writer.pending), len(sources))
            writers[writer] = output.extractor
        if any(writer.pending for writer in writers):
            stages = Stages(writers, resources, batch_size, progress, summary, was_there or {})
            began = time.perf_counter()
            stages.run(videos)
            summary.seconds = time.perf_counter() - began
        for writer in writers:
            writer.finish(
                max_failed_fraction, [name for name, there in (was_there or {}).items() if not there]
            )
    progress.finish(summary)
    return summary


@contextlib.contextmanager
def _full_disk_explained(writers: Collection[ShardWriter]) -> Iterator[None]:
    """Add to a disk-full error how much of the work is kept."""
    try:
        yield
    except (OSError, RuntimeError, ShardError) as error:
        number = no_room(error)
        if not number:
            raise
        finished = [len(writer.video_ids) - len(writer.pending) for writer in writers]
        kept = [f", {n} of {len(w.video_ids)} in {w.work}" for n, w in zip(finished, writers, strict=True)]
        raise ShardError(
            f"there is no space left to write ({os.strerror(number)}); finished videos are "
            f"kept{''.join(kept)}",
            "free some space and run the same command again: it resumes after the finished videos",
        ) from error


def _read(path: Path, expected: str, source: FileState) -> FileState:
    """Add the checksum of the file's content, if the file exists and there is a checksum to compare with."""
    if not expected or not source.known:
        return source
    found = sha256_of(path)
    if found != expected:
        raise ShardError(
            f"{path} is not the file in the list of videos: its sha256 is {found}, not {expected}",
            "get the file again, or write the list again (`cocon data check`)",
        )
    return source._replace(sha256=found)


def _writer(output: Output, sources: Mapping[str, FileState], remember: bool) -> ShardWriter:
    extractor = output.extractor
    return ShardWriter(
        output.path,
        view=extractor.view,
        video_ids=list(sources),
        parameters=extractor.parameters,
        codec=extractor.codec,
        sources=sources,
        remember=remember,
    )


def _up_to_date(output: Output, sources: Mapping[str, FileState], checksums: Mapping[str, str]) -> bool:
    try:
        written = output.path.stat().st_mtime_ns
        rows = verify(output.path)
        shard = Shard(output.path)
    except (OSError, ShardError):
        return False
    view, parameters = output.extractor.view, output.extractor.parameters
    same = shard.view == view and essential(view, shard.parameters) == essential(view, parameters)
    if not same or [row.id for row in rows] != list(sources):
        return False
    if shard.version == 2:  # it does not record which files it was made from
        return max((source.modified for source in sources.values()), default=0) < written
    for row in rows:
        listed = checksums.get(row.id, row.source_sha256)
        if row.source[:2] != sources[row.id][:2] or row.source_sha256 not in ("", listed):
            return False
    return True
