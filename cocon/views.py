"""The table of views and their properties.

Networks, crops, augmentation, schema, shards, reports and exports read a view's properties here. A new view
is an entry of :data:`VIEWS`, an extractor in ``view_extractors`` and a section in the schema; see
CONTRIBUTING.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class View:
    """One view of a video.

    Stored frames are ``uint8``; the network sees ``(stored / 255 - mean) / std`` per channel.

    Attributes:
        name: in the configuration, in files and in targets.
        channels: of a stored frame.
        mean: per channel, of values in [0, 1].
        std: the same.
        colours: of its curves on a light and on a dark page, as CSS.
        crop: side of the network's square input, px, by default.
        weight: in the late fusion, by default.
        flip: probability of a horizontal flip in pretraining, by default.
        flip_note: other effects of a flip, for the manual.
        negated: channels that change their sign about ``zero`` in a flip.
        mirrored: order of the channels in a flip; empty: unchanged.
        zero: the stored byte of nothing: no person, no motion.
        sparse: whether it is mostly background: its crop is the fullest of several (docs/method.md).
        content: what its values are, which decides how it is drawn: ``photograph`` (the augmentation of
            colours applies), ``vectors`` (two lengths in pixels along x and y, which scale with the frame),
            ``silhouette``, ``heatmaps``, or ``grey`` (drawn as the mean of the channels).
    """

    name: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    colours: tuple[str, str]
    crop: int = 128
    weight: float = 1.0
    flip: float = 0.0
    flip_note: str = ""
    negated: tuple[int, ...] = ()
    mirrored: tuple[int, ...] = ()
    zero: int = 0
    sparse: bool = False
    content: Literal["photograph", "vectors", "silhouette", "heatmaps", "grey"] = "grey"


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
"""The stored byte of no motion in the view flow."""


def _mirrored_name(name: str) -> str:
    side, _, rest = name.partition("_")
    return {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)


VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        View(
            "rgb",
            3,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
            colours=("#0077bb", "#4cb4f0"),
            weight=2.0,
            flip=0.5,
            content="photograph",
        ),
        View(
            "flow",
            2,
            # 128 -> 0 and +-bound -> +-1: (128 + 127 u / bound) is what the extractor stores.
            mean=(FLOW_ZERO / 255,) * 2,
            std=(127 / 255,) * 2,
            colours=("#d65f10", "#f59453"),
            weight=2.0,
            flip_note="; u changes its sign",
            negated=(0,),
            zero=FLOW_ZERO,
            sparse=True,
            content="vectors",
        ),
        View(
            "mask",
            1,
            mean=(0.0,),
            std=(1.0,),
            colours=("#00806f", "#2cc4ae"),
            crop=64,
            sparse=True,
            content="silhouette",
        ),
        View(
            "pose",
            17,
            mean=(0.0,) * 17,
            std=(1.0,) * 17,
            colours=("#d6246e", "#f5739f"),
            crop=64,
            flip_note="; left and right change places",
            mirrored=tuple(COCO_KEYPOINTS.index(_mirrored_name(name)) for name in COCO_KEYPOINTS),
            sparse=True,
            content="heatmaps",
        ),
    )
}
"""By name; the order is that of tables and of all computations with several views."""

PHOTOGRAPH = next(view.name for view in VIEWS.values() if view.content == "photograph")
"""The view that others are drawn over."""
