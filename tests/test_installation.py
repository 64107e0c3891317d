"""A plain installation is light: what works without the extras, and what is said where one is missing."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cocon.boundary import explain
from cocon.installation import EXTRA_OF, PKG_RESOURCES, MissingPackageError, failed_import, how_to_install
from cocon.training.provenance import provenance
from cocon.versions import __version__
from view_extractors.base import Resources
from view_extractors.networks.devices import uses_gpu

#: the extras' packages, by the names that they are imported with
HEAVY = sorted(package for package, extra in EXTRA_OF.items() if extra)
#: by these names the package index knows what is imported under others; markupsafe comes with jinja2
DISTRIBUTIONS = {
    "ai_edge_litert": "ai-edge-litert",
    "cv2": "opencv-contrib-python-headless",
    "libarchive": "libarchive-c",
    "markupsafe": "jinja2",
    "mlflow": "mlflow-skinny",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
#: installed with numba; with torch for GPUs; with a backend that docs/backends.md says how to install
OTHERS = {"llvmlite", "triton", "detectron2", "mmengine"}
#: the parts of backends that compute on a GPU
ON_GPU = {
    "view_extractors.flow.storing",
    "view_extractors.flow.tvl1.batched",
    "view_extractors.flow.tvl1.fused",
    "view_extractors.flow.tvl1.kernels.iteration",
    "view_extractors.flow.tvl1.kernels.warping",
    "view_extractors.flow.tvl1.on_gpu",
    "view_extractors.flow.tvl1.queue",
    "view_extractors.networks.movenet_torch",
    "view_extractors.networks.tflite",
    "view_extractors.networks.tflite_operators",
}


@pytest.fixture(scope="module")
def requirements(repository: Path) -> dict[str, set[str]]:
    """Names of the required distributions by extra; those of every installation under ""."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    listed = {"": project["dependencies"], **project["optional-dependencies"]}
    return {extra: {re.split(r"[><=;\[ ]", line)[0] for line in lines} for extra, lines in listed.items()}


def run_without_extras(code: str, folder: Path, repository: Path) -> str:
    """Standard output of Python code in a process that finds no package of any extra."""
    block = f"import sys; sys.modules.update(dict.fromkeys({HEAVY}))\n"
    result = subprocess.run(
        [sys.executable, "-c", block + textwrap.dedent(code)],
        cwd=folder,
        env={"PYTHONPATH": str(repository), "COCON_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def modules(repository: Path, *folders: str) -> Iterator[str]:
    for path in sorted(path for folder in folders for path in (repository / folder).rglob("*.py")):
        yield ".".join(path.relative_to(repository).with_suffix("").parts).removesuffix(".__init__")


def test_extras_are_those_of_pyproject(requirements: dict[str, set[str]]) -> None:
    for package, extra in EXTRA_OF.items():
        assert DISTRIBUTIONS.get(package, package) in requirements[extra], (package, extra)
    assert not requirements[""] & {DISTRIBUTIONS.get(package, package) for package in HEAVY}
    assert len(requirements[""]) == sum(extra == "" for extra in EXTRA_OF.values())


def test_every_import_belongs_to_a_part_of_the_installation(repository: Path) -> None:
    known = EXTRA_OF.keys() | OTHERS | sys.stdlib_module_names | {"cocon", "view_extractors"}
    for folder in ("cocon", "view_extractors"):
        for path in (repository / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                for name in names:
                    assert name.split(".")[0] in known, f"{path}: {name}"


def test_the_extractors_and_the_commands_need_no_extra(repository: Path, tmp_path: Path) -> None:
    names = [
        name
        for name in modules(repository, "view_extractors", "cocon/commands", "cocon/datasets", "cocon/shards")
        if name not in ON_GPU and not name.endswith("__main__") and ".demo." not in name
    ]
    assert "view_extractors.flow.raft" in names
    code = f"""
    import importlib
    for name in {names}:
        importlib.import_module(name)
    print("imported", sorted(set(sys.modules) & {{"view_extractors.flow.raft", "cocon.commands.report"}}))
    """
    output = run_without_extras(code, tmp_path, repository)
    assert output == "imported ['cocon.commands.report', 'view_extractors.flow.raft']\n"


def test_a_view_without_any_extra(repository: Path, tmp_path: Path) -> None:
    """TV-L1 on whatever device there is, which is the CPU where torch is not; the shard, looked at."""
    size = (32, 24)
    writer = cv2.VideoWriter(str(tmp_path / "my.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for shift in range(3):
        writer.write(np.roll(np.indices((24, 32)).sum(0), shift, 1).astype(np.uint8)[..., None].repeat(3, 2))
    writer.release()
    code = """
    from cocon.cli import main as cocon
    from view_extractors.cli import main as extractors
    settings = '{"short_side": 24, "compute_short_side": 24}'
    assert extractors(["flow", "my.avi", "--output", "flow.h5", "--settings", settings]) == 0
    assert extractors(["backends"]) == 0
    assert cocon(["shards", "verify", "flow.h5"]) == cocon(["shards", "info", "flow.h5"]) == 0
    assert cocon(["shards", "show", "flow.h5", "--video", "my"]) == 0
    """
    output = run_without_extras(code, tmp_path, repository)
    assert re.search(r"^flow +tvl1 \(default\) +TV-L1, .* +CPU; GPU with torch +yes$", output, re.M)
    assert re.search(
        r"^flow +raft +RAFT .* +GPU or CPU +no: pip install -e '\.\[torchvision\]'", output, re.M
    )
    assert "whole  flow.h5: 1 videos (1 ok)" in output
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


def test_help_and_lists_without_any_extra(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\n")
    code = """
    import contextlib, io
    from cocon import cli
    from view_extractors import cli as extractors
    settings = "{kind: folder, recipe: r, shards: 1, videos: videos, table: table.csv}"
    with open("config.yaml", "w") as file:
        file.write("{recipes: {r: {}}, datasets: {mine: " + settings + "}}")
    views = ("rgb", "flow", "mask", "pose", "estimate", "compare", "score", "backends")
    for main, commands in ((cli.main, cli.COMMANDS), (extractors.main, views)):
        for arguments in ([], *([name] for name in commands)):
            with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
                main([*arguments, "--help"])
            assert "usage: " in text.getvalue(), arguments
    assert cli.main(["index", "--settings", settings, "--output", "manifest.csv"]) == 0
    assert cli.main(["data", "check", "mine"]) == 2  # a video without a byte
    demo = "{kind: demo, recipe: demo, shards: 1}"
    assert cli.main(["index", "--settings", demo, "--output", "demo.csv"]) == 0
    """
    run_without_extras(code, tmp_path, repository)
    assert (tmp_path / "manifest.csv").read_text().splitlines()[1].startswith("a,")
    assert "skipped: " in (tmp_path / "results" / "mine" / "checked.csv").read_text()


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("'cocon', 'render', '--settings', '{kind: demo, recipe: demo, shards: 1}'", "scipy", "workflow"),
        ("'cocon', 'report', '--results', '.'", "jinja2", "report"),
        ("'cocon', 'export', '--encoders', 'a.safetensors', '--output', 'b'", "torch", "train"),
        ("'view_extractors', 'flow', 'a.mp4', '--device', 'cuda', '--output', 'a.h5'", "torch", "train"),
    ],
)
def test_what_is_missing_is_a_sentence(
    repository: Path, tmp_path: Path, command: str, package: str, extra: str
) -> None:
    (tmp_path / "a.mp4").touch()
    code = f"""
    import contextlib, importlib, io
    program, *arguments = {command}
    with contextlib.redirect_stderr(io.StringIO()) as text:
        status = importlib.import_module(program + ".cli").main(arguments)
    print(status, text.getvalue())
    """
    status, _, said = run_without_extras(code, tmp_path, repository).partition(" ")
    assert status == "2", said
    assert f"this needs the package {package}, which is not installed" in said
    assert f"hint: pip install -e '.[{extra}]' in your clone" in said
    assert "Traceback" not in said


def test_only_a_package_that_is_missing_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cocon.nothing", "torch.nothing", "nothing"):
        assert explain(ModuleNotFoundError(f"No module named '{name}'", name=name)) is None
    assert explain(ModuleNotFoundError("nobody knows")) is None
    monkeypatch.setitem(sys.modules, "torch", None)
    found = explain(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert isinstance(found, MissingPackageError)
    assert found.exit_code == 2


def test_how_to_install() -> None:
    assert how_to_install("h5py") == "pip install -e . in your clone of this project"
    assert how_to_install("sklearn") == "pip install -e '.[train]' in your clone of this project"
    assert how_to_install("ai_edge_litert").startswith("pip install ai-edge-litert;")


def test_a_gpu_is_used_by_those_who_can_do_without_where_torch_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert uses_gpu(Resources(device="auto"))
    assert not uses_gpu(Resources(device="cpu"))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not uses_gpu(Resources(device="auto"))
    with pytest.raises(ModuleNotFoundError, match="torch"):
        uses_gpu(Resources(device="cuda"))


def test_nothing_is_installed_from_the_index_by_the_name_of_this_project(repository: Path) -> None:
    """Nobody has that name there, so anybody could take it."""
    wrong = re.compile(r"pip install[^\n`]* '?cocon\b")
    folders = ("benchmarks", "cocon", "docs", "profiles", "tests", "view_extractors", "workflow")
    files = [
        *repository.glob("*"),
        *(path for folder in folders for path in (repository / folder).rglob("*")),
    ]
    text = {".md", ".py", ".yaml", ".yml", ".smk", ".toml", ".rst", ".txt", ".sh", ".jinja", ""}
    found = [
        f"{path}: {match[0]}"
        for path in files
        if path.is_file() and path.suffix in text
        for match in wrong.finditer(path.read_text())
    ]
    assert found == []


def test_the_version_is_known_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "cocon":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    provenance.cache_clear()
    assert provenance()["cocon"] == __version__


@pytest.mark.parametrize(
    ("content", "module", "message", "hint"),
    [
        (None, "", ", which is not installed", "get it"),
        ("", ".part", ", but the one that is installed lacks the module some_package.part", "get it"),
        (
            "import no_such_module",
            "",
            ", which needs the module no_such_module, which is not installed",
            "install it into the same environment, or some-package again: get it",
        ),
        (
            "raise ModuleNotFoundError('No module', name='pkg_resources')",
            "",
            ", which needs the module pkg_resources, which is not installed",
            PKG_RESOURCES,
        ),
        (
            "from math import no_such_name",
            "",
            ", which cannot be imported: cannot import name 'no_such_name' from 'math'",
            "get it",
        ),
    ],
)
def test_the_missing_module_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    module: str,
    message: str,
    hint: str,
) -> None:
    if content is not None:
        (tmp_path / "some_package").mkdir()
        (tmp_path / "some_package" / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_package", raising=False)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(f"some_package{module}")
    found, advice = failed_import("this test", "some-package", caught.value, "get it")
    assert found.startswith(f"this test needs the package some-package{message}")
    assert advice == hint
    sys.modules.pop("some_package", None)
