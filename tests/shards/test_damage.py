"""Cut-off and bit-flipped shards: always an error, never a crash, never something else in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
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


def noticed(path: Path) -> bool:
    """Open and read everything, as training does; ShardError is the only error that may come."""
    try:
        shard = Shard(path)
        for row in shard.videos.values():
            if row.usable:
                frames = shard.read(row.id, range(row.frames))
                assert frames.shape[:3] == (3, 12, 16)
    except ShardError:
        return True
    return False


def damaged(path: Path, change: Callable[[bytearray], bytearray]) -> None:
    path.write_bytes(change(bytearray(path.read_bytes())))
    with pytest.raises(ShardError, match=path.stem):
        verify(path)
    assert noticed(path)


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


def test_a_damaged_frame_is_named(shard: Path) -> None:
    with h5py.File(shard) as file:
        position = file["frames/data"].id.get_offset() + file["frames/offsets"][5]  # the last of b
    content = bytearray(shard.read_bytes())
    content[position + 20] ^= 4
    shard.write_bytes(content)
    reader = Shard(shard)
    reader.read("a", [0, 1, 2])
    reader.read("b", [1, 0])
    for read in (lambda: reader.read("b", [0, 2]), lambda: list(reader.stored("b", [2]))):
        with pytest.raises(ShardError, match="frame 2 of video 'b' is damaged") as error:
            read()
        assert str(shard) in error.value.message
        assert f"cocon shards verify {shard}" in error.value.hint
    with pytest.raises(ShardError, match="frame 2 of video 'b' is damaged"):
        verify(shard)


def test_every_byte_of_the_frames_counts(shard: Path) -> None:
    whole = shard.read_bytes()
    with h5py.File(shard) as file:
        first, size = file["frames/data"].id.get_offset(), len(file["frames/data"])
    reader = Shard(shard)
    stored = [data for video_id in "ab" for data in reader.stored(video_id, range(3))]
    from cocon.shards.xxh64 import xxh64

    assert b"".join(stored) == whole[first : first + size]
    for data in stored:
        expected = xxh64(data)
        for number in range(0, len(data), 3):
            changed = bytearray(data)
            changed[number] ^= 1 << number % 8
            assert xxh64(bytes(changed)) != expected


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
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["format"], file.attrs["version"] = "cocon-shard", 1
    with pytest.raises(ShardError, match="version 2") as error:
        Shard(tmp_path / "old.h5")
    assert "run the workflow again" in str(error.value)
