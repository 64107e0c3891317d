"""Shards of version 2, which this program does not write any more: ``version_2.h5.gz`` is one of its last.

Masks of 6 x 8 px: three frames of walk/a, one of a video whose name is no UTF-8, and one without a file.
"""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from cocon.cli import main
from cocon.errors import ShardError
from cocon.shards import Shard, ShardSet
from cocon.shards.file_state import UNKNOWN
from cocon.shards.verify import verify

PICTURES = (np.arange(3 * 6 * 8) * 5 % 256).astype(np.uint8).reshape(3, 6, 8, 1)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "00000.h5"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "version_2.h5.gz").read_bytes()))
    return path


def test_it_is_read(shard: Path) -> None:
    rows = verify(shard)
    assert [(row.id, row.frames, row.status) for row in rows] == [
        ("walk/a", 3, "ok"), ("bad\udcff", 1, "ok"), ("gone", 0, "skipped"),
    ]  # fmt: skip
    assert {row.source for row in rows} == {UNKNOWN}
    reader = pickle.loads(pickle.dumps(ShardSet.of_folder(shard.parent)))
    np.testing.assert_array_equal(reader.read("walk/a", [2, 0]), PICTURES[[2, 0]])
    np.testing.assert_array_equal(reader.read("bad\udcff", [0]), PICTURES[:1])
    assert (Shard(shard).version, Shard(shard).parameters) == (2, {"short_side": 6})


def test_its_frames_are_checked_by_verify_only(shard: Path) -> None:
    with h5py.File(shard) as file:
        position = file["frames/data"].id.get_offset() + file["frames/offsets"][1] - 1
    content = bytearray(shard.read_bytes())
    content[position] ^= 1
    shard.write_bytes(content)
    Shard(shard).read("walk/a", [0])
    with pytest.raises(ShardError, match="checksum of video 'walk/a' is wrong"):
        verify(shard)


def test_the_commands_know_it(shard: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "verify", str(shard)]) == 0
    assert main(["shards", "info", str(shard)]) == 0
    text = capsys.readouterr().out
    assert "version 2, frames without checksums" in text
    assert "files that it does not describe" in text
