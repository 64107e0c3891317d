"""The class of each view and backend. A new backend is one line here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from cocon.errors import CoConError
from cocon.installation import PKG_RESOURCES, how_to_install
from view_extractors.base import Extractor

EXTRACTORS: dict[str, dict[str, str]] = {
    "rgb": {"decode": "view_extractors.rgb.decode:Rgb"},
    "flow": {
        "tvl1": "view_extractors.flow.tvl1.extractor:Tvl1",
        "tvl1_opencv": "view_extractors.flow.tvl1_opencv:Tvl1OpenCv",
        "dis": "view_extractors.flow.dis:Dis",
        "farneback": "view_extractors.flow.farneback:Farneback",
        "raft": "view_extractors.flow.raft:Raft",
    },
    "mask": {
        "selfie": "view_extractors.mask.selfie:SelfieMask",
        "blazepose": "view_extractors.mask.blazepose:BlazePoseMask",
        "torchvision": "view_extractors.mask.torchvision:MaskRcnnMask",
        "detectron2": "view_extractors.mask.detectron2:Detectron2Mask",
    },
    "pose": {
        "movenet": "view_extractors.pose.movenet:MoveNetPose",
        "blazepose": "view_extractors.pose.blazepose:BlazePosePose",
        "torchvision": "view_extractors.pose.torchvision:KeypointRcnnPose",
        "detectron2": "view_extractors.pose.detectron2:Detectron2Pose",
        "mmpose": "view_extractors.pose.mmpose:MmposePose",
    },
}
"""View -> backend -> module:class; imported only when used. The first backend of a view is its default."""

PACKAGES: dict[str, tuple[str, str]] = {
    "movenet": ("ai_edge_litert", how_to_install("ai_edge_litert")),
    "selfie": ("ai_edge_litert", how_to_install("ai_edge_litert")),
    "blazepose": ("ai_edge_litert", how_to_install("ai_edge_litert")),
    "raft": ("torchvision", how_to_install("torchvision")),
    "torchvision": ("torchvision", how_to_install("torchvision")),
    "detectron2": ("detectron2", "see docs/backends.md"),
    "mmpose": ("mmpose", "see docs/backends.md"),
}
"""Backend -> the package that it needs besides those of every installation, and how to get it."""


_ALSO_NEEDED = {"detectron2": ("model_zoo/model_zoo.py", "pkg_resources", PKG_RESOURCES)}
"""Package -> a file in it, a module that the file imports in some versions, and how to get the module."""


def extractor_class(view: str, backend: str | None = None) -> type[Extractor]:
    """The class for a view; without ``backend`` the view's default.

    Raises:
        CoConError: there is no such view or backend.
    """
    if view not in EXTRACTORS:
        raise CoConError(f"there is no view '{view}'", f"choose one of {', '.join(EXTRACTORS)}")
    backends = EXTRACTORS[view]
    backend = backend or next(iter(backends))
    if backend not in backends:
        raise CoConError(f"the view '{view}' has no backend '{backend}'", f"choose {', '.join(backends)}")
    module, _, name = backends[backend].partition(":")
    found = getattr(importlib.import_module(module), name)
    assert issubclass(found, Extractor)
    return found


def to_install(backend: str) -> str:
    """How to install what a backend needs; empty if it is here. Nothing is imported to find out."""
    package, advice = PACKAGES.get(backend, ("", ""))
    if not package:
        return ""
    found = importlib.util.find_spec(package)
    return _also_to_install(package, found.submodule_search_locations or ()) if found else advice


def _also_to_install(package: str, folders: Iterable[str]) -> str:
    file, module, advice = _ALSO_NEEDED.get(package, ("", "", ""))
    if not module or importlib.util.find_spec(module):
        return ""
    files = [Path(folder) / file for folder in folders]
    return advice if any(path.is_file() and module in path.read_text() for path in files) else ""
