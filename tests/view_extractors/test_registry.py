from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cocon.errors import CoConError
from cocon.views import VIEWS
from view_extractors.registry import EXTRACTORS, extractor_class


def test_every_view_has_an_extractor():
    assert set(EXTRACTORS) == set(VIEWS)


@pytest.mark.parametrize("view", EXTRACTORS)
def test_every_line_leads_to_a_class_that_says_the_same(view):
    for backend in EXTRACTORS[view]:
        found = extractor_class(view, backend)
        assert (found.view, found.backend) == (view, backend)
        assert found.section().short_side > 0
        assert getattr(found.section(), "backend", "decode") in EXTRACTORS[view]


def test_unknown_names_are_explained():
    with pytest.raises(CoConError, match="choose one of rgb, flow"):
        extractor_class("depth")
    with pytest.raises(CoConError, match="choose tvl1, tvl1_opencv"):
        extractor_class("flow", "magic")


def test_neither_torch_nor_a_pose_network_is_loaded_for_flow():
    code = "import sys, view_extractors.cli, view_extractors.flow.tvl1_opencv; print(*sys.modules)"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not {"torch", "ai_edge_litert", "view_extractors.networks.blazepose"} & set(result.stdout.split())
