"""The logic of the workflow in plain functions: the paths of files, and what each of them depends on.

The rules in ``workflow/rules``, the states of unfinished trainings and the planner all use it, so that they
agree. Nothing in this package imports Snakemake, torch or OpenCV.
"""
