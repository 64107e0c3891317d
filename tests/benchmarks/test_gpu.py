from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.on_gpu import part, tvl1
from benchmarks.on_gpu.rows import Measurement, Skipped, Task, figures, line, measured
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


def pictures(count: int) -> tvl1.Pictures:
    return [picture[:40, :60] for picture in tvl1.rendered(count)]


def test_the_same_flow_agrees_and_another_does_not():
    right = Tvl1OnGpu(SCHEME, torch.device("cpu"), batched.refine)
    row = tvl1.compared(pictures(3), SCHEME, right)
    assert row["agrees"] is True
    assert row["bytes"] == 0

    def wrong(level, flow, dual, scheme, number):
        flow, dual = batched.refine(level, flow, dual, scheme, number)
        return flow + 0.2, dual

    row = tvl1.compared(pictures(3), SCHEME, Tvl1OnGpu(SCHEME, torch.device("cpu"), wrong))
    assert row["agrees"] is False
    assert row["bytes"] > 0.1


def test_rates_are_of_all_pairs(monkeypatch):
    class Instant:
        def stored(self, pictures, size, bound):
            calls.append(len(pictures))
            clock[0] += 0.5

    calls: list[int] = []
    clock = [0.0]
    monkeypatch.setattr(tvl1.time, "perf_counter", lambda: clock[0])
    rate = tvl1.pairs_per_second([np.zeros((4, 4), np.uint8)] * 9, Instant(), 5, seconds=3)
    assert rate == pytest.approx(4 / 0.5)
    assert set(calls) == {5}


def task(seconds: float = 600) -> Task:
    return Task("cpu", quick=True, end=time.time() + seconds, peaks={})


def test_all_rows_on_a_cpu(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu", "--quick"])
    assert gpu.main() == 0
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert not [text for text in table if "failed" in text]
    for name in (
        "card bf16: TFLOP/s", "card copy: GB/s", "tvl1 64x48 exact: pairs/s", "tvl1 40x40 fast: agrees",
        "step check: agrees", "step 4: clips/s", "step 4: share", "step 2 amp off: clips/s",
        "step 4 from shards: clips/s", "features check: agrees", "features rgb: windows/s",
        "extraction flow exact: inference_ms", "step 4 graph: clips/s", "step 2 graph: gain",
    ):  # fmt: skip
        assert found[name], name


def test_a_part_runs_in_a_process_and_its_failure_is_a_row(monkeypatch):
    rows = dict(part.in_a_process("card", task()))
    assert list(rows) == ["card bf16", "card tf32", "card fp32", "card copy", "card upload"]
    assert rows["card fp32"]["rate"] > 0
    assert dict(part.in_a_process("no part", task())) == {
        "no part": {"failed": "exit status 1: KeyError: 'no part'"}
    }


def test_a_part_is_stopped_when_the_minutes_are_over():
    assert dict(part.in_a_process("tvl1", task(seconds=0))) == {"tvl1": {"skipped": "the minutes are over"}}


def test_a_fault_is_one_row():
    def fails():
        raise RuntimeError("of\nthe card")

    def skips():
        raise Skipped("not there")

    def measurements():
        yield Measurement("a", 1, fails)
        yield Measurement("b", 1, skips)
        yield Measurement("c", 1, lambda: {"rate": 3.0, "unit": "clips/s", "share": 0.5, "agrees": True})
        raise OSError("no room")

    rows = dict(measured(task(), "all", measurements()))
    assert rows["a"] == {"failed": "RuntimeError: of the card"}
    assert rows["b"] == {"skipped": "not there"}
    assert rows["all"] == {"failed": "OSError: no room"}
    assert line("c", rows["c"]).split() == ["c", "3.0", "clips/s", "50.0%", "yes"]
    assert figures({"c": rows["c"]}) == {"c: clips/s": 3.0, "c: share": 0.5, "c: agrees": True}
    late = Task("cpu", quick=False, end=time.time())
    assert dict(measured(late, "all", [Measurement("a", 1, fails)])) == {
        "a": {"skipped": "the minutes are over"}
    }
