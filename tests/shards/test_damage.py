"""Cut-off and bit-flipped shards: always an error, never a crash, never something else in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cocon.errors import ShardError
from cocon.shards import Shard, ShardWriter, VideoRecord
from cocon.shards.codecs import encode_as
from cocon.shards.verify import verify

VIEWS = {"dct": "rgb", "jpeg": "rgb", "delta": "flow", "keypoints": "pose"}


@pytest.fixture(params=VIEWS)
def shard(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    codec, view = request.param, VIEWS[request.param]
    path = tmp_path / f"{codec}.h5"
    with ShardWriter(
        path, view=view, video_ids=["a", "b", "c"], parameters={"sigma": 1.5, "bound": 8.0}, codec=codec
    ) as writer:
        for video_id in ("a", "b"):
            if codec == "keypoints":
                persons = [rng.uniform(0, 1, (n, 17, 3)).astype(np.float32) for n in (1, 0, 2)]
                record = VideoRecord(video_id, 12, 16, 24, 32, 25.0, keypoints=persons)
            else:
                pictures = rng.integers(0, 256, (3, 12, 16, 2 if view == "flow" else 3), np.uint8)
                frames = [encode_as(codec, picture, 90) for picture in pictures]
                record = VideoRecord(video_id, 12, 16, 24, 32, 25.0, frames=frames)
            writer.add(record)
        writer.skip("c", "broken")
        writer.finish(max_failed_fraction=0.5)
    verify(path)
    return path


def use(path: Path) -> None:
    """Open and read everything; ShardError is the only error that may come."""
    try:
        shard = Shard(path)
        for row in shard.videos.values():
            if row.usable:
                frames = shard.read(row.id, range(row.frames))
                assert frames.shape[:3] == (3, 12, 16)
    except ShardError:
        pass


def damaged(path: Path, change: Callable[[bytearray], bytearray]) -> None:
    path.write_bytes(change(bytearray(path.read_bytes())))
    with pytest.raises(ShardError, match=path.stem):
        verify(path)
    use(path)


def test_every_flipped_bit_is_found(shard: Path) -> None:
    """Bytes drawn at random from the whole file, and every byte of the user block that means something."""
    rng, whole = np.random.default_rng(2), shard.read_bytes()
    positions = [*range(40), *rng.integers(0, len(whole), 120).tolist()]
    for position in positions:
        shard.write_bytes(whole)
        bit = 1 << int(rng.integers(8))

        def flip(content: bytearray, position: int = position, bit: int = bit) -> bytearray:
            content[position] ^= bit
            return content

        damaged(shard, flip)


def test_every_cut_is_found(shard: Path) -> None:
    rng, whole = np.random.default_rng(3), shard.read_bytes()
    for size in [0, 1, 8, 39, 511, 512, len(whole) - 1, *rng.integers(0, len(whole), 40).tolist()]:
        shard.write_bytes(whole)
        damaged(shard, lambda content, size=size: content[:size])


def test_bytes_at_the_end_and_exchanged_blocks_are_found(shard: Path) -> None:
    whole = shard.read_bytes()
    damaged(shard, lambda content: content + b"x")
    shard.write_bytes(whole)
    middle = len(whole) // 2
    damaged(shard, lambda content: content[:512] + content[middle:] + content[512:middle])


def test_a_file_that_is_cut_off_while_it_is_open_gives_an_error(shard: Path) -> None:
    reader = Shard(shard)
    reader.read("a", [0])
    with shard.open("r+b") as file:
        file.truncate(600)
    with pytest.raises(ShardError, match=r"replaced|cut off"):
        reader.read("b", [2])


def test_version_1_is_named(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = "cocon-shard", 1
    with pytest.raises(ShardError, match="version 2") as error:
        Shard(tmp_path / "old.h5")
    assert "run the workflow again" in str(error.value)
