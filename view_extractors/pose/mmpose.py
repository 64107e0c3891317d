"""The pose view by RTMPose: all persons, found by RTMDet."""

from __future__ import annotations

from view_extractors.networks.rtmpose import RtmPose
from view_extractors.pose.persons import PersonPose


class MmposePose(PersonPose):
    """17 COCO keypoints of every person."""

    backend = "mmpose"
    network = RtmPose
