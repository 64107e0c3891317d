"""The documents of results, without Snakemake: which keys are in them, and when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cocon.config import selection
from cocon.config.schema import Config, PretrainingJob, Recipe
from cocon.errors import CoConError
from cocon.training.settings import PretrainSettings
from cocon.workflow.documents import Documents, encoders, extraction, protocols, report
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import Paths
from cocon.workflow.running import max_failed_fraction, moved_keys, running_settings

VIEWS = ("rgb", "flow", "mask", "pose")


def pretraining(stage: str = "stage2", preset: str = "cocon", views: Any = VIEWS, **keys: Any) -> Any:
    """What a training reads of the section `pretraining`."""
    recipe = Recipe.model_validate({"pretraining": keys})
    return selection.pretraining_settings(recipe, stage, preset, views).get("pretraining", {})


@pytest.mark.parametrize(
    ("keys", "read"),
    [
        ({"schedule": "step", "milestones": [0.5]}, {"schedule", "milestones"}),
        ({"schedule": "cosine", "milestones": [0.5], "plateau_patience": 3}, {"schedule"}),
        ({"schedule": "cosine", "minimum_learning_rate": 1e-4}, {"schedule", "minimum_learning_rate"}),
        ({"schedule": "constant", "minimum_learning_rate": 1e-4}, {"schedule"}),
        ({"validation_fraction": 0, "plateau_factor": 0.5}, {"validation_fraction"}),
        ({"plateau_factor": 0.5}, {"plateau_factor"}),
        ({"workers": 3, "loggers": ["wandb"], "probe_every": 1, "checkpoint_every": 9}, set()),
        ({"stage1": {"epochs": 3}}, set()),
        ({"warmup_steps": 9}, {"warmup_steps"}),
        ({"best_by": "probe", "best_every": 3, "best_videos": 60}, set()),
        ({"result": "best", "best_every": 3, "best_videos": 60}, {"result"}),
        (
            {"result": "best", "best_by": "probe", "best_every": 3, "best_videos": 60, "probe_every": 2},
            {"result", "best_by", "best_every", "best_videos"},
        ),
    ],
)
def test_schedules_read_their_own_keys(keys: dict[str, Any], read: set[str]) -> None:
    assert set(pretraining(**keys)) == read


LOSS = {
    "temperature": 0.1,
    "cooperation": 3,
    "similarity": 2,
    "sync": "squared",
    "margin": 0.5,
    "contrast_temperature": 0.2,
    "queue": 7,
    "nearest": 3,
}


@pytest.mark.parametrize(
    ("preset", "loss", "read"),
    [
        ("cpc", LOSS, {"temperature"}),
        ("cpc_sync", LOSS, {"temperature", "cooperation", "sync"}),
        ("cpc_sim", LOSS, {"temperature", "cooperation", "similarity", "margin"}),
        ("cocon", LOSS, {"temperature", "cooperation", "similarity", "sync", "margin"}),
        (
            "cocon",
            LOSS | {"sim": "infonce"},
            {"temperature", "cooperation", "similarity", "sync", "sim", "contrast_temperature"},
        ),
        ("cmc", LOSS, {"contrast_temperature"}),
        ("cmc_sync", LOSS, {"contrast_temperature", "cooperation", "sync"}),
        (
            "cocon_nce",
            LOSS | {"sim": "infonce"},
            {"temperature", "cooperation", "similarity", "sync", "contrast_temperature"},
        ),
        ("coclr", LOSS, {"contrast_temperature", "queue", "nearest"}),
    ],
)
def test_losses_read_the_keys_of_their_terms(preset: str, loss: dict[str, Any], read: set[str]) -> None:
    assert set(pretraining(preset=preset, loss=loss)["loss"]) == read
    one_view = pretraining(preset=preset, loss=loss, views=["rgb"]).get("loss", {})
    assert set(one_view) == read & {"temperature"}, "there is nothing to compare a single view with"


def test_a_single_view_reads_what_it_discriminates_instances_with() -> None:
    for views in (["rgb"], ["rgb", "flow"]):
        assert set(pretraining(preset="nce", loss=LOSS, views=views)["loss"]) == {"contrast_temperature"}


def test_what_predicts_nothing_trains_for_the_epochs_of_both_stages() -> None:
    keys = {"stage1": {"epochs": 7, "batch_size": 3}, "stage2": {"epochs": 5}}
    assert pretraining(preset="cmc", **keys) == {"stage1": {"epochs": 7}, "stage2": {"epochs": 5}}
    assert pretraining(preset="cocon", **keys) == {"stage2": {"epochs": 5}}
    assert pretraining(stage="stage1", preset="cpc", views=["rgb"], **keys) == {"stage1": keys["stage1"]}


def test_steps_stand_in_a_document_in_place_of_epochs() -> None:
    keys = {"stage1": {"steps": 70, "batch_size": 3}, "stage2": {"steps": 50}}
    assert pretraining(preset="cmc", **keys) == {"stage1": {"steps": 70}, "stage2": {"steps": 50}}
    assert pretraining(preset="cocon", **keys) == {"stage2": {"steps": 50}}
    assert pretraining(stage="stage1", preset="cpc", views=["rgb"], **keys) == {"stage1": keys["stage1"]}
    recipe = Recipe.model_validate({"pretraining": keys})
    for preset in ("cmc", "cocon"):
        document = selection.pretraining_settings(recipe, "stage2", preset, VIEWS)
        passed = PretrainSettings.model_validate(document).pretraining
        assert passed.whole_epochs("stage2", preset, 7) == recipe.pretraining.whole_epochs(
            "stage2", preset, 7
        )
    finetune = Recipe.model_validate({"evaluation": {"finetune": {"steps": 90}}}).evaluation.finetune
    assert selection.training_settings(finetune) == {"steps": 90}


@pytest.mark.parametrize(
    ("views", "keys", "read"),
    [
        (["rgb"], {"grey": 0.1, "flow_flip": 0.5, "crop_candidates": 9}, {"grey"}),
        (["flow"], {"grey": 0.1, "flow_flip": 0.5, "crop_candidates": 9}, {"flow_flip", "crop_candidates"}),
        (["flow"], {"shared_crop": True, "crop_candidates": 9}, {"shared_crop"}),
        (["flow"], {"resized_crop": ["rgb"], "crop_area": [0.2, 1]}, set()),
        (["rgb", "flow"], {"resized_crop": ["rgb"], "crop_area": [0.2, 1]}, {"resized_crop", "crop_area"}),
    ],
)
def test_views_read_their_own_augmentation(views: list[str], keys: dict[str, Any], read: set[str]) -> None:
    assert set(pretraining(views=views, augmentation=keys).get("augmentation", {})) == read


def test_normalisation_over_processes_counts_where_there_are_several() -> None:
    recipe = Recipe.model_validate({"pretraining": {"sync_batch_norm": True}})
    several = PretrainingJob(nodes=2, gpus=2)
    alone, together = (
        encoders.pretraining(recipe, "stage1", "cpc", ["rgb"], split="1", seed=0, job=job)
        for job in (PretrainingJob(), several)
    )
    assert (alone["settings"], alone.get("processes")) == ({}, None)
    assert together["settings"] == {"pretraining": {"sync_batch_norm": True}}
    assert together["processes"] == 4


@pytest.mark.parametrize("views", [["rgb"], ["rgb", "flow"], ["pose", "flow"]])
def test_what_is_left_out_gives_the_same_networks_and_clips(views: list[str]) -> None:
    """A command that gets the document runs as one that gets the whole recipe."""
    recipe = Recipe.model_validate(
        {
            "clip": {"stride": 2, "crop": {"rgb": 96, "flow": 112, "mask": 64, "pose": 48}},
            "network": {"width": 32, "layers": [1, 1, 1, 1], "views": {"rgb": {"layers": [3, 4, 6, 3]}}},
        }
    )
    document = selection.pretraining_settings(recipe, "stage2", "cocon", views)
    settings = PretrainSettings.model_validate(document)
    for view in views:
        assert settings.network.of(view) == recipe.network.of(view)
        assert dict(settings.clip.crop)[view] == dict(recipe.clip.crop)[view]
    assert settings.clip.stride == 2


def test_a_table_by_view_counts_as_if_all_views_were_named() -> None:
    part, whole = (
        Recipe.model_validate({"clip": {"crop": crop}, "evaluation": {"ensemble": weights}})
        for crop, weights in (
            ({"rgb": 64}, {"rgb": 1}),
            ({"rgb": 64, "flow": 128, "mask": 64, "pose": 64}, {"rgb": 1, "flow": 2, "mask": 1, "pose": 1}),
        )
    )
    for views in (["rgb"], ["flow"], list(VIEWS)):
        for document in (
            lambda recipe, views=views: selection.pretraining_settings(recipe, "stage2", "cocon", views),
            lambda recipe, views=views: protocols.fusion(recipe, "linear", views, 0),
            lambda recipe, views=views: report.shown_in_report(recipe, views),
        ):
            assert document(part) == document(whole)
    assert selection.clip_settings(part.clip, ["flow", "mask"]) == {}
    assert selection.clip_settings(part.clip, ["rgb"]) == {"clip": {"crop": {"rgb": 64}}}


MIXED = {
    "layers": [1, 1, 1, 1],
    "features": 64,
    "views": {"rgb": {"encoder": "s3d"}, "mask": {"encoder": "r2plus1d_18", "width": 32}},
}


@pytest.mark.parametrize("views", [["rgb"], ["mask"], ["flow"], ["rgb", "flow"], list(VIEWS)])
@pytest.mark.parametrize(
    "network",
    [
        MIXED,
        {"encoder": "s3d", "width": 32},
        {"encoder": "s3d", "views": {"flow": {"encoder": "resnet2d3d"}}},
    ],
)
def test_documents_of_other_encoders_give_the_same_networks(views: list[str], network: Any) -> None:
    recipe = Recipe.model_validate({"network": network})
    document = selection.pretraining_settings(recipe, "stage2", "cocon", views)
    settings = PretrainSettings.model_validate(document)
    assert [settings.network.of(view) for view in views] == [recipe.network.of(view) for view in views]


def test_the_document_of_a_view_has_the_keys_that_its_encoder_reads() -> None:
    network = Recipe.model_validate({"network": MIXED}).network
    documents = {view: selection.network_settings(network, [view])["network"] for view in VIEWS}
    assert documents == {
        "rgb": {"encoder": "s3d", "features": 64},
        "flow": {"layers": [1, 1, 1, 1], "features": 64},
        "mask": {"encoder": "r2plus1d_18", "width": 32, "features": 64},
        "pose": {"layers": [1, 1, 1, 1], "features": 64},
    }
    default = Recipe.model_validate({"network": {"encoder": "resnet2d3d"}}).network
    assert selection.network_settings(default, VIEWS) == {}


@pytest.mark.parametrize(
    ("recipe", "preset", "expected"),
    [
        ({}, "cocon", {}),
        ({"clip": {"crop": {"rgb": 224, "flow": 96}}}, "cocon", {}),
        ({"clip": {"crop": {"rgb": 160, "flow": 128}}}, "cocon", {"pooling": 2}),
        ({"clip": {"crop": {"rgb": 160, "flow": 128}}}, "cpc", {}),
        ({"clip": {"crop": {"rgb": 128, "flow": 128, "mask": 160}}}, "cocon", {}),
        ({"network": {"encoder": "r2plus1d_18"}}, "cmc", {"pooling": 2}),
    ],
)
def test_maps_that_were_pooled_otherwise_are_trained_again(
    recipe: Any, preset: str, expected: dict[str, int]
) -> None:
    learning = Recipe.model_validate(recipe)
    document = encoders.pretraining(
        learning, "stage2", preset, ["rgb", "flow"], split="1", seed=0, job=PretrainingJob()
    )
    assert {key: value for key, value in document.items() if key == "pooling"} == expected
    assert selection.pooling(learning, preset, ["rgb"]) == {}


def config(folder: Path, **changes: Any) -> Config:
    mine = {"kind": "folder", "recipe": "r", "shards": 2, "videos": folder / "v"}
    mine |= {"table": folder / "t.csv"}
    document = {"datasets": {"mine": mine | changes.pop("mine", {})}, "recipes": {"r": {}}}
    return Config.model_validate(document | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "v").mkdir()
    for name in "abcd":
        (tmp_path / "v" / f"{name}.mp4").write_bytes(b"video")
        os.utime(tmp_path / "v" / f"{name}.mp4", (1e9, 1e9))
    rows = [
        f"{name}.mp4,x,{role}" for name, role in zip("abcd", ["train", "train", "test", "test"], strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["video,label,split", *rows]))
    return tmp_path


def identities(config: Config) -> list[str]:
    lists = VideoLists(config)
    return [*(lists.members("mine", shard) for shard in range(2)), lists.table("mine", labels=True)]


def test_videos_are_known_by_their_files(folder: Path) -> None:
    before = identities(config(folder))
    assert before == identities(config(folder))
    os.utime(folder / "v" / "a.mp4", (5e8, 5e8))
    after = identities(config(folder))
    assert [old == new for old, new in zip(before, after, strict=True)].count(False) == 2, (
        "a shard, the table"
    )
    untracked = identities(config(folder, mine={"track_videos": False}))
    os.utime(folder / "v" / "a.mp4", (6e8, 6e8))
    assert untracked == identities(config(folder, mine={"track_videos": False}))


def test_labels_belong_to_one_of_two_tables(folder: Path) -> None:
    lists = [VideoLists(config(folder))]
    lists[0].videos("mine")
    text = (folder / "t.csv").read_text()
    (folder / "t.csv").write_text(text.replace("a.mp4,x,", "a.mp4,y,"))
    lists.append(VideoLists(config(folder)))
    with_labels, without = ([each.table("mine", labels=labels) for each in lists] for labels in (True, False))
    assert with_labels[0] != with_labels[1]
    assert without[0] == without[1]


@pytest.mark.parametrize(
    ("old", "new", "best_by", "again"),
    [
        ("a.mp4,x,", "a.mp4,y,", "validation_loss", False),
        ("a.mp4,x,", "a.mp4,y,", "probe", True),
        ("c.mp4,x,", "c.mp4,y,", "probe", False),
    ],
)
def test_labels_of_training_videos_count_where_they_choose_the_encoders(
    folder: Path, old: str, new: str, best_by: str, again: bool
) -> None:
    settings = config(folder, recipes={"r": {"pretraining": {"result": "best", "best_by": best_by}}})
    found = []
    for text in ((folder / "t.csv").read_text(), (folder / "t.csv").read_text().replace(old, new)):
        (folder / "t.csv").write_text(text)
        documents = Documents(settings, VideoLists(settings))
        table = documents.videos.index_for_pretraining("mine")
        found.append((table, documents.encoders.stage1("mine", run="", view="rgb")))
    assert [one != other for one, other in zip(*found, strict=True)] == [again, again]


def test_labels_that_choose_are_those_of_each_pretraining(folder: Path) -> None:
    """One for each split reads labels of its own training videos, one for all of what is tested nowhere."""
    header = "video,label,split_1,split_2"
    rows = ["a.mp4,x,train,test", "b.mp4,x,test,train", "c.mp4,x,train,train", "d.mp4,x,train,train"]
    (folder / "t.csv").write_text("\n".join([header, *rows]))

    def labels(pretrain_split: str) -> list[str]:
        chosen = config(folder, mine={"pretrain_split": pretrain_split})
        splits = ("1", "2") if pretrain_split == "each" else (pretrain_split,)
        return [VideoLists(chosen).training_labels("mine", split) for split in splits]

    before = {name: labels(name) for name in ("each", "all", "common", "1")}
    (folder / "t.csv").write_text("\n".join([header, rows[0].replace("x", "y"), *rows[1:]]))
    changed = {
        name: [one != other for one, other in zip(before[name], labels(name), strict=True)] for name in before
    }
    assert changed == {"each": [True, False], "all": [False], "common": [False], "1": [False]}
    assert len({*before["all"], *before["common"], *before["1"]}) == 1, "c and d"


def test_labels_to_choose_by_are_looked_for_before_anything_runs(folder: Path) -> None:
    keys = {"result": "best", "best_by": "probe", "validation_fraction": 0}
    keys |= {"stage1": {"batch_size": 2}, "stage2": {"batch_size": 2}}
    settings = config(folder, recipes={"r": {"pretraining": keys}})
    with pytest.raises(CoConError, match="data set 'mine': best_by: probe needs labelled training videos"):
        VideoLists(settings).check_batches("mine")
    rows = [f"{name}.mp4,{label},train,{name}" for name, label in zip("abcd", "xyxy", strict=True)]
    (folder / "t.csv").write_text("\n".join(["video,label,split,group", *rows]))
    VideoLists(settings).check_batches("mine")


def test_errors_name_the_data_set(folder: Path) -> None:
    (folder / "t.csv").unlink()
    with pytest.raises(CoConError, match="data set 'mine': "):
        VideoLists(config(folder)).videos("mine")


def test_a_shard_made_in_one_pass_depends_on_both_views(folder: Path) -> None:
    documents = Documents(config(folder), VideoLists(config(folder)))
    alone = documents.extraction.shard("mine", "00001", view="flow")
    both = documents.extraction.shard("mine", "00001")
    assert set(alone) == {"videos", "flow"}
    assert set(both) == {"videos", "mask", "pose"}


def test_how_it_runs_comes_from_jobs_or_from_where_it_once_was(folder: Path) -> None:
    old = {"pretraining": {"workers": 3, "loggers": ["wandb"]}, "extraction": {"max_failed_fraction": 0.5}}
    old["evaluation"] = {"finetune": {"workers": 1}, "own": {"mine": {"like": "linear_sgd", "workers": 2}}}
    document = config(folder, recipes={"r": old}, jobs={"pretrain_stage1": {"workers": 5}})
    section = document.recipes["r"].pretraining
    assert running_settings(document.jobs.pretrain_stage1, section) == {"workers": 5, "loggers": ["wandb"]}
    assert running_settings(document.jobs.pretrain_stage2, section) == {"workers": 3, "loggers": ["wandb"]}
    assert max_failed_fraction(document, "mine") == 0.5
    assert max_failed_fraction(config(folder, jobs={"extract": {"max_failed_fraction": 0.1}}), "mine") == 0.1
    assert list(moved_keys(document)) == [
        "recipes.r.extraction.max_failed_fraction is now jobs.extract.max_failed_fraction",
        "recipes.r.pretraining.loggers is now under jobs.pretrain_stage1 and jobs.pretrain_stage2",
        "recipes.r.pretraining.workers is now under jobs.pretrain_stage1 and jobs.pretrain_stage2",
        "recipes.r.evaluation.finetune.workers is now under jobs.finetune",
        "recipes.r.evaluation.mine.workers is now under jobs.finetune",
    ]
    assert list(moved_keys(config(folder))) == []


def test_a_job_that_is_given_in_part_keeps_the_rest_of_its_defaults() -> None:
    jobs = Config.model_validate(
        {"datasets": {}, "recipes": {}, "jobs": {"pretrain_stage2": {"gpus": 2}}}
    ).jobs
    assert (jobs.pretrain_stage2.threads_with(0), jobs.pretrain_stage2.memory_with(0)) == (2, 8000)


def test_paths(folder: Path) -> None:
    paths = Paths(config(folder, seed=5))
    assert paths.shard() == "results/{dataset}/shards/{view}/{shard}.h5"
    assert paths.shards("mine", "rgb") == [f"results/mine/shards/rgb/0000{n}.h5" for n in (0, 1)]
    assert (paths.run_of(5), paths.run_of(6)) == ("", "seed6/")
    assert (paths.seed_of(""), paths.seed_of("seed6/")) == (5, 6)
    assert paths.start("mine", "seed6/", "cmc")[0] == "results/mine/seed6/pretrain/random/rgb.safetensors"
    assert paths.start("mine", "", "cocon")[0] == "results/mine/pretrain/stage1/rgb.safetensors"


def test_the_package_is_light() -> None:
    code = "import sys, cocon.workflow.documents, cocon.workflow.paths; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_parameters_of_a_filter_count_where_it_is_used() -> None:
    def document(**pose: Any) -> Any:
        return extraction.extraction_settings(Recipe.model_validate({"extraction": {"pose": pose}}), "pose")

    assert document(one_euro={"beta": 5}) == {}
    assert document(smoothing="one_euro") == {"smoothing": "one_euro"}
    assert document(smoothing="one_euro", one_euro={"beta": 5})["one_euro"] == {"beta": 5.0}


def test_shards_of_the_first_default_codec_keep_their_document() -> None:
    def document(**rgb: Any) -> Any:
        recipe = Recipe.model_validate({"extraction": {"rgb": rgb}})
        return extraction.extraction(recipe, ["rgb"], "x")["rgb"]["settings"]

    assert document(codec="dct", short_side=60) == {"short_side": 60}, "as it was when dct was the default"
    assert document(codec="jpeg") == document() == {"codec": "jpeg"}


def test_a_split_or_a_seed_has_a_folder_of_its_own(folder: Path) -> None:
    paths = Paths(config(folder, mine={"splits": ["2", "1", "3"]}))
    runs = [paths.run_for("mine", "cocon", split) for split in ("2", "1", "3")]
    assert runs == ["", "split1/", "split3/"], "the first one lies where encoders always do"
    assert [paths.pretrained_on("mine", run) for run in [*runs, "seed7/"]] == ["2", "1", "3", "2"]
    assert [paths.seed_of(run) for run in [*runs, "seed7/"]] == [0, 0, 0, 7]
    assert paths.run_for("mine", "random", "3") == ""
    assert paths.start("mine", "split3/", "cocon") == paths.encoders("mine", "split3/", "stage1", VIEWS)
    assert paths.start("mine", "split3/", "cmc") == paths.encoders("mine", "", "random", VIEWS)
    assert paths.start("mine", "seed7/", "cmc") == paths.encoders("mine", "seed7/", "random", VIEWS)
    both = paths.run_for("mine", "cocon", "3", seed=7)
    assert (both, paths.run_for("mine", "random", "3", seed=7)) == ("seed7/split3/", "seed7/")
    assert (paths.seed_of(both), paths.pretrained_on("mine", both)) == (7, "3")
    assert paths.start("mine", both, "cocon") == paths.encoders("mine", both, "stage1", VIEWS)
    assert paths.start("mine", both, "cmc") == paths.encoders("mine", "seed7/", "random", VIEWS)
    assert [paths.run_for("mine", "cocon", split, seed=0) for split in "23"] == ["", "split3/"]
    together = Paths(config(folder, mine={"pretrain_split": "common"}))
    assert {together.run_for("mine", "cocon", split) for split in "123"} == {""}
    assert together.pretrained_on("mine", "seed7/") == "common"


def test_the_encoders_of_another_data_set_may_have_seen_the_same_videos(folder: Path) -> None:
    (folder / "t.csv").write_text("video,label,split_1,split_2\na.mp4,x,train,test\nb.mp4,x,test,train\n")
    mine: dict[str, Any] = {"kind": "folder", "recipe": "r", "shards": 2, "videos": str(folder / "v")}
    mine |= {"table": str(folder / "t.csv")}
    datasets = {
        "mine": mine,
        "whole": mine | {"pretrain_split": "all"},
        "same": mine | {"shards_of": "mine", "pretrain_on": "mine"},
        "other": mine | {"pretrain_on": "mine"},
        "elsewhere": mine | {"pretrain_on": "mine", "videos": str(folder)},
    }
    lists = VideoLists(Config.model_validate({"datasets": datasets, "recipes": {"r": {}}}))
    assert lists.seen("mine") == {}
    assert lists.seen("whole") == {"1": (1, 1), "2": (1, 1)}
    assert lists.seen("same") == {"2": (1, 1)}, "it has the encoders of split 1"
    assert lists.seen("other") == {"2": (1, 1)}
    lists.look = False
    assert lists.seen("elsewhere") == {}, "files of the same names"
