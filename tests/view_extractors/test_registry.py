"""The table of backends is true: of its classes, its packages, its environments and its documents."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from cocon.backends import BACKENDS, Backend
from cocon.config.schema import Config, Recipe
from cocon.errors import CoConError
from cocon.installation import EXTRA_OF
from cocon.versions import EXTRACTION
from cocon.views import VIEWS
from cocon.workflow.documents.extraction import backend_of, passes
from view_extractors.base import Resources
from view_extractors.pipeline import inference
from view_extractors.registry import default_backend, extractor_class, section_of

ENTRIES = [entry for backends in BACKENDS.values() for entry in backends.values()]


def test_every_view_has_an_extractor():
    assert set(BACKENDS) == set(VIEWS)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.view}-{entry.name}")
def test_every_entry_leads_to_a_class_that_says_the_same(entry: Backend, repository: Path):
    found = extractor_class(entry.view, entry.name)
    assert (found.view, found.backend) == (entry.view, entry.name)
    assert found.section is section_of(entry.view)
    assert found.section().short_side > 0
    assert f"{entry.view}/{entry.name}" in EXTRACTION
    assert not entry.environment or (repository / "workflow" / "envs" / f"{entry.environment}.yml").is_file()
    assert not entry.package or bool(entry.advice) != (entry.package in EXTRA_OF), "one way to get it"


@pytest.mark.parametrize("view", BACKENDS)
def test_the_settings_choose_among_the_entries(view: str):
    field = section_of(view).model_fields.get("backend")
    assert default_backend(view) in BACKENDS[view]
    if field:
        assert get_args(field.annotation) == tuple(BACKENDS[view])
        assert backend_of(Recipe(), view) == default_backend(view)
    else:
        assert len(BACKENDS[view]) == 1
        assert backend_of(Recipe(), view) == ""


def test_backends_share_a_network_exactly_where_their_classes_do():
    for first, second in itertools.combinations(ENTRIES, 2):
        if first.view == second.view:
            continue
        one, other = (extractor_class(entry.view, entry.name).network for entry in (first, second))
        assert (first.network == second.network != "") == (one is other is not None), (first, second)


@pytest.mark.parametrize("mask", BACKENDS["mask"])
@pytest.mark.parametrize("pose", BACKENDS["pose"])
@pytest.mark.parametrize("changes", [{}, {"movenet": {"persons": 2}}])
def test_jobs_extract_together_what_shares_a_network(mask: str, pose: str, changes: dict):
    """The workflow, which cannot see the classes, comes to the same passes as the extraction."""
    recipe = Recipe.model_validate(
        {"extraction": {"mask": {"backend": mask}, "pose": {"backend": pose, **changes}}}
    )
    keys = [
        inference.network_key(extractor_class(view, name)(getattr(recipe.extraction, view)))
        for view, name in (("mask", mask), ("pose", pose))
    ]
    together = keys[0] is not None and keys[0] == keys[1]
    assert passes(recipe, ["rgb", "mask", "pose"])[-1] == (("pose", "mask") if together else ("pose",))


@pytest.mark.parametrize(
    ("view", "backend", "by_device"),
    [
        ("flow", "tvl1", {"cpu": False, "auto": True, "cuda": True}),
        ("flow", "dis", {"cpu": False, "auto": False, "cuda": False}),
        ("pose", "movenet", {"cpu": False, "auto": False, "cuda": True}),
        ("rgb", "decode", {"cpu": False, "auto": False, "cuda": False}),
    ],
)
def test_which_device_gives_a_backend_the_gpu(monkeypatch, view, backend, by_device):
    monkeypatch.setattr(inference, "uses_gpu", lambda resources: True)
    extractor = extractor_class(view, backend)(section_of(view)())
    for device, expected in by_device.items():
        assert BACKENDS[view][backend].may_use_gpu(device) == expected
        assert inference.on_gpu(extractor, Resources(device=device)) == expected


def test_an_interpreter_can_be_given_for_what_needs_a_package_or_a_gpu():
    (names, _) = get_args(Config.model_fields["interpreters"].annotation)
    assert set(get_args(names)) <= {entry.name for entry in ENTRIES}
    assert {"tvl1", "raft", "movenet", "blazepose", "detectron2", "mmpose"} <= set(get_args(names))
    assert not {"decode", "tvl1_opencv", "dis", "farneback"} & set(get_args(names))


def test_every_environment_belongs_to_an_entry(repository: Path):
    files = {path.stem for path in (repository / "workflow" / "envs").glob("*.yml")}
    assert files == {entry.environment for entry in ENTRIES} - {""}


def test_every_entry_is_documented(repository: Path):
    text = (repository / "docs" / "backends.md").read_text()
    rows = re.findall(r"^\| ([a-z, ]+) \| `(\w+)` \|", text, re.M)
    documented = {(view, name) for views, name in rows for view in views.split(", ")}
    assert documented == {(entry.view, entry.name) for entry in ENTRIES}


def test_unknown_names_are_explained():
    with pytest.raises(CoConError, match="choose one of rgb, flow"):
        extractor_class("x-ray")
    with pytest.raises(CoConError, match="choose tvl1, tvl1_opencv"):
        extractor_class("flow", "magic")


def test_neither_torch_nor_a_pose_network_is_loaded_for_flow():
    code = "import sys, view_extractors.cli, view_extractors.flow.tvl1_opencv; print(*sys.modules)"
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert "view_extractors.pipeline.run" in loaded
    assert not {"torch", "ai_edge_litert", "view_extractors.networks.blazepose"} & loaded
