from snakemake.utils import min_version

min_version("9.10")


configfile: "config.yaml"


include: "workflow/rules/common.smk"


container: CONFIG.container


wildcard_constraints:
    dataset=values.any_of(CONFIG.datasets),
    run=values.RUN,
    part=r"(_\w+)?",
    view=values.any_of(CONFIG.views),
    shard=r"\d{5}",
    pretraining=values.any_of(PRETRAININGS),
    protocol=values.any_of(values.protocols_that_read(CONFIG, FEATURES, FRAMES)),
    split=r"\w+",


report: "workflow/report/workflow.rst"


onstart:
    keep_to_ourselves(Path.cwd())
    if on_cluster():
        cancel_orphans(Path.cwd())
    else:
        # Local jobs need no limit of submissions per second. Snakemake 9 keeps it with timers: every round of
        # scheduling starts another round a second later, and every finished job adds one. After a hundred jobs it
        # looks at all input files of all waiting jobs a hundred times a second.
        workflow.scheduler.job_rate_limiter = None


# Without a target: the report of the first data set.
rule all:
    default_target: True
    input:
        [f"{RESULTS}/{name}/report.html" for name in list(CONFIG.datasets)[:1]],


include: "workflow/rules/targets.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/views.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/ablation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"
