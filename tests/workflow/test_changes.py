"""What runs again after a change, and what does not: Snakemake's dry runs of a finished project."""

from __future__ import annotations

import base64
import copy
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from cocon.config.schema import Jobs, Recipe
from cocon.config.selection import RUNNING
from tests.workflow.conftest import Workflow

VIEWS = ("rgb", "flow", "mask", "pose")
PRETRAININGS = ("random", "stage1", "cocon")
FINETUNED = ("random", "cocon")
TARGET = "eval_mine"
LONG_AGO = 1_600_000_000

DOCUMENT: dict[str, Any] = {
    "datasets": {
        "mine": {"kind": "folder", "recipe": "r", "shards": 2, "videos": "videos", "table": "table.csv"}
    },
    "recipes": {"r": {}},
}


def video_files(folder: Path) -> list[tuple[str, str, str]]:
    """Enough videos for batches of 34: id, label and role."""
    rows = [(f"{label}{n}", label, "test" if n > 19 else "train") for label in "ab" for n in range(22)]
    (folder / "videos").mkdir()
    for name, _, _ in rows:
        write_video(folder, name)
    return rows


def write_video(folder: Path, name: str, content: bytes = b"video", time: int = LONG_AGO) -> None:
    path = folder / "videos" / f"{name}.mp4"
    path.write_bytes(content)
    os.utime(path, (time, time))


def write_table(folder: Path, rows: Iterable[tuple[str, ...]]) -> None:
    lines = [f"{name}.mp4,{','.join(rest)}" for name, *rest in rows]
    (folder / "table.csv").write_text("\n".join(["video,label,split", *lines]) + "\n")


class Project(Workflow):
    """A finished project, and what it was finished with."""

    def restore(self) -> None:
        self.configure(DOCUMENT)
        shutil.rmtree(self.folder / "videos")
        self.rows = video_files(self.folder)
        write_table(self.folder, self.rows)

    def after(self, document: dict[str, Any]) -> dict[str, int]:
        """The plan with another configuration."""
        self.configure(document)
        try:
            return self.plan(TARGET)
        finally:
            self.configure(DOCUMENT)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.configure(DOCUMENT)
    project.rows = video_files(project.folder)
    write_table(project.folder, project.rows)
    project.finish(TARGET)
    return project


@pytest.fixture
def changed(project: Project) -> Iterator[Project]:
    """The project, whose videos and table a test may change."""
    yield project
    project.restore()


def with_key(path: str, value: Any, document: dict[str, Any] = DOCUMENT) -> dict[str, Any]:
    """The configuration with another value of one key."""
    document = copy.deepcopy(document)
    section = document
    *parents, key = path.split(".")
    for name in parents:
        section = section.setdefault(name, {})
    section[key] = value
    return document


# ------------------------------------------------------------------ what follows from what


def follows(
    shards: Iterable[str] = (),
    initial: Iterable[str] = (),
    stage1: Iterable[str] = (),
    stage2: bool = False,
    features: bool = False,
    linear: bool = False,
    retrieval: bool = False,
    finetune: bool = False,
    fusion: bool = False,
    more: dict[str, int] | None = None,
    summary: bool = False,
) -> dict[str, int]:
    """The jobs that run when these results have to be made again, by rule; ``more`` are those before them."""
    jobs: Counter[str] = Counter(more or {})
    shards, initial, stage1 = set(shards), set(initial), {*stage1, *shards}
    stage2 = stage2 or bool(stage1)
    encoders = {("random", view) for view in initial} | {("stage1", view) for view in stage1}
    encoders |= {("cocon", view) for view in VIEWS if stage2}
    again = encoders | {(name, view) for name in PRETRAININGS for view in shards}
    everything = {(name, view) for name in PRETRAININGS for view in VIEWS}
    found = everything if features else again
    tuned = {(name, view) for name, view in (everything if finetune else again) if name in FINETUNED}
    by_features = {name for name, _ in found}
    jobs["initialise"] = len(initial)
    jobs["pretrain_stage1"] = len(stage1)
    jobs["pretrain_stage2"] = int(stage2)
    jobs["encoder"] = len(VIEWS) * int(stage2)
    jobs["features"] = len(found)
    jobs["evaluate_features"] = len(everything if linear else found) + len(everything if retrieval else found)
    jobs["finetune"] = len(tuned)
    by_linear = set(PRETRAININGS) if linear or fusion else by_features
    by_tuned = set(FINETUNED) if fusion else {name for name, _ in tuned}
    by_retrieval = set(PRETRAININGS) if retrieval or fusion else by_features
    jobs["ensemble"] = len(by_linear) + len(by_tuned) + len(by_retrieval)
    if any(jobs.values()) or summary:
        jobs.update(summary=1, page=1, eval_mine=1)
    return {name: count for name, count in jobs.items() if count}


def extracted(*views: str, shards: int = 2) -> dict[str, int]:
    """Jobs that extract these views of so many shards, with the default backends."""
    jobs = {"extract": shards * len({"rgb", "flow"} & set(views))}
    jobs["extract_persons"] = shards * bool({"mask", "pose"} & set(views))
    return {name: count for name, count in jobs.items() if count}


TABLES = {"index": 1, "index_for_pretraining": 1}
EVERYTHING = follows(VIEWS, VIEWS)
PERSONS = follows(["mask", "pose"], more=extracted("mask", "pose"))
TRAINED = follows(stage1=VIEWS)
NOTHING: dict[str, int] = {}

# ------------------------------------------------------------------------ every key, once


def of_extraction(path: str) -> dict[str, int]:
    match path.split("."):
        case ["max_failed_fraction"]:
            return NOTHING
        case ["rgb", _]:
            return follows(["rgb"], more=extracted("rgb"))
        case ["flow", _] | ["flow", "tvl1", _]:
            return follows(["flow"], more=extracted("flow"))
        case ["mask" | "pose", "backend"] | ["mask", "selfie", "movenet", _] | ["pose", "movenet", _]:
            # They are no longer made in one pass.
            return follows(["mask", "pose"], more={"extract": 4})
        case ["mask" | "pose", _] | ["mask", "selfie", _]:
            return PERSONS
    return NOTHING  # the section of a backend that is not used


def of_clip(path: str) -> dict[str, int]:
    if path == "predicted_blocks":
        return follows(initial=VIEWS, stage1=VIEWS)
    if path.startswith("crop."):
        view = path.removeprefix("crop.")
        return follows(initial=[view], stage1=[view])
    return follows(initial=VIEWS, stage1=VIEWS, features=True, finetune=True)


def of_pretraining(path: str) -> dict[str, int]:
    head, _, key = path.partition(".")
    if head in RUNNING or path in ("milestones", "sync_batch_norm", "loss.contrast_temperature"):
        return NOTHING
    if head.startswith("best_"):  # the result is the last epoch
        return NOTHING
    if path in ("loss.queue", "loss.nearest"):  # of coclr
        return NOTHING
    if head == "stage2" or (head == "loss" and key != "temperature"):
        return follows(stage2=True)
    if head != "augmentation":
        return TRAINED
    if key in ("crop_area", "crop_aspect"):  # no crop has another size
        return NOTHING
    if key == "crop_candidates":
        return follows(stage1=["flow", "mask", "pose"])
    if key == "shared_crop":
        return TRAINED
    view = key.removesuffix("_flip") if key.endswith("_flip") else "rgb"
    return follows(stage1=[view])


def of_evaluation(path: str) -> dict[str, int]:
    head, _, key = path.partition(".")
    match head:
        case "pretrainings" | "protocols" | "finetune_pretrainings":
            return follows(summary=True)
        case "linear":
            return follows(linear=True)
        case "retrieval":
            return follows(retrieval=True)
        case "finetune":
            return NOTHING if key in RUNNING or key == "momentum" else follows(finetune=True)
        case "ensemble":
            return follows(fusion=True)
        case "bootstrap":
            return follows(linear=True, retrieval=True, finetune=True)
    return NOTHING  # protocols that are not used, relations that no ablation asks for


def of_jobs(path: str) -> dict[str, int]:
    match path.split("."):
        case ["pretrain_stage1", "gpus" | "nodes"]:
            return TRAINED
        case ["pretrain_stage2", "gpus" | "nodes"]:
            return follows(stage2=True)
    return NOTHING


#: where another_value() finds none
VALUES: dict[str, Any] = {
    "network.views": {"rgb": {"width": 32}},
    "pretraining.result": "best",
    "pretraining.milestones": [0.5],
    "pretraining.loggers": ["wandb"],
    "pretraining.augmentation.resized_crop": ["rgb"],
    "evaluation.own": {"near": {"like": "retrieval", "ranks": [1]}},
    "evaluation.pretrainings": ["random", "cocon"],
    "evaluation.finetune_pretrainings": ["cocon"],
    "evaluation.protocols": ["linear", "retrieval"],
    "evaluation.retrieval.ranks": [1],
    "evaluation.relations.shared": 3,
    "evaluation.relations.neighbours": 6,
    "pretraining.augmentation.crop_area": [0.6, 1.0],
    "pretraining.augmentation.crop_aspect": [0.8, 1.25],
    "network.layers": [1, 1, 1, 1],
    "extraction.mask.selfie.margin": 1.5,
    "extraction.mask.selfie.movenet.persons": 2,
    "extraction.pose.movenet.persons": 2,
}


def another_value(path: str, annotation: Any, default: Any) -> Any:
    """A valid value that is not the default."""
    if path in VALUES:
        return VALUES[path]
    if path.endswith(("milestones", "loggers")):
        return VALUES[f"pretraining.{path.rpartition('.')[2]}"]
    if path.endswith("channels_last_3d"):
        return True
    choices = [value for value in _literals(annotation) if value != default]
    if choices:
        return choices[0]
    if isinstance(default, bool):
        return not default
    if isinstance(default, float):
        return default / 2 if default else 0.25
    if isinstance(default, int):
        return default + 1
    assert default in (None, "auto"), path
    return 0.5 if "float" in str(annotation) else 3


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in _literals(part)]


def leaves(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, annotation and default of every key below a section."""
    for name, field in type(section).model_fields.items():
        value, path = getattr(section, name), f"{prefix}{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{path}.")
        elif isinstance(value, dict) and value:
            yield from ((f"{path}.{key}", type(part), part) for key, part in value.items())
        else:
            yield path, field.annotation, value


OF = {
    "extraction": of_extraction,
    "clip": of_clip,
    "network": lambda path: (
        follows(initial=["rgb"], stage1=["rgb"]) if path == "views" else follows(initial=VIEWS, stage1=VIEWS)
    ),
    "pretraining": of_pretraining,
    "evaluation": of_evaluation,
}
RECIPE_KEYS = [
    (path, another_value(path, annotation, default)) for path, annotation, default in leaves(Recipe())
]
JOB_KEYS = [(path, another_value(path, annotation, default)) for path, annotation, default in leaves(Jobs())]


EXPECTED = {
    **{f"recipes.r.{path}": OF[path.partition(".")[0]](path.partition(".")[2]) for path, _ in RECIPE_KEYS},
    **{f"jobs.{path}": of_jobs(path) for path, _ in JOB_KEYS},
}
KEYS = {
    **{f"recipes.r.{path}": value for path, value in RECIPE_KEYS},
    **{f"jobs.{path}": value for path, value in JOB_KEYS},
}
IDLE = [path for path, plan in EXPECTED.items() if not plan]
ACTIVE = [path for path, plan in EXPECTED.items() if plan]


#: keys of one length, which exclude each other
UNITS = {"epochs": ("epochs", "warmup_epochs"), "steps": ("steps", "warmup_steps")}


@pytest.mark.parametrize("other", UNITS)
def test_keys_without_effect_plan_nothing(project: Project, other: str) -> None:
    """All of them at once: how jobs run, and what belongs to a backend or a protocol not in use."""
    assert set(RUNNING) <= {path.rpartition(".")[2] for path in IDLE}
    document = DOCUMENT
    for path in IDLE:
        if path.rpartition(".")[2] in UNITS[other]:
            continue
        document = with_key(path, KEYS[path], document)
    assert project.after(document) == NOTHING


@pytest.mark.parametrize("path", ACTIVE)
def test_a_key_plans_its_stage_and_what_follows(project: Project, path: str) -> None:
    assert project.after(with_key(path, KEYS[path])) == EXPECTED[path]


# ---------------------------------------------------------------------- the list of videos


def one_shard(*views: str) -> dict[str, int]:
    """What a change of one video plans: its shard of every view, the tables, and all trainings."""
    return extracted(*views, shards=1)


def add_video(project: Project) -> None:
    write_video(project.folder, "a99")
    write_table(project.folder, [*project.rows, ("a99", "a", "train")])


def remove_video(project: Project) -> None:
    write_table(project.folder, project.rows[1:])


def move_to_the_test_videos(project: Project) -> None:
    write_table(project.folder, [(*project.rows[0][:2], "test"), *project.rows[1:]])


def relabel(project: Project) -> None:
    write_table(project.folder, [(project.rows[0][0], "b", "train"), *project.rows[1:]])


def relabel_and_add(project: Project) -> None:
    write_video(project.folder, "a99")
    rows = [(project.rows[0][0], "b", "train"), *project.rows[1:]]
    write_table(project.folder, [*rows, ("a99", "a", "train")])


def replace_by_a_newer_file(project: Project) -> None:
    write_video(project.folder, "a0", time=LONG_AGO + 1000)


def replace_by_an_older_file(project: Project) -> None:
    write_video(project.folder, "a0", time=LONG_AGO - 1000)


def date_a_file_in_the_future(project: Project) -> None:
    write_video(project.folder, "a0", time=2_130_000_000)


def replace_by_a_longer_file_of_the_same_time(project: Project) -> None:
    write_video(project.folder, "a0", content=b"another video")


def touch_the_table(project: Project) -> None:
    (project.folder / "table.csv").touch()


def reorder_the_table(project: Project) -> None:
    write_table(project.folder, project.rows[::-1])


TRAINING_AGAIN = follows(VIEWS)
EVALUATED_AGAIN = follows(features=True, linear=True, retrieval=True, finetune=True)


@pytest.mark.parametrize(
    ("change", "plan"),
    [
        (add_video, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (remove_video, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (replace_by_a_newer_file, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (replace_by_an_older_file, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (replace_by_a_longer_file_of_the_same_time, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (date_a_file_in_the_future, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (relabel_and_add, follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})),
        (move_to_the_test_videos, TRAINING_AGAIN | EVALUATED_AGAIN | TABLES),
        (relabel, EVALUATED_AGAIN | {"index": 1}),
        (touch_the_table, NOTHING),
        (reorder_the_table, NOTHING),
    ],
)
def test_a_change_of_the_videos(
    changed: Project, change: Callable[[Project], None], plan: dict[str, int]
) -> None:
    change(changed)
    assert changed.plan(TARGET) == plan


def test_videos_that_moved_to_another_folder_are_the_same(changed: Project) -> None:
    shutil.copytree(changed.folder / "videos", changed.folder / "elsewhere", copy_function=shutil.copy2)
    assert changed.after(with_key("datasets.mine.videos", "elsewhere")) == NOTHING
    os.utime(changed.folder / "elsewhere" / "a0.mp4")
    plan = changed.after(with_key("datasets.mine.videos", "elsewhere"))
    assert plan == follows(VIEWS, more={**TABLES, **one_shard(*VIEWS)})


def test_several_changes_at_once_are_one_run(changed: Project) -> None:
    relabel(changed)
    add_video(changed)
    document = with_key("recipes.r.pretraining.stage2.learning_rate", 0.01)
    document = with_key("recipes.r.extraction.flow.bound", 10, document)
    more = {**TABLES, **extracted("rgb", "mask", shards=1)}
    more["extract"] += 2  # flow of both shards
    assert changed.after(document) == follows(VIEWS, more=more)


# ------------------------------------------------------------------- everything else


@pytest.mark.parametrize(
    ("path", "value", "plan"),
    [
        ("device", "cpu", NOTHING),
        ("interpreters", {"mmpose": "/opt/python"}, NOTHING),
        ("container", "cocon.sif", NOTHING),
        ("ablations", {"few": {"dataset": "mine"}}, NOTHING),
        ("datasets.other", DOCUMENT["datasets"]["mine"], NOTHING),
        ("datasets.mine.card_accuracies", True, NOTHING),
        ("datasets.mine.shards", 3, follows(VIEWS, more=extracted(*VIEWS, shards=3))),
        ("datasets.mine.shards", 1, follows(VIEWS, more=extracted(*VIEWS, shards=1))),
        ("recipes.unused", {"clip": {"stride": 5}}, NOTHING),
        ("seed", 1, follows(initial=VIEWS, stage1=VIEWS)),
        ("views", ["pose", "mask", "flow", "rgb"], NOTHING),
    ],
)
def test_keys_outside_of_recipes(project: Project, path: str, value: Any, plan: dict[str, int]) -> None:
    assert project.after(with_key(path, value)) == plan


def test_a_protocol_more_evaluates_only_that(project: Project) -> None:
    plan = project.after(
        with_key("recipes.r.evaluation.protocols", ["linear", "retrieval", "finetune", "linear_sgd"])
    )
    assert plan == {"finetune": 8, "ensemble": 2, "summary": 1, "page": 1, TARGET: 1}


def test_a_pretraining_more_trains_only_that(project: Project) -> None:
    plan = project.after(with_key("recipes.r.evaluation.pretrainings", [*PRETRAININGS, "cmc"]))
    assert plan == {
        "pretrain_stage2": 1,
        "encoder": 4,
        "features": 4,
        "evaluate_features": 4 + 4,
        "ensemble": 2,
        "summary": 1,
        "page": 1,
        TARGET: 1,
    }


# ------------------------------------------------------- jobs that failed in between


@pytest.mark.parametrize(
    ("path", "value", "lost"),
    [
        ("recipes.r.evaluation.linear.max_iterations", 50, "evaluation/*/*/linear_split1.*"),
        ("recipes.r.pretraining.stage2.epochs", 3, "pretrain/cocon/*o*"),
        ("recipes.r.pretraining.stage1.epochs", 3, "pretrain/stage1/rgb.*"),
        ("recipes.r.extraction.flow.bound", 10, "shards/flow/*"),
        ("recipes.r.clip.stride", 2, "features/cocon/*"),
    ],
)
def test_what_was_planned_stays_planned_when_a_job_fails(
    project: Project, tmp_path: Path, path: str, value: Any, lost: str
) -> None:
    """Snakemake removes the outputs of a failed job and their records; what follows is still there."""
    copied = Workflow(tmp_path / "copy")
    shutil.copytree(project.folder, copied.folder, symlinks=True)
    copied.configure(with_key(path, value))
    planned = copied.plan(TARGET)
    gone = list((copied.folder / "results" / "mine").glob(lost))
    assert gone
    for file in gone:
        name = str(file.relative_to(copied.folder)).encode()
        (copied.folder / ".snakemake" / "metadata" / base64.b64encode(name).decode()).unlink()
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    assert copied.plan(TARGET) == planned
