# From all results to one self-contained HTML page.


rule page:
    input:
        manifest=PATHS.manifest(),
        summary=f"{RESULTS}/{{dataset}}/summary.json",
        shards=of(INPUTS.all_shards, then=stored),
        truth=of(PATHS.truth_figures),
    output:
        report(
            f"{RESULTS}/{{dataset}}/report.html",
            caption="../report/page.rst",
            category="Report",
            labels={"data set": "{dataset}"},
        ),
    log:
        f"{RESULTS}/{{dataset}}/logs/report.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/report.tsv"
    conda:
        beside_snakemake
    resources:
        disk_mb=DISK_MB,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depends=tracked(DOCUMENTS.report.page),
        results=folder_of_output,
        shards=of_files(arguments.folder_of_shards, "shards"),
        shard_count=untracked(ARGUMENTS.shard_count),
        views=untracked(CONFIG.views_of),
        encoders=untracked(ARGUMENTS.encoders),
        settings=settings_in(DOCUMENTS.report.page, running.report_runs),
    message:
        "Writing the report of {wildcards.dataset}"
    shell:
        "cocon report --results {params.results:q} --manifest {input.manifest:q} --shards {params.shards:q}"
        " --shard-count {params.shard_count}"
        " --summary {input.summary:q} --views {params.views} --title {wildcards.dataset}"
        " --encoders {params.encoders:q} --settings {params.settings:q}"
        " --output {output:q} > {log:q} 2>&1"
