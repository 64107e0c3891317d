"""The machine that a run is on: its GPUs, processes and SLURM."""
