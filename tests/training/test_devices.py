from __future__ import annotations

import pickle
import platform
import subprocess
import sys
from typing import Any

import pytest
import torch

from cocon.errors import CheckpointError, ConfigError
from cocon.training.devices import World, resolve_device, world


def test_device() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu() -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        resolve_device("cuda")


def test_one_process() -> None:
    alone = World(torch.device("cpu"))
    assert alone.leads
    assert alone.vote(True, False).read() == [True, False]
    assert alone.mean({"loss": 2.0}) == {"loss": 2.0}
    alone.wait()


def test_threads() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (before + 1, before + 2):
            with world("cpu", threads=threads) as alone:
                assert torch.get_num_threads() == threads
                assert (alone.rank, alone.size) == (0, 1)
        with world("cpu"):
            assert torch.get_num_threads() == before + 2
    finally:
        torch.set_num_threads(before)


COUNT_FAULTS = """
import resource, torch
from cocon.training.devices import keep_freed_memory

def faults():
    for _ in range(20):  # malloc needs some rounds until it has a place
        torch.ones(16_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(16_000_000)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="acts on glibc only")
def test_kept_memory_is_not_cleared_again() -> None:
    """The kernel hands pages out one by one, as faults; what malloc has kept needs none."""
    done = subprocess.run([sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    assert usual > 100
    assert kept < usual / 10


class Pair(World):
    """One of two processes; what they exchange is noted, and has an answer."""

    def gather(self, value: Any) -> list[Any]:
        return [value if self.leads else self.answer, None]

    answer: Any = None


def test_the_leader_works_and_the_others_have_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pair, "answer", "newest.pt")
    leader, other = (Pair(torch.device("cpu"), rank, 2) for rank in range(2))
    assert leader.of_leader(lambda: "newest.pt") == "newest.pt"
    assert other.of_leader(lambda: pytest.fail("works too")) == "newest.pt"


def test_where_the_leader_fails_all_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise CheckpointError("locked", "wait")

    error = pickle.loads(pickle.dumps(CheckpointError("locked", "wait")))  # as it travels
    monkeypatch.setattr(Pair, "answer", error)
    for rank in range(2):
        with pytest.raises(CheckpointError, match="locked") as caught:
            Pair(torch.device("cpu"), rank, 2).of_leader(fail)
        assert caught.value.hint == "wait"
