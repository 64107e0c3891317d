"""The pose view by MoveNet: up to six persons of a frame."""

from __future__ import annotations

from view_extractors.networks.movenet import MoveNet
from view_extractors.pose.persons import PersonPose


class MoveNetPose(PersonPose):
    """17 COCO keypoints of every person; a person keeps the place among them from frame to frame."""

    backend = "movenet"
    network = MoveNet
