"""The views of a video: what each one is, and how its stored bytes become network input.

A new view is one line here, one extractor in ``view_extractors`` and one entry in the schema.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """One view of a video.

    Stored frames are ``uint8``; the network sees ``(stored / 255 - mean) / std`` per channel.
    """

    name: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    #: a view that is mostly background: its crop is the best of several (see method.md)
    sparse: bool


COCO_KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The 17 keypoints of COCO, in COCO's order: the channels of the pose view."""

FLOW_ZERO = 128
"""The stored byte that means "no motion" in the flow view."""

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View("rgb", 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), sparse=False),
        # 128 -> 0 and +-bound -> +-1: (128 + 127 u / bound) is what the extractor stores.
        View("flow", 2, (128 / 255,) * 2, (127 / 255,) * 2, sparse=True),
        View("mask", 1, (0.0,), (1.0,), sparse=True),
        View("pose", 17, (0.0,) * 17, (1.0,) * 17, sparse=True),
    )
}
