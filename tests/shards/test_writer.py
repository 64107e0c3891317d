"""Writing: frame by frame, through a full disk, beside another process, in flat memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cocon.errors import ShardError
from cocon.shards import Shard, ShardWriter
from cocon.shards.codecs import encode_as
from cocon.shards.verify import verify

SIZE = {"height": 12, "width": 16, "source_height": 24, "source_width": 32, "fps": 25.0}
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 12, 16, 1), np.uint8)
FRAMES = [encode_as("delta", picture, 0) for picture in PICTURES]


def writer(path: Path, ids: list[str]) -> ShardWriter:
    return ShardWriter(path, view="mask", video_ids=ids, parameters={}, codec="delta")


def test_frames_one_by_one(tmp_path: Path) -> None:
    with writer(tmp_path / "0.h5", ["a", "b"]) as shard:
        with shard.video("b") as b, shard.video("a") as a:  # two at a time
            for frame in FRAMES[:3]:
                a.append(frame)
                b.append(frame)
            b.append(FRAMES[3])
            assert (a.frames, b.frames) == (3, 4)
            a.commit(**SIZE)
            b.commit(**SIZE, status="repaired", reason="cut off")
        shard.finish()
    read = Shard(tmp_path / "0.h5")
    np.testing.assert_array_equal(read.read("b", [3, 0]), PICTURES[[3, 0]])
    assert (read.videos["b"].status, read.videos["b"].reason) == ("repaired", "cut off")
    assert read.videos["a"].frames == 3


def test_what_is_not_committed_stays_pending(tmp_path: Path) -> None:
    with writer(tmp_path / "0.h5", ["a", "b"]) as shard:
        with shard.video("a") as spool:
            spool.append(FRAMES[0])
        with pytest.raises(KeyError), shard.video("b") as spool:  # noqa: PT012
            spool.append(FRAMES[0])
            raise KeyError("the network failed")
        assert shard.pending == ["a", "b"]
        with shard.video("a") as spool, pytest.raises(ValueError, match="skip it"):
            spool.commit(**SIZE)
        with shard.video("a") as spool, pytest.raises(ValueError, match="does not belong"):
            spool.append(encode_as("jpeg", PICTURES[0], 90))
    assert list((tmp_path / ".0.work" / "data").iterdir()) == []


def test_a_spooled_video_that_is_not_whole_is_extracted_again(tmp_path: Path) -> None:
    for damage in (lambda f: f.write_bytes(f.read_bytes()[:-1]), Path.unlink):
        with writer(tmp_path / "0.h5", ["a"]) as shard, shard.video("a") as spool:
            spool.append(FRAMES[0])
            spool.commit(**SIZE)
        damage(tmp_path / ".0.work" / "data" / "000000")
        with writer(tmp_path / "0.h5", ["a"]) as shard:
            assert shard.pending == ["a"]


def test_a_flipped_bit_in_the_work_folder_does_not_reach_the_shard(tmp_path: Path) -> None:
    with writer(tmp_path / "0.h5", ["a"]) as shard:
        with shard.video("a") as spool:
            spool.append(FRAMES[0])
            spool.commit(**SIZE)
        spooled = tmp_path / ".0.work" / "data" / "000000"
        content = bytearray(spooled.read_bytes())
        content[20] ^= 1
        spooled.write_bytes(content)
        with pytest.raises(ShardError, match=r"work on video 'a' .* is damaged"):
            shard.finish()
    assert not (tmp_path / "0.h5").exists()
    with writer(tmp_path / "0.h5", ["a"]) as shard:
        assert shard.pending == ["a"]


def test_memory_does_not_grow_with_a_video(tmp_path: Path) -> None:
    """18,000 frames of 1 kB, ten minutes, pass through less than 4 MB."""
    frame = FRAMES[0].ljust(1000, b"\0")
    tracemalloc.start()
    try:
        with writer(tmp_path / "0.h5", ["a"]) as shard:
            with shard.video("a") as spool:
                for _ in range(18_000):
                    spool.append(frame)
                spool.commit(**SIZE)
            shard.finish()
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()
    assert (tmp_path / "0.h5").stat().st_size > 18e6


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_full_at_any_step(small_disk: Path, tmp_path: Path) -> None:
    """Fill all but n pages of it: whatever fails, the error says so, and with room the shard is complete."""

    def extract(path: Path) -> None:
        with writer(path, ["a", "b"]) as shard:
            for video_id in shard.pending:
                with shard.video(video_id) as spool:
                    for frame in FRAMES:
                        spool.append(frame)
                    spool.commit(**SIZE)
            shard.finish()

    extract(tmp_path / "0.h5")
    whole, ballast, outcomes = (tmp_path / "0.h5").read_bytes(), small_disk / "ballast", []
    for pages in range(1, 36):
        room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        ballast.write_bytes(b"x" * (room - 4096 * pages))
        try:
            extract(small_disk / "0.h5")
            outcomes.append(True)
        except ShardError as error:
            outcomes.append(False)
            assert "there is no room to write" in error.message  # noqa: PT017
            assert not (small_disk / "0.h5").exists()
        ballast.unlink()
        extract(small_disk / "0.h5")
        assert (small_disk / "0.h5").read_bytes() == whole
        (small_disk / "0.h5").unlink()
        assert list(small_disk.iterdir()) == [], "nothing is left over"
    assert outcomes == sorted(outcomes)
    assert 5 < outcomes.count(False) < 34, "both happened"


_ANOTHER = """
import sys
from pathlib import Path
from cocon.shards import Shard
shard = Shard(Path(sys.argv[1]))
print(int(shard.read("a", [0]).sum()))
sys.stdin.readline()
print(int(shard.read("a", [1]).sum()))
"""


def test_a_replaced_shard_is_never_read_at_old_offsets(tmp_path: Path) -> None:
    """A process that has it open reads the old file; a copy of the reader that opens it anew says so."""
    path = tmp_path / "0.h5"

    def write(frames: list[bytes]) -> None:
        with writer(path, ["a"]) as shard:
            with shard.video("a") as spool:
                for frame in frames:
                    spool.append(frame)
                spool.commit(**SIZE)
            shard.finish()

    write(FRAMES[:2])
    fresh = Shard(path)
    process = subprocess.Popen(
        [sys.executable, "-c", _ANOTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) == PICTURES[0].sum()
    write(FRAMES[5:9])
    output, _ = process.communicate("\n")
    assert int(output) == PICTURES[1].sum()
    with pytest.raises(ShardError, match="was replaced"):
        fresh.read("a", [0])
    verify(path)
    reader = Shard(path)
    np.testing.assert_array_equal(reader.read("a", [3]), PICTURES[8:9])
    write(FRAMES[9:12])
    np.testing.assert_array_equal(Shard(path).read("a", [0]), PICTURES[9:10])
    np.testing.assert_array_equal(reader.read("a", [2]), PICTURES[7:8])
