"""Data sets: each one module that lists its videos; see README, "How to add a data set"."""
