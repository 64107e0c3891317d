"""Dry runs: the whole plan of every data set, and the sentence that a mistake gets."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from cocon.config.config_files import stacked
from cocon.config.load import load_config
from cocon.config.schema import Hmdb51Dataset, Ucf101Dataset
from cocon.datasets import hmdb51, ucf101
from cocon.datasets.manifest import read_manifest
from cocon.datasets.registry import list_videos
from cocon.pretrainings import PRESETS
from tests.datasets.rar import hmdb51_archives
from tests.tiny import HMDB51

VIEWS = ("rgb", "flow", "mask", "pose")
#: for data sets of two or three videos
FEW_VIDEOS: dict[str, Any] = {
    "pretraining": {"stage1": {"batch_size": 1}, "stage2": {"batch_size": 1}, "validation_fraction": 0}
}


def whole_plan(dataset: str, shards: int, splits: int) -> dict[str, int]:
    """Jobs from videos to report: 3 encoders, 2 of them fine-tuned, 4 views and their ensemble."""
    return {
        "index": 1,
        "index_for_pretraining": 1,
        "extract": 2 * shards,  # rgb and flow
        "extract_persons": shards,  # mask and pose in one pass
        "initialise": 4,
        "pretrain_stage1": 4,
        "pretrain_stage2": 1,
        "encoder": 4,
        "features": 3 * 4,
        "evaluate_features": 2 * 3 * 4 * splits,  # linear probe and retrieval
        "finetune": 2 * 4 * splits,
        "ensemble": (2 * 3 + 2) * splits,
        "summary": 1,
        "page": 1,
        f"eval_{dataset}": 1,
    }


def tiny_lists(folder: Path) -> None:
    """Official lists in miniature, of all three public data sets."""
    ucf = folder / "ucf101"
    ucf.mkdir()
    for split in "123":
        (ucf / f"trainlist0{split}.txt").write_text(
            "Run/v_Run_g01_c01.avi 1\r\nWalk/v_Walk_g01_c01.avi 2\r\n"
        )
        (ucf / f"testlist0{split}.txt").write_text("Run/v_Run_g02_c01.avi\r\nWalk/v_Walk_g02_c01.avi\r\n")
    hmdb = folder / "hmdb51"
    hmdb.mkdir()
    for label in ("wave", "shake_hands"):
        for split in "123":
            rows = (
                f"A (1) & B's #2;_{label}_u_cm_np1_ba_med_0.avi 1 \nC{{x}}_{label}_u_cm_np1_ba_med_1.avi 2 \n"
            )
            (hmdb / f"{label}_test_split{split}.txt").write_text(rows)
    kinetics = folder / "kinetics400"
    kinetics.mkdir()
    header = "label,youtube_id,time_start,time_end,split\n"
    for name in ("train", "val"):
        rows = f"tai chi,-{name}aaaaaa,1,11,{name}\nusing segway,b_{name}bbbbb,2,12,{name}\n"
        (kinetics / f"{name}.csv").write_text(header + rows)


@pytest.fixture
def public(workflow, tmp_path: Path):
    """The three public data sets with tiny lists and empty stand-ins for their videos."""

    tiny_lists(tmp_path)
    common = {"recipe": "r"}
    datasets = {
        name: common
        | {"kind": name, "videos": f"videos/{name}", "lists": name, "shards": shards, "splits": splits}
        for name, shards, splits in (
            ("ucf101", 3, ["1", "2", "3"]),
            ("hmdb51", 2, ["1", "2", "3"]),
            ("kinetics400", 2, ["1"]),
        )
    }
    workflow.configure({"datasets": datasets, "recipes": {"r": FEW_VIDEOS}})
    config = load_config(tmp_path / "config.yaml")
    for settings in config.datasets.values():
        absolute = settings.model_copy(
            update={"videos": tmp_path / settings.videos, "lists": tmp_path / settings.lists}
        )
        for video in list_videos(absolute):
            video.path.parent.mkdir(parents=True, exist_ok=True)
            video.path.touch()
    return workflow


@pytest.mark.parametrize(
    ("dataset", "shards", "splits"), [("ucf101", 3, 3), ("hmdb51", 2, 3), ("kinetics400", 2, 1)]
)
def test_public_data_sets_are_planned_from_their_lists(
    public, dataset: str, shards: int, splits: int
) -> None:
    assert public.plan(f"eval_{dataset}") == whole_plan(dataset, shards, splits)


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51", "kinetics400"])
def test_without_videos_the_error_says_which_files_to_put_where(public, dataset: str) -> None:
    shutil.rmtree(public.folder / "videos" / dataset)
    output = public.fail("--dry-run", f"eval_{dataset}")
    assert "4 of 4 videos are missing" in output
    assert f"videos/{dataset}/" in output
    assert "hint: get" in output


def test_without_lists_the_error_names_the_list(public) -> None:
    (public.folder / "ucf101" / "trainlist03.txt").unlink()
    output = public.fail("--dry-run", "eval_ucf101")
    assert "the split list ucf101/trainlist03.txt is missing" in output


def test_encoders_of_another_data_set(public, tmp_path: Path) -> None:
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(
        text.replace("    kind: hmdb51", "    kind: hmdb51\n    pretrain_on: ucf101")
    )
    expected = whole_plan("hmdb51", 2, 3) | {"index": 1, "extract": 4 + 6, "extract_persons": 2 + 3}
    assert public.plan("eval_hmdb51") == expected


@pytest.mark.parametrize(
    ("dataset", "module", "section"),
    [
        ("ucf101", ucf101, Ucf101Dataset),
        ("hmdb51", hmdb51, Hmdb51Dataset),
    ],
)
def test_the_official_lists_give_the_whole_plan(
    workflow, shared_data: Path, tmp_path: Path, dataset: str, module, section
) -> None:
    lists = shared_data / "splits" / dataset
    common = {"kind": dataset, "recipe": "r", "lists": str(lists), "splits": ["1", "2", "3"]}
    settings = section(**common, shards=40, videos=tmp_path / "videos")
    for video in module.list_videos(settings):
        video.path.parent.mkdir(parents=True, exist_ok=True)
        video.path.touch()
    workflow.configure(
        {
            "datasets": {dataset: common | {"shards": 40, "videos": "videos"}},
            "recipes": {"r": FEW_VIDEOS},
        }
    )
    assert workflow.plan(f"eval_{dataset}") == whole_plan(dataset, 40, 3)


def test_a_folder_of_the_users_own(workflow, tmp_path: Path) -> None:
    rows = [f"{c}/{n}.mp4,{c},{'test' if n == 2 else 'train'}" for c in ("a", "b c") for n in range(3)]
    (tmp_path / "table.csv").write_text("video,label,split\n" + "\n".join(rows))
    for row in rows:
        path = tmp_path / "my videos" / row.split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": "my videos", "table": "table.csv"}
    workflow.configure({"datasets": {"mine": mine}, "recipes": {"r": FEW_VIDEOS}})
    assert workflow.plan("eval_mine") == whole_plan("mine", 1, 1)
    assert workflow.plan("extract_mine") == {"extract": 2, "extract_persons": 1, "extract_mine": 1}
    assert workflow.plan("results/mine/shards/flow/00000.h5") == {"extract": 1}
    assert workflow.plan("results/mine/shards/pose/00000.h5") == {"extract_persons": 1}

    workflow.configure({"views": ["rgb"], "datasets": {"mine": mine}, "recipes": {"r": FEW_VIDEOS}})
    one_view = workflow.plan("eval_mine")
    assert one_view["extract"] == 1
    assert "ensemble" not in one_view
    assert "extract_persons" not in one_view


def test_only_evaluations_need_labels(workflow, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,,train\nb.mp4,,train\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "table.csv"}
    workflow.configure(
        {"views": ["rgb", "flow"], "datasets": {"my-own.2": mine}, "recipes": {"r": FEW_VIDEOS}}
    )
    trained = {"index_for_pretraining": 1, "extract": 2, "pretrain_stage1": 2, "pretrain_stage2": 1}
    assert workflow.plan("pretrain_my-own.2") == trained | {"encoder": 2, "pretrain_my-own.2": 1}
    output = workflow.fail("--dry-run", "eval_my-own.2")
    assert "data set 'my-own.2': split '1' has no labelled train video" in output


def test_a_batch_that_no_data_set_fills_ends_the_run_before_it_begins(workflow, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "table.csv"}
    recipes = {"r": {"pretraining": {"validation_fraction": 0}}}
    workflow.configure({"datasets": {"mine": mine}, "recipes": recipes})
    assert "data set 'mine': 1 training videos do not fill one batch of 16" in workflow.fail(
        "-n", "eval_mine"
    )
    assert workflow.plan("extract_mine")["extract"] == 2, "which needs no batch"


def test_names_with_characters_of_snakemake(workflow, tmp_path: Path) -> None:
    """Braces are wildcards to it, and words in angle brackets variables; neither reaches it."""
    names = ("<a>.mp4", "{b}.mp4", "c d'e\".mp4", "$(touch f).mp4")
    rows = [f'"{name.replace(chr(34), chr(34) * 2)}",x,{role}' for name in names for role in ["train"]]
    (tmp_path / "{my} <table>.csv").write_text("video,label,split\n" + "\n".join(rows))
    (tmp_path / "<my> {videos}").mkdir()
    for name in names:
        (tmp_path / "<my> {videos}" / name).touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1}
    mine |= {"videos": "<my> {videos}", "table": "{my} <table>.csv"}
    workflow.configure({"datasets": {"mine": mine}, "recipes": {"r": FEW_VIDEOS}})
    assert workflow.plan("pretrain_mine")["extract"] == 2
    workflow.run("results/mine/manifest.csv")
    listed = [video.path.name for video in read_manifest(tmp_path / "results" / "mine" / "manifest.csv")]
    assert sorted(listed) == sorted(names)


@pytest.mark.parametrize("results", ["my results; touch seen", "it's $(touch seen) `touch seen`"])
def test_results_are_quoted(workflow, tmp_path: Path, results: str) -> None:
    demo = {"kind": "demo", "recipe": "r", "shards": 1, "train_subjects": 1, "test_subjects": 1, "takes": 1}
    workflow.configure({"results": results, "datasets": {"demo": demo}, "recipes": {"r": {}}})
    workflow.run(f"{results}/demo/pretrain/random/mask.safetensors")
    assert (tmp_path / results / "demo" / "pretrain" / "random" / "mask.safetensors").is_file()
    assert not (tmp_path / "seen").exists()


@pytest.mark.parametrize("results", ["{a}", "<a>", "-rf", "a\nb", ""])
def test_results_that_snakemake_or_a_shell_would_misread(workflow, results: str) -> None:
    workflow.configure({"results": results, "datasets": {}, "recipes": {}})
    assert "'results': " in workflow.fail("-n", "extract_demo")


def test_a_config_typo_is_named(workflow) -> None:
    workflow.configure({"datasets": {}, "recipes": {}, "sede": 3})
    output = workflow.fail("--dry-run", "eval_demo")
    assert "unknown key 'sede'; did you mean 'seed'?" in output
    assert "line 3" in output
    output = workflow.fail("--dry-run", "eval_demo", "--configfile", "config.yaml")
    assert "unknown key 'sede'" in output
    assert "config.yaml + " not in output, "it is one file, not two"


def test_the_shipped_demo(workflow, repository: Path) -> None:
    shutil.copy(repository / "config.yaml", workflow.folder)
    plan = workflow.plan("eval_demo")
    two_encoders = {"features": 8, "evaluate_features": 2 * 8, "ensemble": 2 * 2}
    expected = whole_plan("demo", 4, 1) | two_encoders | {"render": 1, "score_shards": 1}
    for unused in ("pretrain_stage1", "finetune"):  # it trains cmc_sync, and has no fine-tuning
        del expected[unused]
    assert plan == expected
    del plan["eval_demo"]
    assert workflow.plan() == plan | {"all": 1}, "the demo is what runs without a target"


@pytest.mark.parametrize("name", ["ucf101", "hmdb51", "kinetics400"])
def test_the_public_data_sets_need_no_other_file_than_config_yaml(
    workflow, repository: Path, name: str
) -> None:
    shutil.copy(repository / "config.yaml", workflow.folder)
    output = workflow.fail("--dry-run", f"eval_{name}")
    assert f"data/{name}/lists" in output, "it is known, and its lists are looked for"


DEMO = {"kind": "demo", "recipe": "r", "shards": 2}

MINE = """\
datasets:
  mine:
    kind: folder
    recipe: demo
    shards: 1
    videos: videos
    table: table.csv
"""


def test_your_own_file_on_top_of_the_shipped_configuration(
    workflow, repository: Path, tmp_path: Path
) -> None:
    shutil.copy(repository / "config.yaml", workflow.folder)
    videos = [f"{label}{n}.mp4" for label in ("run", "walk") for n in range(16)]
    (tmp_path / "videos").mkdir()
    for video in videos:
        (tmp_path / "videos" / video).touch()
    rows = [f"{video},{video[:3]},{'test' if '15' in video else 'train'}" for video in videos]
    (tmp_path / "table.csv").write_text("\n".join(["video,label,split", *rows]) + "\n")
    mine = tmp_path / "mine.yaml"
    mine.write_text(MINE)
    plan = workflow.plan("eval_mine", "--configfile", "mine.yaml")
    assert {"extract": 2, "extract_persons": 1, "eval_mine": 1}.items() <= plan.items()
    assert "all" in workflow.plan("--configfile", "mine.yaml"), "the demo still is what runs without a target"
    mine.write_text(MINE.replace("table:", "tabel:"))
    output = workflow.fail("--dry-run", "eval_mine", "--configfile", "mine.yaml")
    assert "mine.yaml, line 7: unknown key 'datasets.mine.tabel'; did you mean 'table'?" in output
    assert "mine.yaml, line 2: 'datasets.mine.table' is missing" in output


def test_the_command_line_can_replace_config_yaml(workflow) -> None:
    workflow.configure({"datasets": {"old": DEMO}, "recipes": {"r": {}}, "sede": 3})
    (workflow.folder / "new.yaml").write_text(
        yaml.safe_dump({"datasets": {"new": DEMO}, "recipes": {"r": {}}})
    )
    options = ["--configfile", "new.yaml", "--replace-workflow-config"]
    assert "extract" in workflow.plan("extract_new", *options)
    assert "unknown key 'sede'" in workflow.fail("--dry-run", "extract_new", *options[:2])


def test_keys_that_nothing_reads_are_named_once(workflow) -> None:
    recipe = {"pretraining": {"schedule": "cosine", "plateau_patience": 3}}
    workflow.configure({"datasets": {"demo": DEMO}, "recipes": {"r": recipe}})
    output = workflow.run("--dry-run", "eval_demo")
    line = "config: recipes.r.pretraining.plateau_patience is not read: schedule is cosine"
    assert output.count(line) == 1


def test_the_shipped_ablation_shares_the_encoders_and_renders_its_own_people_once(
    workflow, repository: Path
) -> None:
    shutil.copy(repository / "config.yaml", workflow.folder)
    plan = workflow.plan("ablation_demo", "ablation_demo_validation")
    assert (plan["render"], plan["render_demo_large"]) == (1, 1)
    assert "render_demo_validation" not in plan
    assert (plan["extract"], plan["extract_persons"]) == (2 * 4 + 2 * 8, 4 + 8)
    assert (plan["pretrain_stage1"], plan["pretrain_stage2"]) == (3 * 4, 3 * len(PRESETS))
    assert plan["features"] == 2 * 3 * (1 + len(PRESETS)) * 4
    config = load_config(repository / "config.yaml")
    tested = {
        name: {v.group for v in list_videos(config.datasets[name]) if v.splits["1"] == "test"}
        for name in ("demo_large", "demo_validation")
    }
    assert not tested["demo_large"] & tested["demo_validation"]
    videos = list_videos(config.datasets["demo_large"])
    assert sum(video.splits["1"] == "test" for video in videos) >= 400
    trained = {video.id for video in list_videos(config.datasets["demo"]) if video.splits["1"] == "train"}
    assert trained == {video.id for video in videos if video.splits["1"] == "train"}


def test_exports(workflow, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "table.csv"}
    workflow.configure({"views": ["rgb", "flow"], "datasets": {"mine": mine}, "recipes": {"r": FEW_VIDEOS}})
    trained = {"index_for_pretraining": 1, "extract": 2, "pretrain_stage1": 2, "pretrain_stage2": 1}
    exported = trained | {"encoder": 2, "export": 1, "export_mine": 1}
    assert workflow.plan("export_mine") == exported
    random = "results/mine/export/random"
    assert workflow.plan(random) == {"extract": 2, "initialise": 2, "export": 1}
    commands = " ".join(workflow.run("--dry-run", "--printshellcmds", random).split())
    assert f"--dataset mine --shards results/mine/shards --shard-count 1 --output {random}" in commands
    # What lies in the folder by chance changes no plan.
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "summary.json").write_text("{}")
    assert workflow.plan("export_mine") == exported
    with_accuracies = mine | {"card_accuracies": True}
    workflow.configure(
        {"views": ["rgb"], "datasets": {"mine": with_accuracies}, "recipes": {"r": FEW_VIDEOS}}
    )
    assert workflow.plan("export_mine")["summary"] == 1
    commands = " ".join(workflow.run("--dry-run", "--printshellcmds", "export_mine").split())
    assert "--summary results/mine/summary.json --output results/mine/export/cocon" in commands


def test_the_report_of_the_demo_compares_backends_where_it_is_asked_to(workflow, tmp_path: Path) -> None:
    recipes = {"r": {"evaluation": {"pretrainings": ["random"], "protocols": ["linear"]}}}
    demo = {"kind": "demo", "recipe": "r", "shards": 1}
    workflow.configure({"datasets": {"demo": demo}, "recipes": recipes})
    (tmp_path / "results" / "demo").mkdir(parents=True)
    (tmp_path / "results" / "demo" / "backends.json").write_text("{}")
    assert "score_backends" not in workflow.plan("eval_demo")
    workflow.configure({"datasets": {"demo": demo | {"compare_backends": True}}, "recipes": recipes})
    (tmp_path / "results" / "demo" / "backends.json").unlink()
    assert workflow.plan("eval_demo")["score_backends"] == 1


def test_backends_are_compared_on_two_persons_as_well(workflow) -> None:
    recipes = {"r": {"evaluation": {"pretrainings": ["random"], "protocols": ["linear"]}}}
    demo = {"kind": "demo", "recipe": "r", "shards": 1, "root": "else where"}
    workflow.configure({"datasets": {"demo": demo}, "recipes": recipes})
    assert "render_pairs" not in workflow.plan("eval_demo")
    assert workflow.plan("score_demo")["render_pairs"] == 1
    commands = " ".join(workflow.run("--dry-run", "--printshellcmds", "score_demo").split())
    assert "cocon render --persons 2 --root 'else where/two_persons'" in commands
    assert "--two-persons 'else where/two_persons'" in commands


def test_ablations(workflow, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "table.csv"}
    few = {"dataset": "mine", "seeds": 2, "pretrainings": ["random", "cpc", "cmc"]}
    workflow.configure(
        {
            "seed": 5,
            "views": ["rgb", "flow"],
            "datasets": {"mine": mine},
            "recipes": {"r": FEW_VIDEOS},
            "ablations": {"few": few},
        }
    )
    runs = 3 * 2
    assert workflow.plan("ablation_few") == {
        "index": 1,
        "index_for_pretraining": 1,
        "extract": 2,
        "initialise": 2 * 2,
        "pretrain_stage1": 2 * 2,
        "pretrain_stage2": 2 * 2,
        "encoder": 2 * 2 * 2,
        "features": 2 * runs,
        "evaluate_features": 2 * 2 * runs,
        "ensemble": 2 * runs,
        "relations": runs,
        "neighbours": runs,
        "frame_size": 1,
        "compare": 1,
        "ablation_few": 1,
    }
    # The first seed is the configuration's, in the usual place; cmc does not start from L_cpc.
    one = "results/mine/pretrain/cmc/rgb.safetensors"
    other = "results/mine/seed6/pretrain/cpc/rgb.safetensors"
    for path, init, seed in (
        (one, "results/mine/pretrain/random", 5),
        (other, "results/mine/seed6/pretrain/stage1", 6),
    ):
        commands = " ".join(workflow.run("--dry-run", "--printshellcmds", path).split())
        assert f"--init {init} " in commands
        assert commands.count(f"--seed {seed} ") == 3


def test_from_archives_to_the_whole_plan(workflow, tmp_path: Path) -> None:
    """A rar of rars becomes videos, these a manifest and a plan; the plan of eval alone gets nothing."""
    lists = tmp_path / "official"
    lists.mkdir()
    tiny_lists(lists)
    names = {
        f"{label}/{line.strip()[:-2]}": b"video"
        for label in ("wave", "shake_hands")
        for line in (lists / "hmdb51" / f"{label}_test_split1.txt").read_text().splitlines()
    }
    splits = {path.name: path.read_bytes() for path in (lists / "hmdb51").iterdir()}
    for name, content in zip(HMDB51["from_archives"], hmdb51_archives(names, splits), strict=True):
        (tmp_path / name).write_bytes(content)
    section = HMDB51 | {"recipe": "r", "shards": 2}
    workflow.configure({"datasets": {"hmdb51": section}, "recipes": {"r": FEW_VIDEOS}})
    assert "cocon data get" in workflow.fail("--dry-run", "eval_hmdb51"), "advised, not started"
    workflow.run("get_hmdb51")
    workflow.run("results/hmdb51/manifest.csv")
    assert len(read_manifest(tmp_path / "results" / "hmdb51" / "manifest.csv")) == 4
    assert (tmp_path / "results" / "hmdb51" / "received.json").is_file()
    expected = whole_plan("hmdb51", 2, 3)
    del expected["index"]
    assert workflow.plan("eval_hmdb51") == expected


def test_the_paper_s_table_is_one_plan(workflow, repository: Path, tmp_path: Path) -> None:
    """The shipped configuration with lists in miniature and one shard per view."""
    tiny_lists(tmp_path)
    document, _ = stacked([repository / "config.yaml"])
    del document["include"]
    for settings in document["datasets"].values():
        if settings["kind"] != "demo":
            kind = settings["kind"]
            settings |= {"shards": 1, "lists": kind, "videos": f"videos/{kind}"}
    for recipe in document["recipes"].values():
        recipe["pretraining"] = FEW_VIDEOS["pretraining"]
    workflow.configure(document)
    for name, settings in load_config(tmp_path / "config.yaml").datasets.items():
        if settings.kind != "demo" and name == settings.kind:
            folders = {"videos": tmp_path / settings.videos, "lists": tmp_path / settings.lists}
            for video in list_videos(settings.model_copy(update=folders)):
                video.path.parent.mkdir(parents=True, exist_ok=True)
                video.path.touch()
    assert workflow.plan("reproduce_paper") == {
        "index": 6,
        "index_for_pretraining": 3,  # UCF101, and Kinetics-400 at 128 and at 224 px
        "extract": 6 * 2,  # UCF101 and HMDB51 at 128 px once for both pretrainings
        "extract_persons": 2,
        "initialise": 1,
        "pretrain_stage1": 4 + 2 + 2,
        "pretrain_stage2": 3,
        "encoder": 4 + 2 + 2,
        # Per split, cocon in all views; random networks twice; stage 1 wherever DPC's figure is published.
        "finetune": 3 * ((4 + 2) + (4 + 1) + 4 * (2 + 1)),
        "ensemble": 3 * 6,
        "paper_cells": 6,
        "reproduce_paper": 1,
    }
    commands = " ".join(
        workflow.run("--dry-run", "--printshellcmds", "results/ucf101_by_kinetics/paper.json").split()
    )
    assert "--shards results/ucf101/shards --shard-count 1 --view flow" in commands
    assert "--checkpoint results/kinetics400/pretrain/cocon/flow.safetensors" in commands
    assert '"kind":"ucf101"' in commands
    assert '"pretrained_on":"kinetics400"' in commands
    assert '"pixels":128' in commands
    assert '"views":2}' in commands


def test_protocols_of_the_users_own(workflow, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    mine = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "table.csv"}
    evaluation = {
        "pretrainings": ["random", "cocon"],
        "finetune_pretrainings": ["cocon"],
        "protocols": ["retrieval", "near", "linear_sgd", "short"],
        "own": {"near": {"like": "retrieval", "ranks": [1]}, "short": {"like": "finetune_dpc", "epochs": 3}},
    }
    recipes = {"r": FEW_VIDEOS | {"evaluation": evaluation}}
    workflow.configure({"views": ["rgb", "flow"], "datasets": {"mine": mine}, "recipes": recipes})
    plan = workflow.plan("eval_mine")
    assert (plan["evaluate_features"], plan["finetune"], plan["ensemble"]) == (2 * 2 * 2, 2 * 2, 4 + 2)
    target = "results/mine/evaluation/cocon/ensemble"
    commands = " ".join(
        workflow.run(
            *("--dry-run", "--printshellcmds", f"{target}/short_split1.json", f"{target}/near_split1.json"),
            "results/mine/evaluation/cocon/rgb/near_split1.json",
        ).split()
    )
    assert "--protocol finetune_dpc --name short" in commands
    assert '"epochs":3' in commands
    assert "cocon evaluate --protocol retrieval --manifest results/mine/manifest.csv --features" in commands
    of_scores, of_features = sorted(re.findall(r"cocon ensemble [^>]*", commands))
    assert "--protocol finetune_dpc --inputs rgb=results/mine/evaluation/" in of_scores
    assert "--manifest" not in of_scores
    assert "--protocol retrieval --inputs rgb=results/mine/features/" in of_features
    assert "--manifest results/mine/manifest.csv --split 1 --name near --settings" in of_features
    assert workflow.plan("results/mine/evaluation/cocon/rgb/short_split1.safetensors")["finetune"] == 1


@pytest.mark.parametrize(
    ("devices", "options", "expected"),
    [
        ("", [], (0, 0)),
        ("0", [], (1, 1)),
        ("GPU-a,GPU-b,GPU-c", [], (1, 2)),
        ("0,1,2,3", ["--resources=gpu=1"], (1, 1)),
        # of a cluster: the machine that plans says nothing, and no profile limits anything
        pytest.param("", ["--profile", "profiles/slurm"], (1, 2), marks=pytest.mark.slurm),
        pytest.param("0", ["--workflow-profile", "profiles/slurm"], (1, 2), marks=pytest.mark.slurm),
    ],
)
def test_gpus_of_the_machine_or_of_a_cluster(
    workflow,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    devices: str,
    options: list[str],
    expected: tuple[int, int],
) -> None:
    """What training may have: a stage of one process, and one of two."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    config = yaml.safe_load((repository / "config.yaml").read_text())
    config["recipes"]["demo"]["evaluation"]["pretrainings"] = ["random", "cocon"]  # which has both stages
    workflow.configure(config | {"views": ["rgb"], "jobs": {"pretrain_stage2": {"gpus": 2}}})
    options = [str(repository / option) if "/" in option else option for option in options]
    output = workflow.run("--dry-run", "--printshellcmds", *options, "--", "pretrain_demo")
    found = re.findall(r"\(stage (\d)\).*?cocon launch .*? --gpus (\d+) ", output, re.S)
    assert {stage: int(gpus) for stage, gpus in found} == dict(zip("12", expected, strict=True))
