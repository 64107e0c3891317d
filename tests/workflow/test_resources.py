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
    ("device", "threads", "memory"),
    [("cpu", (1, 1, 1, 2), (4000, 4000, 4000, 8000)), ("auto", (1, 4, 4, 32), (4000, 8000, 8000, 64000))],
    ids=["cpu", "gpu"],
)
def test_jobs_on_a_gpu_have_threads_and_memory_that_keep_up_with_it(
    device: str, threads: tuple[int, ...], memory: tuple[int, ...]
) -> None:
    """Of extracting rgb and flow, of features, and of a stage 2 on four GPUs."""
    found = gpus(device, 1, False)
    jobs = found.config.jobs
    for wanted, of_extraction, of_job in (
        (threads, found.threads_of_extraction, found.threads),
        (memory, found.memory_mb_of_extraction, found.memory_mb),
    ):
        assert wanted == (
            of_extraction("mine", "rgb"),
            of_extraction("mine", "flow"),
            of_job(jobs.features),
            of_job(jobs.pretrain_stage2, count=4),
        )
    given = jobs.features.model_copy(update={"threads": 3, "memory_mb": 300})
    assert (found.threads(given), found.memory_mb(given)) == (3, 300)


def test_whether_there_is_a_cluster_is_asked_when_jobs_are_planned() -> None:
    known: list[bool] = []
    found = Gpus(gpus("auto", 0, False).config, 0, lambda: bool(known))
    before = found.of_job()
    known.append(True)
    assert (before, found.of_job()) == (0, 1)
