"""How long jobs take that wait for each other and share cores and GPUs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from cocon.errors import ConfigError


@dataclass(frozen=True)
class Step:
    """Jobs of one rule that are alike.

    Attributes:
        name: unique among the steps of a plan.
        rule: the rule of the workflow.
        jobs: their number.
        seconds: that one of them takes.
        threads: cores that one of them holds.
        gpus: GPUs that one of them holds.
        bytes: that all of them together leave on disk.
        after: names of the steps of which every job must be done before.
    """

    name: str
    rule: str
    jobs: int
    seconds: float = 0.0
    threads: int = 1
    gpus: int = 0
    bytes: float = 0.0
    after: tuple[str, ...] = ()


def makespan(steps: Sequence[Step], cores: int, gpus: int) -> float:
    """Seconds until all is done, when a job starts as soon as it may and there is room for it.

    Among the jobs that could start, those of the earlier step go first; a job never holds more cores than
    there are, as in Snakemake.

    Args:
        steps: in an order in which none comes before what it waits for.
        cores: of all machines together.
        gpus: of all machines together.

    Raises:
        ConfigError: when a step needs more GPUs than there are.
    """
    for step in steps:
        if step.gpus > gpus:
            raise ConfigError(
                f"{step.name} needs {step.gpus} GPU{'s' * (step.gpus > 1)}, and there are {gpus}",
                "give more with --gpus, or set `device: cpu` in config.yaml",
            )
    to_start = {step.name: step.jobs for step in steps}
    to_end = dict(to_start)
    running: list[tuple[float, int]] = []
    now, free_cores, free_gpus = 0.0, cores, gpus
    while True:
        for number, step in enumerate(steps):
            threads = min(step.threads, cores)
            if any(to_end[name] for name in step.after):
                continue
            while to_start[step.name] and threads <= free_cores and step.gpus <= free_gpus:
                to_start[step.name] -= 1
                free_cores, free_gpus = free_cores - threads, free_gpus - step.gpus
                heapq.heappush(running, (now + step.seconds, number))
        if not running:
            return now
        now, number = heapq.heappop(running)
        step = steps[number]
        to_end[step.name] -= 1
        free_cores, free_gpus = free_cores + min(step.threads, cores), free_gpus + step.gpus


def critical_path(steps: Sequence[Step]) -> list[Step]:
    """The chain of jobs, one per step, that takes longest: more machines do not make a run shorter.

    Args:
        steps: in an order in which none comes before what it waits for.
    """
    chains: dict[str, tuple[float, list[Step]]] = {}
    for step in steps:
        before = max((chains[name] for name in step.after), key=lambda chain: chain[0], default=(0.0, []))
        chains[step.name] = (before[0] + step.seconds, [*before[1], step])
    # Of chains that take equally long, the one with the last step: what takes no time belongs to it too.
    return max(reversed(chains.values()), key=lambda chain: chain[0], default=(0.0, []))[1]
