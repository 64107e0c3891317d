# Scores of the extracted views against the truth from the demo's renderer.


rule score_shards:
    input:
        of(INPUTS.all_shards, then=stored),
    output:
        PATHS.scores_of_shards(),
    log:
        f"{RESULTS}/{{dataset}}/logs/scores.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/scores.tsv"
    wildcard_constraints:
        dataset=values.any_of(values.rendered(CONFIG)),
    conda:
        beside_snakemake
    resources:
        disk_mb=DISK_MB,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depends=tracked(DOCUMENTS.extraction.scores),
        shards=of_files(arguments.folder_of_shards),
        truth=untracked(PATHS.truth),
    message:
        "Comparing the views with the truth"
    shell:
        "view-extractors score --shards {params.shards:q} --truth {params.truth:q}"
        " --output {output:q} > {log:q} 2>&1"


rule score_backends:
    input:
        videos=of(INPUTS.rendered),
        manifest=PATHS.manifest(),
        pairs=of(PATHS.pairs),
    output:
        PATHS.scores_of_backends(),
    log:
        f"{RESULTS}/{{dataset}}/logs/backends.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/backends.tsv"
    wildcard_constraints:
        dataset=values.any_of(values.rendered(CONFIG)),
    conda:
        beside_snakemake
    resources:
        gpu=of(GPUS.of_job),
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        depends=tracked(DOCUMENTS.extraction.backends),
        truth=untracked(PATHS.truth),
        pairs=untracked(ARGUMENTS.pairs),
        device=untracked(CONFIG.device),
    message:
        "Comparing every installed backend with the truth"
    shell:
        "cocon lease --gpus {resources.gpu} -- "
        "view-extractors compare --manifest {input.manifest:q} --truth {params.truth:q}"
        " --two-persons {params.pairs:q} --device {params.device} --output {output:q} > {log:q} 2>&1"


for name in values.rendered(CONFIG):

    rule:
        name:
            f"score_{name}"
        input:
            PATHS.scores_of_backends(name),
