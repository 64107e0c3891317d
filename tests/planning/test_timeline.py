from __future__ import annotations

import pytest

from cocon.errors import ConfigError
from cocon.planning.timeline import Step, critical_path, makespan


def test_jobs_share_cores_and_wait_for_all_of_a_step() -> None:
    extract = Step("extract", "extract", jobs=5, seconds=10)
    train = Step("train", "train", jobs=1, seconds=100, threads=2, after=("extract",))
    assert makespan([extract, train], cores=1, gpus=0) == 150
    assert makespan([extract, train], cores=2, gpus=0) == 130
    assert makespan([extract, train], cores=64, gpus=0) == 110


def test_gpus_bound_what_runs_at_the_same_time() -> None:
    train = Step("train", "train", jobs=4, seconds=100, gpus=1)
    other = Step("other", "other", jobs=10, seconds=10)
    assert makespan([train, other], cores=64, gpus=1) == 400
    assert makespan([train, other], cores=64, gpus=2) == 200
    # One core is left beside the job on the GPU: the others fill it.
    assert makespan([train, other], cores=2, gpus=1) == 400
    with pytest.raises(ConfigError, match="train needs 1 GPU, and there are 0"):
        makespan([train], cores=1, gpus=0)


def test_independent_steps_run_side_by_side() -> None:
    a, b = Step("a", "r", 1, 30), Step("b", "r", 1, 50)
    assert makespan([a, b], cores=2, gpus=0) == 50
    assert makespan([a, b], cores=1, gpus=0) == 80


def test_the_critical_path_takes_one_job_of_each_step() -> None:
    index = Step("index", "index", 1, 5)
    rgb = Step("rgb", "extract", 100, 10, after=("index",))
    flow = Step("flow", "extract", 100, 30, after=("index",))
    train = Step("train", "train", 1, 200, after=("rgb", "flow"))
    probe = Step("probe", "linear", 3, 40, after=("train",))
    retrieval = Step("retrieval", "retrieval", 3, 1, after=("train",))
    steps = [index, rgb, flow, train, probe, retrieval]
    chain = critical_path(steps)
    assert [step.name for step in chain] == ["index", "flow", "train", "probe"]
    assert makespan(steps, cores=1000, gpus=0) == sum(step.seconds for step in chain)
    assert critical_path([]) == []
