"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ALLOWED_BY_EXTRACTORS = {
    "cocon.__version__",
    "cocon.assets",
    "cocon.backends",
    "cocon.boundary",
    "cocon.config.schema",
    "cocon.datasets.registry",
    "cocon.config.load",
    "cocon.download",
    "cocon.errors",
    "cocon.files",
    "cocon.installation",
    "cocon.loading",
    "cocon.shards",
    "cocon.video",
    "cocon.versions",
    "cocon.terminal",
    "cocon.tables",
    "cocon.tracks",
    "cocon.views",
}


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((path, f"{node.module}.{alias.name}") for alias in node.names)


def test_cocon_does_not_know_the_extractors(repository: Path) -> None:
    guilty = [path for path, name in imports(repository / "cocon") if name.startswith("view_extractors")]
    assert guilty == []


def test_extractors_know_only_the_shard_format_and_small_helpers(repository: Path) -> None:
    for path, name in imports(repository / "view_extractors"):
        if name.split(".")[0] == "cocon":
            assert any(name == a or name.startswith(a + ".") for a in ALLOWED_BY_EXTRACTORS), (
                f"{path}: {name}"
            )


@pytest.mark.parametrize(
    "module",
    [
        *("cocon.config.load", "cocon.shards", "cocon.video", "cocon.datasets.registry", "cocon.cli"),
        *("cocon.pretrainings", "cocon.workflow.documents", "cocon.workflow.lists", "cocon.workflow.paper"),
    ],
)
def test_what_the_workflow_imports_is_light(module: str) -> None:
    """The Snakefile is read by every job's parent: neither torch nor OpenCV nor numba."""
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'cv2', 'numba', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


REQUIREMENT = re.compile(r"([\w-]+)(>=([\w.]+)(?:,<\d+)?)(; .+)?")


def required(repository: Path, extra: str) -> dict[str, re.Match[str]]:
    """What ``pip install '.[<extra>]'`` requires, by name: bound, lowest version and marker."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    found = {}
    lines = [*project["dependencies"], *project["optional-dependencies"][extra]]
    for line in lines:  # which grows while it is read
        if own := re.fullmatch(r"cocon\[([\w,]+)\]", line):
            lines += [each for name in own[1].split(",") for each in project["optional-dependencies"][name]]
            continue
        requirement = REQUIREMENT.fullmatch(line)
        assert requirement, line
        assert found.setdefault(requirement[1], requirement)[0] == line, "two extras, two bounds"
    return found


def test_environment_yml_mirrors_pyproject(repository: Path) -> None:
    renamed = {
        "opencv-contrib-python-headless": "opencv",
        "libarchive-c": "python-libarchive-c",
        "snakemake": "snakemake-minimal",
        "torch": "pytorch",
    }
    environment = yaml.safe_load((repository / "environment.yml").read_text())
    *packages, from_index = environment["dependencies"]
    listed = {name: bound for name, _, bound in (package.partition(" ") for package in packages)}
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    expected = {"python": project["requires-python"], "pip": ""}
    requirements = required(repository, "all")
    litert = requirements.pop("ai-edge-litert")
    assert from_index == {"pip": [litert[0]]}
    expected |= {renamed.get(name, name): requirement[2] for name, requirement in requirements.items()}
    assert listed == expected


def test_pinned_versions_fit_the_project(repository: Path) -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(.+)$", (repository / "requirements.txt").read_text().lower(), re.M))
    for name, requirement in required(repository, "all").items():
        assert version(pins[name]) >= version(requirement[3]), name


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
