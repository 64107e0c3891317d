# The paper's table of results: every data set that config.yaml names under paper.


rule paper_cells:
    input:
        of(INPUTS.paper_cells),
    output:
        json=f"{RESULTS}/{{dataset}}/paper.json",
        table=f"{RESULTS}/{{dataset}}/paper.csv",
    log:
        f"{RESULTS}/{{dataset}}/logs/paper.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/paper.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.tables.paper_cells),
        setting=settings_in(DOCUMENTS.tables.paper_cells),
    message:
        "The cells of the paper's table that belong to {wildcards.dataset}"
    shell:
        "cocon summary --metrics {input:q} --setting {params.setting:q} --output {output.json:q}"
        " --csv {output.table:q} > {log:q} 2>&1"


rule reproduce_paper:
    input:
        [f"{RESULTS}/{name}/paper.json" for name in CONFIG.paper],
    output:
        json=f"{RESULTS}/paper.json",
        table=report(f"{RESULTS}/paper.csv", caption="../report/paper.rst", category="Accuracy"),
    log:
        f"{RESULTS}/paper.log",
    benchmark:
        f"{RESULTS}/paper.tsv"
    conda:
        beside_snakemake
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        depends=tracked(DOCUMENTS.tables.paper),
    message:
        "The paper's table of results, with ours beside the published figures"
    shell:
        "cocon summary --paper {input:q} --output {output.json:q} --csv {output.table:q} > {log:q} 2>&1"
        " && cat {log:q}"
