from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest

from cocon.config.schema import FlowExtraction, MaskExtraction, PoseExtraction, RgbExtraction
from cocon.errors import ShardError
from cocon.files import sha256_of
from cocon.shards import Shard
from cocon.shards.verify import verify
from view_extractors.base import Extractor, Output, Resources, SharedNetwork
from view_extractors.flow.tvl1_opencv import Tvl1OpenCv
from view_extractors.pipeline.progress import Progress
from view_extractors.pipeline.run import extract
from view_extractors.rgb.decode import Rgb


class Counter(SharedNetwork):
    """A network that counts what it does; its result is the mean of the frame."""

    weights = "none"
    created = started = seen = 0

    def __init__(self, options, resources):
        Counter.created += 1

    def start(self):
        Counter.started += 1

    def infer(self, frames):
        Counter.seen += len(frames)
        return [float(frame.mean()) for frame in frames]


class MeanMask(Extractor):
    view, backend, section, network = "mask", "mean", MaskExtraction, Counter

    def process(self, batch):
        return [self.encode(np.full((*self.stored_size, 1), int(mean), np.uint8)) for mean in batch]


class MeanPose(Extractor):
    view, backend, section, network, codec = "pose", "mean", PoseExtraction, Counter, "keypoints"

    def process(self, batch):
        return [np.full((1, 17, 3), mean / 255, np.float32) for mean in batch]


class Recorder(Progress):
    def __init__(self):
        self.rows, self.fresh, self.frame_count = {}, [], 0

    def frames(self, count, expected):
        self.frame_count += count

    def video(self, video_id, frames, reason):
        self.rows[video_id] = (frames, reason)

    def up_to_date(self, path):
        self.fresh.append(path.name)


class Killed(Progress):
    def video(self, video_id, frames, reason):
        raise KeyboardInterrupt


@pytest.fixture
def videos(tmp_path, moving, write_video):
    counts = {"a": 5, "b": 1, "c": 21}
    return {name: write_video(tmp_path / f"{name}.mp4", moving(n)) for name, n in counts.items()}


def rgb(path, **settings):
    return Output(Rgb(RgbExtraction(**{"short_side": 24, **settings})), path)


def small_flow(path):
    return Output(
        Tvl1OpenCv(FlowExtraction(backend="tvl1_opencv", short_side=24, compute_short_side=24)), path
    )


def test_every_view_has_the_frames_of_the_video(tmp_path, videos):
    extract(videos, [rgb(tmp_path / "rgb.h5"), small_flow(tmp_path / "flow.h5")])
    for name, channels in (("rgb", 3), ("flow", 2)):
        shard = Shard(tmp_path / f"{name}.h5")
        assert shard.view == name
        assert {row.id: row.frames for row in shard.videos.values()} == {"a": 5, "b": 1, "c": 21}
        row = shard.videos["a"]
        assert (row.height, row.width, row.source_height, row.source_width) == (24, 32, 48, 64)
        assert (row.status, row.reason, row.fps) == ("ok", "", 10.0)
        assert shard.read("a", [0, 4]).shape == (2, 24, 32, channels)
    assert (Shard(tmp_path / "flow.h5").read("b", [0]) == 128).all()
    assert Shard(tmp_path / "flow.h5").parameters["tvl1_opencv"]["lambda"] == 0.15
    assert Shard(tmp_path / "rgb.h5").parameters["backend"] == "decode"


def test_views_of_one_network_share_its_work_and_its_bytes(tmp_path, videos):
    def outputs(folder):
        return [
            Output(MeanMask(MaskExtraction(short_side=8)), tmp_path / folder / "mask.h5"),
            Output(MeanPose(PoseExtraction(short_side=8)), tmp_path / folder / "pose.h5"),
        ]

    Counter.created = Counter.started = Counter.seen = 0
    extract(videos, outputs("together"))
    assert (Counter.created, Counter.started, Counter.seen) == (1, 3, 27)
    for output in outputs("apart"):
        extract(videos, [output], batch_size=3)
    for view in ("mask", "pose"):  # the rows hold the checksums of the frames
        together, apart = (tmp_path / folder / f"{view}.h5" for folder in ("together", "apart"))
        assert verify(together) == verify(apart)
        assert len({row.crc32 for row in verify(together)}) == 3


def test_bad_videos_become_rows_with_reasons(tmp_path, videos, write_video, moving):
    cut = write_video(tmp_path / "cut.mkv", moving(40, 96, 128))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 7 // 10])
    (tmp_path / "text.mp4").write_text("no video")
    bad = {**videos, "gone": tmp_path / "gone.mp4", "text": tmp_path / "text.mp4", "cut": cut}
    recorder = Recorder()
    extract(bad, [rgb(tmp_path / "rgb.h5")], max_failed_fraction=0.4, progress=recorder)
    rows = Shard(tmp_path / "rgb.h5").videos
    assert {name: row.status for name, row in rows.items()} == {
        **dict.fromkeys("abc", "ok"),
        "gone": "skipped",
        "text": "skipped",
        "cut": "repaired",
    }
    assert rows["gone"].reason == "file is missing"
    assert "cannot be opened" in rows["text"].reason
    assert 0 < rows["cut"].frames < 40
    assert recorder.rows == {name: (row.frames, row.reason) for name, row in rows.items()}


@pytest.mark.parametrize("shape", [(16, 8192), (8192, 16)])
def test_a_video_that_is_too_long_and_narrow_is_skipped_before_inference(tmp_path, write_video, shape):
    videos = {"v": write_video(tmp_path / "v.mkv", [np.zeros((*shape, 3), np.uint8)] * 3, "ffv1", "bgr0")}
    outputs = [
        Output(Rgb(RgbExtraction()), tmp_path / "rgb.h5"),
        Output(Tvl1OpenCv(FlowExtraction()), tmp_path / "flow.h5"),
        Output(MeanMask(MaskExtraction()), tmp_path / "mask.h5"),
        Output(MeanPose(PoseExtraction()), tmp_path / "pose.h5"),
    ]
    Counter.started = Counter.seen = 0
    recorder = Recorder()
    extract(videos, outputs, max_failed_fraction=1.0, progress=recorder)
    assert (Counter.started, Counter.seen, recorder.frame_count) == (0, 0, 0)
    for output in outputs:
        row = verify(output.path)[0]
        assert (row.status, row.frames) == ("skipped", 0)
        assert row.reason.startswith("aspect ratio too extreme to store: ")
    assert recorder.rows["v"][0] == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_view_that_cannot_store_a_video_does_not_hold_up_the_others(tmp_path, videos, write_video, threads):
    long = [np.full((16, 8192, 3), value, np.uint8) for value in (10, 20, 30)]
    videos["long"] = write_video(tmp_path / "long.mkv", long, "ffv1", "bgr0")

    def outputs(folder):
        return [
            Output(Rgb(RgbExtraction(short_side=16)), tmp_path / folder / "rgb.h5"),
            Output(MeanMask(MaskExtraction(short_side=75)), tmp_path / folder / "mask.h5"),
            Output(MeanPose(PoseExtraction(short_side=16)), tmp_path / folder / "pose.h5"),
        ]

    recorder = Recorder()
    together = outputs("together")
    resources = Resources(threads, "cpu")
    extract(videos, together, max_failed_fraction=0.25, progress=recorder, resources=resources)
    found = {output.extractor.view: verify(output.path) for output in together}
    assert [row.status for row in found["rgb"]] == [row.status for row in found["pose"]] == ["ok"] * 4
    assert [row.status for row in found["mask"]] == ["ok"] * 3 + ["skipped"]
    assert recorder.rows["long"] == (3, found["mask"][-1].reason)
    for output in outputs("apart"):
        extract(videos, [output], max_failed_fraction=0.25, resources=resources)
        assert verify(output.path) == found[output.extractor.view], "the same whoever shares the decoder"


def test_videos_that_were_missing_already_are_no_failures(tmp_path, videos):
    """Files that were missing for the manifest; what was there then, and what is no video, does count."""
    for name in ("planned", "vanished"):
        videos[name] = tmp_path / f"{name}.mp4"
    was_there = {"planned": False, "vanished": True, "a": False}
    with pytest.raises(ShardError, match=r"1 of 4 videos .* failed") as error:
        extract(videos, [rgb(tmp_path / "rgb.h5")], was_there=was_there)
    reason = "file is missing, but was there when the videos were listed"
    assert f"vanished: {reason}" in error.value.message
    assert "planned" not in error.value.message
    extract(videos, [rgb(tmp_path / "rgb.h5")], max_failed_fraction=0.25, was_there=was_there)
    rows = Shard(tmp_path / "rgb.h5").videos
    assert rows["planned"].reason == "file is missing"
    assert rows["vanished"].reason == reason
    assert rows["a"].status == "ok"


def test_link_that_leads_to_itself_is_a_missing_file(tmp_path, videos):
    (tmp_path / "x.mp4").symlink_to("x.mp4")
    videos["x"] = tmp_path / "x.mp4"
    videos["long"] = tmp_path / ("x" * 300)
    extract(videos, [rgb(tmp_path / "rgb.h5")], max_failed_fraction=0.5)
    rows = Shard(tmp_path / "rgb.h5").videos
    assert {rows["x"].reason, rows["long"].reason} == {"file is missing"}


def test_too_many_failures_raise_and_leave_no_shard(tmp_path, videos):
    videos["gone"] = tmp_path / "gone.mp4"
    with pytest.raises(ShardError, match="gone: file is missing"):
        extract(videos, [rgb(tmp_path / "rgb.h5")], max_failed_fraction=0.2)
    assert not (tmp_path / "rgb.h5").exists()
    recorder = Recorder()
    extract(videos, [rgb(tmp_path / "rgb.h5")], max_failed_fraction=0.25, progress=recorder)
    assert set(recorder.rows) == {"gone"}, "what succeeded is kept"


def test_interrupted_run_goes_on(tmp_path, videos):
    outputs = [rgb(tmp_path / "rgb.h5"), small_flow(tmp_path / "flow.h5")]
    with pytest.raises(KeyboardInterrupt):
        extract(videos, outputs, progress=Killed())
    assert not list(tmp_path.glob("*.h5"))
    recorder = Recorder()
    extract(videos, outputs, progress=recorder)
    assert set(recorder.rows) == {"b", "c"}
    extract(videos, [rgb(tmp_path / "whole" / "rgb.h5")])
    assert verify(tmp_path / "whole" / "rgb.h5") == verify(tmp_path / "rgb.h5")


def test_finished_shard_is_left_alone_until_something_changes(tmp_path, videos, moving, write_video):
    path = tmp_path / "rgb.h5"

    def run(**settings):
        recorder = Recorder()
        extract(videos, [rgb(path, **settings)], progress=recorder)
        return recorder.fresh, len(recorder.rows)

    assert run() == ([], 3)
    assert run() == (["rgb.h5"], 0)
    assert run(jpeg_quality=50) == ([], 3)
    assert run(jpeg_quality=50) == (["rgb.h5"], 0)
    write_video(videos["b"], moving(2))
    assert run(jpeg_quality=50) == ([], 1), "the others are taken over"
    path.write_bytes(path.read_bytes()[:-100])
    assert run(jpeg_quality=50) == ([], 3)


def run_again(videos, path, **options):
    """Which videos are extracted by another call."""
    recorder = Recorder()
    extract(videos, [rgb(path)], progress=recorder, max_failed_fraction=0.5, **options)
    return sorted(recorder.rows)


def test_a_video_in_place_of_another_is_noticed_however_old_it_is(tmp_path, videos, moving, write_video):
    path = tmp_path / "rgb.h5"
    assert run_again(videos, path) == ["a", "b", "c"]
    state = videos["b"].stat()
    rows = Shard(path).videos
    assert (rows["b"].source_bytes, rows["b"].source_modified) == (state.st_size, state.st_mtime_ns)
    older = write_video(tmp_path / "older.mp4", moving(7))
    os.utime(older, (0, 1_500_000_000))
    older.replace(videos["b"])
    assert run_again(videos, path) == ["b"]
    assert Shard(path).videos["b"].frames == 7
    assert run_again(videos, path) == []
    os.utime(videos["a"], ns=(0, videos["a"].stat().st_mtime_ns + 1))
    assert run_again(videos, path) == ["a"]


def test_a_video_that_comes_late_is_noticed(tmp_path, videos):
    path, there = tmp_path / "rgb.h5", tmp_path / "elsewhere.mp4"
    videos["a"].rename(there)
    assert run_again(videos, path) == ["a", "b", "c"]
    assert (Shard(path).videos["a"].status, Shard(path).videos["a"].source_bytes) == ("skipped", 0)
    assert run_again(videos, path) == []
    there.rename(videos["a"])
    assert run_again(videos, path) == ["a"]
    assert Shard(path).videos["a"].frames == 5


def test_a_shard_of_version_2_is_compared_by_its_age(tmp_path, videos, monkeypatch):
    path = tmp_path / "rgb.h5"
    run_again(videos, path)
    shard = Shard(path)
    rows = [dataclasses.replace(row, source_bytes=0, source_modified=0) for row in shard.videos.values()]
    shard.version, shard.videos = 2, {row.id: row for row in rows}
    monkeypatch.setattr("view_extractors.pipeline.run.Shard", lambda path: shard)
    monkeypatch.setattr("view_extractors.pipeline.run.verify", lambda path: rows)
    assert run_again(videos, path) == []
    os.utime(videos["a"], (0, path.stat().st_mtime + 5))
    assert run_again(videos, path) == ["a"]


def test_checksums_of_the_list(tmp_path, videos):
    """They are stored when they are right; a file that is not the one of the list stops the run."""
    path, right = tmp_path / "rgb.h5", sha256_of(videos["b"])
    assert run_again(videos, path, checksums={"b": right}) == ["a", "b", "c"]
    assert [row.source_sha256 for row in Shard(path).videos.values()] == ["", right, ""]
    assert run_again(videos, path, checksums={"b": right}) == []
    assert run_again(videos, path) == []
    with pytest.raises(ShardError, match="is not the file in the list of videos"):
        run_again(videos, path, checksums={"b": "0" * 64})
