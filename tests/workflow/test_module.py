"""The workflow as a module of another one, as `snakedeploy deploy-workflow` sets it up."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.workflow.conftest import jobs_in

# What snakedeploy writes, with a path in place of a repository.
DEPLOYED = """
configfile: "config/config.yaml"

module cocon:
    snakefile: "{snakefile}"
    config: config

use rule * from cocon
"""


def test_a_module_plans_what_the_workflow_plans(repository: Path, tmp_path: Path) -> None:
    for folder in ("config", "profiles"):
        shutil.copytree(repository / folder, tmp_path / folder)
    assert not (tmp_path / "config" / "config.yaml").is_symlink()
    (tmp_path / "workflow").mkdir()
    text = DEPLOYED.format(snakefile=repository / "workflow" / "Snakefile")
    (tmp_path / "workflow" / "Snakefile").write_text(text)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", "--dry-run", "eval_demo"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-4000:]
    jobs = jobs_in(result.stdout + result.stderr)
    assert {"render", "extract", "pretrain_stage2", "evaluate_features", "page"} <= set(jobs)
    assert jobs["eval_demo"] == 1
