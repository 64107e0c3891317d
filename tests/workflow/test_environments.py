"""Which Python extracts a view, and in which conda environment."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import REPOSITORY, jobs_in

OWN = {"raft": "torchvision", "torchvision": "torchvision", "mmpose": "mmpose", "detectron2": "detectron2"}


@pytest.fixture
def configured(workflow, tmp_path: Path):
    """A function that configures a data set of two videos, with backends by view."""
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    (tmp_path / "videos").mkdir()
    for name in "ab":
        (tmp_path / "videos" / f"{name}.mp4").touch()

    def configure(backends: dict[str, str], **config: Any):
        mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": "videos", "table": "table.csv"}
        extraction = {view: {"backend": backend} for view, backend in backends.items()}
        recipes = {"r": {"extraction": extraction}}
        workflow.configure({"datasets": {"mine": mine}, "recipes": recipes, **config})
        return workflow

    return configure


@pytest.fixture
def conda(tmp_path: Path, monkeypatch) -> None:
    """A stand-in for conda that knows what Snakemake asks for in a dry run."""
    folder = tmp_path / "conda" / "bin"
    folder.mkdir(parents=True)
    (folder / "activate").touch()
    command = folder / "conda"
    info = f'{{"conda_prefix": "{tmp_path / "conda"}", "platform": "linux-64"}}'
    priority = '{"get": {"channel_priority": "strict"}}'
    command.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*--version*) echo 'conda 25.1.0' ;;\n"
        f"*info*) echo '{info}' ;;\n"
        f"*channel_priority*) echo '{priority}' ;;\n"
        "*) exit 1 ;;\nesac\n"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def pythons(output: str) -> dict[str, str]:
    """The Python that extracts each view, from the commands of a dry run."""
    return dict(
        reversed(found)
        for found in re.findall(
            r"PYTHONPATH=\S+ (?:cocon lease \S+ \d+ -- )?(.+) -m view_extractors (\w+)", output
        )
    )


def test_a_backend_can_live_in_another_environment(configured):
    workflow = configured(
        {"mask": "detectron2", "pose": "mmpose", "flow": "raft"},
        interpreters={"mmpose": "/opt/my env/bin/python", "detectron2": "venvs/d2/bin/python"},
    )
    output = workflow.run("extract_mine", "--dry-run", "--printshellcmds")
    assert pythons(output) == {
        "rgb": "python",
        "flow": "python",
        "mask": "venvs/d2/bin/python",
        "pose": "'/opt/my env/bin/python'",
    }


@pytest.mark.parametrize(
    ("backends", "named"),
    [({}, "movenet"), ({"mask": "blazepose", "pose": "blazepose"}, "blazepose")],
)
def test_one_pass_has_one_interpreter(configured, backends, named):
    workflow = configured(backends, interpreters={named: "/opt/b/bin/python"})
    output = workflow.run("extract_mine", "--dry-run", "--printshellcmds")
    assert pythons(output) == {"rgb": "python", "flow": "python", "pose": "/opt/b/bin/python"}


@pytest.mark.parametrize("inherited", ["", "/opt/modules/h5py:/opt/modules/torch"])
def test_the_other_python_finds_the_project(
    configured, tmp_path: Path, repository: Path, monkeypatch, inherited: str
):
    """Its job sees the project on the path, whatever the folder that Snakemake works in.

    What the user's environment has on the path stays: the module systems of clusters put packages there.
    """
    monkeypatch.setenv("PYTHONPATH", inherited)
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nset -f; IFS=:; set -- $PYTHONPATH "$@"\n'
                      '(cd "$1" && pwd -P) > seen\necho "$@" >> seen\nexit 1\n')  # fmt: skip
    python.chmod(0o755)
    workflow = configured({"pose": "mmpose"}, interpreters={"mmpose": str(python)})
    workflow.fail("results/mine/shards/pose/00000.h5")
    folder, arguments = (tmp_path / "seen").read_text().splitlines()
    assert Path(folder) == repository.resolve()
    paths, _, options = arguments.partition(" -m view_extractors pose --manifest ")
    assert paths.split()[1:] == [path for path in inherited.split(":") if path]
    assert options.startswith("results/mine/logs/extract/pose_00000.videos.csv")


def test_an_unknown_backend_has_no_interpreter(configured):
    output = configured({}, interpreters={"mmpos": "/opt/b/bin/python"}).fail("--dry-run")
    assert "interpreters" in output


def test_a_backend_has_its_conda_environment(configured, conda, repository: Path):
    workflow = configured({"mask": "detectron2", "pose": "mmpose", "flow": "raft"})
    output = workflow.run("extract_mine", "--dry-run", "--sdm", "conda")
    files = re.findall(r"Conda environment (\S+) will be created", output)
    resolved = {(workflow.folder / file).resolve().relative_to(repository.resolve()) for file in files}
    assert resolved == {Path("workflow/envs") / f"{name}.yml" for name in OWN.values()}


def test_all_else_runs_beside_snakemake(configured, conda, tmp_path: Path):
    """An environment whose Python no command starts would be made for nothing."""
    workflow = configured({})
    names = [f"{number:03d}.mp4" for number in range(100)]
    for name in names:
        (tmp_path / "videos" / name).touch()
    rows = [f"{name},{'xy'[i % 2]},{'train' if i > 20 else 'test'}" for i, name in enumerate(names)]
    (tmp_path / "table.csv").write_text("\n".join(["video,label,split", *rows, ""]))
    output = workflow.run("eval_mine", "--dry-run", "--printshellcmds", "--sdm", "conda")
    assert "Conda environment" not in output
    assert jobs_in(output).keys() >= {"extract", "extract_persons", "pretrain_stage2", "finetune", "page"}
    assert set(pythons(output).values()) == {"python"}


def test_only_commands_that_use_an_environment_name_one(repository: Path):
    """With --sdm conda `python` is that of the environment; `cocon` is the one beside Snakemake."""
    rules = 0
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        for text in re.split(r"^ *rule(?: \w+)?:$", path.read_text(), flags=re.M)[1:]:
            if "shell:" not in text:
                continue
            environment = re.search(r"^ *conda:\n *(.+)$", text, re.M)
            assert environment, text
            starts_python = "params.python:q}" in text
            assert environment[1] == ("of(ARGUMENTS.environment)" if starts_python else "beside_snakemake"), (
                text
            )
            rules += 1
    assert rules > 20


# --------------------------------------------------------------------------------------- the container


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch) -> Path:
    """A stand-in for Apptainer, which runs the command outside; the file that it writes its arguments to."""
    folder, seen = tmp_path / "apptainer", tmp_path / "seen"
    folder.mkdir()
    command = folder / "apptainer"
    command.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "apptainer version 1.4.0"; exit; fi\n'
        f'printf "%s\\n" "$*" >> {seen}\n'
        'while [ "$1" != sh ] && [ "$1" != bash ]; do shift; done\n'
        'exec "$@"\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return seen


def test_jobs_run_in_the_image(configured, apptainer: Path):
    workflow = configured({}, container="images/cocon-1.sif")
    workflow.run("results/mine/manifest.csv", "--sdm", "apptainer", "--apptainer-args=--nv")
    calls = [line for line in apptainer.read_text().splitlines() if line.startswith("exec ")]
    assert calls, "the command of the job is not in the container"
    for call in calls:
        assert call.startswith(f"exec --home {workflow.folder} --nv")
        assert " images/cocon-1.sif bash -c" in call
    assert any("cocon index --settings" in call for call in calls)


def test_every_rule_has_the_image(configured, apptainer: Path):
    """Snakemake names an image that it has to get once, if all jobs of the plan have the same one."""
    workflow = configured({}, container="docker://host/cocon:cuda")
    output = workflow.run("extract_mine", "--dry-run", "--sdm", "apptainer")
    assert re.findall(r"Singularity image (\S+) will be pulled", output) == ["docker://host/cocon:cuda"]
    for path in (REPOSITORY / "workflow" / "rules").glob("*.smk"):
        assert not re.search(r"^ *container(ized)?:", path.read_text(), re.M), "an image of its own"


@pytest.mark.parametrize(
    ("image", "options"), [("cocon.sif", []), ("cocon.sif", ["--sdm", "conda"]), ("", ["--sdm", "apptainer"])]
)
def test_without_the_option_or_the_key_jobs_run_outside(configured, conda, apptainer: Path, image, options):
    workflow = configured({}, container=image)
    workflow.run("results/mine/manifest.csv", *options)
    assert not apptainer.exists()
    assert (workflow.folder / "results" / "mine" / "manifest.csv").is_file()


# ------------------------------------------------------------------------------------------- the files


def pip_pins(path: Path) -> dict[str, str]:
    """Versions in a conda environment's pip section, or in a script that calls pip, or constraints."""
    return {name.lower(): version for name, version in re.findall(r"([\w.-]+)==([\w.]+)", path.read_text())}


@pytest.mark.parametrize("name", ["torchvision", "mmpose"])
def test_versions_are_those_that_were_tested(repository: Path, name: str):
    tested = pip_pins(repository / "requirements-backends.txt")
    pins = pip_pins(repository / "workflow" / "envs" / f"{name}.yml")
    assert pins == {package: tested[package] for package in pins}
    assert {"torch", "torchvision", "av", "h5py", "opencv-contrib-python-headless"} <= pins.keys()


def imported(folder: Path) -> set[str]:
    """The packages that the modules of a folder name in their imports."""
    lines = "".join(path.read_text() for path in folder.rglob("*.py"))
    return set(re.findall(r"^ *(?:import|from) (\w+)", lines, re.M))


@pytest.mark.parametrize("name", sorted(set(OWN.values())))
def test_environments_hold_what_extraction_imports(repository: Path, name: str):
    text = (repository / "workflow" / "envs" / f"{name}.yml").read_text()
    environment = yaml.safe_load(text)
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert "python =3.11" in environment["dependencies"]
    needed = imported(repository / "view_extractors") | imported(repository / "cocon" / "shards")
    needed -= {*sys.stdlib_module_names, "cocon", "view_extractors"}
    needed -= {"ai_edge_litert", "mmengine", "torch", "torchvision"}  # of single backends
    needed -= {"llvmlite", "triton"}  # come with numba, and with torch where there is a GPU
    for package in needed:
        assert {"cv2": "opencv", "yaml": "pyyaml"}.get(package, package) in text


def test_mmpose_is_installed_without_dependencies(repository: Path):
    script = repository / "workflow" / "envs" / "mmpose.post-deploy.sh"
    assert "--no-deps" in script.read_text()
    pins = pip_pins(script)
    assert {"mmpose", "mmdet", "mmengine", "mmcv-lite"} <= pins.keys()
    assert not [name for name in pins if "opencv" in name], "OpenCV is there already"
    assert not pins.keys() & pip_pins(repository / "workflow" / "envs" / "mmpose.yml").keys()
