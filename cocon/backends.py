"""The table of the views' backends, shared by extractors, schema and workflow.

A new backend is a class in ``view_extractors/<view>/``, an entry here, a test, and a section of its name in
the schema if it has options. The first backend of a view is the recommended one; the default is in the
schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
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
        advice: how to install the package, if it is no extra of the project.
        environment: its file in ``workflow/envs``, without the suffix. Empty: the packages installed with
            Snakemake are enough.
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
        """Whether it tries to use a GPU for a value of the key ``device``."""
        return device != "cpu" and self.gpu in ("auto", device)


_SEE = "see docs/backends.md"
# Fields common to the backends of one network or package, in all views.
_movenet = partial(Backend, gpu="cuda", network="movenet", package="ai_edge_litert")
_blazepose = partial(Backend, network="blazepose", package="ai_edge_litert")
_torchvision = partial(Backend, gpu="auto", package="torchvision", environment="torchvision")
_detectron2 = partial(Backend, gpu="auto", package="detectron2", advice=_SEE, environment="detectron2")
_mmpose = partial(Backend, gpu="auto", package="mmpose", advice=_SEE, environment="mmpose")

_BLAZEPOSE, _KEYPOINT_RCNN = "BlazePose (Bazarevsky et al. 2020)", "Keypoint R-CNN (He et al. 2017)"
_FLOW, _MASK, _POSE = "view_extractors.flow", "view_extractors.mask", "view_extractors.pose"

_ALL = (
    Backend("rgb", "decode", "decoded frames", "view_extractors.rgb.decode:Rgb"),
    Backend("flow", "tvl1", "TV-L1, our own (Zach et al. 2007)", f"{_FLOW}.tvl1.extractor:Tvl1", gpu="auto"),
    Backend("flow", "tvl1_opencv", "TV-L1 of OpenCV (Zach et al. 2007)", f"{_FLOW}.tvl1_opencv:Tvl1OpenCv"),
    Backend("flow", "dis", "dense inverse search (Kroeger et al. 2016)", f"{_FLOW}.dis:Dis"),
    Backend("flow", "farneback", "polynomial expansion (Farneback 2003)", f"{_FLOW}.farneback:Farneback"),
    _torchvision("flow", "raft", "RAFT (Teed and Deng 2020)", f"{_FLOW}.raft:Raft"),
    _movenet("mask", "selfie", "selfie segmentation (MediaPipe 2021)", f"{_MASK}.selfie:SelfieMask"),
    _blazepose("mask", "blazepose", _BLAZEPOSE, f"{_MASK}.blazepose:BlazePoseMask"),
    _torchvision("mask", "torchvision", "Mask R-CNN (He et al. 2017)", f"{_MASK}.torchvision:MaskRcnnMask"),
    _detectron2(
        "mask", "detectron2", "panoptic FPN (Kirillov et al. 2019)", f"{_MASK}.detectron2:Detectron2Mask"
    ),
    _movenet("pose", "movenet", "MoveNet MultiPose Lightning (Google 2021)", f"{_POSE}.movenet:MoveNetPose"),
    _blazepose("pose", "blazepose", _BLAZEPOSE, f"{_POSE}.blazepose:BlazePosePose"),
    _torchvision("pose", "torchvision", _KEYPOINT_RCNN, f"{_POSE}.torchvision:KeypointRcnnPose"),
    _detectron2("pose", "detectron2", _KEYPOINT_RCNN, f"{_POSE}.detectron2:Detectron2Pose"),
    _mmpose("pose", "mmpose", "RTMPose (Jiang et al. 2023)", f"{_POSE}.mmpose:MmposePose"),
)

BACKENDS: dict[str, dict[str, Backend]] = {
    view: {entry.name: entry for entry in _ALL if entry.view == view}
    for view in dict.fromkeys(entry.view for entry in _ALL)
}
"""By view and name."""


def backend_named(view: str, name: str) -> Backend:
    """The entry of a view's backend; the name is empty for a view with only one."""
    return BACKENDS[view][name or next(iter(BACKENDS[view]))]
