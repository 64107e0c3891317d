from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import gpu
from cocon.config.schema import Tvl1PresetParameters
from view_extractors.flow.tvl1 import batched
from view_extractors.flow.tvl1.on_gpu import Tvl1OnGpu
from view_extractors.flow.tvl1.scheme import scheme_of

SCHEME = scheme_of(Tvl1PresetParameters(scales=2, warps=2, iterations=5))


def test_without_a_gpu_it_says_so_and_ends(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu"])
    assert gpu.main() == 0
    assert capsys.readouterr().out == "no GPU: nothing to measure\n"


def pictures(count: int) -> gpu.Pictures:
    return [picture[:40, :60] for picture in gpu.rendered(count)]


def test_the_same_flow_agrees_and_another_does_not():
    right = Tvl1OnGpu(SCHEME, torch.device("cpu"), batched.refine)
    row = gpu.compared(pictures(3), SCHEME, right)
    assert row["agrees"] is True
    assert row["bytes"] == 0

    def wrong(level, flow, dual, scheme, number):
        flow, dual = batched.refine(level, flow, dual, scheme, number)
        return flow + 0.2, dual

    row = gpu.compared(pictures(3), SCHEME, Tvl1OnGpu(SCHEME, torch.device("cpu"), wrong))
    assert row["agrees"] is False
    assert row["bytes"] > 0.1


def test_rates_are_of_all_pairs(monkeypatch):
    class Instant:
        def stored(self, pictures, size, bound):
            calls.append(len(pictures))
            clock[0] += 0.5

    calls: list[int] = []
    clock = [0.0]
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: clock[0])
    rate = gpu.pairs_per_second([np.zeros((4, 4), np.uint8)] * 9, Instant(), 5, seconds=3)
    assert rate == pytest.approx(4 / 0.5)
    assert set(calls) == {5}
