# The demo's renderer knows the truth: how near do the extracted views come to it?

for name, settings in CONFIG.datasets.items():
    if settings.rendered:

        rule:
            name:
                f"score_shards_{name}"
            input:
                stored(INPUTS.all_shards(name)),
            output:
                f"{RESULTS}/{name}/scores.json",
            log:
                f"{RESULTS}/{name}/logs/scores.log",
            benchmark:
                f"{RESULTS}/{name}/benchmarks/scores.tsv"
            conda:
                beside_snakemake
            resources:
                disk_mb=DISK_MB,
                mem_mb=growing(4000),
                runtime=growing(60),
            params:
                depends=tracked(DOCUMENTS.extraction.scores, dataset=name),
                shards=of_files(arguments.folder_of_shards),
                truth=untracked(PATHS.truth(name)),
            message:
                "Comparing the views with the truth"
            shell:
                "view-extractors score --shards {params.shards:q} --truth {params.truth:q}"
                " --output {output:q} > {log:q} 2>&1"

        rule:
            name:
                f"score_{name}"
            input:
                videos=checked(INPUTS.rendered)(name),
                manifest=PATHS.manifest(name),
                pairs=PATHS.pairs(name),
            output:
                f"{RESULTS}/{name}/backends.json",
            log:
                f"{RESULTS}/{name}/logs/backends.log",
            benchmark:
                f"{RESULTS}/{name}/benchmarks/backends.tsv"
            conda:
                beside_snakemake
            resources:
                gpu=of(GPUS.of_job),
                mem_mb=growing(8000),
                runtime=growing(240),
            params:
                depends=tracked(DOCUMENTS.extraction.backends, dataset=name),
                truth=untracked(PATHS.truth(name)),
                pairs=untracked(os.path.dirname(PATHS.pairs(name))),
                device=untracked(CONFIG.device),
            message:
                "Comparing every installed backend with the truth"
            shell:
                "cocon lease --gpus {resources.gpu} -- "
                "view-extractors compare --manifest {input.manifest:q} --truth {params.truth:q}"
                " --two-persons {params.pairs:q} --device {params.device} --output {output:q} > {log:q} 2>&1"
