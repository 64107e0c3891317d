"""Shards from a stranger: one sentence, in bounded memory and time, and no other file is read."""

from __future__ import annotations

import gzip
import random
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cocon.errors import ShardError
from cocon.shards import Shard, ShardWriter, VideoRecord, tables
from cocon.shards.verify import verify
from tests.shards.hostile import edit, replace, sealed, write


def refused(path: Path) -> str:
    """The sentence with which both readers refuse a shard."""
    with pytest.raises(ShardError) as error:
        verify(path)
    with pytest.raises(ShardError):
        Shard(path)
    return error.value.message


def test_the_editor_leaves_a_shard_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "0.h5")
    edit(path, lambda file: None)
    assert [row.id for row in verify(path)] == ["a", "b", "c"]


def external(file: h5py.File) -> None:
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(b"top secret" + bytes(100))
    del file["videos/id"]
    file.create_dataset("videos/id", (3,), "S10", external=[(str(secret), 0, 30)])


def external_link(file: h5py.File) -> None:
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as target:
        target["reason"] = np.array([b"top secret"] * 3)
    del file["videos/reason"]
    file["videos/reason"] = h5py.ExternalLink(str(other), "reason")


def external_group(file: h5py.File) -> None:
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as target:
        file.copy("videos", target)
    del file["videos"]
    file["videos"] = h5py.ExternalLink(str(other), "videos")


def soft_link(file: h5py.File) -> None:
    file["elsewhere"] = file["videos/reason"]
    del file["videos/reason"]
    file["videos/reason"] = h5py.SoftLink("/elsewhere")


def virtual(file: h5py.File) -> None:
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as target:
        target["reason"] = np.array([b"top secret"] * 3)
    layout = h5py.VirtualLayout((3,), "S10")
    layout[:] = h5py.VirtualSource(str(other), "reason", (3,))
    del file["videos/reason"]
    file.create_virtual_dataset("videos/reason", layout)


@pytest.mark.parametrize(
    "change",
    [
        *(external, external_link, external_group, soft_link, virtual),
        replace("videos/frames", [3, 3, 0], chunks=(1,)),
        replace("videos/frames", [3, 3, 0], compression="gzip"),
        replace("frames/offsets", np.zeros(7, np.int64), chunks=(7,), shuffle=True),
    ],
)
def test_only_what_lies_in_the_file_as_one_piece_is_read(
    tmp_path: Path, change: Callable[[h5py.File], Any]
) -> None:
    path = write(tmp_path / "0.h5")
    edit(path, change)
    message = refused(path)
    assert "0.h5 is damaged" in message
    assert "secret" not in message


def attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def group_for(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return change


def data_for(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = [1, 2, 3]

    return change


def without(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(name)


def unallocated(file: h5py.File) -> None:
    """2^40 numbers that take no byte of the file."""
    del file["videos/frames"]
    file.create_dataset("videos/frames", (1 << 40,), np.int64)


def huge_picture(file: h5py.File) -> None:
    for side in ("height", "width"):
        replace(f"videos/{side}", np.array([65535] * 3))(file)


INT = np.int64
WRONG: dict[str, Callable[[h5py.File], Any]] = {
    "negative frames": replace("videos/frames", np.array([7, -1, 0], INT)),
    "huge frames": replace("videos/frames", np.array([1 << 40, 3, 0], INT)),
    "frames whose sum overflows": replace("videos/frames", np.array([2**63 - 1, 2**63 - 1, 8], INT)),
    "huge height": replace("videos/height", np.array([1 << 40, 12, 0], INT)),
    "huge picture": huge_picture,
    "negative width": replace("videos/width", np.array([16, -16, 0], INT)),
    "no height": replace("videos/height", np.array([0, 12, 0], INT)),
    "negative source": replace("videos/source_bytes", np.array([-1, 0, 0], INT)),
    "id twice": replace("videos/id", np.array([b"a", b"a", b"c"])),
    "one row less": replace("videos/id", np.array([b"a", b"b"])),
    "rows in two dimensions": replace("videos/id", np.array([[b"a", b"b", b"c"]])),
    "ids of variable length": replace("videos/id", ["a", "b", "c"]),
    "ids as numbers": replace("videos/id", np.arange(3)),
    "heights as floats": replace("videos/height", np.array([12.0, 12.0, 0.0])),
    "small integers": replace("videos/height", np.array([12, 12, 0], np.int32)),
    "rate that is no number": replace("videos/fps", np.array([np.nan, 25, 0])),
    "unknown status": replace("videos/status", np.array([b"fine", b"ok", b"skipped"])),
    "offsets backwards": replace("frames/offsets", np.array([0, 2**62, -(2**62), 5, 6, 7, 8], INT)),
    "offsets beyond the file": replace("frames/offsets", np.array([0, 1, 2, 3, 4, 5, 1 << 40], INT)),
    "too few offsets": replace("frames/offsets", np.array([0], INT)),
    "no offsets": replace("frames/offsets", np.array([], INT)),
    "too few checksums": replace("frames/xxh64", np.array([1], np.uint64)),
    "group for a table": group_for("videos/id"),
    "table for a group": data_for("videos"),
    "no table": without("videos/id"),
    "no frames": without("frames"),
    "frames of another type": replace("frames/data", np.zeros(8, np.int16)),
    "table without content": unallocated,
    "view as a number": attribute("view", 3),
    "view as a list": attribute("view", ["mask", "rgb"]),
    "view of variable length": attribute("view", "mask"),
    "unknown view": attribute("view", np.bytes_(b"depth")),
    "unknown codec": attribute("codec", np.bytes_(b"h264")),
    "view that is not UTF-8": attribute("view", np.bytes_(b"\xff\xfe")),
    "parameters that are no JSON": attribute("parameters", np.bytes_(b"{")),
    "parameters that are no mapping": attribute("parameters", np.bytes_(b"[1]")),
    "deep parameters": attribute("parameters", np.bytes_(b"[" * 60_000)),
    "other version": attribute("version", 2),
    "version as text": attribute("version", "3"),
    "versions": attribute("version", [3, 3]),
    "no format": lambda file: file.attrs.__delitem__("format"),
}


@pytest.mark.parametrize("name", WRONG)
def test_tables_that_cannot_be(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "0.h5")
    edit(path, WRONG[name])
    assert "0.h5 is damaged" in refused(path)


@pytest.mark.parametrize("block", [{"position": 600}, {"size": 7}, {"size": 1 << 40}, {"position": 1 << 40}])
def test_a_user_block_that_says_something_else(tmp_path: Path, block: dict[str, int]) -> None:
    path = write(tmp_path / "0.h5")
    edit(path, lambda file: None, **block)
    assert "0.h5 is damaged" in refused(path)


def test_terabytes_of_nothing_are_not_read(tmp_path: Path) -> None:
    """A sparse file of 2^40 bytes, as tables and as a frame."""
    path = write(tmp_path / "0.h5")
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, 16, 1 << 40)
    with path.open("wb") as file:
        file.write(sealed(bytes(content)))
        file.truncate(1 << 40)
    assert "are not frames" in refused(path)


def test_a_frame_with_more_bytes_than_its_picture_can_have(tmp_path: Path) -> None:
    path = write(tmp_path / "0.h5")
    size = 3 * (1 << 20)

    def change(file: h5py.File) -> None:
        replace("frames/data", np.zeros(size, np.uint8))(file)
        replace("frames/offsets", np.array([0, size, size, size, size, size, size]))(file)

    edit(path, change)
    assert "a frame has more bytes" in refused(path)


@pytest.mark.parametrize("sigma", [1e300, -1.0, float("nan"), "wide", None])
def test_heatmaps_of_an_impossible_width(tmp_path: Path, sigma: Any) -> None:
    path, person = tmp_path / "0.h5", np.full((1, 17, 3), 0.5, np.float32)
    with ShardWriter(
        path, view="pose", video_ids=["a"], parameters={"sigma": sigma}, codec="keypoints"
    ) as writer:
        writer.add(VideoRecord("a", 12, 16, 24, 32, 25.0, keypoints=[person]))
        writer.finish()
    with pytest.raises(ShardError, match="how wide its heatmaps"):
        Shard(path).read("a", [0])


@pytest.mark.parametrize("version", [2, 3])
def test_random_changes(tmp_path: Path, version: int) -> None:
    """200 files in which some bytes of the tables are others: read, or refused in a sentence."""
    path = tmp_path / "0.h5"
    if version == 2:
        path.write_bytes(gzip.decompress((Path(__file__).parent / "version_2.h5.gz").read_bytes()))
    else:
        write(path)
    whole, rng = path.read_bytes(), random.Random(version)
    position, size = struct.unpack_from("<QQ", whole, 24)
    used = [n for n in range(512, len(whole)) if whole[n] and not position <= n < position + size]
    huge = [struct.pack("<q", value) for value in (-1, 1 << 20, 1 << 31, 1 << 40, 2**63 - 1, 0)]
    outcomes = set()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 4])):
            place = rng.choice(used) + rng.choice([0, 0, 1, 2, 4])
            change = rng.choice([*huge, bytes([rng.randrange(256)]), bytes([rng.randrange(256)])])
            content[place : place + len(change)] = change[: len(content) - place]
        path.write_bytes(sealed(bytes(content)))
        try:
            verify(path)
            shard = Shard(path)
            for row in shard.videos.values():
                if row.usable:
                    shard.read(row.id, range(min(row.frames, 3)))
            outcomes.add("read")
        except ShardError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kB"


def test_limits_leave_room_for_what_the_extraction_makes() -> None:
    assert tables.LARGEST_PICTURE >= 7680 * 4320
