"""Estimates the cost of a run before it starts: hours, bytes, jobs and their dependencies."""
