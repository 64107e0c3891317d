# What the rules share: the validated configuration, and functions from wildcards to what cocon.workflow knows.

import functools
import inspect
import os
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from cocon.config.config_files import merged
from cocon.machine.host import gpu_count, keep_to_ourselves, put_commands_on_path
from cocon.backends import backend_named
from cocon.config.load import load_config
from cocon.errors import CoConError
from cocon.patterns import expanded
from cocon.pretrainings import PRESETS, PRETRAININGS
from cocon.protocols import FEATURES, FRAMES, PROTOCOLS, that_read
from cocon.machine.slurm import cancel_orphans
from cocon.config.selection import changed
from cocon.workflow.documents import Documents, extraction
from cocon.workflow.documents.fingerprints import canonical
from cocon.workflow.ignored import ignored_keys
from cocon.workflow.lists import VideoLists
from cocon.workflow.paper import paper_metrics
from cocon.workflow.paths import RUN as RUN_OF_A_SEED_OR_SPLIT
from cocon.workflow.paths import Paths, split_of_part
from cocon.workflow.running import (
    max_failed_fraction,
    moved_keys,
    pretraining_runs,
    protocol_runs,
    report_runs,
)

put_commands_on_path()


def config_files():
    """config.yaml, if there is one and the command line does not replace it, and what --configfile names."""
    given = [Path(file).absolute() for file in workflow.overwrite_configfiles]
    own = [Path(file) for file in workflow.configfiles if Path(file).absolute() not in given]
    # The option is younger than the lowest version of Snakemake.
    alone = getattr(workflow.config_settings, "replace_workflow_config", False)
    return given if alone else [*own, *given]


try:
    CONFIG = load_config(*config_files(), overrides=config)
except CoConError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process:
    for line in moved_keys(CONFIG):
        logger.warning(f"config: {line}; it is read where it is")
    for line in ignored_keys(CONFIG):
        logger.warning(f"config: {line}")

PATHS = Paths(CONFIG)
LISTS = VideoLists(CONFIG, look=workflow.is_main_process)
DOCUMENTS = Documents(CONFIG, LISTS)
RESULTS = str(CONFIG.results)
# A training of a data set's encoders and all that is made of them.
RUN = PATHS.run()
# Where a Python that the project is not installed in finds it; what a user's modules set stays behind it.
CODE = os.path.relpath(workflow.basedir)
WITH_CODE = "PYTHONPATH={params.code:q}${{PYTHONPATH:+:$PYTHONPATH}}"
# Data sets whose mask and pose come from one look at the frames.
ONE_PASS = [
    name
    for name in CONFIG.datasets
    if ("pose", "mask") in extraction.passes(CONFIG.recipe_of(name), CONFIG.views_of(name))
]
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


# ---- Resources.


def job(stage, value):
    """Threads, memory_mb or runtime_minutes of a stage."""
    return getattr(getattr(CONFIG.jobs, stage), value)


def gpus(count=1):
    """So many GPUs, if jobs may have any: of this machine, or of a cluster, whose jobs are planned elsewhere."""

    def resource(wildcards):
        if CONFIG.device == "cpu":
            return 0
        return count if on_cluster() or CONFIG.device == "cuda" or GPUS else 0

    return resource


def growing(value):
    """Twice, three times the value when a job is repeated; a plain run does not repeat any."""

    def resource(wildcards, attempt):
        return value * attempt

    return resource


def slurm_options(nodes, gpus_per_node):
    """For sbatch: the signal on which training saves its state, 5 minutes before the end; where its GPUs are."""

    def resource(wildcards):
        spread = f" --gpus-per-node={gpus_per_node}" if nodes > 1 and gpus()(wildcards) else ""
        return f"--signal=USR1@300{spread}"

    return resource


def extraction_gpus(wildcards):
    """GPUs of the job that extracts a view, or mask and pose together."""
    return gpus()(wildcards) if backend_entry(wildcards).may_use_gpu(CONFIG.device) else 0


# ---- From wildcards to calls.


def of(function, **given):
    """A function from wildcards to what a function returns for those of its arguments that they have."""
    names = set(inspect.signature(function).parameters) - set(given)

    def of_wildcards(wildcards):
        known = {name: value for name, value in wildcards.items() if name in names}
        return said(functools.partial(function, **given, **known))

    return of_wildcards


# ---- Parameters. One of each job is tracked, a document of cocon.workflow.documents. Snakemake does not compare
# what a function with an argument `resources`, `input` or `output` returns.


def tracked(document, **given):
    """A function from wildcards to a document, as JSON; when it changes, the result is made again."""
    found = of(document, **given)

    def param(wildcards):
        return canonical(found(wildcards))

    return param


def untracked(value):
    """A value, or a function from wildcards, that changes no result."""

    def param(wildcards, resources):
        return value(wildcards) if callable(value) else value

    return param


def path(pattern):
    """A path with wildcards that changes no result: a file or folder that no rule declares."""
    return untracked(lambda wildcards: pattern.format(**dict(wildcards.items())))


def settings_in(document, running=None, **given):
    """The settings of a document as JSON for a command, with what only says how it runs."""
    found, runs = of(document), running and of(running, config=CONFIG, **given)

    def param(wildcards):
        return canonical(merged(found(wildcards)["settings"], runs(wildcards) if runs else {}))

    return untracked(param)


def said(function, *arguments):
    """What a function returns; its errors end the planning with a sentence."""
    try:
        return function(*arguments)
    except CoConError as error:
        raise WorkflowError(str(error))


# ---- Names.


def one_of(names):
    """A wildcard constraint: any of the names; if there is none, it never fits."""
    return "|".join(map(re.escape, names)) or "(?!)"


def protocols_like(*kinds):
    """The protocols of these kinds: the built-in ones and those of any recipe, as a wildcard constraint."""
    own = {
        name: protocol.like
        for recipe in CONFIG.recipes.values()
        for name, protocol in recipe.evaluation.own.items()
    }
    return one_of([*kinds, *(name for name, kind in own.items() if kind in kinds)])


def dataset_of(wildcards):
    """The section of a data set."""
    return CONFIG.datasets[wildcards.dataset]


def recipe_of(wildcards):
    """The recipe that a data set is processed with."""
    return CONFIG.recipe_of(wildcards.dataset)


def views_of(wildcards):
    """The views of the wildcards' data set."""
    return CONFIG.views_of(wildcards.dataset)


def seed_of(wildcards):
    """The seed of a run."""
    return PATHS.seed_of(wildcards.run)


def backend_of(wildcards):
    """The backend of the wildcards' view; that of pose if they have none."""
    return extraction.backend_of(recipe_of(wildcards), getattr(wildcards, "view", "pose"))


def backend_entry(wildcards):
    """What cocon.backends says about that backend."""
    return backend_named(getattr(wildcards, "view", "pose"), backend_of(wildcards))


def protocol_kind(wildcards):
    """The built-in protocol that the wildcards' protocol is, or is like."""
    return recipe_of(wildcards).evaluation.kind(wildcards.protocol)


# ---- Videos and shards.


def rendered(dataset, shard=None):
    """The videos of a demo, or of one of its shards."""
    shards = said(LISTS.shards, dataset)
    return [str(video.path) for videos in (shards if shard is None else [shards[shard]]) for video in videos]


def pairs_of(dataset):
    """The table of a demo's videos with two persons in a frame."""
    return str(CONFIG.datasets[dataset].root / "two_persons" / "videos.csv")


def rendered_videos(wildcards):
    """The videos that a rule renders. Those of other data sets are there, and known by size and time."""
    if not dataset_of(wildcards).rendered:
        return []
    return rendered(wildcards.dataset, int(wildcards.shard) if hasattr(wildcards, "shard") else None)


def section_of(dataset):
    """The section of a data set as JSON, for commands that list, render or get its videos."""
    return canonical(changed(CONFIG.datasets[dataset]))


def listing(wildcards):
    """The section of the wildcards' data set."""
    return section_of(wildcards.dataset)


def listed(wildcards):
    """What identifies the videos of a data set, their labels and their files."""
    return LISTS.table(wildcards.dataset, labels=True)


def members(wildcards):
    """What identifies the videos of a shard."""
    return said(LISTS.members, wildcards.dataset, int(wildcards.shard))


def extraction_settings(view=None):
    """A function from wildcards to the settings of one view's extraction; of the wildcard's if none."""

    def settings(wildcards):
        return canonical(extraction.extraction_settings(recipe_of(wildcards), view or wildcards.view))

    return untracked(settings)


def failed_fraction(wildcards):
    """The part of a shard's videos that may fail."""
    return max_failed_fraction(CONFIG, wildcards.dataset)


def beside_snakemake(wildcards):
    """No conda environment: `cocon` and `view-extractors` are those installed beside Snakemake, --sdm or not."""
    return None


def extraction_environment(wildcards):
    """The conda environment, for --sdm conda, of the job that extracts a view; none for most backends."""
    name = backend_entry(wildcards).environment
    return f"../envs/{name}.yml" if name else None


def extraction_python(wildcards):
    """The Python that extracts a view: of config.yaml, else the first one on the path.

    That is the one beside Snakemake, or with --sdm conda the one of the backend's environment, if it has one.
    """
    return str(CONFIG.interpreters.get(backend_of(wildcards), "python"))


def stored(path):
    """A shard as Snakemake knows it: a file, or an object of the storage of config.yaml."""
    return storage(path) if CONFIG.shard_storage else path


def shards_of(dataset, view):
    """All shards of one view of a data set."""
    return [stored(shard) for shard in PATHS.shards(dataset, view)]


def view_shards(wildcards):
    """All shards of the wildcards' view."""
    return shards_of(wildcards.dataset, wildcards.view)


def all_shards(wildcards):
    """All shards of all views."""
    return [shard for view in views_of(wildcards) for shard in shards_of(wildcards.dataset, view)]


def shard_count(wildcards):
    """Shards per view of the data set that a data set reads."""
    return CONFIG.datasets[CONFIG.owner_of_shards(wildcards.dataset)].shards


def folder_of_output(wildcards, output):
    """Where a rule's outputs lie, for a command that takes a folder."""
    return os.path.dirname(output[0])


def folder_of_shards(wildcards, input):
    """The folder that has one folder of shards per view; of those in a storage, the local copies."""
    return os.path.dirname(os.path.dirname(input.get("shards", input)[0]))


# ---- Encoders and what is made of them.


def training_videos(wildcards):
    """The table that pretraining reads, after a look whether its videos fill a batch."""
    said(LISTS.check_batches, wildcards.dataset)
    part = said(LISTS.part, wildcards.dataset, pretrain_split(wildcards))
    return PATHS.training_videos(wildcards.dataset, part)


def manifest_of(wildcards):
    """The table that an evaluation reads: of its split, or, for features, of the videos of any split."""
    split = getattr(wildcards, "split", "any")
    return PATHS.manifest(wildcards.dataset, said(LISTS.part, wildcards.dataset, split))


def split_option(wildcards):
    """The option with the split that a table is limited to, if it is."""
    split = split_of_part(wildcards.part)
    return ["--split", split] if split else []


def split_option_of_training(wildcards):
    """The same for the table of a pretraining, which says nothing about the labels of test videos."""
    option = split_option(wildcards)
    return [*option, "--for-pretraining"] if option else []


def pretrain_split(wildcards):
    """The split whose training videos are pretrained on, `common` or `all`."""
    return PATHS.pretrained_on(wildcards.dataset, wildcards.run)


def pretrained_encoders(name):
    """A function to the encoders of a data set that target pretrain_<name> is for."""

    def encoders(wildcards):
        return PATHS.all_encoders(name, CONFIG.recipe_of(name).evaluation.chosen, said(LISTS.splits, name))

    return encoders


def seen_in_pretraining(wildcards):
    """How many test videos of each split the encoders were pretrained on, and of how many, as JSON."""
    return canonical(said(LISTS.seen, wildcards.dataset))


def option(name, of_input):
    """A function to an option and the files of an input, or nothing if there are none."""

    def param(wildcards, input):
        files = input.get(of_input) or []
        return [name, *([files] if isinstance(files, str) else files)] if files else []

    return param


def encoder_of(wildcards):
    """The checkpoint that is evaluated; it may have been pretrained on another data set."""
    return PATHS.evaluated_encoder(wildcards.dataset, wildcards.run, wildcards.pretraining, wildcards.view)


def start_of(wildcards):
    """The encoders that stage 2 starts from."""
    return PATHS.start(wildcards.dataset, wildcards.run, wildcards.pretraining)


def folder_of_encoders(wildcards):
    """Where the encoders lie that are evaluated on a data set."""
    return f"{PATHS.dataset(CONFIG.trained_on(wildcards.dataset))}/pretrain"


def export_encoders(wildcards):
    """The encoders of all views of a data set by one pretraining."""
    return PATHS.encoders(wildcards.dataset, "", wildcards.pretraining, views_of(wildcards))


def export_shards(wildcards):
    """The shards that tell how views are extracted, for encoders that were not trained and do not know it."""
    return all_shards(wildcards) if wildcards.pretraining == "random" else []


def folder_option(wildcards, input):
    """The option with the folder of shards, if an export reads any."""
    return ["--shards", folder_of_shards(wildcards, input)] if input.get("shards") else []


def export_summary(wildcards):
    """The accuracies of what is exported, if its model card is to have them."""
    settings = dataset_of(wildcards)
    evaluated = wildcards.pretraining in recipe_of(wildcards).evaluation.pretrainings
    shown = settings.card_accuracies and evaluated and not settings.pretrain_on
    return [f"{PATHS.dataset(wildcards.dataset)}/summary.json"] if shown else []


def truth_figures(wildcards):
    """The demo's views against the truth, and every installed backend, if the report is to compare them."""
    settings, folder = dataset_of(wildcards), PATHS.dataset(wildcards.dataset)
    if not settings.rendered or views_of(wildcards) == ["rgb"]:
        return []
    return [f"{folder}/scores.json", *([f"{folder}/backends.json"] if settings.compare_backends else [])]


def all_metrics(wildcards):
    """The metrics of all encoders, views, protocols and splits of a data set."""
    said(LISTS.check_labels, wildcards.dataset)
    return PATHS.all_metrics(wildcards.dataset, said(LISTS.splits, wildcards.dataset))


def paper_cells(wildcards):
    """The metrics behind the cells of the paper's table that belong to a data set."""
    said(LISTS.check_labels, wildcards.dataset)
    return paper_metrics(PATHS, wildcards.dataset)


def patterns_of_ablation(paths, name):
    """A function from wildcards to patterns of the files that an ablation compares, on all of its splits."""

    def patterns(wildcards):
        said(LISTS.check_labels, CONFIG.ablations[name].dataset)
        return paths(name, said(LISTS.compared_splits, name))

    return patterns


def of_ablation(paths, name):
    """A function from wildcards to the files that an ablation compares, on all of its splits."""

    def files(wildcards):
        return expanded(patterns_of_ablation(paths, name)(wildcards))

    return files


def first_view(wildcards):
    """The view whose shards are asked for what is the same in all."""
    return views_of(wildcards)[0]


def shards_of_first_view(wildcards):
    """All shards of one view."""
    return shards_of(wildcards.dataset, first_view(wildcards))


def seen_of_ablation(name):
    """A function to the test videos that an ablation's encoders were pretrained on, by split, as JSON."""

    def seen(wildcards):
        found = said(LISTS.seen, CONFIG.ablations[name].dataset)
        return canonical({split: found[split] for split in LISTS.compared_splits(name) if split in found})

    return seen


def features_of_views(wildcards):
    """The features of all views by one pretraining."""
    return expand(
        PATHS.features(wildcards.dataset, wildcards.run, wildcards.pretraining), view=views_of(wildcards)
    )


def scores_of_views(wildcards):
    """The scores of all views by one pretraining and protocol, on one split."""
    folder = PATHS.evaluation(wildcards.dataset, wildcards.run, wildcards.pretraining)
    name = f"{wildcards.protocol}_split{wildcards.split}.npz"
    return [f"{folder}/{view}/{name}" for view in views_of(wildcards)]


def fused_of_views(wildcards):
    """What the ensemble of a protocol is made of: the views' features, or their scores."""
    joined = PROTOCOLS[protocol_kind(wildcards)].joined
    return features_of_views(wildcards) if joined else scores_of_views(wildcards)


def manifest_of_joined(wildcards):
    """The labels of joined features; scores have them."""
    return manifest_of(wildcards) if PROTOCOLS[protocol_kind(wildcards)].joined else []


def by_view(wildcards, input):
    """The files of the views as VIEW=FILE; of the rule's input, those called `views`."""
    return [f"{view}={path}" for view, path in zip(views_of(wildcards), input.views)]
