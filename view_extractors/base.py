"""The interface of a backend: a network that several views can share, and an extractor per view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import BaseModel

from cocon.shards.codecs import encode_as
from cocon.shards.format import Codec
from cocon.versions import extraction_version
from cocon.video import VideoError

#: px; OpenCV maps pictures up to 32,766, and two channels of flow are one JPEG of at most 65,500
MAX_SIDE = 32750


@dataclass(frozen=True)
class Resources:
    """The threads and the device that a run may use.

    Attributes:
        threads: of the CPU, for decoding, OpenCV and networks.
        device: where networks run: ``cpu``, ``cuda``, or ``auto``: on a GPU if there is one.
    """

    threads: int = 1
    device: str = "auto"


@dataclass(frozen=True)
class Pending:
    """A result that a GPU is still computing.

    Attributes:
        batch: a sequence of results that are computed together.
        index: the place of this one among them.
    """

    batch: Future[Any]
    index: int


def finished(results: Iterable[Any]) -> list[Any]:
    """The results, after waiting for those that are pending.

    Raises:
        Exception: what their computation raised.
    """
    return [r.batch.result()[r.index] if isinstance(r, Pending) else r for r in results]


class SharedNetwork(ABC):
    """A network whose results several views of a frame can share.

    It is created once per run for all extractors with equal :attr:`Extractor.options`, and processes each
    frame once.

    Attributes:
        weights: names the weights; stored among the shard's parameters.
    """

    weights: str

    @abstractmethod
    def __init__(self, options: Any, resources: Resources) -> None: ...

    @abstractmethod
    def start(self) -> None:
        """Start a new video."""

    @abstractmethod
    def infer(self, frames: Sequence[np.ndarray]) -> list[Any]:
        """One result per RGB frame; the frames follow those of the call before."""


class Extractor(ABC):
    """Turns the frames of one video into stored frames of one view.

    Once per run: :meth:`prepare`; then per video, on a shallow copy that belongs to it: :meth:`start`,
    :meth:`process` for every batch, :meth:`finish`. Their results become stored frames in :meth:`store`, in
    another thread.

    Attributes:
        view: name of the view.
        backend: name of the method, see the registry.
        section: class of the settings.
        network: class of the network whose results :meth:`process` gets; None: it gets RGB frames.
        codec: ``keypoints`` if stored frames are arrays (P, 17, 3), else how pictures are coded.
        settings: the view's section of the configuration.
        fps: frames per second of the video, set before :meth:`start`; 0: not in the file.
    """

    view: ClassVar[str]
    backend: ClassVar[str]
    section: ClassVar[type[BaseModel]]
    network: ClassVar[type[SharedNetwork] | None] = None
    codec: Codec = "delta"

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.resources = Resources()
        self.frame_size = (0, 0)
        self.stored_size = (0, 0)
        self.fps = 0.0

    @property
    def options(self) -> Any:
        """The backend's own part of the settings; None if it has none."""
        return getattr(self.settings, self.backend, None)

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that the stored bytes depend on, for the shard's attributes."""
        weights = {"weights": self.network.weights} if self.network else {}
        number = extraction_version(self.view, self.backend)
        version = {"version": number} if number > 1 else {}
        return {
            **self.settings.in_use(),
            **weights,
            **version,
            "backend": self.backend,
            "opencv": cv2.__version__,
        }

    def prepare(self, resources: Resources) -> None:
        """Start a run; a backend creates here what is costly and needed for all videos."""
        self.resources = resources

    def start(self, height: int, width: int) -> None:
        """Start a new video, whose frames have this size (px).

        Raises:
            VideoError: this view cannot store frames of such a shape.
        """
        self.frame_size = (height, width)
        self.stored_size = scaled_size(height, width, self.settings.short_side)

    @abstractmethod
    def process(self, batch: Sequence[Any]) -> list[Any]:
        """Take the next frames (or the network's results for them); return the results that are complete.

        The results must not depend on the batch boundaries. They may be :class:`Pending`: then inference
        goes on, and :meth:`store` gets them when they are finished. A call that raises must leave the state
        unchanged: a batch that does not fit the GPU's memory is passed again in halves.
        """

    def encode(self, picture_HWC: np.ndarray) -> bytes:
        """A stored frame from a ``uint8`` picture (H, W, C)."""
        if self.codec == "keypoints":
            raise TypeError("keypoints are stored unchanged")
        return encode_as(self.codec, picture_HWC, getattr(self.settings, "jpeg_quality", 0))

    def finish(self) -> list[Any]:
        """The remaining results; in total there is one per frame of the video."""
        return []

    def store(self, result: Any) -> Any:
        """The stored frame, of the codec's type, from one result; by default the result itself.

        It runs during the inference of later frames, perhaps in several threads: it may use what
        :meth:`prepare` and :meth:`start` have set, and nothing that :meth:`process` changes.
        """
        return result


@dataclass(frozen=True)
class Output:
    """One view that a run writes: its extractor and its file."""

    extractor: Extractor
    path: Path


def scaled_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The size (h, w) whose shorter side is ``short_side`` px, with the aspect ratio kept.

    Raises:
        VideoError: the longer side would have more than :data:`MAX_SIDE` px.
    """
    scale = short_side / min(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    if max(size) > MAX_SIDE:
        raise VideoError(
            f"aspect ratio too extreme to store: {width}x{height} px would become {size[1]}x{size[0]} px, "
            f"and a side may have {MAX_SIDE} px"
        )
    return size


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a picture to ``size`` (h, w): by areas when it shrinks, bilinearly when it grows."""
    if picture.shape[:2] == size:
        return picture
    shrinks = size[0] < picture.shape[0]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
