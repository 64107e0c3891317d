"""What can be known of a video's file by reading all of it: frames, rate, size, checksum, faults."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from cocon.datasets.manifest import Facts, Video
from cocon.files import file_lock, sha256_of
from cocon.shards.source import Source

OK, MISSING = "ok", "missing"


def glance(path: Path) -> Facts:
    """What the folder says of a file, without opening it."""
    if not path.is_file():
        return Facts(status=MISSING)
    source = Source.of(path)
    return Facts(size=source.size, modified=source.modified)


def probe(path: Path) -> Facts:
    """Decode every frame of the first video stream and read every byte.

    The status is "ok", "missing", "undecodable: <reason>" (not one frame), or "damaged: <reason>". The
    extraction looks closer at odd files (docs/decoding.md) and has the last word.
    """
    import av

    facts = glance(path)
    if facts.status:
        return facts
    frames, rate, fault = 0, 0.0, ""
    try:
        with path.open("rb") as handle, av.open(handle, "r", metadata_errors="ignore") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            for packet in container.demux(stream):
                try:
                    frames += len(packet.decode())
                except EOFError:
                    break
                except av.FFmpegError as error:
                    fault = fault or str(error.strerror)
    except (av.FFmpegError, OSError) as error:
        fault = fault or str(getattr(error, "strerror", None) or error)
    except IndexError:
        fault = "it has no video stream"
    if not frames:
        status = f"undecodable: {fault or 'it has no frame'}"
    else:
        status = f"damaged: {fault}" if fault else OK
    return Facts(frames, round(rate, 3), facts.size, facts.modified, sha256_of(path), status)


def probe_all(videos: Sequence[Video], memory: Path, processes: int = 1) -> Iterator[tuple[str, Facts]]:
    """Probe the files of many videos, in parallel; yields id and facts as they come.

    Args:
        videos: in any order.
        memory: a file of what is known already; a file that did not change since is not read again, so a
            killed check goes on.
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
            for video, facts in _probed(waiting, processes):
                if key := keys[video.id]:
                    handle.write("\n" + json.dumps({"key": key} | asdict(facts)))
                    handle.flush()
                yield video.id, facts


def _probed(videos: Sequence[Video], processes: int) -> Iterator[tuple[Video, Facts]]:
    if processes <= 1 or len(videos) <= 1:
        for video in videos:
            yield video, probe(video.path)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(videos)), context) as pool:
        started = {pool.submit(probe, video.path): video for video in videos}
        for finished in as_completed(started):
            yield started[finished], finished.result()


def _key(path: Path) -> str:
    """Identifies a file and its state; empty if there is none."""
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{os.fspath(path)}|{state.st_size}|{state.st_mtime_ns}"


def _recall(memory: Path) -> dict[str, Facts]:
    known = {}
    if memory.is_file():
        for line in memory.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a killed run
                row = json.loads(line)
                key = row.pop("key")
                # older programs did not write the time down; the key ends with it
                known[key] = Facts(**{"modified": int(key.rpartition("|")[2]), **row})
    return known
