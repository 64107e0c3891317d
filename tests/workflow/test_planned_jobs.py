"""`cocon plan` counts the jobs that Snakemake would run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cocon.config.load import load_config
from cocon.planning.amount import roles_of
from cocon.planning.extraction import ExtractionCosts, ViewCost
from cocon.planning.rates import Rate, Rates
from cocon.planning.steps import Plan


@pytest.mark.parametrize(
    ("views", "evaluation"),
    [
        (["rgb", "flow", "mask", "pose"], {}),
        (["rgb"], {"protocols": ["finetune", "linear"], "finetune_pretrainings": ["cmc"]}),
        (
            ["rgb", "flow"],
            {"protocols": ["linear_sgd", "mine", "finetune_coclr"], "own": {"mine": {"like": "linear"}}},
        ),
    ],
)
def test_as_many_jobs_as_the_workflow_has(workflow, tmp_path: Path, views: list[str], evaluation) -> None:
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    compare(workflow, tmp_path, views, evaluation)


@pytest.mark.parametrize(
    ("keys", "evaluation"),
    [
        ({"folds": 3}, {}),
        ({"folds": 3, "pretrain_split": "all"}, {"protocols": ["finetune"]}),
        ({"folds": 2, "splits": ["2"]}, {"pretrainings": ["random"], "protocols": ["linear"]}),
    ],
)
def test_as_many_jobs_for_several_splits(workflow, tmp_path: Path, keys, evaluation) -> None:
    rows = [f"{name}.mp4,x" for name in "abcdef"]
    (tmp_path / "table.csv").write_text("\n".join(["video,label", *rows]))
    compare(workflow, tmp_path, ["rgb", "flow"], evaluation, **keys)


def test_as_many_jobs_for_the_validation_people_of_a_demo(workflow, tmp_path: Path) -> None:
    demo = {"kind": "demo", "recipe": "r", "shards": 2, "root": "d", "validation_subjects": 2}
    chosen = demo | {"shards_of": "large", "pretrain_on": "large", "evaluate_on": "validation"}
    recipes = {"r": {"evaluation": {"protocols": ["linear"]}}}
    views = ["rgb", "flow"]
    workflow.configure({"views": views, "datasets": {"large": demo, "mine": chosen}, "recipes": recipes})
    # What belongs to the other data set is there, as its own plan counts it.
    planned = workflow.plan("eval_mine", "eval_large")
    assert (planned.pop("eval_mine"), planned.pop("eval_large")) == (1, 1)
    assert jobs_of(tmp_path, views, "mine") + jobs_of(tmp_path, views, "large") == planned


def test_as_many_jobs_where_a_report_compares_backends(workflow, tmp_path: Path) -> None:
    demo = {"kind": "demo", "recipe": "r", "shards": 1, "compare_backends": True}
    recipes = {"r": {"evaluation": {"protocols": ["retrieval"], "pretrainings": ["cmc"]}}}
    views = ["rgb", "flow"]
    workflow.configure({"views": views, "datasets": {"demo": demo}, "recipes": recipes})
    planned = workflow.plan("eval_demo")
    assert planned.pop("eval_demo") == 1
    assert jobs_of(tmp_path, views, "demo") == planned


def compare(workflow, tmp_path: Path, views: list[str], evaluation, **keys) -> None:
    for name in "abcdef":
        (tmp_path / f"{name}.mp4").touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 3, "videos": ".", "table": "table.csv", **keys}
    stages = {"stage1": {"batch_size": 1}, "stage2": {"batch_size": 1}}
    recipes = {"r": {"evaluation": evaluation, "pretraining": {"validation_fraction": 0, **stages}}}
    workflow.configure({"views": views, "datasets": {"mine": mine}, "recipes": recipes})
    planned = workflow.plan("eval_mine")
    assert planned.pop("eval_mine") == 1
    assert jobs_of(tmp_path, views, "mine", videos=tmp_path, table=tmp_path / "table.csv") == planned


def jobs_of(tmp_path: Path, views: list[str], name: str, **folders: Path) -> Counter[str]:
    """Jobs by rule as ``cocon plan`` counts them."""
    config = load_config(tmp_path / "config.yaml")
    roles, _ = roles_of(name, config.datasets[name].model_copy(update=folders))
    rate = Rate(1.0, 1e9, "cpu", 1)
    rates = Rates(dict.fromkeys(views, rate), dict.fromkeys(views, rate), rate, 1, 1, dict.fromkeys(views, 1))
    costs = ExtractionCosts(dict.fromkeys(views, ViewCost(1.0, 1.0, False)), 240, ())
    jobs: Counter[str] = Counter()
    for step in Plan(config, name, roles, costs, rates, 0, None).steps():
        jobs[step.rule] += step.jobs
    return jobs
