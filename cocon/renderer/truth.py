"""The ground truth of rendered clips, which extractors are scored against: joints, masks and flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cocon.files import atomic_path
from cocon.renderer import background, raster
from cocon.renderer.camera import Camera
from cocon.renderer.makehuman import HumanTemplate
from cocon.renderer.outfit import Figure
from cocon.renderer.painter import Frame, Surface
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
    """The truth of one clip, of one person or of P.

    Attributes:
        joints: (T, 17, 2) or (T, P, 17, 2) float32, px; (0, 0) is the centre of the top left pixel.
        joints_visible: (T, 17) or (T, P, 17) bool, inside the picture and not behind another person.
        mask: (T, H, W) bool, pixels of which at least half show a person.
        flow_index: (F,) int32, frames whose flow is known.
        flow: (F, H, W, 2) float32, px from that frame to the next, of persons and background.
        joints_inside: (T, P, 17) bool, inside the picture, whether another person hides them or not; None in
            clips of one person.
        persons: (T, P, H, W) bool, pixels of which at least half show that person; None in clips of one.
    """

    joints: np.ndarray
    joints_visible: np.ndarray
    mask: np.ndarray
    flow_index: np.ndarray
    flow: np.ndarray
    joints_inside: np.ndarray | None = None
    persons: np.ndarray | None = None

    def save(self, path: Path) -> None:
        """Write the truth; masks are packed bits, flow is in 1/64 px."""
        limit = np.iinfo(np.int16).max
        flow = np.clip(np.rint(self.flow / FLOW_UNIT), -limit, limit).astype(np.int16)
        several: dict[str, Any] = {}
        if self.persons is not None and self.joints_inside is not None:
            several = {
                "joints_inside": self.joints_inside,
                "persons_packed": np.packbits(self.persons, axis=-1),
            }
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                joints=self.joints,
                joints_visible=self.joints_visible,
                mask_packed=np.packbits(self.mask, axis=-1),
                size=np.array(self.mask.shape[1:], np.int32),
                flow_index=self.flow_index,
                flow=flow,
                **several,
            )

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what ``save`` wrote."""
        with np.load(path) as stored:
            height, width = stored["size"]
            mask = np.unpackbits(stored["mask_packed"], axis=-1, count=width).astype(bool)
            assert mask.shape[1] == height
            inside = persons = None
            if "persons_packed" in stored.files:
                inside = stored["joints_inside"]
                persons = np.unpackbits(stored["persons_packed"], axis=-1, count=width).astype(bool)
            return cls(
                joints=stored["joints"],
                joints_visible=stored["joints_visible"],
                mask=mask,
                flow_index=stored["flow_index"],
                flow=stored["flow"].astype(np.float32) * FLOW_UNIT,
                joints_inside=inside,
                persons=persons,
            )


def coco_joints(
    template: HumanTemplate, figure: Figure, joints: np.ndarray, surfaces: Sequence[Surface]
) -> np.ndarray:
    """(T, 17, 3) world positions in COCO order.

    Args:
        template: names the bones.
        figure: has the vertices of the face.
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


def behind_others(points_PJ3: np.ndarray, frame: Frame) -> np.ndarray:
    """Which joints another person hides.

    Args:
        points_PJ3: pixel x, pixel y and 1 / depth of every person's joints.
        frame: with the same persons.

    Returns:
        (P, J) bool; False for joints outside the picture.
    """
    hidden_PJ = np.zeros(points_PJ3.shape[:2], bool)
    # The centre of pixel 0 lies between its samples, at (SAMPLES - 1) / 2.
    at_PJ2 = np.rint(points_PJ3[..., :2] * raster.SAMPLES + (raster.SAMPLES - 1) / 2).astype(int)
    limit = len(frame.persons[0].nearest)
    inside_PJ = np.abs(at_PJ2 - (limit - 1) / 2).max(-1) < limit / 2
    for own in range(len(points_PJ3)):
        x, y = at_PJ2[own, inside_PJ[own]].T
        for other, drawn in enumerate(frame.persons):
            if other != own:
                hidden_PJ[own, inside_PJ[own]] |= drawn.nearest[y, x] > points_PJ3[own, inside_PJ[own], 2]
    return hidden_PJ


def flow_to_next(
    frame: Frame,
    points_next: Sequence[np.ndarray],
    figures: Sequence[Figure],
    cameras: tuple[Camera, Camera],
    steps: np.ndarray,
) -> np.ndarray:
    """(H, W, 2) motion of what every pixel shows, px.

    Args:
        frame: the frame.
        points_next: of every person, (V, 3) vertices in the next frame, in samples.
        figures: the persons.
        cameras: of this frame and the next.
        steps: (N, 3) how far the boxes move in between, m.
    """
    now, after = cameras
    flow = np.empty((*frame.depth.shape, 2))
    background.background_flow(
        flow, frame.depth, frame.surface, now.rotation, now.eye, now.focal,
        after.rotation, after.eye, after.focal, steps,
    )  # fmt: skip
    for drawn, points, figure in zip(frame.persons, points_next, figures, strict=True):
        raster.surface_flow(flow, drawn.index, figure.faces, drawn.points, points)
    return flow.astype(np.float32)
