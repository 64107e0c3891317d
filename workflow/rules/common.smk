# Shared by the rules: the validated configuration, and helpers that turn wildcards into calls of
# cocon.workflow.

import functools
import inspect
import os
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from cocon.config.config_files import merged
from cocon.config.load import load_config
from cocon.errors import CoConError
from cocon.machine.host import gpu_count, keep_to_ourselves, put_commands_on_path
from cocon.machine.slurm import cancel_orphans
from cocon.patterns import expanded
from cocon.pretrainings import PRESETS, PRETRAININGS
from cocon.protocols import FEATURES, FRAMES
from cocon.workflow import arguments, ignored, running, wildcards as values
from cocon.workflow.ablations import Ablations
from cocon.workflow.documents import Documents
from cocon.workflow.documents.fingerprints import canonical
from cocon.workflow.inputs import JobInputs
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import Paths
from cocon.workflow.resources import Gpus

put_commands_on_path()


def checked(function):
    """The same function, with a WorkflowError for a CoConError: planning ends with a plain message."""

    @functools.wraps(function)
    def call(*given, **named):
        try:
            return function(*given, **named)
        except CoConError as error:
            raise WorkflowError(str(error))

    return call


def on_cluster():
    """Whether jobs go to a cluster, or this is one of them; known once Snakemake has read all rules."""
    planned = workflow.dryrun and not ON_ONE_MACHINE
    return workflow.non_local_exec or workflow.remote_exec or planned


# The lowest supported version of Snakemake lacks this option.
ALONE = getattr(workflow.config_settings, "replace_workflow_config", False)
FILES = running.config_files(workflow.configfiles, workflow.overwrite_configfiles, ALONE)
CONFIG = checked(load_config)(*FILES, overrides=config)
for line in ignored.notices(CONFIG) if workflow.is_main_process else ():
    logger.warning(f"config: {line}")

JOBS, RESULTS = CONFIG.jobs, str(CONFIG.results)
PATHS = Paths(CONFIG)
LISTS = VideoLists(CONFIG, look=workflow.is_main_process)
INPUTS = JobInputs(CONFIG, LISTS)
ABLATIONS = Ablations(CONFIG, LISTS)
ARGUMENTS = arguments.Arguments(CONFIG, LISTS)
DOCUMENTS = Documents(CONFIG, LISTS)
GPUS = Gpus(CONFIG, gpu_count(), on_cluster)
# A training of a data set's encoders and all that is made of them.
RUN = PATHS.run()
# Set, since Snakemake would otherwise add up the sizes of all inputs of every job while it plans.
DISK_MB = 1000
# For the SLURM executor: the command starts its own job step, so that signals reach it. (The executor only
# checks that the resource exists; a value would make it request at least two tasks.)
CALLS_SRUN = ""
# On one machine as many jobs have a GPU at the same time as there are GPUs, or as --resources gpu=N says.
ON_ONE_MACHINE = workflow.is_main_process and workflow.resource_settings.nodes is None
if ON_ONE_MACHINE and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", max(1, GPUS.here))


def of(function, *, then=None, **given):
    """A function from wildcards to what a function returns for those of its arguments that they have."""
    names = set(inspect.signature(function).parameters) - set(given)
    found = checked(functools.partial(function, **given))

    def of_wildcards(wildcards):
        value = found(**{name: value for name, value in wildcards.items() if name in names})
        return then(value) if then else value

    return of_wildcards


def stored(paths):
    """A shard, or several, as inputs of Snakemake: files, or objects of the storage of config.yaml."""
    if not CONFIG.shard_storage:
        return paths
    return storage(paths) if isinstance(paths, str) else [storage(path) for path in paths]


def growing(value):
    """Twice, three times the value (or what a function says) when a job is repeated; a plain run repeats none."""
    return lambda wildcards, attempt: attempt * (value(wildcards) if callable(value) else value)


def beside_snakemake(wildcards):
    """No conda environment: `cocon` and `view-extractors` are those next to Snakemake, --sdm or not."""
    return None


# ---- Parameters. One of each job is tracked, a document of cocon.workflow.documents. Snakemake does not
# compare what a function with an argument `resources`, `input` or `output` returns.


def tracked(document, **given):
    """A function from wildcards to a document, as JSON; when it changes, the result is made again."""
    return of(document, then=canonical, **given)


def untracked(value, **given):
    """A value, or what a function returns for the wildcards, that changes no result."""
    found = of(value, **given) if callable(value) else lambda wildcards: value
    return lambda wildcards, resources: found(wildcards)


def path(pattern):
    """A path with wildcards that changes no result: a file or folder that no rule declares."""
    return lambda wildcards, resources: pattern.format(**dict(wildcards.items()))


def settings_in(document, runs=lambda config: {}, **given):
    """The settings of a document as JSON for a command, with the keys that only set how it runs."""
    settings, more = of(document), of(runs, config=CONFIG, **given)
    return lambda wildcards, resources: canonical(merged(settings(wildcards)["settings"], more(wildcards)))


def of_files(function, name=None):
    """What a function returns for a rule's inputs, or for those of a name."""
    return lambda wildcards, input: function(input.get(name, []) if name else input)


def by_view(wildcards, input):
    """The rule's inputs called `views` as VIEW=FILE."""
    return arguments.by_view(CONFIG.views_of(wildcards.dataset), input.views)


def folder_of_output(wildcards, output):
    """Where a rule's outputs lie, for a command that takes a folder."""
    return arguments.folder_of(output)
