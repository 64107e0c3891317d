"""What runs the checks - hooks, GitHub, make - runs the same checks; what is shipped is complete."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from tests.test_documents import targets
from tests.test_environments import pins


def recipe(repository: Path, target: str) -> list[str]:
    """The command lines of a target, as in .venv."""
    makefile = (repository / "Makefile").read_text()
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.M)
    return [line.strip().lstrip("@").replace("$(BIN)", ".venv/bin") for line in lines.splitlines()]


def test_hooks_are_the_linters_of_make(repository: Path) -> None:
    (local,) = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    entries = [hook["entry"] for hook in local["hooks"]]
    assert [*entries, ".venv/bin/snakemake --lint"] == recipe(repository, "lint")


def github_commands(job: dict[str, Any]) -> list[str]:
    """The job's commands, once for each cell of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    cells = [dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    return [
        re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda name, cell=cell: cell[name[1]], command)  # type: ignore[misc]
        for cell in cells
        for command in commands
    ]


def test_github_runs_what_ci_runs(repository: Path) -> None:
    jobs = yaml.safe_load((repository / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    commands = "\n".join(command for job in jobs.values() for command in github_commands(job))
    assert "${{" not in commands
    asked = set(re.findall(r"^make ([\w-]+)", commands, re.M))
    ours = set(re.findall(r"^make ([\w-]+)", (repository / ".ci" / "run").read_text(), re.M))
    assert "test" in ours
    assert ours <= asked <= targets(repository)


def test_github_tests_the_lowest_python(repository: Path) -> None:
    jobs = yaml.safe_load((repository / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={pythons[0]}"


def test_packages_say_that_they_are_typed(repository: Path) -> None:
    setuptools = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]
    for include in setuptools["packages"]["find"]["include"]:
        package = include.removesuffix("*")
        assert "py.typed" in setuptools["package-data"][package]
        assert (repository / package / "py.typed").is_file()


def test_the_image_gets_what_an_installation_needs(repository: Path) -> None:
    ignore = (repository / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignore if line.startswith("!")}
    assert [name for name in sent if not (repository / name).exists()] == []
    document = tomllib.loads((repository / "pyproject.toml").read_text())
    project, packages = document["project"], document["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {project["readme"], *project["license-files"], *(name.removesuffix("*") for name in packages)}
    assert needed | {"pyproject.toml", "Snakefile", "config", "config.yaml", "profiles", "workflow"} <= sent
    copied = re.findall(r"^COPY (\S+) ", (repository / "Dockerfile").read_text(), re.M)
    assert copied == ["requirements.txt", "."]
    assert "requirements.txt" in sent


def test_pinned_tools_of_the_site_fit_the_extra(repository: Path) -> None:
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = pins(repository / "requirements-docs.txt")
    installed = " ".join(recipe(repository, r"\.venv-docs/ready"))
    for requirement in extras["docs"]:
        name, extra, bound = re.fullmatch(r"([\w-]+)(\[\w+\])?>=([\w.]+)", requirement).groups()  # type: ignore[union-attr]
        assert tuple(map(int, pinned[name].split("."))) >= tuple(map(int, bound.split("."))), name
        assert f"{name}{extra or ''}" in installed.replace("'", "").split()


def test_the_catalog_and_snakedeploy_find_their_files(repository: Path) -> None:
    usage = yaml.safe_load((repository / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} == set(usage)
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    assert (repository / "config" / "README.md").is_file()
    assert (repository / "config" / "config.yaml").resolve() == repository.resolve() / "config.yaml"
