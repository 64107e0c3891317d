# What the rules share: the validated configuration, and functions from wildcards to files and settings.

import gc
import json
import os
import re
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cocon.config.machine import gpu_count, keep_to_ourselves, put_commands_on_path
from cocon.config.schema import (
    FRAME_PROTOCOLS,
    GPU_BACKENDS,
    PRESETS,
    PRETRAININGS,
    PROTOCOLS,
    WITHOUT_STAGE1,
)
from cocon.config.settings import dump_settings, load_config
from cocon.datasets.sources import check_videos
from cocon.datasets.registry import check_labels, list_videos, source
from cocon.errors import CoConError
from cocon.evaluation.paper import Setting, wanted
from cocon.files import fingerprint
from cocon.shards import shard_of
from cocon.slurm import cancel_orphans

put_commands_on_path()

try:
    CONFIG = load_config(Path(workflow.configfiles[-1]), config)
except CoConError as error:
    raise WorkflowError(str(error))

RESULTS = str(CONFIG.results)
# A training of a data set's encoders and all that is made of them.
RUN = f"{RESULTS}/{{dataset}}/{{run}}"
# Where a Python that the project is not installed in finds it.
CODE = os.path.relpath(workflow.basedir)
VIEWS = list(CONFIG.views)
# One BlazePose pass gives a person's mask and pose at once.
ONE_PASS = {
    name
    for name, dataset in CONFIG.datasets.items()
    for extraction in [CONFIG.recipes[dataset.recipe].extraction]
    if {"mask", "pose"} <= set(CONFIG.views_of(name))
    and extraction.mask.backend == extraction.pose.backend == "blazepose"
}
# Given, since Snakemake would otherwise add up the sizes of all inputs of every job while it plans.
DISK_MB = 1000

# For the SLURM executor: the command starts its own job step, so that signals reach it. (The executor looks
# whether there is such a resource; a value would make it ask for two tasks at least.)
CALLS_SRUN = ""


GPUS = gpu_count()
# On one machine as many jobs have a GPU at the same time as there are GPUs, or as --resources gpu=N says.
ON_ONE_MACHINE = workflow.is_main_process and workflow.resource_settings.nodes is None
if ON_ONE_MACHINE and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", max(1, GPUS))


def on_cluster():
    """Whether jobs go to a cluster, or this is one of them; Snakemake knows it once it has read all rules."""
    planned = workflow.dryrun and not ON_ONE_MACHINE
    return workflow.non_local_exec or workflow.remote_exec or planned


def gpus(count=1):
    """So many GPUs, if jobs may have any: of this machine, or of a cluster, whose jobs are planned elsewhere."""

    def resource(wildcards):
        if CONFIG.device == "cpu":
            return 0
        return count if on_cluster() or CONFIG.device == "cuda" or GPUS else 0

    return resource


def one_of(names):
    """A wildcard constraint: any of the names."""
    return "|".join(map(re.escape, names))


def job(stage, value):
    """Threads, memory_mb or runtime_minutes of a stage."""
    return getattr(getattr(CONFIG.jobs, stage), value)


def seed_of(wildcards):
    """The seed of a run; repetitions with other seeds than the configuration's lie in folders seed<n>."""
    return int(wildcards.run.removeprefix("seed").removesuffix("/")) if wildcards.run else CONFIG.seed


def run_of(seed):
    """The wildcard `run` of a seed."""
    return "" if seed == CONFIG.seed else f"seed{seed}/"


def growing(value):
    """Twice, three times the value when a job is repeated; a plain run does not repeat any."""

    def resource(wildcards, attempt):
        return value * attempt

    return resource


def processes(stage):
    """Processes of a training stage, on all its nodes together."""
    return job(stage, "nodes") * job(stage, "gpus")


def slurm_options(nodes, gpus_per_node):
    """For sbatch: the signal on which training saves its state, 5 minutes before the end; where its GPUs are."""

    def resource(wildcards):
        spread = f" --gpus-per-node={gpus_per_node}" if nodes > 1 and gpus()(wildcards) else ""
        return f"--signal=USR1@300{spread}"

    return resource


def views_of(wildcards):
    """The views of the wildcards' data set."""
    return CONFIG.views_of(wildcards.dataset)


def view_sets():
    """The views that data sets have, and by them the data sets: what is pretrained together is one job."""
    sets = {}
    for name in CONFIG.datasets:
        sets.setdefault(tuple(CONFIG.views_of(name)), []).append(name)
    return sets


def suffix_of(views):
    """What rules for some of the views have behind their names."""
    return "" if list(views) == VIEWS else "_" + "_".join(views)


def dataset_of(wildcards):
    """The section of a data set."""
    return CONFIG.datasets[wildcards.dataset]


def recipe_of(wildcards):
    """The recipe that a data set is processed with."""
    return CONFIG.recipes[dataset_of(wildcards).recipe]


def listing_settings(settings):
    """A data set's section as JSON, with what does not change its videos set aside."""
    aside = {"recipe": "", "shards": 1, "pretrain_on": "", "pretrain_split": "", "track_videos": True}
    aside |= {"archives": None, "from_archives": ()} if hasattr(settings, "archives") else {}
    aside |= {"views": (), "shards_of": ""}
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
    return gpus()(wildcards) if backend_of(wildcards) in GPU_BACKENDS else 0


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


def protocols_like(*kinds):
    """The protocols of these kinds: the built-in ones and those of any recipe, as a wildcard constraint."""
    own = {
        name: protocol.like
        for recipe in CONFIG.recipes.values()
        for name, protocol in recipe.evaluation.own.items()
    }
    return one_of([*kinds, *(name for name, kind in own.items() if kind in kinds)])


def protocol_kind(wildcards):
    """The built-in protocol that the wildcards' protocol is, or is like."""
    return recipe_of(wildcards).evaluation.kind(wildcards.protocol)


def protocol_settings(*names, clip=False):
    """A function from wildcards to their protocol's settings and these keys of the evaluation, as JSON."""

    def settings(wildcards):
        evaluation = recipe_of(wildcards).evaluation
        document = json.loads(evaluation_settings(*names)(wildcards))
        document |= evaluation.settings_of(wildcards.protocol)
        if clip:
            document |= json.loads(recipe_settings("clip")(wildcards))
        return json.dumps(document, sort_keys=True)

    return settings


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
        # A job on a cluster reads this again: the files were looked at when the run was started.
        if settings.kind != "demo" and workflow.is_main_process:
            allowed = CONFIG.recipes[settings.recipe].extraction.max_failed_fraction
            check_videos(dataset, settings, videos, allowed)
    except CoConError as error:
        raise WorkflowError(f"data set '{dataset}': {error}")
    shards = [[] for _ in range(settings.shards)]
    for video in videos:
        shards[shard_of(video.id, settings.shards)].append(video)
    # They stay to the end: the search for cycles, which goes on while jobs are planned, need not look at them.
    gc.freeze()
    return shards


@cache
def evaluated(dataset):
    """The section of a data set; says what labels an evaluation lacks, before anything runs."""
    settings = CONFIG.datasets[dataset]
    try:
        check_labels(settings, list_videos(settings))
    except CoConError as error:
        raise WorkflowError(f"data set '{dataset}': {error}")
    return settings


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


@cache
def members_of_shards(dataset):
    """Identifies the videos of every shard."""
    return [fingerprint([video.id for video in videos]) for videos in videos_by_shard(dataset)]


def shard_members(wildcards):
    """Identifies the videos of a shard, so that another membership makes the shard anew."""
    return members_of_shards(wildcards.dataset)[int(wildcards.shard)]


def shard_path(dataset="{dataset}", view="{view}", shard="{shard}"):
    """A shard, or with the defaults all of them: among the results, or in the storage of config.yaml."""
    path = f"{dataset}/shards/{view}/{shard}.h5"
    return storage(f"{CONFIG.shard_storage}/{path}") if CONFIG.shard_storage else f"{RESULTS}/{path}"


def shards_of(dataset, view):
    """All shards of one view of a data set."""
    owner = CONFIG.datasets[dataset].shards_of or dataset
    count = CONFIG.datasets[owner].shards
    return [shard_path(owner, view, f"{shard:05d}") for shard in range(count)]


def view_shards(wildcards):
    """All shards of the wildcards' view."""
    return shards_of(wildcards.dataset, wildcards.view)


def all_shards(wildcards):
    """All shards of all views."""
    return [path for view in views_of(wildcards) for path in shards_of(wildcards.dataset, view)]


def truth_figures(wildcards):
    """The demo's views against the truth; the comparison of backends only once it was asked for."""
    if dataset_of(wildcards).kind != "demo" or views_of(wildcards) == ["rgb"]:
        return []
    backends = f"{RESULTS}/{wildcards.dataset}/backends.json"
    scores = f"{RESULTS}/{wildcards.dataset}/scores.json"
    return [scores, backends] if os.path.isfile(backends) else [scores]


def encoder_of(wildcards):
    """The checkpoint that is evaluated; it may have been pretrained on another data set."""
    trained_on = dataset_of(wildcards).pretrain_on or wildcards.dataset
    run = f"{RESULTS}/{trained_on}/{wildcards.run}"
    return f"{run}pretrain/{wildcards.pretraining}/{wildcards.view}.safetensors"


def export_encoders(wildcards):
    """The encoders of all views of a data set by one pretraining."""
    folder = f"{RESULTS}/{wildcards.dataset}/pretrain/{wildcards.pretraining}"
    return [f"{folder}/{view}.safetensors" for view in views_of(wildcards)]


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
    """The folder that has one folder of shards per view; of those in a storage, the local copies."""
    return os.path.dirname(os.path.dirname(input.get("shards", input)[0]))


def views_and_ensemble(dataset):
    """What is judged: every view of a data set, and all of them together."""
    views = CONFIG.views_of(dataset)
    return [*views, *(["ensemble"] if len(views) > 1 else [])]


def features_of_views(wildcards):
    """The features of all views by one pretraining."""
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.run}features/{wildcards.pretraining}"
    return [f"{folder}/{view}.h5" for view in views_of(wildcards)]


def scores_of_views(wildcards):
    """The scores of all views by one pretraining and protocol, on one split."""
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.run}evaluation/{wildcards.pretraining}"
    name = f"{wildcards.protocol}_split{wildcards.split}.npz"
    return [f"{folder}/{view}/{name}" for view in views_of(wildcards)]


def by_view(wildcards, input):
    """The files of the views as VIEW=FILE; of the rule's input, those called `views`."""
    return [f"{view}={path}" for view, path in zip(views_of(wildcards), input.views)]


def ablation_runs(settings):
    """The folders of the repetitions of an ablation, without their last part."""
    seeds = range(CONFIG.seed, CONFIG.seed + settings.seeds)
    return [f"{RESULTS}/{settings.dataset}/{run_of(seed)}evaluation" for seed in seeds]


def ablation_metrics(settings):
    """The metrics that an ablation compares, on the first of the data set's splits."""
    split = CONFIG.datasets[settings.dataset].splits[0]
    return [
        f"{run}/{pretraining}/{view}/{protocol}_split{split}.json"
        for run in ablation_runs(settings)
        for pretraining in settings.pretrainings
        for protocol in settings.protocols
        for view in views_and_ensemble(settings.dataset)
    ]


def ablation_relations(settings):
    """What the views say about the classes, where there are several views."""
    split = CONFIG.datasets[settings.dataset].splits[0]
    return [
        f"{run}/{pretraining}/relations_split{split}.json"
        for run in ablation_runs(settings)
        for pretraining in settings.pretrainings
        if len(CONFIG.views_of(settings.dataset)) > 1
    ]


def start_of(wildcards):
    """The encoders that stage 2 starts from."""
    start = "random" if wildcards.pretraining in WITHOUT_STAGE1 else "stage1"
    folder = f"{RESULTS}/{wildcards.dataset}/{wildcards.run}pretrain/{start}"
    return [f"{folder}/{view}.safetensors" for view in views_of(wildcards)]


def metrics_of(dataset):
    """The metrics of all encoders, views, protocols and splits of a data set."""
    settings = evaluated(dataset)
    evaluation = CONFIG.recipes[settings.recipe].evaluation
    return [
        f"{RESULTS}/{dataset}/evaluation/{pretraining}/{view}/{protocol}_split{split}.json"
        for protocol in evaluation.protocols
        for pretraining in evaluation.judged_by(protocol)
        for view in views_and_ensemble(dataset)
        for split in settings.splits
    ]


def paper_setting(wildcards):
    """What a published figure must have in common with a result to stand beside it, as JSON."""
    settings, recipe = dataset_of(wildcards), recipe_of(wildcards)
    source = CONFIG.datasets[settings.pretrain_on or wildcards.dataset]
    trained = CONFIG.recipes[source.recipe]
    return json.dumps(
        {
            "kind": settings.kind,
            "pretrained_on": source.kind,
            "layers": trained.network.of("rgb").layers,
            "pixels": recipe.clip.crop.get("rgb", 1),
            "views": len(CONFIG.views_of(settings.pretrain_on or wildcards.dataset)),
        }
    )


def paper_metrics(wildcards):
    """What fills the cells of the paper's table that belong to a data set."""
    settings = evaluated(wildcards.dataset)
    cells = wanted(Setting.model_validate_json(paper_setting(wildcards)))
    if settings.shards_of:  # what owns the shards has the same random networks
        cells = [(pretraining, view) for pretraining, view in cells if pretraining != "random"]
    folder = f"{RESULTS}/{wildcards.dataset}/evaluation"
    return [
        f"{folder}/{pretraining}/{view}/finetune_split{split}.json"
        for pretraining, view in cells
        for split in settings.splits
    ]
