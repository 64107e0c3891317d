# From videos to HDF5 shards, one job per view and shard.
#
# These rules do not read the manifest: Snakemake looks at the parameters of a job only if nothing that the job
# reads has to be made again, so that a changed list of videos would reach them one run too late. Each job
# lists the videos of its shard by itself, and refuses if they are not those of the plan.

# PYTHONPATH for a Python without the project installed; a user's own entries stay behind it.
CODE = os.path.relpath(workflow.basedir)
WITH_CODE = "PYTHONPATH={params.code:q}${{PYTHONPATH:+:$PYTHONPATH}}"


rule extract:
    input:
        videos=of(INPUTS.rendered),
    output:
        stored(PATHS.shard()),
    log:
        f"{RESULTS}/{{dataset}}/logs/extract/{{view}}_{{shard}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/extract/{{view}}_{{shard}}.tsv"
    conda:
        of(ARGUMENTS.environment)
    threads: of(GPUS.threads_of_extraction)
    resources:
        mem_mb=growing(of(GPUS.memory_mb_of_extraction)),
        runtime=growing(JOBS.extract.runtime_minutes),
        gpu=of(GPUS.of_extraction),
    params:
        depends=tracked(DOCUMENTS.extraction.shard),
        listing=untracked(ARGUMENTS.section),
        members=untracked(ARGUMENTS.members),
        shards=untracked(ARGUMENTS.shard_count),
        table=path(f"{RESULTS}/{{dataset}}/logs/extract/{{view}}_{{shard}}.videos.csv"),
        python=untracked(ARGUMENTS.python),
        code=untracked(CODE),
        device=untracked(CONFIG.device),
        settings=untracked(ARGUMENTS.extraction),
        failed=untracked(running.max_failed_fraction, config=CONFIG),
    message:
        "Extracting {wildcards.view} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "cocon index --settings {params.listing:q} --shard {wildcards.shard} --shards {params.shards}"
        " --expect {params.members:q} --output {params.table:q} > {log:q} 2>&1 && "
        f"{WITH_CODE} cocon lease --gpus {{resources.gpu}} -- {{params.python:q}}"
        " -m view_extractors {wildcards.view} --manifest {params.table:q}"
        " --remember --max-failed-fraction {params.failed} --threads {threads} --device {params.device}"
        " --settings {params.settings:q} --output {output:q} >> {log:q} 2>&1"


ruleorder: extract_persons > extract


rule extract_persons:
    input:
        videos=of(INPUTS.rendered),
    output:
        mask=stored(PATHS.shard(view="mask")),
        pose=stored(PATHS.shard(view="pose")),
    log:
        f"{RESULTS}/{{dataset}}/logs/extract/mask_pose_{{shard}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/extract/mask_pose_{{shard}}.tsv"
    wildcard_constraints:
        dataset=values.any_of(values.extracting_persons_in_one_pass(CONFIG)),
    conda:
        of(ARGUMENTS.environment)
    threads: of(GPUS.threads_of_extraction)
    resources:
        mem_mb=growing(of(GPUS.memory_mb_of_extraction)),
        runtime=growing(JOBS.extract.runtime_minutes),
        gpu=of(GPUS.of_extraction),
    params:
        depends=tracked(DOCUMENTS.extraction.shard),
        listing=untracked(ARGUMENTS.section),
        members=untracked(ARGUMENTS.members),
        shards=untracked(ARGUMENTS.shard_count),
        table=path(f"{RESULTS}/{{dataset}}/logs/extract/mask_pose_{{shard}}.videos.csv"),
        python=untracked(ARGUMENTS.python),
        code=untracked(CODE),
        device=untracked(CONFIG.device),
        mask=untracked(ARGUMENTS.extraction, view="mask"),
        pose=untracked(ARGUMENTS.extraction, view="pose"),
        failed=untracked(running.max_failed_fraction, config=CONFIG),
    message:
        "Extracting mask and pose of {wildcards.dataset} in one pass, shard {wildcards.shard}"
    shell:
        "cocon index --settings {params.listing:q} --shard {wildcards.shard} --shards {params.shards}"
        " --expect {params.members:q} --output {params.table:q} > {log:q} 2>&1 && "
        f"{WITH_CODE} cocon lease --gpus {{resources.gpu}} -- {{params.python:q}}"
        " -m view_extractors pose --manifest {params.table:q}"
        " --remember --max-failed-fraction {params.failed} --threads {threads} --device {params.device}"
        " --settings {params.pose:q} --output {output.pose:q}"
        " --also mask {output.mask:q} --also-settings mask {params.mask:q} >> {log:q} 2>&1"
