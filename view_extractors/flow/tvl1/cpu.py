"""TV-L1 on a CPU core, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from view_extractors.flow.tvl1.iteration import iterate, mean_square_change
from view_extractors.flow.tvl1.scheme import Scheme
from view_extractors.flow.tvl1.warping import linearise, with_gradient


class Level:
    """A picture at one level of its pyramid.

    Attributes:
        picture_HW: ``float32``.
        pixels: the same with its gradient, see :func:`with_gradient`.
    """

    def __init__(self, picture_HW: np.ndarray) -> None:
        self.picture_HW = picture_HW
        self.pixels = with_gradient(picture_HW)


class Planes:
    """Flow, dual and data term at one level, in the layout of :mod:`~view_extractors.flow.tvl1.iteration`.

    Attributes:
        flow: u and v.
        before: what they were before the last median filter.
        dual: of u in x and y, of v in x and y.
        data: the linearised data term.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.flow = np.zeros((2, height + 1, width + 1), np.float32)
        self.before = np.zeros_like(self.flow)
        self.dual = np.zeros((4, height + 1, width + 1), np.float32)
        self.data = np.zeros((4, height, width + 1), np.float32)

    @property
    def flow_pixels(self) -> np.ndarray:
        """u and v, (2, H, W)."""
        return self.flow[:, :-1, :-1]

    def start_from(self, coarser: Planes) -> None:
        """Scale up flow and dual of the coarser level."""
        factors = (self.width / coarser.width, self.height / coarser.height)
        for mine, theirs, factor in zip(self.flow_pixels, coarser.flow_pixels, factors, strict=True):
            mine[:] = self._scaled_up(theirs) * np.float32(factor)
        for mine, theirs in zip(self.dual[:, 1:, :-1], coarser.dual[:, 1:, :-1], strict=True):
            mine[:] = self._scaled_up(theirs)
        # No difference leads across the border.
        self.dual[0::2, :, -2:] = 0
        self.dual[1::2, -1] = 0

    def median(self, width: int) -> None:
        """Filter the flow."""
        self.flow, self.before = self.before, self.flow
        for old, new in zip(self.before, self.flow, strict=True):
            new[:-1, :-1] = cv2.medianBlur(old[:-1, :-1], width)

    def refine(self, first: Level, second: Level, scheme: Scheme, number: int) -> None:
        """Warp and iterate until the flow converges, at this level of the pyramid (0: the finest)."""
        size = (self.height, self.width)
        theta, rate = np.float32(scheme.theta), np.float32(scheme.rate)
        for _ in range(scheme.warps_at(number)):
            self.median(scheme.median_filter)
            weight = np.float32(scheme.lambda_ * scheme.theta)
            linearise(first.picture_HW, second.pixels, *self.flow, self.width, weight, *self.data)
            flat = (array.reshape(len(array), -1) for array in (self.flow, self.dual, self.data))
            iterate(*flat, *size, theta, rate, scheme.iterations_at(number))
            if mean_square_change(self.flow, self.before, *size) < scheme.epsilon**2:
                break

    def _scaled_up(self, plane: np.ndarray) -> np.ndarray:
        return cv2.resize(plane, (self.width, self.height), interpolation=cv2.INTER_LINEAR)


def pyramid(picture_HW: np.ndarray, scheme: Scheme) -> list[Level]:
    """All levels of a ``uint8`` picture, the finest first."""
    picture: np.ndarray = picture_HW.astype(np.float32)
    levels = [Level(picture)]
    for height, width in scheme.sizes(*picture.shape)[1:]:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        levels.append(Level(picture))
    return levels


def flow_of_pair(first: Sequence[Level], second: Sequence[Level], scheme: Scheme) -> np.ndarray:
    """``float32`` (H, W, 2), px of the finest level, from two pyramids."""
    coarser: Planes | None = None
    for number, (one, two) in reversed(list(enumerate(zip(first, second, strict=True)))):
        planes = Planes(*one.picture_HW.shape)
        if coarser:
            planes.start_from(coarser)
        planes.refine(one, two, scheme, number)
        coarser = planes
    assert coarser
    return np.stack(list(coarser.flow_pixels), axis=-1)


def flows(pictures_THW: np.ndarray, scheme: Scheme) -> Iterator[np.ndarray]:
    """The flow (H, W, 2) between neighbours, one after the other."""
    first = pyramid(pictures_THW[0], scheme)
    for picture_HW in pictures_THW[1:]:
        second = pyramid(picture_HW, scheme)
        yield flow_of_pair(first, second, scheme)
        first = second
