"""What the renderer knows and an extractor has to find out: joints, masks and flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cocon.datasets.demo import background, raster
from cocon.datasets.demo.camera import Camera
from cocon.datasets.demo.makehuman import HumanTemplate
from cocon.datasets.demo.outfit import Figure
from cocon.datasets.demo.painter import Frame, Surface
from cocon.files import atomic_path
from cocon.views import COCO_KEYPOINTS

FLOW_UNIT = 1 / 64
"""Pixels per step of the stored flow."""

_RIG_JOINTS = {
    "shoulder": "Arm",
    "elbow": "ForeArm",
    "wrist": "Hand",
    "hip": "UpLeg",
    "knee": "Leg",
    "ankle": "Foot",
}


@dataclass(frozen=True)
class Truth:
    """The truth of one clip.

    Attributes:
        joints: (T, 17, 2) float32, px; (0, 0) is the centre of the top left pixel.
        joints_visible: (T, 17) bool, inside the picture.
        mask: (T, H, W) bool, pixels of which at least half show the person.
        flow_index: (F,) int32, frames whose flow is known.
        flow: (F, H, W, 2) float32, px from that frame to the next, of person and background.
    """

    joints: np.ndarray
    joints_visible: np.ndarray
    mask: np.ndarray
    flow_index: np.ndarray
    flow: np.ndarray

    def save(self, path: Path) -> None:
        """Write the truth; masks are packed bits, flow is in 1/64 px."""
        limit = np.iinfo(np.int16).max
        flow = np.clip(np.rint(self.flow / FLOW_UNIT), -limit, limit).astype(np.int16)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                joints=self.joints,
                joints_visible=self.joints_visible,
                mask_packed=np.packbits(self.mask, axis=-1),
                size=np.array(self.mask.shape[1:], np.int32),
                flow_index=self.flow_index,
                flow=flow,
            )

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what ``save`` wrote."""
        with np.load(path) as stored:
            height, width = stored["size"]
            mask = np.unpackbits(stored["mask_packed"], axis=-1, count=width).astype(bool)
            assert mask.shape[1] == height
            return cls(
                joints=stored["joints"],
                joints_visible=stored["joints_visible"],
                mask=mask,
                flow_index=stored["flow_index"],
                flow=stored["flow"].astype(np.float32) * FLOW_UNIT,
            )


def coco_joints(
    template: HumanTemplate, figure: Figure, joints: np.ndarray, surfaces: Sequence[Surface]
) -> np.ndarray:
    """(T, 17, 3) world positions in COCO order.

    Args:
        template: names the bones.
        figure: knows the vertices of the face.
        joints: (T, B, 3) of the rig.
        surfaces: of the person, T of them.
    """
    points = []
    for keypoint in COCO_KEYPOINTS:
        side, _, part = keypoint.partition("_")
        if part in _RIG_JOINTS:
            points.append(joints[:, template.bone(side.title() + _RIG_JOINTS[part])])
        else:
            mark = figure.landmarks[keypoint]
            points.append(np.array([surface.vertices[mark].mean(0) for surface in surfaces]))
    return np.stack(points, 1)


def flow_to_next(
    frame: Frame,
    points_next: np.ndarray,
    faces: np.ndarray,
    cameras: tuple[Camera, Camera],
    steps: np.ndarray,
) -> np.ndarray:
    """(H, W, 2) motion of what every pixel shows, px.

    Args:
        frame: the frame.
        points_next: (V, 3) the person's vertices in the next frame, in samples.
        faces: (F, 3) of the person.
        cameras: of this frame and the next.
        steps: (N, 3) how far the boxes move in between, m.
    """
    now, after = cameras
    flow = np.empty((*frame.depth.shape, 2))
    background.background_flow(
        flow, frame.depth, frame.surface, now.rotation, now.eye, now.focal,
        after.rotation, after.eye, after.focal, steps,
    )  # fmt: skip
    raster.surface_flow(flow, frame.index, faces, frame.points, points_next)
    return flow.astype(np.float32)
