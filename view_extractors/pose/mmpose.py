"""The pose view by RTMPose: all persons, found by RTMDet."""

from __future__ import annotations

from view_extractors.persons import PersonPose
from view_extractors.rtmpose import RtmPose


class MmposePose(PersonPose):
    """17 COCO keypoints of every person."""

    backend = "mmpose"
    network = RtmPose
