"""The profiles name rules and files that exist, and do not contradict each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def slurm(repository: Path) -> dict[str, Any]:
    return yaml.safe_load((repository / "profiles" / "slurm" / "config.yaml").read_text())


@pytest.fixture
def rules(repository: Path) -> set[str]:
    text = "".join(path.read_text() for path in (repository / "workflow" / "rules").glob("*.smk"))
    return set(re.findall(r"^ *rule (\w+):", text, re.M))


def test_groups_are_of_rules_that_exist(slurm: dict[str, Any], rules: set[str]) -> None:
    assert set(slurm["groups"]) <= rules
    assert set(slurm["group-components"]) <= set(slurm["groups"].values())


def test_training_is_in_no_group(slurm: dict[str, Any]) -> None:
    """A training is its own job step, saves itself on a signal and goes on; a group cannot."""
    assert not {"pretrain_stage1", "pretrain_stage2", "finetune"} & set(slurm["groups"])


def test_what_is_commented_out_is_right_too(repository: Path, rules: set[str]) -> None:
    text = (repository / "profiles" / "slurm" / "config.yaml").read_text()
    suggested = yaml.safe_load("\n".join(re.findall(r"^# (set-resources:|  \w+: \{.*\})$", text, re.M)))
    assert set(suggested["set-resources"]) <= rules
    (file,) = re.findall(r"^# slurm-partition-config: (\S+)$", text, re.M)
    partitions = yaml.safe_load((repository / file).read_text())["partitions"]
    assert [name for name, limits in partitions.items() if "max_gpu" in limits] == ["gpu"]


def test_rules_have_the_same_names_in_every_configuration(workflow) -> None:
    """A profile can name each of them; only targets, which run no command, are named by the user."""
    plans = []
    for name in ("mine", "other"):
        demo = {"kind": "demo", "recipe": "r", "shards": 1, "compare_backends": True}
        public = {"kind": "hmdb51", "recipe": "r", "shards": 1, "videos": "v", "lists": "l"}
        workflow.configure(
            {
                "views": ["rgb", "flow"],
                "jobs": {"pretrain_stage2": {"probe_every": 5}},
                "datasets": {name: demo, f"{name}_public": public},
                "recipes": {"r": {}},
                "ablations": {name: {"dataset": name, "seeds": 1, "pretrainings": ["cocon"]}},
            }
        )
        targets = [f"{verb}_{name}" for verb in ("eval", "ablation", "score", "export")]
        targets += [f"get_{name}_public"]
        plan = workflow.plan(*targets)
        plans.append({rule: jobs for rule, jobs in plan.items() if rule not in targets})
    assert plans[0] == plans[1]
    rules = {"render", "render_pairs", "get", "score_shards", "score_backends", "compare", "curves", "export"}
    assert rules < set(plans[0])


def test_what_both_profiles_say_is_the_same(repository: Path, slurm: dict[str, Any]) -> None:
    """--profile profiles/slurm reads both, and then the other one prevails."""
    default = yaml.safe_load((repository / "profiles" / "default" / "config.yaml").read_text())
    common = default.keys() & slurm.keys()
    assert "rerun-triggers" in common
    assert {name: default[name] for name in common} == {name: slurm[name] for name in common}
