"""What every extractor shares: open, infer in batches, encode, write, and a status row per video."""

from __future__ import annotations

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import BaseModel

from cocon.errors import ShardError
from cocon.shards import Shard, ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from cocon.shards.verify import verify
from cocon.shards.writer import source_state
from view_extractors.video import Video, VideoError, open_video


@dataclass(frozen=True)
class Resources:
    """What a run may use.

    Attributes:
        threads: of the CPU, for decoding, OpenCV and networks.
        device: where networks run: ``cpu``, ``cuda``, or ``auto``: on a GPU if there is one.
    """

    threads: int = 1
    device: str = "auto"


class Network(ABC):
    """Something costly that several views of a frame can share.

    It is created once per run and for all extractors with equal :attr:`Extractor.options`, and sees each
    frame once.

    Attributes:
        weights: names the weights; stored among the shard's parameters.
    """

    weights: str

    @abstractmethod
    def __init__(self, options: Any, resources: Resources) -> None: ...

    @abstractmethod
    def start(self) -> None:
        """A new video begins."""

    @abstractmethod
    def infer(self, frames: Sequence[np.ndarray]) -> list[Any]:
        """One result per RGB frame; the frames follow those of the call before."""


class Extractor(ABC):
    """Turns the frames of one video into stored frames of one view.

    Once per run: :meth:`prepare`; then per video: :meth:`start`, :meth:`process` for every batch,
    :meth:`finish`.

    Attributes:
        view: name of the view.
        backend: name of the method, see the registry.
        section: class of the settings.
        network: class of the network whose results :meth:`process` gets; None: it gets RGB frames.
        codec: ``jpeg`` if stored frames are encoded images, ``keypoints`` if they are arrays (P, 17, 3).
        settings: the view's section of the configuration.
    """

    view: ClassVar[str]
    backend: ClassVar[str]
    section: ClassVar[type[BaseModel]]
    network: ClassVar[type[Network] | None] = None
    codec: ClassVar[Literal["jpeg", "keypoints"]] = "jpeg"

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.resources = Resources()
        self.frame_size = (0, 0)
        self.stored_size = (0, 0)

    @property
    def options(self) -> Any:
        """The backend's own part of the settings; None if it has none."""
        return getattr(self.settings, self.backend, None)

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that the stored bytes depend on, for the shard's attributes."""
        weights = {"weights": self.network.weights} if self.network else {}
        return {**self.settings.in_use(), **weights, "backend": self.backend, "opencv": cv2.__version__}

    def prepare(self, resources: Resources) -> None:
        """A run begins; a backend makes here what is costly and needed for all videos."""
        self.resources = resources

    def start(self, height: int, width: int) -> None:
        """A new video begins; its frames have this size (px)."""
        self.frame_size = (height, width)
        self.stored_size = scaled_size(height, width, self.settings.short_side)

    @abstractmethod
    def process(self, batch: Sequence[Any]) -> list[Any]:
        """Take the next frames (or the network's results for them); return what can be stored already."""

    def encode(self, picture_HWC: np.ndarray) -> bytes:
        """A stored frame from a ``uint8`` picture (H, W, C)."""
        return encode(picture_HWC, self.settings.jpeg_quality)

    def finish(self) -> list[Any]:
        """The stored frames that were still missing; as many in all as the video has frames."""
        return []


@dataclass(frozen=True)
class Output:
    """One view that a run writes: how, and where to."""

    extractor: Extractor
    path: Path


class Progress:
    """Is told how a run goes on; this one keeps it to itself."""

    def start(self, videos: int) -> None:
        """So many videos are to be extracted."""

    def frames(self, count: int) -> None:
        """So many more frames are done."""

    def video(self, video_id: str, frames: int, reason: str) -> None:
        """A video is done. No frames: it was skipped; a reason and frames: it was repaired."""

    def up_to_date(self, path: Path) -> None:
        """This shard needs no work."""


def scaled_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The size (h, w) whose shorter side is ``short_side`` px, with the aspect ratio kept."""
    scale = short_side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a picture to ``size`` (h, w): by areas when it shrinks, bilinearly when it grows."""
    if picture.shape[:2] == size:
        return picture
    shrinks = size[0] < picture.shape[0]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def extract(
    videos: Mapping[str, Path],
    outputs: Sequence[Output],
    *,
    max_failed_fraction: float = 0.0,
    resources: Resources | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> None:
    """Write one shard per output; every video is decoded once for all of them.

    Outputs whose extractors use the same network share its results. A video that cannot be decoded becomes
    a row "skipped". A killed run goes on where it stopped when it is called again, and a shard that holds
    these videos with these settings and is younger than they are is left alone.

    Args:
        videos: path of every video by its id, in the order of the shard.
        outputs: the views to write.
        max_failed_fraction: largest fraction of skipped videos that still gives a shard.
        resources: threads and device.
        batch_size: frames that are decoded before the networks see them.
        progress: is told what happens.

    Raises:
        ShardError: more than ``max_failed_fraction`` of the videos failed, or a file cannot be written.
    """
    resources, progress = resources or Resources(), progress or Progress()
    cv2.setNumThreads(resources.threads)
    wanted = []
    for output in outputs:
        if _up_to_date(output, videos):
            progress.up_to_date(output.path)
        else:
            wanted.append(output)
    with contextlib.ExitStack() as stack:
        writers = {stack.enter_context(_writer(output, videos)): output.extractor for output in wanted}
        for extractor in writers.values():
            extractor.prepare(resources)
        keys = {key for key in map(_network_key, writers.values()) if key}
        networks = {key: key[0](key[1], resources) for key in keys}
        run = _Run(networks, resources, batch_size, progress)
        pending = {writer: set(writer.pending) for writer in writers}
        todo = [video_id for video_id in videos if any(video_id in ids for ids in pending.values())]
        progress.start(len(todo))
        for video_id in todo:
            run.extract(
                video_id, videos[video_id], {w: e for w, e in writers.items() if video_id in pending[w]}
            )
        for writer in writers:
            writer.finish(max_failed_fraction)


_NetworkKey = tuple[type[Network], BaseModel | None]


def _network_key(extractor: Extractor) -> _NetworkKey | None:
    """Extractors with the same key share a network."""
    return (extractor.network, extractor.options) if extractor.network else None


def _writer(output: Output, videos: Mapping[str, Path]) -> ShardWriter:
    extractor = output.extractor
    return ShardWriter(
        output.path,
        view=extractor.view,
        video_ids=list(videos),
        parameters=extractor.parameters,
        codec=extractor.codec,
        sources=[source_state(path) for path in videos.values()],
    )


def _up_to_date(output: Output, videos: Mapping[str, Path]) -> bool:
    try:
        written = output.path.stat().st_mtime_ns
        rows = verify(output.path)
        shard = Shard(output.path)
    except (OSError, ShardError):
        return False
    newest = max((state[1] for path in videos.values() if (state := source_state(path))), default=0)
    same = shard.view == output.extractor.view and shard.parameters == output.extractor.parameters
    return same and [row.id for row in rows] == list(videos) and newest < written


@dataclass
class _Run:
    """One call of :func:`extract`: the networks it loaded and how it works."""

    networks: Mapping[_NetworkKey, Network]
    resources: Resources
    batch_size: int
    progress: Progress

    def extract(self, video_id: str, path: Path, writers: Mapping[ShardWriter, Extractor]) -> None:
        """Decode one video and write it to every writer, or the reason why not."""
        try:
            if not path.exists():
                raise VideoError("file is missing")
            with open_video(path, self.resources.threads) as video:
                stored = self._infer(video, list(writers.values()))
        except VideoError as error:
            for writer in writers:
                writer.skip(video_id, error.message)
            self.progress.video(video_id, 0, error.message)
            return
        for (writer, extractor), frames in zip(writers.items(), stored, strict=True):
            writer.add(_record(video_id, video, extractor, frames))
        self.progress.video(video_id, video.frames, video.reason)

    def _infer(self, video: Video, extractors: Sequence[Extractor]) -> list[list[Any]]:
        """One list of stored frames per extractor."""
        keys = [_network_key(extractor) for extractor in extractors]
        used = {key: self.networks[key] for key in keys if key}
        stored: list[list[Any]] = [[] for _ in extractors]
        for number, frames in enumerate(_batches(video, self.batch_size)):
            if number == 0:
                for extractor in extractors:
                    extractor.start(video.height, video.width)
                for network in used.values():
                    network.start()
            results = {key: network.infer(frames) for key, network in used.items()}
            for extractor, key, kept in zip(extractors, keys, stored, strict=True):
                kept += extractor.process(results[key] if key else frames)
            self.progress.frames(len(frames))
        for extractor, kept in zip(extractors, stored, strict=True):
            kept += extractor.finish()
        return stored


def _record(video_id: str, video: Video, extractor: Extractor, stored: list[Any]) -> VideoRecord:
    assert len(stored) == video.frames
    height, width = extractor.stored_size
    return VideoRecord(
        id=video_id,
        height=height,
        width=width,
        source_height=video.height,
        source_width=video.width,
        fps=video.fps,
        frames=stored if extractor.codec == "jpeg" else None,
        keypoints=stored if extractor.codec == "keypoints" else None,
        status="repaired" if video.reason else "ok",
        reason=video.reason,
    )


def _batches(frames: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    iterator = iter(frames)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
