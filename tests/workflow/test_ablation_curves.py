"""The figure of an ablation: which logs it is made from, and when it is made."""

from __future__ import annotations

import base64
import copy
from typing import Any
from unittest.mock import create_autospec

import pytest

from cocon.config.schema import Config
from cocon.patterns import expanded
from cocon.workflow.ablations import Ablations
from cocon.workflow.lists import VideoLists
from tests.workflow.conftest import Workflow

DOCUMENT: dict[str, Any] = {
    "views": ["rgb", "flow"],
    "jobs": {"pretrain_stage2": {"probe_every": 5}},
    "datasets": {"demo": {"kind": "demo", "recipe": "r", "shards": 1, "frames": 20}},
    "recipes": {"r": {}},
    "ablations": {
        "few": {
            "dataset": "demo",
            "seeds": 2,
            "pretrainings": ["random", "cmc", "cpc"],
            "protocols": ["linear"],
        }
    },
}
PICTURE = "results/demo/ablation_few.svg"


def changed(*path: str, value: Any) -> dict[str, Any]:
    """The configuration with another value of one key."""
    document = copy.deepcopy(DOCUMENT)
    section = document
    for key in path[:-1]:
        section = section.setdefault(key, {})
    section[path[-1]] = value
    return document


def ablations(document: dict[str, Any], splits: list[str]) -> Ablations:
    """Those of a configuration whose data sets have these splits, and good labels."""
    lists = create_autospec(VideoLists, instance=True)
    lists.check_labels = lambda dataset: None
    lists.compared_splits = lambda ablation: tuple(splits)
    return Ablations(Config.model_validate(document), lists)


def logs(document: dict[str, Any], splits: list[str]) -> set[str]:
    found = expanded(ablations(document, splits).logs("few"))
    assert len(found) == len(set(found)), "a log twice"
    return set(found)


def in_both(folder: str, *names: str) -> set[str]:
    """Logs of both seeds."""
    return {f"results/{folder.format(seed)}pretrain/{name}" for seed in ("", "seed1/") for name in names}


STAGE1 = ("stage1/rgb.log.jsonl", "stage1/flow.log.jsonl")


def test_the_logs_of_all_seeds_and_of_the_stage_1_that_is_gone_on_from() -> None:
    together = ("cmc/log.jsonl", "cpc/log.jsonl")
    assert logs(DOCUMENT, ["1"]) == in_both("demo/{}", *together, *STAGE1)
    cmc = changed("ablations", "few", "pretrainings", value=["random", "cmc"])
    assert logs(cmc, ["1"]) == in_both("demo/{}", "cmc/log.jsonl")
    first = changed("ablations", "few", "pretrainings", value=["stage1"])
    assert logs(first, ["1"]) == in_both("demo/{}", *STAGE1)


def test_splits_with_encoders_of_their_own_have_logs_of_their_own() -> None:
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "table.csv"}
    document = changed("datasets", value={"mine": mine})
    document["ablations"]["few"]["dataset"] = "mine"
    names = ("cmc/log.jsonl", "cpc/log.jsonl", *STAGE1)
    assert logs(document, ["1", "2"]) == in_both("mine/{}", *names) | in_both("mine/{}split2/", *names)
    document["datasets"]["mine"]["pretrain_split"] = "all"
    assert logs(document, ["1", "2"]) == in_both("mine/{}", *names)


def test_encoders_of_another_data_set_have_their_logs_there() -> None:
    other = {"kind": "demo", "recipe": "r", "shards": 1, "frames": 20, "pretrain_on": "demo"}
    document = changed("datasets", "other", value=other)
    document["ablations"]["few"]["dataset"] = "other"
    assert logs(document, ["1"]) == logs(DOCUMENT, ["1"])


@pytest.mark.parametrize(
    ("document", "drawn"),
    [
        (DOCUMENT, True),
        (changed("jobs", "pretrain_stage2", "probe_every", value=0), False),
        (changed("jobs", value={"pretrain_stage1": {"probe_every": 5}}), False),
        (changed("ablations", "few", "pretrainings", value=["random"]), False),
    ],
)
def test_there_is_a_figure_where_trainings_are_measured(document: dict[str, Any], drawn: bool) -> None:
    assert ablations(document, []).has_curves("few") == drawn


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Finished, with its figure."""
    project = Workflow(tmp_path_factory.mktemp("project"))
    project.configure(DOCUMENT)
    project.finish("ablation_few")
    return project


@pytest.mark.parametrize(
    ("path", "value", "planned"),
    [
        (("jobs", "pretrain_stage2", "probe_every"), 7, {}),
        (("jobs", "pretrain_stage2", "probe_every"), 0, {}),
        (("recipes", "r", "evaluation", "linear"), {"max_iterations": 9}, {"compare": 1}),
        (
            ("recipes", "r", "pretraining", "stage2"),
            {"learning_rate": 0.5},
            {"pretrain_stage2": 4, "curves": 1, "compare": 1},
        ),
    ],
)
def test_what_draws_the_figure_again(
    project: Workflow, path: tuple[str, ...], value: Any, planned: dict[str, int]
) -> None:
    project.configure(changed(*path, value=value))
    plan = project.plan("ablation_few")
    of_interest = ("pretrain_stage1", "pretrain_stage2", "curves", "compare")
    assert {rule: plan[rule] for rule in of_interest if rule in plan} == planned


def test_of_trainings_that_are_there_only_the_figure_is_made(project: Workflow) -> None:
    """As when probe_every is set after the trainings."""
    project.configure(DOCUMENT)
    (project.folder / PICTURE).unlink()
    (project.folder / ".snakemake" / "metadata").joinpath(encoded(PICTURE)).unlink()
    assert project.plan("ablation_few") == {"curves": 1, "ablation_few": 1}
    shown = project.run("--dry-run", "--printshellcmds", "ablation_few")
    given = shown.split("cocon curves --logs ")[1].split(" --output ")[0]
    assert "results/demo/seed1/pretrain/{cmc,cpc}/log.jsonl" in given
    assert set(expanded(given.replace("'", "").split())) == logs(DOCUMENT, ["1"])


def encoded(name: str) -> str:
    """The name of Snakemake's record of a file."""
    return base64.b64encode(name.encode()).decode()
