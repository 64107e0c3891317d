"""What jobs read and are told, without Snakemake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cocon.config.config_files import merged
from cocon.config.schema import Config, RgbExtraction
from cocon.errors import CoConError
from cocon.evaluation.settings import FinetuneSettings
from cocon.training.settings import PretrainSettings
from cocon.workflow.arguments import (
    Arguments,
    by_view,
    folder_of_shards,
    manifest_option,
    shards_option,
)
from cocon.workflow.documents import Documents
from cocon.workflow.inputs import JobInputs
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import Paths
from cocon.workflow.running import pretraining_runs, protocol_runs

DEMO = {"kind": "demo", "recipe": "r", "shards": 2, "frames": 20, "train_subjects": 1, "test_subjects": 1}


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., Config]:
    """A configuration with a data set of two splits with encoders of their own."""
    rows = [f"{n}.mp4,{'xy'[n % 2]},{'train,test' if n < 4 else 'test,train'}" for n in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(["video,label,split_1,split_2", *rows]))
    for n in range(8):
        (tmp_path / f"{n}.mp4").touch()

    def configured(recipe: Any = None, **keys: Any) -> Config:
        section = {"kind": "folder", "recipe": "r", "shards": 2, "videos": tmp_path, **keys}
        section |= {"table": tmp_path / "t.csv"}
        datasets = {"mine": section, "demo": DEMO}
        document = {"views": ["rgb", "flow"], "datasets": datasets, "recipes": {"r": recipe or {}}}
        return Config.model_validate(document)

    return configured


def inputs(config: Config) -> JobInputs:
    return JobInputs(config, VideoLists(config))


def test_only_rendered_videos_are_made_by_a_job(mine: Callable[..., Config]) -> None:
    found = inputs(mine())
    assert found.rendered("mine") == []
    everything = found.rendered("demo")
    shards = [found.rendered("demo", f"{number:05d}") for number in range(2)]
    assert everything == [*shards[0], *shards[1]]
    assert all(shards)


def test_tables_are_of_a_split_where_splits_stand_apart(mine: Callable[..., Config]) -> None:
    batches = {"pretraining": {"validation_fraction": 0}}
    batches["pretraining"] |= {stage: {"batch_size": 2} for stage in ("stage1", "stage2")}
    found = inputs(mine(batches))
    assert found.manifest("mine") == "results/mine/manifest_any.csv"
    assert found.manifest("mine", "2") == "results/mine/manifest_split2.csv"
    assert found.training_videos("mine", "split2/") == "results/mine/pretraining_split2.csv"
    assert found.manifest("demo", "1") == "results/demo/manifest.csv"


def test_too_few_videos_for_a_batch_are_an_error_of_the_plan(mine: Callable[..., Config]) -> None:
    with pytest.raises(CoConError, match="data set 'mine'"):
        inputs(mine({"pretraining": {"stage1": {"batch_size": 64}}})).training_videos("mine", "")


def test_an_ensemble_is_of_scores_or_of_joined_features(mine: Callable[..., Config]) -> None:
    found = inputs(mine({"evaluation": {"own": {"near": {"like": "retrieval"}}}}))
    where = ("mine", "split2/", "cocon")
    folder = "results/mine/split2"
    assert found.fused(*where, "linear", "2") == [
        f"{folder}/evaluation/cocon/{view}/linear_split2.npz" for view in ("rgb", "flow")
    ]
    assert found.manifest_of_joined("mine", "linear", "2") == []
    features = [f"{folder}/features/cocon/{view}.h5" for view in ("rgb", "flow")]
    for protocol in ("retrieval", "near"):
        assert found.fused(*where, protocol, "2") == features
        assert found.manifest_of_joined("mine", protocol, "2") == ["results/mine/manifest_split2.csv"]


@pytest.mark.parametrize(
    ("keys", "pretraining", "has_summary"),
    [
        ({}, "cocon", False),
        ({"card_accuracies": True}, "cocon", True),
        ({"card_accuracies": True}, "cmc", False),
        ({"card_accuracies": True, "pretrain_on": "demo"}, "cocon", False),
    ],
)
def test_a_model_card_waits_for_accuracies_that_there_are(
    mine: Callable[..., Config], keys: Any, pretraining: str, has_summary: bool
) -> None:
    found = inputs(mine(**keys)).exported_summary("mine", pretraining)
    assert found == ["results/mine/summary.json"] * has_summary


def test_random_encoders_are_exported_with_their_shards(mine: Callable[..., Config]) -> None:
    found = inputs(mine())
    assert found.exported_shards("mine", "cocon") == []
    assert found.exported_shards("mine", "random") == found.all_shards("mine")
    assert len(found.all_shards("mine")) == 4


def test_a_report_compares_a_demo_with_the_truth(mine: Callable[..., Config]) -> None:
    config = mine()
    assert Paths(config).truth_figures("mine") == []
    assert Paths(config).truth_figures("demo") == ["results/demo/scores.json"]
    alone = config.model_copy(update={"views": ("rgb",)})
    assert Paths(alone).truth_figures("demo") == []
    document = config.model_dump(exclude_unset=True)
    document["datasets"]["demo"]["compare_backends"] = True
    assert Paths(Config.model_validate(document)).truth_figures("demo") == [
        "results/demo/scores.json",
        "results/demo/backends.json",
    ]


@pytest.mark.parametrize("rgb", [{}, {"codec": "dct"}, {"codec": "jpeg", "short_side": 200}])
def test_an_extraction_gets_the_section_of_the_recipe(mine: Callable[..., Config], rgb: Any) -> None:
    """Whatever documents leave out for the sake of older results."""
    config = mine({"extraction": {"rgb": rgb}})
    settings = Arguments(config, VideoLists(config)).extraction("mine", "rgb")
    assert RgbExtraction.model_validate(json.loads(settings)) == config.recipes["r"].extraction.rgb


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"amp": "off"},
        {"channels_last_3d": False},
        {"amp": "bf16", "channels_last_3d": True},
        {"tf32": False},
    ],
)
def test_a_training_computes_as_the_recipe_says(mine: Callable[..., Config], keys: Any) -> None:
    """Also where a value is left out of documents, because it was the default once."""
    config = mine({"pretraining": keys, "evaluation": {"finetune": keys, "protocols": ["finetune"]}})
    documents = Documents(config, VideoLists(config))
    trained = documents.encoders.stage1("mine", "", "rgb")["settings"]
    tuned = documents.evaluation.protocol("mine", "", "random", "rgb", "finetune", "1")["settings"]
    trained = merged(trained, pretraining_runs(config, "mine", "stage1"))
    tuned = merged(tuned, protocol_runs(config, "mine", "finetune"))
    for found in (
        PretrainSettings.model_validate(trained).pretraining,
        FinetuneSettings.model_validate(tuned).finetune,
    ):
        assert {key: getattr(found, key) for key in keys} == keys


def test_arguments_of_tables(mine: Callable[..., Config]) -> None:
    config = mine()
    found = Arguments(config, VideoLists(config))
    assert [found.split_option(part) for part in ("", "_split2", "_all")] == [
        [],
        ["--split", "2"],
        ["--split", "all"],
    ]
    assert found.split_option_of_training("") == []
    assert found.split_option_of_training("_split2") == ["--split", "2", "--for-pretraining"]


def test_the_python_and_the_environment_of_a_backend(mine: Callable[..., Config]) -> None:
    config = mine({"extraction": {"flow": {"backend": "raft"}, "pose": {"backend": "mmpose"}}})
    config = config.model_copy(update={"interpreters": {"mmpose": "/opt/python"}})
    found = Arguments(config, VideoLists(config))
    views = ("rgb", "flow", "pose")
    assert [found.python("mine", view) for view in views] == ["python", "python", "/opt/python"]
    environments = [None, "../envs/torchvision.yml", "../envs/mmpose.yml"]
    assert [found.environment("mine", view) for view in views] == environments
    assert found.environment("mine") == "../envs/mmpose.yml", "of the pass that has no view"


def test_arguments_of_files() -> None:
    shards = ["there/mine/shards/rgb/00000.h5", "there/mine/shards/flow/00000.h5"]
    assert folder_of_shards(shards) == "there/mine/shards"
    assert shards_option(shards) == ["--shards", "there/mine/shards"]
    assert shards_option([]) == manifest_option([]) == []
    assert by_view(["rgb", "flow"], ["a", "b"]) == ["rgb=a", "flow=b"]
