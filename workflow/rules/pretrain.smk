# From shards to encoders: random, stage 1 (each view alone), stage 2 (all views together).


rule initialise:
    output:
        f"{RUN}pretrain/random/{{view}}.safetensors",
    log:
        f"{RUN}logs/pretrain/random_{{view}}.log",
    benchmark:
        f"{RUN}benchmarks/pretrain/random_{{view}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.encoders.initial),
        settings=settings_in(DOCUMENTS.encoders.initial),
        seed=untracked(PATHS.seed_of),
        folder=folder_of_output,
    message:
        "Initialising the encoder of {wildcards.view} at random for {wildcards.dataset}"
    shell:
        "cocon init --views {wildcards.view} --seed {params.seed} --settings {params.settings:q}"
        " --output-dir {params.folder:q} > {log:q} 2>&1"


rule pretrain_stage1:
    input:
        videos=of(INPUTS.training_videos),
        shards=of(PATHS.shards, then=stored),
    output:
        encoder=f"{RUN}pretrain/stage1/{{view}}.safetensors",
        curve=f"{RUN}pretrain/stage1/{{view}}.log.jsonl",
    log:
        f"{RUN}logs/pretrain/stage1_{{view}}.log",
    benchmark:
        f"{RUN}benchmarks/pretrain/stage1_{{view}}.tsv"
    conda:
        beside_snakemake
    threads: of(GPUS.threads, job=JOBS.pretrain_stage1, count=JOBS.pretrain_stage1.gpus)
    resources:
        gpu=of(GPUS.of_job, count=JOBS.pretrain_stage1.processes),
        nodes=JOBS.pretrain_stage1.nodes,
        tasks=JOBS.pretrain_stage1.nodes,
        tasks_per_gpu=0,
        mpi=CALLS_SRUN,
        slurm_extra=of(
            GPUS.slurm_options, nodes=JOBS.pretrain_stage1.nodes, per_node=JOBS.pretrain_stage1.gpus
        ),
        disk_mb=DISK_MB,
        mem_mb=growing(of(GPUS.memory_mb, job=JOBS.pretrain_stage1, count=JOBS.pretrain_stage1.gpus)),
        runtime=JOBS.pretrain_stage1.runtime_minutes,
    params:
        depends=tracked(DOCUMENTS.encoders.stage1),
        settings=settings_in(DOCUMENTS.encoders.stage1, running.pretraining_runs, stage="stage1"),
        split=untracked(PATHS.pretrained_on),
        shards=of_files(arguments.folder_of_shards, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        state=path(f"{RUN}pretrain/.state"),
        seed=untracked(PATHS.seed_of),
        device=untracked(CONFIG.device),
        nodes=untracked(JOBS.pretrain_stage1.nodes),
        processes=untracked(JOBS.pretrain_stage1.gpus),
        folder=folder_of_output,
    message:
        "Pretraining {wildcards.view} of {wildcards.dataset} alone (stage 1)"
    shell:
        "cocon launch --nodes {params.nodes} --processes {params.processes} --threads {threads}"
        " --gpus {resources.gpu} -- "
        "cocon pretrain --stage stage1 --preset cpc --views {wildcards.view} --manifest {input.videos:q}"
        " --shards {params.shards:q} --shard-count {params.shard_count}"
        " --split {params.split:q} --settings {params.settings:q}"
        " --seed {params.seed} --device {params.device} --state {params.state:q}"
        " --output-dir {params.folder:q} --log {output.curve:q} > {log:q} 2>&1"


# The views differ between data sets, but a rule's outputs are fixed: the encoders go into a folder.
rule pretrain_stage2:
    input:
        videos=of(INPUTS.training_videos),
        shards=of(INPUTS.all_shards, then=stored),
        start=of(PATHS.start),
    output:
        encoders=directory(f"{RUN}pretrain/{{pretraining}}/together"),
        curve=f"{RUN}pretrain/{{pretraining}}/log.jsonl",
    log:
        f"{RUN}logs/pretrain/{{pretraining}}.log",
    benchmark:
        f"{RUN}benchmarks/pretrain/{{pretraining}}.tsv"
    wildcard_constraints:
        pretraining=values.any_of(PRESETS),
    conda:
        beside_snakemake
    threads: of(GPUS.threads, job=JOBS.pretrain_stage2, count=JOBS.pretrain_stage2.gpus)
    resources:
        gpu=of(GPUS.of_job, count=JOBS.pretrain_stage2.processes),
        nodes=JOBS.pretrain_stage2.nodes,
        tasks=JOBS.pretrain_stage2.nodes,
        tasks_per_gpu=0,
        mpi=CALLS_SRUN,
        slurm_extra=of(
            GPUS.slurm_options, nodes=JOBS.pretrain_stage2.nodes, per_node=JOBS.pretrain_stage2.gpus
        ),
        disk_mb=DISK_MB,
        mem_mb=growing(of(GPUS.memory_mb, job=JOBS.pretrain_stage2, count=JOBS.pretrain_stage2.gpus)),
        runtime=JOBS.pretrain_stage2.runtime_minutes,
    params:
        depends=tracked(DOCUMENTS.encoders.stage2),
        settings=settings_in(DOCUMENTS.encoders.stage2, running.pretraining_runs, stage="stage2"),
        views=untracked(CONFIG.views_of),
        init=of_files(arguments.folder_of, "start"),
        split=untracked(PATHS.pretrained_on),
        shards=of_files(arguments.folder_of_shards, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        state=path(f"{RUN}pretrain/.state"),
        seed=untracked(PATHS.seed_of),
        device=untracked(CONFIG.device),
        nodes=untracked(JOBS.pretrain_stage2.nodes),
        processes=untracked(JOBS.pretrain_stage2.gpus),
    message:
        "Pretraining all views of {wildcards.dataset} together with the loss {wildcards.pretraining} (stage 2)"
    shell:
        "cocon launch --nodes {params.nodes} --processes {params.processes} --threads {threads}"
        " --gpus {resources.gpu} -- "
        "cocon pretrain --stage stage2 --preset {wildcards.pretraining} --views {params.views}"
        " --manifest {input.videos:q} --shards {params.shards:q}"
        " --shard-count {params.shard_count} --split {params.split:q}"
        " --init {params.init:q} --settings {params.settings:q} --seed {params.seed}"
        " --device {params.device} --state {params.state:q}"
        " --output-dir {output.encoders:q} --log {output.curve:q} > {log:q} 2>&1"


rule encoder:
    input:
        f"{RUN}pretrain/{{pretraining}}/together",
    output:
        f"{RUN}pretrain/{{pretraining}}/{{view}}.safetensors",
    log:
        f"{RUN}logs/pretrain/{{pretraining}}_{{view}}.log",
    benchmark:
        f"{RUN}benchmarks/pretrain/{{pretraining}}_{{view}}.tsv"
    wildcard_constraints:
        pretraining=values.any_of(PRESETS),
    localrule: True
    conda:
        beside_snakemake
    resources:
        mem_mb=500,
        runtime=growing(10),
        disk_mb=DISK_MB,
    params:
        depends=tracked(DOCUMENTS.encoders.stage2),
    message:
        "The encoder of {wildcards.view} by {wildcards.pretraining}"
    shell:
        "cp {input:q}/{wildcards.view}.safetensors {output:q}.part > {log:q} 2>&1"
        " && mv {output:q}.part {output:q}"
