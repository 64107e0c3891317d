from __future__ import annotations

import pytest
import torch

from cocon.config.schema import Training
from cocon.errors import ConfigError
from cocon.training.launch import World, keep_freed_memory, prepare_network, resolve_device, world


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
    assert [alone.any(flag) for flag in (True, False)] == [True, False]
    assert alone.mean({"loss": 2.0}) == {"loss": 2.0}
    alone.wait()


def test_threads() -> None:
    before = torch.get_num_threads()
    with world("cpu", threads=1) as alone:
        assert torch.get_num_threads() == 1
        assert (alone.rank, alone.size) == (0, 1)
    torch.set_num_threads(before)


def test_arithmetic_after_keeping_memory() -> None:
    keep_freed_memory()
    assert torch.ones(3_000_000).sum() == 3_000_000


def test_compiled_and_rounded_is_refused_on_a_cpu() -> None:
    settings = Training(compile=True, amp="bf16")
    with pytest.raises(ConfigError, match="do not go together on a CPU"):
        prepare_network(torch.nn.Linear(1, 1), settings, torch.device("cpu"))
