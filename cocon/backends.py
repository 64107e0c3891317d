"""The backends of the views: one entry each, which extractors, schema and workflow share.

A new backend is a class in ``view_extractors/<view>/``, an entry here, a test, and a section of its name in
the schema if it has options. The first backend of a view is the one to begin with; the default is in the
schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Backend:
    """One backend of one view.

    Attributes:
        view: name of the view.
        name: by which the settings choose it.
        title: the method and its source.
        path: module:class of the extractor; imported only when used.
        gpu: ``auto``: it uses a GPU where there is one; ``cuda``: only with that value of the key ``device``,
            because all cores of a machine are often as fast; ``never``.
        network: backends of different views with the same network get all views from one pass, if their
            settings of the network are equal too. Empty: it shares nothing.
        package: what it imports besides the packages of every installation.
        advice: how to get the package, where it is no extra of the project.
        environment: its file in ``workflow/envs``, without the suffix. Empty: what is installed beside
            Snakemake is enough.
    """

    view: str
    name: str
    title: str
    path: str
    gpu: Literal["never", "cuda", "auto"] = "never"
    network: str = ""
    package: str = ""
    advice: str = ""
    environment: str = ""

    def may_use_gpu(self, device: str) -> bool:
        """Whether it looks for a GPU with a value of the key ``device``."""
        return device != "cpu" and self.gpu in ("auto", device)


_SEE = "see docs/backends.md"

_ALL = (
    Backend("rgb", "decode", "decoded frames", "view_extractors.rgb.decode:Rgb"),
    Backend(
        "flow",
        "tvl1",
        "TV-L1, our own (Zach et al. 2007)",
        "view_extractors.flow.tvl1.extractor:Tvl1",
        gpu="auto",
    ),
    Backend(
        "flow",
        "tvl1_opencv",
        "TV-L1 of OpenCV (Zach et al. 2007)",
        "view_extractors.flow.tvl1_opencv:Tvl1OpenCv",
    ),
    Backend("flow", "dis", "dense inverse search (Kroeger et al. 2016)", "view_extractors.flow.dis:Dis"),
    Backend(
        "flow",
        "farneback",
        "polynomial expansion (Farneback 2003)",
        "view_extractors.flow.farneback:Farneback",
    ),
    Backend(
        "flow",
        "raft",
        "RAFT (Teed and Deng 2020)",
        "view_extractors.flow.raft:Raft",
        gpu="auto",
        package="torchvision",
        environment="torchvision",
    ),
    Backend(
        "mask",
        "selfie",
        "selfie segmentation (MediaPipe 2021)",
        "view_extractors.mask.selfie:SelfieMask",
        gpu="cuda",
        network="movenet",
        package="ai_edge_litert",
    ),
    Backend(
        "mask",
        "blazepose",
        "BlazePose (Bazarevsky et al. 2020)",
        "view_extractors.mask.blazepose:BlazePoseMask",
        network="blazepose",
        package="ai_edge_litert",
    ),
    Backend(
        "mask",
        "torchvision",
        "Mask R-CNN (He et al. 2017)",
        "view_extractors.mask.torchvision:MaskRcnnMask",
        gpu="auto",
        package="torchvision",
        environment="torchvision",
    ),
    Backend(
        "mask",
        "detectron2",
        "panoptic FPN (Kirillov et al. 2019)",
        "view_extractors.mask.detectron2:Detectron2Mask",
        gpu="auto",
        package="detectron2",
        advice=_SEE,
        environment="detectron2",
    ),
    Backend(
        "pose",
        "movenet",
        "MoveNet MultiPose Lightning (Google 2021)",
        "view_extractors.pose.movenet:MoveNetPose",
        gpu="cuda",
        network="movenet",
        package="ai_edge_litert",
    ),
    Backend(
        "pose",
        "blazepose",
        "BlazePose (Bazarevsky et al. 2020)",
        "view_extractors.pose.blazepose:BlazePosePose",
        network="blazepose",
        package="ai_edge_litert",
    ),
    Backend(
        "pose",
        "torchvision",
        "Keypoint R-CNN (He et al. 2017)",
        "view_extractors.pose.torchvision:KeypointRcnnPose",
        gpu="auto",
        package="torchvision",
        environment="torchvision",
    ),
    Backend(
        "pose",
        "detectron2",
        "Keypoint R-CNN (He et al. 2017)",
        "view_extractors.pose.detectron2:Detectron2Pose",
        gpu="auto",
        package="detectron2",
        advice=_SEE,
        environment="detectron2",
    ),
    Backend(
        "pose",
        "mmpose",
        "RTMPose (Jiang et al. 2023)",
        "view_extractors.pose.mmpose:MmposePose",
        gpu="auto",
        package="mmpose",
        advice=_SEE,
        environment="mmpose",
    ),
)

BACKENDS: dict[str, dict[str, Backend]] = {
    view: {entry.name: entry for entry in _ALL if entry.view == view}
    for view in dict.fromkeys(entry.view for entry in _ALL)
}
"""By view and name."""


def backend_named(view: str, name: str) -> Backend:
    """The entry of a view's backend; with an empty name that of a view whose settings have no choice."""
    return BACKENDS[view][name or next(iter(BACKENDS[view]))]
