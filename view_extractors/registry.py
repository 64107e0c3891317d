"""Which class makes a view with which backend. A new backend is one line here."""

from __future__ import annotations

import importlib

from cocon.errors import CoConError
from view_extractors.base import Extractor

EXTRACTORS: dict[str, dict[str, str]] = {
    "rgb": {"decode": "view_extractors.rgb:Rgb"},
    "flow": {"tvl1_opencv": "view_extractors.flow.tvl1_opencv:Tvl1OpenCv"},
    "mask": {"blazepose": "view_extractors.segmentation.blazepose:BlazePoseMask"},
    "pose": {"blazepose": "view_extractors.pose.blazepose:BlazePosePose"},
}
"""View -> backend -> module:class; imported only when used. The first backend of a view is its default."""


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
