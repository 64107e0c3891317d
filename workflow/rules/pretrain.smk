# From shards to encoders: random, stage 1 (each view alone), stage 2 (all views together).


for views, names in view_sets().items():

    rule:
        name:
            f"initialise{suffix_of(views)}"
        output:
            expand(f"{RUN}pretrain/random/{{view}}.safetensors", view=views, allow_missing=True),
        log:
            f"{RUN}logs/pretrain/random.log",
        benchmark:
            f"{RUN}benchmarks/pretrain/random.tsv"
        wildcard_constraints:
            dataset=one_of(names),
        conda:
            "../../environment.yml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            settings=recipe_settings("clip", "network"),
            views=list(views),
            seed=seed_of,
            folder=folder_of_output,
        message:
            "Initialising encoders at random for {wildcards.dataset}"
        shell:
            "cocon init --views {params.views} --seed {params.seed} --settings {params.settings:q}"
            " --output-dir {params.folder:q} > {log} 2>&1"


rule pretrain_stage1:
    input:
        manifest=f"{RESULTS}/{{dataset}}/manifest.csv",
        shards=view_shards,
    output:
        encoder=f"{RUN}pretrain/stage1/{{view}}.safetensors",
        curve=f"{RUN}pretrain/stage1/{{view}}.log.jsonl",
    log:
        f"{RUN}logs/pretrain/stage1_{{view}}.log",
    benchmark:
        f"{RUN}benchmarks/pretrain/stage1_{{view}}.tsv"
    conda:
        "../../environment.yml"
    threads: job("pretrain_stage1", "threads")
    resources:
        gpu=gpus(processes("pretrain_stage1")),
        nodes=job("pretrain_stage1", "nodes"),
        tasks=job("pretrain_stage1", "nodes"),
        tasks_per_gpu=0,
        mpi=CALLS_SRUN,
        slurm_extra=slurm_options(job("pretrain_stage1", "nodes"), job("pretrain_stage1", "gpus")),
        disk_mb=DISK_MB,
        mem_mb=growing(job("pretrain_stage1", "memory_mb")),
        runtime=job("pretrain_stage1", "runtime_minutes"),
    params:
        settings=recipe_settings("clip", "network", "pretraining"),
        split=lambda wildcards: dataset_of(wildcards).pretrain_split,
        shards=folder_of_shards,
        state=f"{RUN}pretrain/.state",
        seed=seed_of,
        device=CONFIG.device,
        nodes=job("pretrain_stage1", "nodes"),
        processes=job("pretrain_stage1", "gpus"),
        folder=folder_of_output,
    message:
        "Pretraining {wildcards.view} of {wildcards.dataset} alone (stage 1)"
    shell:
        "cocon launch --nodes {params.nodes} --processes {params.processes} --threads {threads}"
        " --gpus {resources.gpu} -- "
        "cocon pretrain --stage stage1 --preset cpc --views {wildcards.view} --manifest {input.manifest:q}"
        " --shards {params.shards:q} --split {params.split:q} --settings {params.settings:q}"
        " --seed {params.seed} --device {params.device} --state {params.state:q}"
        " --output-dir {params.folder:q} --log {output.curve:q} > {log} 2>&1"


for views, names in view_sets().items():

    rule:
        name:
            f"pretrain_stage2{suffix_of(views)}"
        input:
            manifest=f"{RESULTS}/{{dataset}}/manifest.csv",
            shards=all_shards,
            start=start_of,
        output:
            encoders=expand(
                f"{RUN}pretrain/{{pretraining}}/{{view}}.safetensors",
                view=views,
                allow_missing=True,
            ),
            curve=f"{RUN}pretrain/{{pretraining}}/log.jsonl",
        log:
            f"{RUN}logs/pretrain/{{pretraining}}.log",
        benchmark:
            f"{RUN}benchmarks/pretrain/{{pretraining}}.tsv"
        wildcard_constraints:
            dataset=one_of(names),
            pretraining=one_of(PRESETS),
        conda:
            "../../environment.yml"
        threads: job("pretrain_stage2", "threads")
        resources:
            gpu=gpus(processes("pretrain_stage2")),
            nodes=job("pretrain_stage2", "nodes"),
            tasks=job("pretrain_stage2", "nodes"),
            tasks_per_gpu=0,
            mpi=CALLS_SRUN,
            slurm_extra=slurm_options(job("pretrain_stage2", "nodes"), job("pretrain_stage2", "gpus")),
            disk_mb=DISK_MB,
            mem_mb=growing(job("pretrain_stage2", "memory_mb")),
            runtime=job("pretrain_stage2", "runtime_minutes"),
        params:
            settings=recipe_settings("clip", "network", "pretraining"),
            views=list(views),
            init=lambda wildcards, input: os.path.dirname(input.start[0]),
            split=lambda wildcards: dataset_of(wildcards).pretrain_split,
            shards=folder_of_shards,
            state=f"{RUN}pretrain/.state",
            seed=seed_of,
            device=CONFIG.device,
            nodes=job("pretrain_stage2", "nodes"),
            processes=job("pretrain_stage2", "gpus"),
            folder=folder_of_output,
        message:
            "Pretraining all views of {wildcards.dataset} together with the loss {wildcards.pretraining} (stage 2)"
        shell:
            "cocon launch --nodes {params.nodes} --processes {params.processes} --threads {threads}"
            " --gpus {resources.gpu} -- "
            "cocon pretrain --stage stage2 --preset {wildcards.pretraining} --views {params.views}"
            " --manifest {input.manifest:q} --shards {params.shards:q} --split {params.split:q}"
            " --init {params.init:q} --settings {params.settings:q} --seed {params.seed}"
            " --device {params.device} --state {params.state:q}"
            " --output-dir {params.folder:q} --log {output.curve:q} > {log} 2>&1"
