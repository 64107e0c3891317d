# What the rules share: the validated configuration, and functions from wildcards to files and settings.

import json
import os
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cocon.config.machine import has_gpu, keep_to_ourselves, put_commands_on_path
from cocon.config.schema import GPU_BACKENDS, PRESETS, PRETRAININGS, WITHOUT_STAGE1
from cocon.config.settings import dump_settings, load_config
from cocon.datasets.checks import check_files
from cocon.datasets.registry import list_videos, source
from cocon.errors import CoConError
from cocon.files import fingerprint
from cocon.shards import shard_of

put_commands_on_path()

try:
    CONFIG = load_config(Path(workflow.configfiles[-1]), config)
except CoConError as error:
    raise WorkflowError(str(error))

RESULTS = str(CONFIG.results)
# A training of a data set's encoders and all that is made of them.
RUN = f"{RESULTS}/{{dataset}}{{run}}"
# Where a Python that the project is not installed in finds it.
CODE = os.path.relpath(workflow.basedir)
VIEWS = list(CONFIG.views)
# One BlazePose pass gives a person's mask and pose at once.
ONE_PASS = {
    name
    for name, dataset in CONFIG.datasets.items()
    for extraction in [CONFIG.recipes[dataset.recipe].extraction]
    if {"mask", "pose"} <= set(VIEWS) and extraction.mask.backend == extraction.pose.backend == "blazepose"
}
GPUS_PER_JOB = 0 if CONFIG.device == "cpu" else int(CONFIG.device == "cuda" or has_gpu())


def one_of(names):
    """A wildcard constraint: any of the names."""
    return "|".join(names)


def job(stage, value):
    """Threads, memory_mb or runtime_minutes of a stage."""
    return getattr(getattr(CONFIG.jobs, stage), value)


def seed_of(wildcards):
    """The seed of a run; repetitions with other seeds than the configuration's lie in folders seed<n>."""
    return int(wildcards.run.removeprefix("/seed")) if wildcards.run else CONFIG.seed


def run_of(seed):
    """The wildcard `run` of a seed."""
    return "" if seed == CONFIG.seed else f"/seed{seed}"


def dataset_of(wildcards):
    """The section of a data set."""
    return CONFIG.datasets[wildcards.dataset]


def recipe_of(wildcards):
    """The recipe that a data set is processed with."""
    return CONFIG.recipes[dataset_of(wildcards).recipe]


def listing_settings(settings):
    """A data set's section as JSON, with what does not change its videos set aside."""
    aside = {"recipe": "", "shards": 1, "pretrain_on": "", "pretrain_split": "", "track_videos": True}
    return dump_settings(settings.model_copy(update=aside))


def dataset_settings(wildcards):
    """What the videos of a data set depend on."""
    return listing_settings(dataset_of(wildcards))


def extraction_settings(view):
    """A function from wildcards to the settings of one view's extraction; of the wildcard's if none."""

    def settings(wildcards):
        return dump_settings(getattr(recipe_of(wildcards).extraction, view or wildcards.view))

    return settings


def backend_of(wildcards):
    """The backend of the wildcards' view; that of pose if they have none."""
    view = getattr(wildcards, "view", "pose")
    return getattr(getattr(recipe_of(wildcards).extraction, view), "backend", "")


def extraction_gpus(wildcards):
    """GPUs of the job that extracts a view."""
    return GPUS_PER_JOB if backend_of(wildcards) in GPU_BACKENDS else 0


def extraction_environment(wildcards):
    """The conda environment, for --sdm conda, of the job that extracts a view."""
    backend = "torchvision" if backend_of(wildcards) == "raft" else backend_of(wildcards)
    own = backend in ("torchvision", "mmpose", "detectron2")
    return f"../envs/{backend}.yml" if own else "../../environment.yml"


def extraction_python(wildcards):
    """The Python that extracts a view: of config.yaml, else the first one on the path.

    That is the one beside Snakemake, or with --sdm conda the one of the rule's environment.
    """
    return str(CONFIG.interpreters.get(backend_of(wildcards), "python"))


def recipe_settings(*names):
    """A function from wildcards to these sections of the recipe, as JSON."""

    def settings(wildcards):
        recipe = recipe_of(wildcards).model_dump(mode="json", by_alias=True)
        return json.dumps({name: recipe[name] for name in names}, sort_keys=True)

    return settings


def evaluation_settings(*names):
    """A function from wildcards to these keys of the recipe's evaluation, as JSON."""

    def settings(wildcards):
        evaluation = recipe_of(wildcards).evaluation.model_dump(mode="json", by_alias=True)
        return json.dumps({name: evaluation[name] for name in names}, sort_keys=True)

    return settings


def finetune_settings(wildcards):
    """What fine-tuning depends on: the clip and its own part of the evaluation, as JSON."""
    clip = json.loads(recipe_settings("clip")(wildcards))
    return json.dumps(
        clip | json.loads(evaluation_settings("finetune", "bootstrap")(wildcards)), sort_keys=True
    )


def report_settings(wildcards):
    """What the report tells of the configuration, as JSON; of the recipe what differs from the defaults."""
    recipe = recipe_of(wildcards).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    settings = {"kind": dataset_of(wildcards).kind, "recipe_name": dataset_of(wildcards).recipe}
    settings |= {"recipe": recipe, "seed": CONFIG.seed, "device": CONFIG.device}
    return json.dumps(settings, sort_keys=True)


@cache
def videos_by_shard(dataset):
    """The videos of every shard; says what is missing, and where to put it, before anything runs."""
    settings = CONFIG.datasets[dataset]
    try:
        videos = list_videos(settings)
        if settings.kind != "demo":
            kind = source(settings.kind)
            allowed = CONFIG.recipes[settings.recipe].extraction.max_failed_fraction
            check_files(videos, allowed, kind.ADVICE.format(videos=settings.videos))
    except CoConError as error:
        raise WorkflowError(f"data set '{dataset}': {error}")
    shards = [[] for _ in range(settings.shards)]
    for video in videos:
        shards[shard_of(video.id, settings.shards)].append(video)
    return shards


def shard_videos(wildcards):
    """The video files of a shard whose changes are noticed.

    A missing file becomes a row "skipped" of the shard's status table. Snakemake takes a brace in a file
    name for a wildcard, so a video with one is extracted like any other, but its changes go unnoticed.
    """
    settings = dataset_of(wildcards)
    if not settings.track_videos:
        return []
    paths = [str(video.path) for video in videos_by_shard(wildcards.dataset)[int(wildcards.shard)]]
    return [path for path in paths if settings.kind == "demo" or (os.path.isfile(path) and "{" not in path)]


def shard_members(wildcards):
    """Identifies the videos of a shard, so that another membership makes the shard anew."""
    return fingerprint([video.id for video in videos_by_shard(wildcards.dataset)[int(wildcards.shard)]])


def shards_of(dataset, view):
    """All shards of one view of a data set."""
    count = CONFIG.datasets[dataset].shards
    return [f"{RESULTS}/{dataset}/shards/{view}/{shard:05d}.h5" for shard in range(count)]


def view_shards(wildcards):
    """All shards of the wildcards' view."""
    return shards_of(wildcards.dataset, wildcards.view)


def all_shards(wildcards):
    """All shards of all views."""
    return [path for view in VIEWS for path in shards_of(wildcards.dataset, view)]


def truth_figures(wildcards):
    """The demo's views against the truth; the comparison of backends only once it was asked for."""
    if dataset_of(wildcards).kind != "demo" or VIEWS == ["rgb"]:
        return []
    backends = f"{RESULTS}/{wildcards.dataset}/backends.json"
    scores = f"{RESULTS}/{wildcards.dataset}/scores.json"
    return [scores, backends] if os.path.isfile(backends) else [scores]


def encoder_of(wildcards):
    """The checkpoint that is evaluated; it may have been pretrained on another data set."""
    trained_on = dataset_of(wildcards).pretrain_on or wildcards.dataset
    run = f"{RESULTS}/{trained_on}{wildcards.run}"
    return f"{run}/pretrain/{wildcards.pretraining}/{wildcards.view}.safetensors"


def folder_of_encoders(wildcards):
    """Where the encoders lie that are evaluated on a data set."""
    return f"{RESULTS}/{dataset_of(wildcards).pretrain_on or wildcards.dataset}/pretrain"


def export_shards(wildcards):
    """The shards that tell how views are extracted, for encoders that were not trained and do not know it."""
    return all_shards(wildcards) if wildcards.pretraining == "random" else []


def export_summary(wildcards):
    """The accuracies of what is exported, once it was evaluated."""
    settings = dataset_of(wildcards)
    evaluated = wildcards.pretraining in recipe_of(wildcards).evaluation.pretrainings
    path = f"{RESULTS}/{wildcards.dataset}/summary.json"
    return [path] if evaluated and not settings.pretrain_on and os.path.isfile(path) else []


def folder_of_output(wildcards, output):
    """Where a rule's outputs lie, for a command that takes a folder."""
    return os.path.dirname(output[0])


def folder_of_shards(wildcards, input):
    """The folder that has one folder of shards per view."""
    return os.path.dirname(os.path.dirname(input[0]))


def views_and_ensemble():
    """What is judged: every view, and all of them together."""
    return [*VIEWS, *(["ensemble"] if len(VIEWS) > 1 else [])]


def ablation_runs(settings):
    """The folders of the repetitions of an ablation, without their last part."""
    seeds = range(CONFIG.seed, CONFIG.seed + settings.seeds)
    return [f"{RESULTS}/{settings.dataset}{run_of(seed)}/evaluation" for seed in seeds]


def ablation_metrics(settings):
    """The metrics that an ablation compares, on the first of the data set's splits."""
    split = CONFIG.datasets[settings.dataset].splits[0]
    return [
        f"{run}/{pretraining}/{view}/{protocol}_split{split}.json"
        for run in ablation_runs(settings)
        for pretraining in settings.pretrainings
        for protocol in settings.protocols
        for view in views_and_ensemble()
    ]


def ablation_relations(settings):
    """What the views say about the classes, where there are several views."""
    split = CONFIG.datasets[settings.dataset].splits[0]
    return [
        f"{run}/{pretraining}/relations_split{split}.json"
        for run in ablation_runs(settings)
        for pretraining in settings.pretrainings
        if len(VIEWS) > 1
    ]


def start_of(wildcards):
    """The encoders that stage 2 starts from."""
    start = "random" if wildcards.pretraining in WITHOUT_STAGE1 else "stage1"
    return [
        f"{RESULTS}/{wildcards.dataset}{wildcards.run}/pretrain/{start}/{view}.safetensors" for view in VIEWS
    ]


def metrics_of(dataset):
    """The metrics of all encoders, views, protocols and splits of a data set."""
    settings = CONFIG.datasets[dataset]
    evaluation = CONFIG.recipes[settings.recipe].evaluation
    return [
        f"{RESULTS}/{dataset}/evaluation/{pretraining}/{view}/{protocol}_split{split}.json"
        for protocol in evaluation.protocols
        for pretraining in (
            evaluation.finetune_pretrainings if protocol == "finetune" else evaluation.pretrainings
        )
        for view in views_and_ensemble()
        for split in settings.splits
    ]
