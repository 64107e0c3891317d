"""Facts of a video file, from reading all of it: frames, rate, size, checksum, faults."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict
from pathlib import Path

from cocon.datasets.manifest import Facts, Video
from cocon.files import file_lock, sha256_of
from cocon.shards.file_state import FileState
from cocon.video import VideoError, VideoMissingError, check_file, open_video
from cocon.workers import worker_pool

OK, REPAIRED, SKIPPED, MISSING = "ok", "repaired", "skipped", "missing"
#: to be increased when the same file gives other facts, so that files checked before are read again
_VERSION = 2


def glance(path: Path) -> Facts:
    """The facts of a file from its folder entry, without opening it."""
    try:
        size = check_file(path)
    except VideoMissingError:
        return Facts(status=MISSING)
    except VideoError as error:
        return Facts(status=f"{SKIPPED}: {error.message}")
    return Facts(size=size, modified=FileState.of(path).modified)


def facts_of(path: Path) -> Facts:
    """Decode every frame of the first video stream and read every byte.

    The status is "missing", or what the extraction will write into the video's row: "ok",
    "repaired: <what is missing>", or "skipped: <why there is not one frame>".
    """
    facts = glance(path)
    if facts.status:
        return facts
    frames, fps = 0, 0.0
    try:
        with open_video(path) as video:
            video.skim()
            frames, fps = video.frames, video.fps
            status = f"{REPAIRED}: {video.reason}" if video.reason else OK
    except VideoError as error:
        status = f"{SKIPPED}: {error.message}"
    checksum = ""
    with contextlib.suppress(OSError):  # the status then records it
        checksum = sha256_of(path)
    return Facts(frames, round(fps, 3), facts.size, facts.modified, checksum, status)


def facts_of_all(videos: Sequence[Video], memory: Path, processes: int = 1) -> Iterator[tuple[str, Facts]]:
    """Probe the files of many videos, in parallel; yields id and facts as they come.

    Args:
        videos: in any order.
        memory: a file of facts that are already known; a video file that did not change since is not read
            again, so a killed check resumes.
        processes: files read at the same time.
    """
    with file_lock(memory.with_name(f"{memory.name}.lock")):
        known = _recall(memory)
        keys = {video.id: _key(video.path) for video in videos}
        waiting = []
        for video in videos:
            if keys[video.id] in known:
                yield video.id, known[keys[video.id]]
            else:
                waiting.append(video)
        with memory.open("a", encoding="utf-8", errors="surrogateescape") as handle:
            for video, facts in _read(waiting, processes):
                if key := keys[video.id]:
                    handle.write("\n" + json.dumps({"key": key} | asdict(facts)))
                    handle.flush()
                yield video.id, facts


def _read(videos: Sequence[Video], processes: int) -> Iterator[tuple[Video, Facts]]:
    if processes <= 1 or len(videos) <= 1:
        for video in videos:
            yield video, facts_of(video.path)
        return
    with worker_pool(min(processes, len(videos))) as pool:
        started = {pool.submit(facts_of, video.path): video for video in videos}
        for finished in as_completed(started):
            yield started[finished], finished.result()


def _key(path: Path) -> str:
    """Identifies a file and its state, and how it was checked; empty if there is none."""
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{_VERSION}|{os.fspath(path)}|{state.st_size}|{state.st_mtime_ns}"


def _recall(memory: Path) -> dict[str, Facts]:
    known = {}
    if memory.is_file():
        for line in memory.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a killed run
                row = json.loads(line)
                key = row.pop("key")
                # older versions did not store the time; the key ends with it
                known[key] = Facts(**{"modified": int(key.rpartition("|")[2]), **row})
    return known
