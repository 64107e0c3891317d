# From everything to one page that opens anywhere.


rule page:
    input:
        manifest=f"{RESULTS}/{{dataset}}/manifest.csv",
        summary=f"{RESULTS}/{{dataset}}/summary.json",
        shards=all_shards,
        truth=truth_figures,
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
        "../../environment.yml"
    resources:
        disk_mb=DISK_MB,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        results=folder_of_output,
        shards=folder_of_shards,
        views=views_of,
        encoders=folder_of_encoders,
        settings=report_settings,
    message:
        "Writing the report of {wildcards.dataset}"
    shell:
        "cocon report --results {params.results:q} --manifest {input.manifest:q} --shards {params.shards:q}"
        " --summary {input.summary:q} --views {params.views} --title {wildcards.dataset}"
        " --encoders {params.encoders:q} --settings {params.settings:q}"
        " --output {output:q} > {log} 2>&1"
