"""Reading pieces of a file: near each other or far, in any order, and when reads are cut short."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cocon.errors import ShardError
from cocon.shards.handles import Handle

CONTENT = np.random.default_rng(0).bytes(300_000)
PLACES = {
    "near": [(70, 5), (1000, 90), (0, 8), (1000, 90)],
    "far": [(299_990, 10), (3, 0), (150_000, 4000), (0, 1)],
    "one": [(123_456, 7)],
    "none": [],
}


@pytest.fixture
def handle(tmp_path: Path) -> Handle:
    (tmp_path / "file").write_bytes(CONTENT)
    return Handle(tmp_path / "file")


def read(handle: Handle, places: list[tuple[int, int]]) -> list[bytes]:
    pieces = [memoryview(bytearray(size)) for _, size in places]
    handle.fill(pieces, [position for position, _ in places])
    return [bytes(piece) for piece in pieces]


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("at_most", [1 << 30, 3])
def test_every_piece_gets_its_bytes(
    handle: Handle, monkeypatch: pytest.MonkeyPatch, places: list[tuple[int, int]], at_most: int
) -> None:
    whole = os.preadv

    def preadv(descriptor: int, buffers: Sequence[memoryview], position: int) -> int:
        return whole(descriptor, [buffers[0][:at_most]], position)

    monkeypatch.setattr(os, "preadv", preadv)
    assert read(handle, places) == [CONTENT[position : position + size] for position, size in places]


def test_pieces_that_lie_near_each_other_are_read_by_one_call(
    handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, whole = [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *arguments: calls.append(1) or whole(*arguments))
    read(handle, PLACES["near"])
    assert len(calls) == 1
    read(handle, PLACES["far"])
    assert len(calls) == 1 + len(PLACES["far"]), "and nothing that lies between pieces far from each other"


@pytest.mark.parametrize("begin", [0, 299_900])
def test_the_end_of_the_file_is_an_error(handle: Handle, begin: int) -> None:
    with pytest.raises(ShardError, match="cut off"):
        read(handle, [(begin, 50), (299_990, 20)])
