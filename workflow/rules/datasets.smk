# From official lists, a table or a renderer to the manifest of a data set.

for name, settings in CONFIG.datasets.items():
    if settings.kind == "demo":

        rule:
            name:
                f"render_{name}"
            output:
                videos=[str(video.path) for video in list_videos(settings)],
            log:
                f"{RESULTS}/{name}/logs/render.log",
            benchmark:
                f"{RESULTS}/{name}/benchmarks/render.tsv"
            conda:
                "../../environment.yml"
            threads: job("render", "threads")
            resources:
                mem_mb=growing(job("render", "memory_mb")),
                runtime=growing(job("render", "runtime_minutes")),
            params:
                settings=listing_settings(settings),
            message:
                "Rendering the videos of the embedded demo"
            shell:
                "cocon render --settings {params.settings:q} --processes {threads} > {log} 2>&1"

    elif settings.kind != "folder":

        # Nothing else asks for its output: a run never starts a download by itself.
        rule:
            name:
                f"get_{name}"
            output:
                f"{RESULTS}/{name}/received.json",
            log:
                f"{RESULTS}/{name}/logs/get.log",
            benchmark:
                f"{RESULTS}/{name}/benchmarks/get.tsv"
            localrule: True
            conda:
                "../../environment.yml"
            resources:
                mem_mb=2000,
            params:
                dataset=name,
                settings=dump_settings(settings),
            message:
                "Getting the archives and videos of a public data set"
            shell:
                "cocon data get {params.dataset:q} --settings {params.settings:q} --output {output:q}"
                " > {log} 2>&1"


rule index:
    input:
        lambda wildcards: [
            str(path) for path in source(dataset_of(wildcards).kind).list_files(dataset_of(wildcards))
        ],
    output:
        f"{RESULTS}/{{dataset}}/manifest.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/index.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/index.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        settings=dataset_settings,
    message:
        "Listing the videos of {wildcards.dataset}"
    shell:
        "cocon index --settings {params.settings:q} --output {output:q} > {log} 2>&1"
