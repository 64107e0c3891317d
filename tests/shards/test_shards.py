from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from cocon.errors import ShardError
from cocon.shards import Shard, ShardSet, ShardWriter, VideoRecord, shard_of
from cocon.shards.codecs import encode
from cocon.shards.file_state import FileState
from cocon.shards.heatmaps import render_heatmaps
from cocon.shards.verify import verify

rng = np.random.default_rng(0)


def smooth_frames(count: int, channels: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Frames that JPEG keeps well: ramps whose level tells the frame."""
    ramp = np.linspace(0, 60, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    levels = np.arange(count)[:, None, None, None] * 4 + np.arange(channels) * 20
    return (ramp + levels).clip(0, 255).astype(np.uint8)


def record(video_id: str, frames_THWC: np.ndarray, **changes: object) -> VideoRecord:
    height, width = frames_THWC.shape[1:3]
    encoded = [encode(frame, 98) for frame in frames_THWC]
    return VideoRecord(video_id, height, width, 2 * height, 2 * width, 25.0, frames=encoded, **changes)


def write(path: Path, videos: dict[str, np.ndarray], view: str = "rgb") -> Path:
    with ShardWriter(path, view=view, video_ids=list(videos), parameters={"q": 98}, codec="jpeg") as writer:
        for video_id, frames in videos.items():
            writer.add(record(video_id, frames))
        writer.finish()
    return path


@pytest.mark.parametrize(("view", "channels"), [("rgb", 3), ("flow", 2), ("mask", 1)])
def test_frames_come_back_in_any_order(tmp_path: Path, view: str, channels: int) -> None:
    videos = {"a/x": smooth_frames(5, channels), "b": smooth_frames(3, channels, 16, 40)}
    shard = Shard(write(tmp_path / "0.h5", videos, view))
    read = shard.read("a/x", [4, 0, 0, 2])
    assert read.dtype == np.uint8
    np.testing.assert_allclose(read.astype(int), videos["a/x"][[4, 0, 0, 2]].astype(int), atol=4)
    np.testing.assert_allclose(shard.read("b", [1]).astype(int), videos["b"][[1]].astype(int), atol=4)


def test_stock_h5py_reads_the_file_without_our_code(tmp_path: Path) -> None:
    frames = smooth_frames(4, 3)
    path = write(tmp_path / "0.h5", {"a": frames, "b": frames})
    with h5py.File(path) as file:
        assert file["frames/data"].chunks is None, "contiguous, so that it can be memory-mapped"
        offsets = file["frames/offsets"][:]
        jpeg = file["frames/data"][offsets[0] : offsets[1]].tobytes()
        assert jpeg == encode(frames[0], 98)
        assert file["videos/id"][:].tolist() == [b"a", b"b"]
        assert file["videos/frames"][:].tolist() == [4, 4]


def test_names_are_data(tmp_path: Path) -> None:
    names = ["-rf", "a b;c'\"d", "ünïcode/名前", "line\nbreak", "bad\udcff"]
    path = write(tmp_path / "0.h5", {name: smooth_frames(1, 3) for name in names})
    assert list(Shard(path).videos) == names


def test_one_gaussian_per_keypoint(tmp_path: Path) -> None:
    person = np.zeros((1, 17, 3), np.float32)
    person[0, 5] = (10.5 / 64, 20.5 / 48, 1.0)  # the centre of pixel (column 10, row 20)
    person[0, 6] = (10.5 / 64, 20.5 / 48, 0.5)
    keypoints = [person, np.zeros((0, 17, 3), np.float32)]
    parameters = {"sigma": 2.0}
    with ShardWriter(
        tmp_path / "0.h5", view="pose", video_ids=["a"], parameters=parameters, codec="keypoints"
    ) as writer:
        writer.add(VideoRecord("a", 48, 64, 480, 640, 25.0, keypoints=keypoints))
        writer.finish()
    shard = Shard(tmp_path / "0.h5")
    heat = shard.read("a", [0, 1])
    assert heat.shape == (2, 48, 64, 17)
    assert heat[0, 20, 10, 5] == 255
    # one sigma away to the side, and to the side and below; half precision moves a point by 0.01 px
    assert heat[0, 20, 12, 5] == pytest.approx(255 * np.exp(-0.5), abs=2)
    assert heat[0, 22, 12, 5] == pytest.approx(255 * np.exp(-1.0), abs=2)
    assert heat[0, 20, 10, 6] in (127, 128), "the score is the height of the peak"
    assert heat[1].max() == 0, "nobody in the frame"
    np.testing.assert_allclose(shard.keypoints("a")[0], person, atol=1e-3)


def slow_heatmap(persons: np.ndarray, height: int, width: int, sigma: float) -> np.ndarray:
    """The formula of docs/shard_format.md, pixel by pixel."""
    heat = np.zeros((height, width, 17))
    for person in persons:
        for joint, (x, y, score) in enumerate(person.astype(float)):
            for row in range(height):
                for column in range(width):
                    d2 = (column + 0.5 - x * width) ** 2 + (row + 0.5 - y * height) ** 2
                    value = 255 * min(max(score, 0), 1) * np.exp(-d2 / (2 * sigma**2))
                    heat[row, column, joint] = max(heat[row, column, joint], value)
    return heat


def test_heatmaps_follow_the_specification() -> None:
    """Several persons, keypoints beyond the border, frames without anybody."""
    frames = [
        rng.uniform((-0.3, -0.3, -0.2), (1.3, 1.3, 1.2), (persons, 17, 3)).astype(np.float32)
        for persons in (2, 0, 1, 3)
    ]
    drawn = render_heatmaps(np.concatenate(frames), [2, 0, 1, 3], 9, 13, 1.3)
    assert drawn.shape == (4, 9, 13, 17)
    for heat, persons in zip(drawn, frames, strict=True):
        np.testing.assert_allclose(heat, slow_heatmap(persons, 9, 13, 1.3), atol=0.51)


def test_a_skipped_video_has_a_row_and_a_reason(tmp_path: Path) -> None:
    with ShardWriter(
        tmp_path / "0.h5", view="rgb", video_ids=["a", "b"], parameters={}, codec="jpeg"
    ) as writer:
        writer.add(record("a", smooth_frames(2, 3)))
        writer.skip("b", "no frame can be decoded")
        writer.finish(max_failed_fraction=0.5)
    shard = Shard(tmp_path / "0.h5")
    assert shard.videos["b"].status == "skipped"
    assert shard.videos["b"].reason == "no frame can be decoded"
    assert not shard.videos["b"].usable
    with pytest.raises(ShardError, match="skipped: no frame"):
        shard.read("b", [0])
    with pytest.raises(ShardError, match="no video 'c'"):
        shard.read("c", [0])
    with pytest.raises(IndexError, match="frames 0 to 1"):
        shard.read("a", [2])


def test_too_many_failures_leave_no_shard_but_keep_the_work(tmp_path: Path) -> None:
    arguments = {"view": "rgb", "video_ids": ["a", "b"], "parameters": {}, "codec": "jpeg"}
    with ShardWriter(tmp_path / "0.h5", **arguments) as writer:
        writer.add(record("a", smooth_frames(2, 3)))
        writer.skip("b", "broken")
        with pytest.raises(ShardError, match="1 of 2 videos") as error:
            writer.finish(max_failed_fraction=0.4)
    assert "b: broken" in str(error.value)
    assert not (tmp_path / "0.h5").exists()
    with ShardWriter(tmp_path / "0.h5", **arguments) as writer:
        assert writer.pending == ["b"], "what succeeded is kept, what failed is tried again"


def _write_one_and_die(path: Path) -> None:
    with ShardWriter(path, view="rgb", video_ids=["a", "b"], parameters={"p": 1}, codec="jpeg") as writer:
        writer.add(record("a", smooth_frames(2, 3)))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_is_resumed_to_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "0.h5"
    process = multiprocessing.get_context("fork").Process(target=_write_one_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not path.exists()
    with ShardWriter(path, view="rgb", video_ids=["a", "b"], parameters={"p": 1}, codec="jpeg") as writer:
        assert writer.pending == ["b"]
        writer.add(record("b", smooth_frames(3, 3)))
        writer.finish()
    straight = tmp_path / "straight.h5"
    time.sleep(1.1)  # a time stamp would differ
    with ShardWriter(straight, view="rgb", video_ids=["a", "b"], parameters={"p": 1}, codec="jpeg") as writer:
        writer.add(record("b", smooth_frames(3, 3)))
        writer.add(record("a", smooth_frames(2, 3)))
        writer.finish()
    assert path.read_bytes() == straight.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.h5", "straight.h5"], "nothing is left over"


@pytest.mark.parametrize("removed", [False, True])
def test_what_a_finished_shard_has_is_taken_over(tmp_path: Path, removed: bool) -> None:
    """Only what changed is asked for, and the bytes are those of a full extraction.

    Snakemake removes the shard first; then it has its other name left.
    """
    frames = {name: smooth_frames(70 if name == "a" else 2, 3) for name in "abcd"}
    old = {name: FileState(10, 1) for name in "abc"}
    new = {"d": FileState(10, 1), "c": FileState(10, 2), "a": FileState(10, 1), "b": FileState(10, 1)}

    def make(path: Path, sources: dict[str, FileState]) -> list[str]:
        arguments = {"view": "rgb", "video_ids": list(sources), "parameters": {}, "codec": "jpeg"}
        with ShardWriter(path, **arguments, sources=sources, remember=removed) as writer:
            pending = writer.pending
            for name in pending:
                writer.add(record(name, frames[name], status="repaired", reason=name))
            writer.finish()
        return pending

    assert make(tmp_path / "0.h5", old) == ["a", "b", "c"]
    if removed:
        (tmp_path / "0.h5").unlink()
    assert make(tmp_path / "0.h5", new) == ["d", "c"]
    assert make(tmp_path / "straight.h5", new) == ["d", "c", "a", "b"]
    assert (tmp_path / "0.h5").read_bytes() == (tmp_path / "straight.h5").read_bytes()


@pytest.mark.parametrize(
    "change", [{"parameters": {"p": 2}}, {"sources": {"a": FileState(7, 9)}}, {"view": "flow"}]
)
def test_work_under_other_parameters_is_not_taken_over(tmp_path: Path, change: dict) -> None:
    arguments = {"view": "rgb", "video_ids": ["a"], "parameters": {"p": 1}, "codec": "jpeg"}
    with ShardWriter(tmp_path / "0.h5", **arguments) as writer:
        writer.add(record("a", smooth_frames(2, 3)))
    with ShardWriter(tmp_path / "0.h5", **(arguments | change)) as writer:
        assert writer.pending == ["a"]


def test_two_writers_of_one_shard_do_not_meet(tmp_path: Path) -> None:
    arguments = {"view": "rgb", "video_ids": ["a"], "parameters": {}, "codec": "jpeg"}
    first = ShardWriter(tmp_path / "0.h5", **arguments)
    with first, pytest.raises(ShardError, match="another process"):
        ShardWriter(tmp_path / "0.h5", **arguments).__enter__()
    with ShardWriter(tmp_path / "0.h5", **arguments) as writer:
        assert writer.pending == ["a"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded"),
        (OSError(errno.EFBIG, "File too large"), "File too large"),
        (
            OSError("Can't write data (errno = 28, error message = 'No space left')"),
            "No space left on device",
        ),
    ],
)
def test_a_full_disk_is_said_and_keeps_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    """The last as HDF5 has it, with the number in the text only."""

    def full(*_: object) -> None:
        raise error

    arguments = {"view": "rgb", "video_ids": ["a"], "parameters": {}, "codec": "jpeg"}
    monkeypatch.setattr("cocon.shards.writer.ShardWriter._assemble", full)
    with pytest.raises(ShardError, match=f"there is no room to write in .*: {reason}"):  # noqa: SIM117, PT012
        with ShardWriter(tmp_path / "0.h5", **arguments) as writer:
            writer.add(record("a", smooth_frames(2, 3)))
            writer.finish()
    assert not (tmp_path / "0.h5").exists()
    with ShardWriter(tmp_path / "0.h5", **arguments) as writer:
        assert writer.pending == []


def test_verify_finds_a_flipped_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "0.h5", {"a": smooth_frames(2, 3), "b": smooth_frames(2, 3)})
    verify(path)
    with h5py.File(path) as file:
        position = file["frames/data"].id.get_offset() + file["frames/offsets"][3]
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardError, match="frame 1 of video 'b' is damaged"):
        verify(path)


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_truncated_file_is_named(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "0.h5", {"a": smooth_frames(3, 3)})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ShardError, match=r"0\.h5"):
        verify(path)


def test_other_hdf5_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["frames"] = [1]
    with pytest.raises(ShardError, match="not a shard"):
        Shard(tmp_path / "x.h5")
    with pytest.raises(ShardError, match="there is no shard"):
        Shard(tmp_path / "y.h5")


def test_a_reader_survives_pickle_and_fork(tmp_path: Path) -> None:
    path = write(tmp_path / "0.h5", {"a": smooth_frames(4, 3)})
    shards = ShardSet([path])
    expected = shards.read("a", [3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(shards)).read("a", [3]), expected)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for result in pool.starmap(shards.read, [("a", [3])] * 4):
            np.testing.assert_array_equal(result, expected)


def test_a_set_of_shards_speaks_with_one_voice(tmp_path: Path) -> None:
    write(tmp_path / "0.h5", {"a": smooth_frames(1, 3)})
    write(tmp_path / "1.h5", {"b": smooth_frames(2, 3)})
    shards = ShardSet.of_folder(tmp_path)
    assert {v.id: v.frames for v in shards.videos.values()} == {"a": 1, "b": 2}
    assert shards.read("b", [1]).shape == (1, 24, 32, 3)
    with pytest.raises(ShardError, match="is listed in"):
        ShardSet([tmp_path / "0.h5", tmp_path / "0.h5"])
    write(tmp_path / "2.h5", {"c": smooth_frames(1, 2)}, "flow")
    with pytest.raises(ShardError, match="'flow', not 'rgb'"):
        ShardSet.of_folder(tmp_path)
    with pytest.raises(ShardError, match="no shard in"):
        ShardSet.of_folder(tmp_path / "nowhere")


def test_the_planned_shards_and_no_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those of a plan with more shards are named once, and not read."""
    for number, video_id in enumerate("abba"):
        write(tmp_path / f"{number:05d}.h5", {video_id: smooth_frames(1, 3)})
    with pytest.raises(ShardError, match="is listed in"):
        ShardSet.of_folder(tmp_path)
    assert list(ShardSet.of_folder(tmp_path, 2).videos) == ["a", "b"]
    assert [record.getMessage() for record in caplog.records] == [
        f"the number of shards is 2; left over in {tmp_path} and ignored: 00002.h5 to 00003.h5"
    ]
    (tmp_path / "00001.h5").unlink()
    with pytest.raises(ShardError, match=r"there is no shard .*/00001\.h5"):
        ShardSet.of_folder(tmp_path, 2)
    with pytest.raises(ShardError, match=r"00000\.h5"):
        ShardSet.of_folder(tmp_path / "nowhere", 1)


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    assert Shard(write(tmp_path / "0.h5", {})).videos == {}


def test_the_shard_of_a_video_depends_on_its_id_alone() -> None:
    ids = [f"class/video_{i}" for i in range(2000)]
    assert [shard_of(i, 7) for i in ids[:3]] == [shard_of(f"class/video_{i}", 7) for i in range(3)]
    counts = np.bincount([shard_of(i, 10) for i in ids], minlength=10)
    assert counts.min() > 140
    assert counts.max() < 260
