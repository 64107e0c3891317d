# From official lists, a table or a renderer to the manifest of a data set.

# Every clip is declared, and outputs have wildcards or none: further rendered data sets have rules of their
# own.
for name, suffix in values.rendering(CONFIG).items():

    rule:
        name:
            f"render{suffix}"
        output:
            videos=checked(INPUTS.rendered)(name),
        log:
            f"{RESULTS}/{name}/logs/render.log",
        benchmark:
            f"{RESULTS}/{name}/benchmarks/render.tsv"
        conda:
            beside_snakemake
        threads: JOBS.render.threads
        resources:
            mem_mb=growing(JOBS.render.memory_mb),
            runtime=growing(JOBS.render.runtime_minutes),
        params:
            depends=tracked(DOCUMENTS.videos.rendering, dataset=name),
            settings=untracked(ARGUMENTS.section, dataset=name),
        message:
            "Rendering the videos of the embedded demo"
        shell:
            "cocon render --settings {params.settings:q} --processes {threads} > {log:q} 2>&1"

    # Two persons in a frame: only the comparison of backends needs them.
    rule:
        name:
            f"render_pairs{suffix}"
        output:
            table=PATHS.pairs(name),
        log:
            f"{RESULTS}/{name}/logs/render_pairs.log",
        benchmark:
            f"{RESULTS}/{name}/benchmarks/render_pairs.tsv"
        conda:
            beside_snakemake
        threads: JOBS.render.threads
        resources:
            mem_mb=growing(JOBS.render.memory_mb),
            runtime=growing(JOBS.render.runtime_minutes),
        params:
            depends=tracked(DOCUMENTS.videos.pairs, dataset=name),
            settings=untracked(ARGUMENTS.section, dataset=name),
            root=folder_of_output,
        message:
            "Rendering videos with two persons in a frame"
        shell:
            "cocon render --persons 2 --root {params.root:q} --settings {params.settings:q}"
            " --processes {threads} > {log:q} 2>&1"


# Only the targets below need its output: a run never starts a download by itself.
rule get:
    output:
        f"{RESULTS}/{{dataset}}/received.json",
    log:
        f"{RESULTS}/{{dataset}}/logs/get.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/get.tsv"
    wildcard_constraints:
        dataset=values.any_of(values.published(CONFIG)),
    localrule: True
    conda:
        beside_snakemake
    resources:
        mem_mb=2000,
    params:
        depends=tracked(DOCUMENTS.videos.source),
        settings=untracked(ARGUMENTS.section),
    message:
        "Getting the archives and videos of a public data set"
    shell:
        "cocon data get {wildcards.dataset:q} --settings {params.settings:q} --output {output:q}"
        " > {log:q} 2>&1"


for name in values.published(CONFIG):

    rule:
        name:
            f"get_{name}"
        input:
            f"{RESULTS}/{name}/received.json",


# Of one split, or of all: a change of one split of your own table does not affect the results of the others.
rule index:
    input:
        videos=of(INPUTS.rendered),
    output:
        PATHS.manifest(part="{part}"),
    log:
        f"{RESULTS}/{{dataset}}/logs/index{{part}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/index{{part}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.videos.index),
        settings=untracked(ARGUMENTS.section),
        videos=untracked(ARGUMENTS.videos),
        split=untracked(ARGUMENTS.split_option),
    message:
        "Listing the videos of {wildcards.dataset}"
    shell:
        "cocon index --settings {params.settings:q} --expect {params.videos} {params.split:q}"
        " --output {output:q} > {log:q} 2>&1"


# The same table for pretraining. Its document has labels only where they choose the encoders (best_by:
# probe): a corrected label trains nothing again. (The probe during pretraining reads labels, for the curves;
# they are those of the time of training.)
rule index_for_pretraining:
    input:
        videos=of(INPUTS.rendered),
    output:
        PATHS.training_videos(part="{part}"),
    log:
        f"{RESULTS}/{{dataset}}/logs/index_for_pretraining{{part}}.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/index_for_pretraining{{part}}.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.videos.index_for_pretraining),
        settings=untracked(ARGUMENTS.section),
        videos=untracked(ARGUMENTS.videos),
        split=untracked(ARGUMENTS.split_option_of_training),
    message:
        "Listing the videos of {wildcards.dataset} for pretraining"
    shell:
        "cocon index --settings {params.settings:q} --expect {params.videos} {params.split:q}"
        " --output {output:q} > {log:q} 2>&1"
