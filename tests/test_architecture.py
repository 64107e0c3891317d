"""The rules of the house that no linter checks."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.test_environments import pins

ALLOWED_BY_EXTRACTORS = {
    "cocon.assets",
    "cocon.backends",
    "cocon.boundary",
    "cocon.config.schema",
    "cocon.datasets.registry",
    "cocon.datasets.source",
    "cocon.config.load",
    "cocon.download",
    "cocon.errors",
    "cocon.files",
    "cocon.installation",
    "cocon.loading",
    "cocon.messages",
    "cocon.shards",
    "cocon.video",
    "cocon.versions",
    "cocon.terminal",
    "cocon.tables",
    "cocon.tracks",
    "cocon.views",
}


#: of cocon, the lowest first: an import leads to the same package or to a lower layer
LAYERS = (
    "backends errors measures patterns protocols terminal tracks views",
    "distributed encoders installation loading locks messages pretrainings tables transfer versions video",
    "files machine workers",
    "assets boundary config download hdf5",
    "losses models renderer shards",
    "datasets",
    "data",
    "training",
    "evaluation",
    "export report workflow",
    "planning",
    "commands",
    "cli",
    "__main__ cocon",
)
LAYER = {package: number for number, layer in enumerate(LAYERS) for package in layer.split()}


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Where a module imports what, also within functions: ``file:line`` and the dotted name."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.relative_to(folder.parent)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from ((where, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.module, f"{where}: a relative import"
                yield from ((where, f"{node.module}.{alias.name}") for alias in node.names)


def package_of(name: str, folder: Path) -> str:
    """The part of cocon that a dotted name or a path belongs to; ``cocon`` for what its own file defines."""
    head, *rest = name.split(".")
    if rest and ((folder / rest[0]).is_dir() or (folder / f"{rest[0]}.py").exists()):
        return rest[0]
    return head


def upward(folder: Path) -> list[str]:
    """A sentence about each import of a package ``cocon`` that leads to a higher layer, or across one."""
    found = []
    for where, name in imports(folder):
        if name.split(".")[0] == "cocon":
            parts = Path(where.partition(":")[0]).with_suffix("").parts
            importer = package_of(".".join(parts).removesuffix(".__init__"), folder)
            imported = package_of(name, folder)
            if importer != imported and LAYER[importer] <= LAYER[imported]:
                lies = "above" if LAYER[importer] < LAYER[imported] else "in the same layer"
                found.append(f"{where} imports {name}, which lies {lies}")
    return found


def test_every_package_is_in_one_layer(repository: Path) -> None:
    parts = {path.stem for path in (repository / "cocon").iterdir() if path.suffix == ".py"}
    parts |= {path.parent.name for path in (repository / "cocon").glob("*/__init__.py")}
    assert sorted(name for layer in LAYERS for name in layer.split()) == sorted(
        parts - {"__init__"} | {"cocon"}
    )


def test_imports_lead_downwards(repository: Path) -> None:
    assert upward(repository / "cocon") == []


def test_an_import_that_leads_upwards_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "cocon"
    for name in ("data", "training", "report", "export"):
        (folder / name).mkdir(parents=True)
    (folder / "data" / "clips.py").write_text("def f():\n    from cocon.training.loop import Loop\n")
    (folder / "training" / "loop.py").write_text("import cocon.data.clips\n")
    (folder / "report" / "page.py").write_text("from cocon import export\n")
    assert upward(folder) == [
        "cocon/data/clips.py:2 imports cocon.training.loop.Loop, which lies above",
        "cocon/report/page.py:1 imports cocon.export, which lies in the same layer",
    ]


def test_no_modules_import_each_other_in_a_circle(repository: Path) -> None:
    """Within a package as well; imports in functions count."""
    files = sorted((repository / "cocon").rglob("*.py"))
    names = {path: ".".join(path.relative_to(repository).with_suffix("").parts) for path in files}
    modules = {name.removesuffix(".__init__") for name in names.values()}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for where, name in imports(repository / "cocon"):
        importer = names[repository / where.partition(":")[0]].removesuffix(".__init__")
        while name and name not in modules:
            name = name.rpartition(".")[0]
        if name and name != importer:
            graph[importer].add(name)
    list(graphlib.TopologicalSorter(graph).static_order())  # a CycleError names the circle


def test_cocon_does_not_import_the_extractors(repository: Path) -> None:
    found = [where for where, name in imports(repository / "cocon") if name.startswith("view_extractors")]
    assert found == []


def test_extractors_import_only_the_shard_format_and_small_helpers(repository: Path) -> None:
    for where, name in imports(repository / "view_extractors"):
        if name.split(".")[0] == "cocon":
            allowed = any(name == a or name.startswith(a + ".") for a in ALLOWED_BY_EXTRACTORS)
            assert allowed, f"{where} imports {name}, which extractors do not use"


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


def test_no_two_classes_have_one_name(repository: Path) -> None:
    """In the two packages together, so that a name is one thing wherever it is read."""
    places: dict[str, list[str]] = {}
    for package in ("cocon", "view_extractors"):
        for path in sorted((repository / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(path.relative_to(repository)))
    assert len(places) > 200
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_module_is_long(repository: Path) -> None:
    """A table of cases may be."""
    tables = {"benchmarks/odd_videos.py"}
    lengths = {
        str(path.relative_to(repository)): len(path.read_text().splitlines())
        for part in ("cocon", "view_extractors", "workflow", "benchmarks", "examples")
        for path in (repository / part).rglob("*")
        if path.suffix in (".py", ".smk")
    }
    assert {name for name, length in lengths.items() if length > 400} == tables


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
    pinned = pins(repository / "requirements.txt")
    for name, requirement in required(repository, "all").items():
        assert version(pinned[name]) >= version(requirement[3]), name


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
