# What each term of the loss is worth: several pretrainings by one budget, over several seeds and splits.


rule relations:
    input:
        views=of(INPUTS.features_of_views),
        manifest=of(INPUTS.manifest),
    output:
        f"{RUN}evaluation/{{pretraining}}/relations_split{{split}}.json",
    log:
        f"{RUN}logs/evaluation/relations_{{pretraining}}_split{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluation/relations_{{pretraining}}_split{{split}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.evaluation.relations),
        features=by_view,
        settings=settings_in(DOCUMENTS.evaluation.relations),
        seed=untracked(PATHS.seed_of),
    message:
        "Comparing the classes of {wildcards.dataset} in all views of {wildcards.pretraining}"
    shell:
        "cocon relations --manifest {input.manifest:q} --features {params.features:q}"
        " --split {wildcards.split:q} --settings {params.settings:q} --seed {params.seed}"
        " --output {output:q} > {log:q} 2>&1"


rule neighbours:
    input:
        views=of(INPUTS.features_of_views),
        manifest=of(INPUTS.manifest),
    output:
        f"{RUN}evaluation/{{pretraining}}/neighbours_split{{split}}.json",
    log:
        f"{RUN}logs/evaluation/neighbours_{{pretraining}}_split{{split}}.log",
    benchmark:
        f"{RUN}benchmarks/evaluation/neighbours_{{pretraining}}_split{{split}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.evaluation.neighbours),
        features=by_view,
        seed=untracked(PATHS.seed_of),
    message:
        "Looking how alike the videos of a class of {wildcards.dataset} are to {wildcards.pretraining}"
    shell:
        "cocon neighbours --manifest {input.manifest:q} --features {params.features:q}"
        " --split {wildcards.split:q} --seed {params.seed} --output {output:q} > {log:q} 2>&1"


rule frame_size:
    input:
        manifest=of(INPUTS.manifest),
        shards=of(INPUTS.shards_of_first_view, then=stored),
    output:
        PATHS.frame_size(),
    log:
        f"{RESULTS}/{{dataset}}/logs/evaluation/frame_size_split{{split}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/evaluation/frame_size_split{{split}}.tsv"
    conda:
        beside_snakemake
    resources:
        disk_mb=DISK_MB,
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.evaluation.frame_size),
        shards=of_files(arguments.folder_of_shards, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        view=untracked(ARGUMENTS.first_view),
    message:
        "What follows from the size of the frames of {wildcards.dataset} alone"
    shell:
        "cocon sizes --manifest {input.manifest:q} --shards {params.shards:q}"
        " --shard-count {params.shard_count} --view {params.view} --split {wildcards.split:q}"
        " --output {output:q} > {log:q} 2>&1"


rule compare:
    input:
        metrics=of(ABLATIONS.metrics, then=expanded),
        scores=of(ABLATIONS.scores, then=expanded),
        relations=of(ABLATIONS.relations, then=expanded),
        neighbours=of(ABLATIONS.neighbours, then=expanded),
        sizes=of(ABLATIONS.frame_sizes, then=expanded),
        manifest=PATHS.manifest(),
    output:
        json=f"{RESULTS}/{{dataset}}/ablation_{{ablation}}.json",
        table=report(
            f"{RESULTS}/{{dataset}}/ablation_{{ablation}}.csv",
            caption="../report/ablation.rst",
            category="Accuracy",
            labels={"ablation": "{ablation}"},
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/ablation_{{ablation}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/ablation_{{ablation}}.tsv"
    wildcard_constraints:
        dataset=values.datasets_of(CONFIG, CONFIG.ablations),
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depends=tracked(DOCUMENTS.tables.ablation),
        metrics=untracked(ABLATIONS.metrics),
        relations=untracked(ABLATIONS.relations),
        neighbours=untracked(ABLATIONS.neighbours),
        sizes=untracked(ABLATIONS.frame_sizes),
        seen=untracked(ARGUMENTS.seen_of_ablation),
    message:
        "Comparing the pretrainings of the ablation {wildcards.ablation}"
    shell:
        "cocon ablation --metrics {params.metrics:q} --relations {params.relations:q}"
        " --neighbours {params.neighbours:q} --sizes {params.sizes:q} --manifest {input.manifest:q}"
        " --seen {params.seen:q}"
        " --output {output.json:q} --csv {output.table:q} > {log:q} 2>&1 && cat {log:q}"


rule curves:
    input:
        of(ABLATIONS.logs, then=expanded),
    output:
        report(
            f"{RESULTS}/{{dataset}}/ablation_{{ablation}}.svg",
            caption="../report/curves.rst",
            category="Accuracy",
            labels={"ablation": "{ablation}"},
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/curves_{{ablation}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/curves_{{ablation}}.tsv"
    wildcard_constraints:
        dataset=values.datasets_of(CONFIG, filter(ABLATIONS.has_curves, CONFIG.ablations)),
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.tables.curves),
        logs=untracked(ABLATIONS.logs),
    message:
        "Drawing how the pretrainings of the ablation {wildcards.ablation} went"
    shell:
        "cocon curves --logs {params.logs:q} --output {output:q} > {log:q} 2>&1"


for name in CONFIG.ablations:

    rule:
        name:
            f"ablation_{name}"
        input:
            ABLATIONS.target(name),
