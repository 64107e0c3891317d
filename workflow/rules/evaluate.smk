# From encoders to metrics: features are computed once, every protocol reads them; fine-tuning reads shards.

EVALUATION = f"{RUN}evaluation/{{pretraining}}"


rule features:
    input:
        manifest=of(INPUTS.manifest),
        shards=of(PATHS.shards, then=stored),
        encoder=of(PATHS.evaluated_encoder),
    output:
        f"{RUN}features/{{pretraining}}/{{view}}.h5",
    log:
        f"{RUN}logs/features/{{pretraining}}_{{view}}.log",
    benchmark:
        f"{RUN}benchmarks/features/{{pretraining}}_{{view}}.tsv"
    conda:
        beside_snakemake
    threads: of(GPUS.threads, job=JOBS.features)
    resources:
        gpu=of(GPUS.of_job),
        disk_mb=DISK_MB,
        mem_mb=growing(of(GPUS.memory_mb, job=JOBS.features)),
        runtime=growing(JOBS.features.runtime_minutes),
    params:
        depends=tracked(DOCUMENTS.evaluation.features),
        shards=of_files(arguments.folder_of_shards, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        settings=settings_in(DOCUMENTS.evaluation.features),
        workers=untracked(JOBS.features.workers),
        batch_size=untracked(JOBS.features.batch_size),
        amp=untracked(JOBS.features.amp),
        device=untracked(CONFIG.device),
    message:
        "Features of {wildcards.dataset}: {wildcards.view} by the encoder {wildcards.pretraining}"
    shell:
        "cocon lease --gpus {resources.gpu} -- "
        "cocon features --manifest {input.manifest:q} --shards {params.shards:q}"
        " --shard-count {params.shard_count} --view {wildcards.view}"
        " --checkpoint {input.encoder:q} --settings {params.settings:q} --device {params.device}"
        " --workers {params.workers} --batch-size {params.batch_size} --amp {params.amp}"
        " --threads {threads} --output {output:q} > {log:q} 2>&1"


rule evaluate_features:
    input:
        manifest=of(INPUTS.manifest),
        features=f"{RUN}features/{{pretraining}}/{{view}}.h5",
    output:
        metrics=f"{EVALUATION}/{{view}}/{{protocol}}_split{{split}}.json",
        scores=f"{EVALUATION}/{{view}}/{{protocol}}_split{{split}}.npz",
    log:
        f"{RUN}logs/evaluation/{{protocol}}_{{pretraining}}_{{view}}_split{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluation/{{protocol}}_{{pretraining}}_{{view}}_split{{split}}.tsv"
    wildcard_constraints:
        protocol=values.any_of(values.protocols_that_read(CONFIG, FEATURES)),
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depends=tracked(DOCUMENTS.evaluation.protocol),
        kind=untracked(ARGUMENTS.kind),
        settings=settings_in(DOCUMENTS.evaluation.protocol),
        seed=untracked(PATHS.seed_of),
    message:
        "{wildcards.protocol} of {wildcards.pretraining}/{wildcards.view} on {wildcards.dataset}, split {wildcards.split}"
    shell:
        "cocon evaluate --protocol {params.kind} --manifest {input.manifest:q} --features {input.features:q}"
        " --split {wildcards.split:q} --name {wildcards.protocol} --settings {params.settings:q}"
        " --seed {params.seed} --output {output.metrics:q} > {log:q} 2>&1"


rule finetune:
    input:
        manifest=of(INPUTS.manifest),
        shards=of(PATHS.shards, then=stored),
        encoder=of(PATHS.evaluated_encoder),
    output:
        metrics=f"{EVALUATION}/{{view}}/{{protocol}}_split{{split}}.json",
        scores=f"{EVALUATION}/{{view}}/{{protocol}}_split{{split}}.npz",
        classifier=f"{EVALUATION}/{{view}}/{{protocol}}_split{{split}}.safetensors",
    log:
        f"{RUN}logs/evaluation/{{protocol}}_{{pretraining}}_{{view}}_split{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluation/{{protocol}}_{{pretraining}}_{{view}}_split{{split}}.tsv"
    wildcard_constraints:
        protocol=values.any_of(values.protocols_that_read(CONFIG, FRAMES)),
    conda:
        beside_snakemake
    threads: of(GPUS.threads, job=JOBS.finetune)
    resources:
        gpu=of(GPUS.of_job),
        mpi=CALLS_SRUN,
        slurm_extra=of(GPUS.slurm_options, nodes=1, per_node=1),
        disk_mb=DISK_MB,
        mem_mb=growing(of(GPUS.memory_mb, job=JOBS.finetune)),
        runtime=JOBS.finetune.runtime_minutes,
    params:
        depends=tracked(DOCUMENTS.evaluation.protocol),
        shards=of_files(arguments.folder_of_shards, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        state=path(f"{RUN}evaluation/.state"),
        kind=untracked(ARGUMENTS.kind),
        settings=settings_in(DOCUMENTS.evaluation.protocol, running.protocol_runs),
        seed=untracked(PATHS.seed_of),
        device=untracked(CONFIG.device),
    message:
        "{wildcards.protocol} of {wildcards.pretraining}/{wildcards.view} on {wildcards.dataset}, split {wildcards.split}"
    shell:
        "cocon launch --threads {threads} --gpus {resources.gpu} -- "
        "cocon finetune --manifest {input.manifest:q} --shards {params.shards:q}"
        " --shard-count {params.shard_count} --view {wildcards.view}"
        " --checkpoint {input.encoder:q} --split {wildcards.split:q} --protocol {params.kind}"
        " --name {wildcards.protocol} --settings {params.settings:q}"
        " --seed {params.seed} --device {params.device} --threads {threads} --state {params.state:q}"
        " --output {output.metrics:q} > {log:q} 2>&1"


# From scores, or from joined features and the labels of their videos, depending on the protocol.
rule ensemble:
    input:
        views=of(INPUTS.fused),
        manifest=of(INPUTS.manifest_of_joined),
    output:
        metrics=f"{EVALUATION}/ensemble/{{protocol}}_split{{split}}.json",
        scores=f"{EVALUATION}/ensemble/{{protocol}}_split{{split}}.npz",
    log:
        f"{RUN}logs/evaluation/{{protocol}}_{{pretraining}}_ensemble_split{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluation/{{protocol}}_{{pretraining}}_ensemble_split{{split}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depends=tracked(DOCUMENTS.evaluation.fusion),
        inputs=by_view,
        manifest=of_files(arguments.manifest_option, "manifest"),
        kind=untracked(ARGUMENTS.kind),
        settings=settings_in(DOCUMENTS.evaluation.fusion),
        seed=untracked(PATHS.seed_of),
    message:
        "Fusing the views of {wildcards.pretraining}: {wildcards.protocol} on {wildcards.dataset}"
    shell:
        "cocon ensemble --protocol {params.kind} --inputs {params.inputs:q} {params.manifest:q}"
        " --split {wildcards.split:q} --name {wildcards.protocol} --settings {params.settings:q}"
        " --seed {params.seed} --output {output.metrics:q} > {log:q} 2>&1"


rule summary:
    input:
        of(INPUTS.all_metrics),
    output:
        json=f"{RESULTS}/{{dataset}}/summary.json",
        table=report(
            f"{RESULTS}/{{dataset}}/summary.csv",
            caption="../report/summary.rst",
            category="Accuracy",
            labels={"data set": "{dataset}"},
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/summary.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/summary.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.tables.summary),
        setting=settings_in(DOCUMENTS.tables.summary),
        seen=untracked(ARGUMENTS.seen),
    message:
        "Summing up the results of {wildcards.dataset}"
    shell:
        "cocon summary --metrics {input:q} --setting {params.setting:q} --seen {params.seen:q}"
        " --output {output.json:q} --csv {output.table:q} > {log:q} 2>&1"
