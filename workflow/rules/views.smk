# From videos to HDF5 shards, one job per view and shard.


rule extract:
    input:
        videos=shard_videos,
        manifest=ancient(f"{RESULTS}/{{dataset}}/manifest.csv"),
    output:
        shard_path(),
    log:
        f"{RESULTS}/{{dataset}}/logs/extract/{{view}}_{{shard}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/extract/{{view}}_{{shard}}.tsv"
    conda:
        extraction_environment
    threads: job("extract", "threads")
    resources:
        mem_mb=growing(job("extract", "memory_mb")),
        runtime=growing(job("extract", "runtime_minutes")),
        gpu=extraction_gpus,
    params:
        python=extraction_python,
        code=CODE,
        device=CONFIG.device,
        settings=extraction_settings(None),
        shards=lambda wildcards: dataset_of(wildcards).shards,
        failed=lambda wildcards: recipe_of(wildcards).extraction.max_failed_fraction,
        members=shard_members,
    message:
        "Extracting {wildcards.view} of {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "PYTHONPATH={params.code:q} cocon lease --gpus {resources.gpu} -- {params.python:q}"
        " -m view_extractors {wildcards.view}"
        " --manifest {input.manifest:q} --shard {wildcards.shard} --shards {params.shards}"
        " --max-failed-fraction {params.failed} --threads {threads} --device {params.device}"
        " --settings {params.settings:q} --output {output:q} > {log} 2>&1"


if ONE_PASS:

    ruleorder: extract_persons > extract

    rule extract_persons:
        input:
            videos=shard_videos,
            manifest=ancient(f"{RESULTS}/{{dataset}}/manifest.csv"),
        output:
            mask=shard_path(view="mask"),
            pose=shard_path(view="pose"),
        log:
            f"{RESULTS}/{{dataset}}/logs/extract/mask_pose_{{shard}}.log",
        benchmark:
            f"{RESULTS}/{{dataset}}/benchmarks/extract/mask_pose_{{shard}}.tsv"
        wildcard_constraints:
            dataset=one_of(sorted(ONE_PASS)),
        conda:
            extraction_environment
        threads: job("extract", "threads")
        resources:
            mem_mb=growing(job("extract", "memory_mb")),
            runtime=growing(job("extract", "runtime_minutes")),
        params:
            python=extraction_python,
            code=CODE,
            mask=extraction_settings("mask"),
            pose=extraction_settings("pose"),
            shards=lambda wildcards: dataset_of(wildcards).shards,
            failed=lambda wildcards: recipe_of(wildcards).extraction.max_failed_fraction,
            members=shard_members,
        message:
            "Extracting mask and pose of {wildcards.dataset} in one pass, shard {wildcards.shard}"
        shell:
            "PYTHONPATH={params.code:q} {params.python:q} -m view_extractors pose"
            " --manifest {input.manifest:q} --shard {wildcards.shard} --shards {params.shards}"
            " --max-failed-fraction {params.failed} --threads {threads}"
            " --settings {params.pose:q} --output {output.pose:q}"
            " --also mask {output.mask:q} --also-settings mask {params.mask:q} > {log} 2>&1"
