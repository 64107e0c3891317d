"""How many GPUs jobs ask for."""

from __future__ import annotations

import pytest

from cocon.config.schema import Config
from cocon.workflow.resources import Gpus

MINE = {"kind": "folder", "recipe": "r", "shards": 1, "videos": ".", "table": "t.csv"}


def gpus(device: str, here: int, cluster: bool) -> Gpus:
    recipe = {"extraction": {"flow": {"backend": "raft"}, "pose": {"backend": "movenet"}}}
    document = {"device": device, "datasets": {"mine": MINE}, "recipes": {"r": recipe}}
    return Gpus(Config.model_validate(document), here, lambda: cluster)


@pytest.mark.parametrize(
    ("device", "here", "cluster", "count"),
    [
        ("auto", 0, False, 0),
        ("auto", 2, False, 4),
        ("auto", 0, True, 4),
        ("cuda", 0, False, 4),
        ("cpu", 2, True, 0),
    ],
)
def test_gpus_of_a_job(device: str, here: int, cluster: bool, count: int) -> None:
    found = gpus(device, here, cluster)
    assert found.of_job(4) == count
    spread = " --gpus-per-node=4" if count else ""
    assert found.slurm_options(nodes=2, per_node=4) == f"--signal=USR1@300{spread}"
    assert found.slurm_options(nodes=1, per_node=4) == "--signal=USR1@300"


@pytest.mark.parametrize(("view", "count"), [("rgb", 0), ("flow", 1), ("pose", 0)])
def test_extraction_has_a_gpu_where_its_backend_uses_one(view: str, count: int) -> None:
    assert gpus("auto", 1, False).of_extraction("mine", view) == count
    assert gpus("cpu", 1, False).of_extraction("mine", view) == 0


@pytest.mark.parametrize(
    ("device", "threads"), [("cpu", (1, 1, 1, 2)), ("auto", (1, 4, 4, 32))], ids=["cpu", "gpu"]
)
def test_jobs_on_a_gpu_have_threads_that_keep_up_with_it(device: str, threads: tuple[int, ...]) -> None:
    """Of extracting rgb and flow, of features, and of a stage 2 on four GPUs."""
    found = gpus(device, 1, False)
    jobs = found.config.jobs
    assert threads == (
        found.threads_of_extraction("mine", "rgb"),
        found.threads_of_extraction("mine", "flow"),
        found.threads(jobs.features),
        found.threads(jobs.pretrain_stage2, count=4),
    )
    assert found.threads(jobs.features.model_copy(update={"threads": 3})) == 3


@pytest.mark.parametrize(
    ("device", "memory"), [("cpu", (4000, 4000, 4000, 8000)), ("auto", (4000, 8000, 8000, 64000))]
)
def test_and_memory_for_its_driver_and_processes(device: str, memory: tuple[int, ...]) -> None:
    found = gpus(device, 1, False)
    jobs = found.config.jobs
    assert memory == (
        found.memory_mb_of_extraction("mine", "rgb"),
        found.memory_mb_of_extraction("mine", "flow"),
        found.memory_mb(jobs.features),
        found.memory_mb(jobs.pretrain_stage2, count=4),
    )
    assert found.memory_mb(jobs.features.model_copy(update={"memory_mb": 300})) == 300


def test_whether_there_is_a_cluster_is_asked_when_jobs_are_planned() -> None:
    known: list[bool] = []
    found = Gpus(gpus("auto", 0, False).config, 0, lambda: bool(known))
    before = found.of_job()
    known.append(True)
    assert (before, found.of_job()) == (0, 1)
