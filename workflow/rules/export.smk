# From encoders to a folder that others can use: weights, settings, model card.


rule export:
    input:
        encoders=of(INPUTS.exported_encoders),
        shards=of(INPUTS.exported_shards, then=stored),
        summary=of(INPUTS.exported_summary),
    output:
        directory(f"{RESULTS}/{{dataset}}/export/{{pretraining}}"),
    log:
        f"{RESULTS}/{{dataset}}/logs/export_{{pretraining}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/export_{{pretraining}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.encoders.export),
        shards=of_files(arguments.shards_option, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        summary=of_files(arguments.summary_option, "summary"),
    message:
        "Exporting the encoders {wildcards.pretraining} of {wildcards.dataset}"
    shell:
        "cocon export --encoders {input.encoders:q} --dataset {wildcards.dataset:q} {params.shards:q}"
        " --shard-count {params.shard_count} {params.summary:q} --output {output:q} > {log:q} 2>&1"


for name in CONFIG.datasets:

    rule:
        name:
            f"export_{name}"
        input:
            f"{RESULTS}/{name}/export/{CONFIG.recipe_of(name).evaluation.chosen}",
