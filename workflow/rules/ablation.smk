# What each term of the loss is worth: several pretrainings by one budget, over several seeds.


rule relations:
    input:
        views=features_of_views,
        manifest=manifest_of,
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
        depends=tracked(DOCUMENTS.relations),
        features=by_view,
        settings=settings_in(DOCUMENTS.relations),
        seed=untracked(seed_of),
    message:
        "Comparing the classes of {wildcards.dataset} in all views of {wildcards.pretraining}"
    shell:
        "cocon relations --manifest {input.manifest:q} --features {params.features:q}"
        " --split {wildcards.split:q} --settings {params.settings:q} --seed {params.seed}"
        " --output {output:q} > {log:q} 2>&1"


for name, settings in CONFIG.ablations.items():

    rule:
        name:
            f"ablation_{name}"
        input:
            metrics=ablation_metrics(name),
            relations=PATHS.ablation_relations(name),
        output:
            json=f"{RESULTS}/{settings.dataset}/ablation_{name}.json",
            table=report(
                f"{RESULTS}/{settings.dataset}/ablation_{name}.csv",
                caption="../report/ablation.rst",
                category="Accuracy",
                labels={"ablation": name},
            ),
        log:
            f"{RESULTS}/{settings.dataset}/logs/ablation_{name}.log",
        benchmark:
            f"{RESULTS}/{settings.dataset}/benchmarks/ablation_{name}.tsv"
        conda:
            beside_snakemake
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            depends=tracked(DOCUMENTS.ablation(name)),
        message:
            f"Comparing the pretrainings of the ablation {name}"
        shell:
            "cocon ablation --metrics {input.metrics:q} --relations {input.relations:q}"
            " --output {output.json:q} --csv {output.table:q} > {log:q} 2>&1 && cat {log:q}"
