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

ALLOWED_BY_EXTRACTORS = {
    "cocon.__version__",
    "cocon.assets",
    "cocon.boundary",
    "cocon.config.schema",
    "cocon.config.settings",
    "cocon.download",
    "cocon.errors",
    "cocon.files",
    "cocon.loading",
    "cocon.shards",
    "cocon.video",
    "cocon.workflow.versions",
    "cocon.terminal",
    "cocon.tables",
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
    ["cocon.config.settings", "cocon.shards", "cocon.video", "cocon.datasets.registry", "cocon.cli"],
)
def test_what_the_workflow_imports_is_light(module: str) -> None:
    """The Snakefile is read by every job's parent: neither torch nor OpenCV nor numba."""
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'cv2', 'numba', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_environment_yml_mirrors_pyproject(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    renamed = {
        "opencv-contrib-python-headless": "opencv",
        "libarchive-c": "python-libarchive-c",
        "snakemake": "snakemake-minimal",
        "torch": "pytorch",
    }
    conda = (repository / "environment.yml").read_text()
    listed = dict(re.findall(r"^  - ([\w-]+) (>=[\w.,<]+)$", conda, re.M))
    expected = {"python": project["requires-python"]}
    for requirement in project["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\w.,<]+)", requirement).groups()  # type: ignore[union-attr]
        expected[renamed.get(name, name)] = bound
    assert listed == expected


def test_pinned_versions_fit_the_project(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    pins = dict(re.findall(r"^([\w.-]+)==(.+)$", (repository / "requirements.txt").read_text().lower(), re.M))
    everything = [*project["dependencies"], *project["optional-dependencies"]["blazepose"]]
    for requirement in everything:
        name, bound = re.fullmatch(r"([\w-]+)>=([\w.]+)(?:,<\d+)?", requirement).groups()  # type: ignore[union-attr]
        assert tuple(map(int, pins[name].split("."))) >= tuple(map(int, bound.split("."))), name
