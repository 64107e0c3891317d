"""Several splits of one's own table: what is planned, and what a change of one split makes again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import Workflow
from tests.workflow.test_changes import write_video

SECTION = {"kind": "folder", "recipe": "r", "shards": 2, "videos": "videos", "table": "table.csv"}
RECIPE = {
    "pretraining": {"stage1": {"batch_size": 4}, "stage2": {"batch_size": 4}, "validation_fraction": 0},
    "evaluation": {"pretrainings": ["random", "cocon"], "finetune_pretrainings": ["cocon"]},
}
TARGET = "eval_mine"
#: id, label, split_1, split_2, group
Rows = list[tuple[str, str, str, str, str]]
ROWS: Rows = [
    (f"{label}{n}", label, *(("train", "test") if n < 8 else ("test", "train")), f"g{n}")
    for label in "ab"
    for n in range(16)
]


def document(**keys: Any) -> dict[str, Any]:
    return {"views": ["rgb", "flow"], "datasets": {"mine": SECTION | keys}, "recipes": {"r": RECIPE}}


def write_table(folder: Path, rows: Iterable[tuple[str, ...]], header: str) -> None:
    lines = [f"{name}.mp4,{','.join(rest)}" for name, *rest in rows]
    (folder / "table.csv").write_text("\n".join([header, *lines]) + "\n")


def two_splits(folder: Path, rows: Rows) -> None:
    write_table(folder, rows, "video,label,split_1,split_2,group")


class Project(Workflow):
    """Plans with and without changes."""

    def prepare(self, **keys: Any) -> None:
        (self.folder / "videos").mkdir()
        for name, *_ in ROWS:
            write_video(self.folder, name)
        two_splits(self.folder, ROWS)
        self.configure(document(**keys))

    def after(self, rows: Rows, *targets: str) -> dict[str, int]:
        two_splits(self.folder, rows)
        try:
            return self.plan(*(targets or (TARGET,)))
        finally:
            two_splits(self.folder, ROWS)


def finished(folder: Path, **keys: Any) -> Project:
    project = Project(folder)
    project.prepare(**keys)
    project.finish(TARGET)
    return project


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Finished; every split has encoders of its own, as by default."""
    project = finished(tmp_path_factory.mktemp("each"))
    return project


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Finished; one pretraining on all videos."""
    project = finished(tmp_path_factory.mktemp("all"), pretrain_split="all")
    return project


def changed(number: int, **values: str) -> Rows:
    """The table with other values in one row."""
    names = ("name", "label", "first", "second", "group")
    row = dict(zip(names, ROWS[number], strict=True)) | values
    return [*ROWS[:number], tuple(row.values()), *ROWS[number + 1 :]]  # type: ignore[list-item]


#: of one split: two views, and their ensemble, by linear probe and retrieval, and by fine-tuning
RANDOM = {"evaluate_features": 2 + 2, "ensemble": 2}
JUDGED = {"evaluate_features": 4 + 4, "finetune": 2, "ensemble": 5}
TRAINED = {"pretrain_stage1": 2, "pretrain_stage2": 1, "encoder": 2}
END = {"summary": 1, "page": 1, TARGET: 1}


def test_every_split_has_encoders_of_its_own(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.prepare()
    plan = project.plan(TARGET)
    output = project.run("--dry-run", "--printshellcmds", "pretrain_mine")
    once = project.plan("pretrain_mine", "--config", yaml_of(document(pretrain_split="all")))
    twice = {name: 2 * count for name, count in {**JUDGED, **TRAINED}.items()}
    tables = {"index": 4, "index_for_pretraining": 2}  # of all, of either, and of any split
    shards, random = {"extract": 4}, {"initialise": 2}
    assert plan == {**twice, **tables, **shards, **random, "features": 2 + 2 * 2, **END}
    for split, folder in (("1", "results/mine/pretrain"), ("2", "results/mine/split2/pretrain")):
        command = f"--manifest results/mine/pretraining_split{split}.csv"
        lines = [line for line in output.splitlines() if command in line and "stage2" in line]
        assert len(lines) == 1
        assert f"--split {split} " in lines[0]
        assert f"--output-dir {folder}/cocon/together" in lines[0]
        tables = [line for line in output.splitlines() if f"pretraining_split{split}.csv > " in line]
        assert [f"--split {split} --for-pretraining" in line for line in tables] == [True]
    assert once == {"extract": 4, "index_for_pretraining": 1, **TRAINED, "pretrain_mine": 1}


def yaml_of(config: dict[str, Any]) -> str:
    return f"datasets={yaml.safe_dump(config['datasets'], default_flow_style=True).strip()}"


def test_encoders_of_all_videos_are_trained_once(together: Project) -> None:
    folder = together.folder / "results" / "mine"
    assert not list(folder.glob("split*"))
    assert {path.name for path in folder.glob("pretraining*.csv")} == {"pretraining_all.csv"}
    assert len(list(folder.glob("evaluation/cocon/rgb/linear_split?.json"))) == 2
    shown = together.run("--dry-run", "--printshellcmds", "--forcerun", "summary", "--", TARGET)
    assert '--seen \'{"1":[16,16],"2":[16,16]}\'' in shown


@pytest.mark.parametrize(
    ("rows", "plan"),
    [
        # in split 2, what was tested is not: nothing of split 1, and no pretraining
        (changed(0, second="none"), {"index": 2, **JUDGED, **END}),
        # in split 2, one to learn from is left out
        (
            changed(8, second="none"),
            {"index": 2, "index_for_pretraining": 1, **TRAINED, "features": 2, **JUDGED, **END},
        ),
        # in no split any more: features of all encoders are of one video less
        (
            changed(0, first="", second=""),
            {
                "index": 4,
                "index_for_pretraining": 1,  # it was a training video of split 1
                **TRAINED,
                **{name: 2 * count for name, count in JUDGED.items()},
                "features": 6,
                **END,
            },
        ),
        (changed(0, label="b"), {"index": 3, **{name: 2 * n for name, n in JUDGED.items()}, **END}),
    ],
)
def test_a_change_of_one_split(each: Project, rows: Rows, plan: dict[str, int]) -> None:
    assert each.after(rows) == plan


@pytest.mark.parametrize(
    ("rows", "plan"),
    [
        (changed(0, second="none"), {"index": 2, **JUDGED, **END}),
        (changed(8, first="none"), {"index": 2, **JUDGED, **END}),
        (changed(0, label="b"), {"index": 3, **{name: 2 * n for name, n in JUDGED.items()}, **END}),
    ],
)
def test_encoders_of_all_videos_do_not_depend_on_splits(
    together: Project, rows: Rows, plan: dict[str, int]
) -> None:
    assert together.after(rows) == plan


def third_split(project: Project) -> None:
    rows = [(*row, "train" if number % 2 else "test") for number, row in enumerate(ROWS)]
    write_table(project.folder, rows, "video,label,split_1,split_2,group,split_3")


def sorted_otherwise(project: Project) -> None:
    two_splits(project.folder, ROWS[::-1])


@pytest.mark.parametrize(
    ("change", "plan"),
    [
        (sorted_otherwise, {}),
        (
            third_split,
            {
                "index": 2,
                "index_for_pretraining": 1,
                **TRAINED,
                "features": 2,
                **JUDGED,
                **END,
            },
        ),
    ],
)
def test_one_split_more(each: Project, change: Callable[[Project], None], plan: dict[str, int]) -> None:
    change(each)
    try:
        assert each.plan(TARGET) == plan
    finally:
        two_splits(each.folder, ROWS)


def test_folds(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.prepare()
    write_table(tmp_path, [(name, label, group) for name, label, _, _, group in ROWS], "video,label,group")
    project.configure(document(folds="leave_one_group_out"))
    plan = project.plan(TARGET)
    assert (plan["pretrain_stage2"], plan["finetune"], plan["features"]) == (16, 32, 2 + 32)
    project.configure(document(folds=4, pretrain_split="all", splits=["1", "3"]))
    plan = project.plan(TARGET)
    assert (plan["pretrain_stage2"], plan["finetune"], plan["features"]) == (1, 4, 4)


def test_one_video_for_pretraining_only_is_common_to_all_folds(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.prepare()
    more = [(f"more{n}", "", "train", "") for n in range(4)]
    for name, *_ in more:
        write_video(tmp_path, name)
    rows = [(name, label, "", group) for name, label, _, _, group in ROWS]
    write_table(tmp_path, [*rows, *more], "video,label,split,group")
    project.configure(document(folds=4, pretrain_split="common"))
    plan = project.plan(TARGET)
    shown = project.run("--dry-run", "--printshellcmds", TARGET)
    assert plan["pretrain_stage2"] == 1
    assert "--split common" in shown
    assert "--seen '{}'" in shown


def test_an_ablation_is_of_all_splits_and_seeds(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.prepare()
    few = {"dataset": "mine", "seeds": 2, "pretrainings": ["random", "cpc_sync", "cmc"]}
    project.configure(document() | {"ablations": {"few": few}})
    plan = project.plan("ablation_few")
    shown = project.run("--dry-run", "--printshellcmds", "ablation_few")
    project.configure(document() | {"ablations": {"few": few | {"splits": ["2"]}}})
    second = project.plan("ablation_few")
    project.configure(document(pretrain_split="all") | {"ablations": {"few": few}})
    together = project.plan("ablation_few")
    trained = 2 * 2  # seeds and splits
    assert (plan["pretrain_stage1"], plan["pretrain_stage2"]) == (2 * trained, 2 * trained)
    # Random encoders are the same for all splits, and there are two views.
    assert (plan["initialise"], plan["features"]) == (2 * 2, 2 * 2 + 2 * 2 * trained)
    assert (plan["relations"], plan["neighbours"], plan["frame_size"]) == (3 * trained, 3 * trained, 2)
    assert "results/mine/seed1/split2/evaluation/{cpc_sync,cmc}/{rgb,flow,ensemble}/" in shown
    assert (
        "results/mine/seed1/evaluation/{random}/{rgb,flow,ensemble}/{linear,retrieval}_split2.json" in shown
    )
    assert (second["pretrain_stage2"], second["evaluate_features"], second["frame_size"]) == (4, 3 * 2 * 4, 1)
    assert (together["pretrain_stage2"], together["evaluate_features"]) == (2 * 2, 2 * 3 * 2 * trained)


def test_an_ablation_of_a_split_that_is_not_there(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.prepare()
    few = {"dataset": "mine", "pretrainings": ["random"], "splits": ["3"]}
    project.configure(document() | {"ablations": {"few": few}})
    with pytest.raises(AssertionError, match="mine is not evaluated on a split '3'"):
        project.plan("ablation_few")
