"""Contact sheets: the same instants of a video in every view, one below the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from cocon.report.flow_colour import colour_of_flow, pixels_of_stored, wheel_picture
from cocon.report.inputs import UNREADABLE, Inputs, PageSection, reason
from cocon.report.pictures import draw_skeleton, fit, grey_to_rgb, jpeg_uri, numbers_of_persons, png_uri
from cocon.views import PHOTOGRAPH, VIEWS

_SHEETS = 6
_FRAMES = 8
_HEIGHT = 180


@dataclass(frozen=True)
class Sheet:
    """One video: ``pictures[view]`` are data URIs, one per instant.

    ``apart``: each person of the poses has a different colour.
    """

    id: str
    label: str
    frames: list[int]
    seconds: list[float]
    length: int
    aspect: float
    pictures: dict[str, list[str]]
    flow_scale: float | None
    apart: bool = False


@dataclass
class SheetsSection(PageSection):
    """A few videos, and the legend of the flow colours."""

    sheets: list[Sheet] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    wheel: str = ""

    def of(self, content: str) -> list[str]:
        """The views of such content; see :class:`cocon.views.View`."""
        return [view for view in self.views if VIEWS[view].content == content]


def section(inputs: Inputs) -> SheetsSection:
    """Draw one video of each of the first classes, evenly chosen, from the test videos where known."""
    page = SheetsSection("sheets", "What the extractors saw", "Views")
    page.views = [view for view in inputs.views if view in inputs.shards]
    if not page.views:
        page.missing.append("There are no shards, so there is nothing to show.")
        return page
    page.missing += [text for key, text in inputs.missing.items() if key.startswith("shards/")]
    for video_id in choose(inputs, page.views):
        try:
            page.sheets.append(_sheet(inputs, video_id, page.views))
        except UNREADABLE as error:
            page.missing.append(f"The video {video_id} cannot be shown ({reason(error)}).")
    if not page.sheets:
        page.missing.append("No video has frames in all of these views.")
    if page.sheets and page.of("vectors"):
        page.wheel = png_uri(wheel_picture(160))
    return page


def choose(inputs: Inputs, views: Iterable[str], count: int = _SHEETS) -> list[str]:
    """Ids of up to ``count`` videos with frames in all ``views``: one per class, classes evenly spaced.

    Within a class, test videos come first, then the order of the ids.
    """
    usable = set.intersection(
        *({row.id for row in inputs.tables[view].values() if row.usable} for view in views)
    )
    first_of: dict[str, str] = {}
    for video_id in sorted(usable, key=lambda video_id: (not _is_test(inputs, video_id), video_id)):
        first_of.setdefault(inputs.label(video_id), video_id)
    if len(first_of) == 1:  # no labels, or a single class
        return sorted(usable)[:count]
    return [first_of[label] for label in spaced(sorted(first_of), count)]


def spaced(items: list[str], count: int) -> list[str]:
    """``count`` evenly spaced items, or all when there are fewer."""
    if len(items) <= count:
        return items
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def _is_test(inputs: Inputs, video_id: str) -> bool:
    video = inputs.videos.get(video_id)
    return video is not None and "test" in video.splits.values()


def _sheet(inputs: Inputs, video_id: str, views: list[str]) -> Sheet:
    rows = {view: inputs.tables[view][video_id] for view in views}
    length = min(row.frames for row in rows.values())
    frames = sorted({round(index * (length - 1) / (_FRAMES - 1)) for index in range(_FRAMES)})
    source = next(iter(rows.values()))
    pictures: dict[str, list[str]] = {}
    scale, apart = None, False
    rgb = (
        [fit(frame, _HEIGHT) for frame in inputs.shards[PHOTOGRAPH].read(video_id, frames)]
        if PHOTOGRAPH in views
        else None
    )
    for view in views:
        content = VIEWS[view].content
        if view == PHOTOGRAPH and rgb is not None:
            drawn = rgb
        elif content == "vectors":
            drawn, scale = _vectors(inputs, view, video_id, frames)
        elif content == "heatmaps":
            drawn, apart = _persons(inputs, view, video_id, frames, rgb)
        else:
            drawn = [fit(grey_to_rgb(frame), _HEIGHT) for frame in inputs.shards[view].read(video_id, frames)]
        pictures[view] = [jpeg_uri(picture) for picture in drawn]
    fps = source.fps or 1.0
    return Sheet(
        video_id, inputs.label(video_id), frames, [frame / fps for frame in frames], length,
        source.width / source.height, pictures, scale, apart,
    )  # fmt: skip


def _vectors(inputs: Inputs, view: str, video_id: str, frames: list[int]) -> tuple[list[np.ndarray], float]:
    shards = inputs.shards[view]
    bound = float(shards.shards[0].parameters.get("bound", 20.0))
    flow_THW2 = pixels_of_stored(shards.read(video_id, frames), bound)
    speed_THW = np.hypot(flow_THW2[..., 0], flow_THW2[..., 1])
    # The smallest nonzero motion in eight bits as the minimum keeps a still video white.
    scale = max(float(np.quantile(speed_THW, 0.995)), 4 * bound / 127)
    return [fit(colour_of_flow(flow_HW2, scale), _HEIGHT) for flow_HW2 in flow_THW2], scale


def _persons(
    inputs: Inputs, view: str, video_id: str, frames: list[int], rgb: list[np.ndarray] | None
) -> tuple[list[np.ndarray], bool]:
    shards, row = inputs.shards[view], inputs.tables[view][video_id]
    persons = shards.keypoints(video_id)
    numbers = numbers_of_persons(persons)
    if rgb is None:
        blank = np.full((_HEIGHT, max(1, round(_HEIGHT * row.width / row.height)), 3), 60, np.uint8)
        rgb = [blank] * len(frames)
    drawn = [
        draw_skeleton(picture // 2 + 40, persons[frame], numbers[frame] if numbers else None)
        for picture, frame in zip(rgb, frames, strict=True)
    ]
    return drawn, numbers is not None
