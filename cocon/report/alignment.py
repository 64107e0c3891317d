"""Soft alignment of two videos: heatmaps of the cosines between their blocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from cocon.report.heatmap import shaded
from cocon.report.inputs import UNREADABLE, Inputs, PageSection, reason
from cocon.report.pictures import fit, grey_to_rgb, jpeg_uri, shown_by
from cocon.report.sheets import spaced

_STRIP = 9
_HEIGHT = 96


@dataclass(frozen=True)
class Heatmap:
    """Cosines of one view: their range, and the drawing shaded from the lowest to the highest."""

    view: str
    low: float
    high: float
    drawing: Markup


@dataclass(frozen=True)
class ShownVideo:
    """One of two videos: frames of every second block in their order."""

    id: str
    label: str
    pictures: list[str]


@dataclass(frozen=True)
class VideoPair:
    """Two videos and their heatmaps; blocks of the first are rows, of the second columns."""

    first: ShownVideo
    second: ShownVideo
    heatmaps: list[Heatmap]


@dataclass
class AlignmentSection(PageSection):
    """Pairs of one class, and one of two classes."""

    pretraining: str = ""
    blocks: int = 0
    pairs: list[VideoPair] = field(default_factory=list)


def section(inputs: Inputs) -> AlignmentSection:
    """Encode the blocks of a few test videos with every view's network, on the CPU."""
    page = AlignmentSection(
        "alignment", "Alignment of two videos", "Alignment", pretraining=inputs.pretraining
    )
    chosen = choose_pairs(inputs)
    if not chosen:
        page.missing.append("No class has two test videos with frames, so there is nothing to align.")
        return page
    from cocon.evaluation.alignment import BLOCKS

    page.blocks = BLOCKS
    ids = list(dict.fromkeys(video for pair in chosen for video in pair))
    features: dict[str, dict[str, np.ndarray]] = {}
    for view in (view for view in inputs.views if view in inputs.shards):
        try:
            features[view] = _features(inputs, view, ids)
        except UNREADABLE as error:
            page.missing.append(
                f"Blocks cannot be encoded by {inputs.pretraining}, {view} ({reason(error)})."
            )
    if features:
        page.pairs = [_pair(inputs, first, second, features) for first, second in chosen]
    return page


def choose_pairs(inputs: Inputs) -> list[tuple[str, str]]:
    """The first two test videos of two classes, evenly spaced, of different groups where possible; then the
    first videos of these two classes. The choice does not depend on results."""
    tables = [inputs.tables[view] for view in inputs.views if view in inputs.tables]
    if not tables:
        return []
    usable = set.intersection(*({row.id for row in table.values() if row.usable} for table in tables))
    by_class: dict[str, list[str]] = {}
    for video_id in sorted(usable):
        video = inputs.videos.get(video_id)
        if video is not None and video.label and "test" in video.splits.values():
            by_class.setdefault(video.label, []).append(video_id)
    pairs = []
    for label in spaced(sorted(name for name, ids in by_class.items() if len(ids) > 1), 2):
        first, *others = by_class[label]
        group = inputs.videos[first].group
        other = next((video for video in others if inputs.videos[video].group != group), others[0])
        pairs.append((first, other))
    return [*pairs, (pairs[0][0], pairs[1][0])] if len(pairs) == 2 else pairs


def _features(inputs: Inputs, view: str, ids: list[str]) -> dict[str, np.ndarray]:
    from cocon.evaluation.alignment import block_features
    from cocon.training.checkpoint import load_encoder

    shards = inputs.shards[view]
    network, info = load_encoder(inputs.pretrained / inputs.pretraining / f"{view}.safetensors", view=view)
    return {video: block_features(network, shards, video, info.clip) for video in ids}


def _pair(inputs: Inputs, first: str, second: str, features: dict[str, dict[str, np.ndarray]]) -> VideoPair:
    from cocon.evaluation.alignment import align

    heatmaps = []
    for view, h in features.items():
        cosines_NM = align(h[first], h[second])
        low, high = float(cosines_NM.min()), float(cosines_NM.max())
        name = f"Cosines of blocks, {view}: rows {first}, columns {second}"
        drawing = shaded((cosines_NM - low) / max(high - low, 1e-6), name)
        heatmaps.append(Heatmap(view, low, high, drawing))
    return VideoPair(_video(inputs, first), _video(inputs, second), heatmaps)


def _video(inputs: Inputs, video_id: str) -> ShownVideo:
    view = shown_by(inputs.shards)
    pictures = []
    if view is not None:
        shards = inputs.shards[view]
        last = shards.videos[video_id].frames - 1
        frames = sorted({round(index * last / (_STRIP - 1)) for index in range(_STRIP)})
        for frame_HWC in shards.read(video_id, frames):
            rgb_HW3 = frame_HWC if frame_HWC.shape[2] == 3 else grey_to_rgb(frame_HWC)
            pictures.append(jpeg_uri(fit(rgb_HW3, _HEIGHT), 80))
    return ShownVideo(video_id, inputs.label(video_id), pictures)
