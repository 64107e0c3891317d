"""What the workflow knows, in plain functions: where files lie, and what each of them depends on.

The rules in ``workflow/rules``, the states of unfinished trainings and the planner ask here, so that they
cannot disagree. Nothing in this package imports Snakemake, torch or OpenCV.
"""
