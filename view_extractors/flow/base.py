"""Base class of the flow backends: from pairs of frames to two stored channels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np

from cocon.config.schema import FlowExtraction
from cocon.views import FLOW_ZERO
from view_extractors.base import Extractor, resize, scaled_size

#: bytes on either side of FLOW_ZERO
REACH = 127


class FlowExtractor(Extractor):
    """Flow from frame i to frame i + 1, in pixels of the stored size.

    The last frame repeats the flow before it, so that every view has as many frames as the video; the only
    frame of a one-frame video has zero flow. A backend defines :meth:`flows`.

    Attributes:
        colour: whether :meth:`flows` gets RGB pictures; else grey ones.
    """

    view = "flow"
    section = FlowExtraction
    colour: ClassVar[bool] = False

    def start(self, height: int, width: int) -> None:
        """Start a new video."""
        super().start(height, width)
        side = self.settings.compute_short_side
        self.compute_size = scaled_size(height, width, side or min(height, width))
        self._previous: np.ndarray | None = None
        self._last: Any = None

    @abstractmethod
    def flows(self, pictures: np.ndarray) -> np.ndarray:
        """Motion between neighbours.

        Args:
            pictures: ``uint8`` (T, h, w), or (T, h, w, 3) if :attr:`colour`; T is at least 2. Within a video
                the first picture is the last one of the call before.

        Returns:
            ``float32`` (T - 1, h, w, 2): u to the right and v downwards, px of these pictures.
        """

    def process(self, batch: Sequence[np.ndarray]) -> list[Any]:
        """The result of every pair of neighbours that is complete, see :meth:`between`."""
        pictures = self.pictures(batch)
        if self._previous is not None:
            pictures.insert(0, self._previous)
        results = self.between(pictures) if len(pictures) > 1 else []
        self._previous = pictures[-1]
        self._last = results[-1] if results else self._last
        return results

    def between(self, pictures: list[np.ndarray]) -> list[Any]:
        """A result of :meth:`process` per pair of neighbours: by default the flow (h, w, 2).

        Bytes (h, w, 2) of the stored size are results as well, and so are pending ones.

        Args:
            pictures: see :meth:`flows`; the first one is the same object as the last one of the call before.
        """
        return list(self.flows(np.stack(pictures)))

    def pictures(self, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the flow is computed from: the frames scaled, and grey unless :attr:`colour`."""
        return [resize(self._picture(frame), self.compute_size) for frame in batch]

    def finish(self) -> list[Any]:
        """The last frame's flow."""
        return [np.zeros((*self.compute_size, 2), np.float32) if self._last is None else self._last]

    def store(self, result: np.ndarray) -> bytes:
        """Encode a flow, after scaling it to the stored size unless it consists of bytes already."""
        if result.dtype != np.uint8:
            result = flow_to_bytes(rescale_flow(result, self.stored_size), self.settings.bound)
        return self.encode(result)

    def _picture(self, frame: np.ndarray) -> np.ndarray:
        return frame if self.colour else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def rescale_flow(flow_HW2: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a flow field to ``size`` (h, w), and its vectors with it."""
    height, width = flow_HW2.shape[:2]
    factors = np.array([size[1] / width, size[0] / height], np.float32)
    return resize(flow_HW2, size) * factors


def flow_to_bytes(flow_HW2: np.ndarray, bound: float) -> np.ndarray:
    """``round(128 + 127 u / bound)`` as ``uint8``; u is clipped to +-bound px."""
    return np.rint(FLOW_ZERO + REACH * np.clip(flow_HW2 / bound, -1, 1)).astype(np.uint8)


def bytes_to_flow(stored_HW2: np.ndarray, bound: float) -> np.ndarray:
    """The inverse of :func:`flow_to_bytes`: float32 px at the stored size."""
    return (stored_HW2.astype(np.float32) - FLOW_ZERO) * np.float32(bound / REACH)
