# Targets for the command line: snakemake eval_<data set>, pretrain_<data set> or extract_<data set>.

for name in CONFIG.datasets:

    rule:
        name:
            f"eval_{name}"
        input:
            f"{RESULTS}/{name}/report.html",
            f"{RESULTS}/{name}/summary.json",

    rule:
        name:
            f"pretrain_{name}"
        input:
            of(INPUTS.chosen_encoders, dataset=name),

    rule:
        name:
            f"extract_{name}"
        input:
            stored(INPUTS.all_shards(name)),
