"""A view, a loss, a data set, an encoder and a protocol are added where CONTRIBUTING.md says, nowhere else.

The files of ``added`` and the lines of ``lines.py`` go into a copy of the project; then the whole way runs
with all of them together.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cocon.renderer.clip import write_video
from tests import tiny
from tests.new_parts.lines import DATASET, ENCODER, PRESET, PROTOCOL, VIEW

pytestmark = pytest.mark.e2e

ADDED = Path(__file__).with_name("added")
CONFIG = {
    "views": ["depth", "rgb"],
    "datasets": {"mine": {"kind": "halves", "recipe": "r", "shards": 1, "videos": "videos"}},
    "recipes": {
        "r": {
            "extraction": {"rgb": {"short_side": 36}, "depth": {"lower": 0.25}},
            "clip": tiny.RECIPE["clip"] | {"crop": {"depth": 32, "rgb": 32}},
            "network": {"encoder": "mean", "features": 8},
            "pretraining": {
                "stage1": {"epochs": 1, "batch_size": 4},
                "stage2": {"epochs": 2, "batch_size": 4},
                "loss": {"evenness": 2.0},
                "validation_fraction": 0,
            },
            "evaluation": {
                "pretrainings": ["random", "even"],
                "protocols": ["knn"],
                "knn": {"k": 3},
                "bootstrap": 100,
            },
        }
    },
}


@pytest.fixture(scope="module")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the new parts."""
    copy = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("cocon", "view_extractors", "workflow", "profiles"):
        shutil.copytree(repository / name, copy / name, ignore=ignored)
    for name in ("Snakefile", "pyproject.toml"):
        shutil.copy(repository / name, copy / name)
    shutil.copytree(ADDED, copy, dirs_exist_ok=True, ignore=ignored)
    for part in (VIEW, PRESET, DATASET, ENCODER, PROTOCOL):
        for file, insertions in part.items():
            text = (copy / file).read_text()
            for before, inserted in insertions:
                assert text.count(before) == 1, f"{file}: {before}"
                text = text.replace(before, before + inserted)
            (copy / file).write_text(text)
    return copy


@pytest.fixture(scope="module")
def finished(project: Path) -> Path:
    """A folder in which everything ran once."""
    folder = project / "run"
    generator = np.random.default_rng(0)
    for label, brightness in {"dark": 60, "light": 190}.items():
        (folder / "videos" / label).mkdir(parents=True)
        for number in range(8):
            noise = generator.integers(0, 40, (18, 48, 48, 3))
            write_video(folder / "videos" / label / f"{number}.mp4", (brightness + noise).astype(np.uint8))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    snakemake(project, folder, "eval_mine", "export_mine")
    return folder


def run(project: Path, folder: Path, *command: str) -> str:
    """What a command prints that uses the copy."""
    environment = os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return result.stdout + result.stderr


def snakemake(project: Path, folder: Path, *arguments: str) -> str:
    options = ("--snakefile", str(project / "Snakefile"), "--directory", str(folder), "--cores", "2")
    return run(project, folder, sys.executable, "-m", "snakemake", *options, "--nocolor", *arguments)


def test_the_new_protocol_evaluates_the_new_pretraining_on_the_new_view(finished: Path) -> None:
    rows = json.loads((finished / "results/mine/summary.json").read_text())["rows"]
    found = {(row["pretraining"], row["view"], row["protocol"]): row["top1"] for row in rows}
    views = ("depth", "rgb", "ensemble")
    assert found.keys() == {(each, view, "knn") for each in ("random", "even") for view in views}
    assert found["even", "depth", "knn"] == 1.0  # dark and light are far apart in it


def test_the_new_term_is_logged_and_minimised_with_its_weight(finished: Path) -> None:
    lines = (finished / "results/mine/pretrain/even/log.jsonl").read_text().splitlines()
    terms = [row for line in lines if "loss" in (row := json.loads(line))]
    assert all({"cmc/depth-rgb", "spread/depth-rgb"} <= row.keys() for row in terms)
    for row in terms:
        assert row["loss"] == pytest.approx(row["cmc/depth-rgb"] + 2 * row["spread/depth-rgb"], rel=1e-4)


def test_report_and_model_card_name_the_new_parts(finished: Path) -> None:
    report = (finished / "results/mine/report.html").read_text()
    for text in ("Even: CMC of even views", "Vote of neighbours", "L_spread", ".view-depth", "Means"):
        assert text in report, text
    card = next((finished / "results/mine").rglob("README.md")).read_text()
    for text in ("depth", "L_cmc, L_spread", "Means"):
        assert text in card, text


def test_the_new_view_can_be_looked_at(project: Path, finished: Path) -> None:
    shards = sorted(map(str, (finished / "results/mine/shards").rglob("*.h5")))
    sheet = finished / "sheet.png"
    command = (sys.executable, "-m", "cocon", "shards", "show", *shards)
    run(project, finished, *command, "--video", "dark/0", "--output", str(sheet))
    assert sheet.stat().st_size > 1000


def test_new_parts_repeat_nothing_that_has_been_done(project: Path, repository: Path) -> None:
    """What the jobs of older results depend on is the same with them."""
    shutil.copytree(repository / "tests", project / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    chosen = ["test_rules_depend_on_what_they_did", "test_results_of_version_0_1_0_are_taken_over"]
    tests = [f"tests/workflow/test_upgrades.py::{name}" for name in chosen]
    output = run(project, project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert "2 passed" in output
