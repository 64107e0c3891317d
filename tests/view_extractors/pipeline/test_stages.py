"""Stages that work at the same time: same bytes, bounded, and stopped without a trace."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

from cocon.config.schema import FlowExtraction, MaskExtraction, PoseExtraction, RgbExtraction
from cocon.shards import Shard
from view_extractors.base import Extractor, Output, Resources, SharedNetwork
from view_extractors.flow.tvl1_opencv import Tvl1OpenCv
from view_extractors.pipeline import stages
from view_extractors.pipeline.progress import Progress
from view_extractors.pipeline.run import extract
from view_extractors.rgb.decode import Rgb

WAIT = 20


class Mean(SharedNetwork):
    weights = "none"

    def __init__(self, options, resources):
        self.before = None

    def start(self):
        self.before = None

    def infer(self, frames):
        """The mean of each frame and of the one before it."""
        means = [float(frame.mean()) for frame in frames]
        pairs = list(zip([means[0] if self.before is None else self.before, *means], means, strict=False))
        self.before = means[-1]
        return pairs


class MeanMask(Extractor):
    view, backend, section, network = "mask", "mean", MaskExtraction, Mean

    def process(self, batch):
        return list(batch)

    def store(self, result):
        return self.encode(np.full((*self.stored_size, 1), sum(result) / 2, np.uint8))


class MeanPose(Extractor):
    view, backend, section, network, codec = "pose", "mean", PoseExtraction, Mean, "keypoints"

    def process(self, batch):
        return [np.full((1, 17, 3), sum(pair) / 510, np.float32) for pair in batch]


class Watched(Rgb):
    """The rgb view with something to call from each step; the copies of one extractor share it."""

    def __init__(self, on_process=None, on_store=None):
        super().__init__(RgbExtraction(short_side=8))
        self.on_process = on_process or (lambda batch: None)
        self.on_store = on_store or (lambda frame: None)

    def process(self, batch):
        self.on_process(batch)
        return super().process(batch)

    def store(self, result):
        self.on_store(result)
        return super().store(result)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() <= before  # one of another test may have been ending


@pytest.fixture
def videos(tmp_path, moving, write_video):
    """Of different lengths and sizes; a number, 10 * its frames, is the height of each."""
    counts = {"a": 5, "b": 1, "c": 21, "d": 4}
    return {
        key: write_video(tmp_path / f"{key}.mp4", moving(n, 10 * n + 10, 64)) for key, n in counts.items()
    }


def all_views(folder):
    tvl1 = {"warps": 1, "outer_iterations": 1, "inner_iterations": 5}
    flow = FlowExtraction.model_validate(
        {"short_side": 12, "compute_short_side": 20, "backend": "tvl1_opencv", "tvl1_opencv": tvl1}
    )
    return [
        Output(Rgb(RgbExtraction(short_side=16)), folder / "rgb.h5"),
        Output(Tvl1OpenCv(flow), folder / "flow.h5"),
        Output(MeanMask(MaskExtraction(short_side=8)), folder / "mask.h5"),
        Output(MeanPose(PoseExtraction(short_side=8)), folder / "pose.h5"),
    ]


def test_bytes_do_not_depend_on_threads_and_batches(tmp_path, videos, moving, write_video):
    cut = write_video(tmp_path / "cut.mkv", moving(40, 96, 128))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 7 // 10])
    (tmp_path / "text.mp4").write_text("no video")
    videos = {"cut": cut, "text": tmp_path / "text.mp4", **videos, "gone": tmp_path / "gone.mp4"}
    written = {}
    for name, threads, batch in (("in_turns", 1, 16), ("small", 1, 3), ("beside", 2, 4), ("pool", 5, 2)):
        outputs = all_views(tmp_path / name)
        summary = extract(
            videos, outputs, resources=Resources(threads), batch_size=batch, max_failed_fraction=0.5
        )
        assert (summary.ok, summary.repaired, summary.skipped) == (4, 1, 2)
        written[name] = {output.path.name: output.path.read_bytes() for output in outputs}
    assert written["in_turns"] == written["small"] == written["beside"] == written["pool"]
    assert list(Shard(tmp_path / "pool" / "rgb.h5").videos) == list(videos)


def test_next_video_is_decoded_and_inferred_while_the_last_is_written(tmp_path, videos, monkeypatch):
    decoded_d, inferred_d = threading.Event(), threading.Event()
    open_video = stages.open_video

    def watched_open(path):
        if path.stem == "d":
            decoded_d.set()
        return open_video(path)

    def on_process(batch):
        if len(batch[0]) == 50:  # d
            inferred_d.set()
        elif len(batch[0]) == 220:  # c
            assert decoded_d.wait(WAIT), "d is opened while c is inferred"

    def on_store(frame):
        if len(frame) == 220:
            assert inferred_d.wait(WAIT), "d is inferred while c is written"

    monkeypatch.setattr(stages, "open_video", watched_open)
    two = {key: videos[key] for key in "cd"}
    extract(
        two, [Output(Watched(on_process, on_store), tmp_path / "x.h5")], resources=Resources(2), batch_size=21
    )


def test_one_cpu_thread_means_one_thread(tmp_path, videos):
    seen = set()
    watched = Watched(lambda _: seen.add(threading.get_ident()), lambda _: seen.add(threading.get_ident()))
    extract(videos, [Output(watched, tmp_path / "x.h5")], resources=Resources(1))
    assert seen == {threading.get_ident()}
    extract(videos, [Output(watched, tmp_path / "y.h5")], resources=Resources(2))
    assert len(seen) == 2


def test_decoding_does_not_run_far_ahead_of_writing(tmp_path, moving, write_video, monkeypatch):
    video = write_video(tmp_path / "long.mkv", moving(120, 16, 16), "ffv1", "bgr0")
    decoded, waits = [0], []
    batch_of = stages.Stages._batch

    def counted(self, frames):
        batch = batch_of(self, frames)
        decoded[0] += len(batch)
        return batch

    def on_store(frame):
        if len(waits) < 3:  # long enough for the other stages to fill their queues
            waits.append(decoded[0])
            threading.Event().wait(0.1)
            waits[-1] = decoded[0]

    monkeypatch.setattr(stages.Stages, "_batch", counted)
    extract(
        {"long": video},
        [Output(Watched(None, on_store), tmp_path / "x.h5")],
        resources=Resources(2),
        batch_size=4,
    )
    assert decoded[0] == 120
    # being written, waiting to be (2), inferred, waiting to be (2), in the decoder's hand, and one more
    assert max(waits) <= 8 * 4


def test_large_frames_come_in_small_batches(tmp_path, videos, monkeypatch):
    sizes = []
    monkeypatch.setattr(stages, "_BATCH_BYTES", 3 * 220 * 64 * 3)
    extract({"c": videos["c"]}, [Output(Watched(lambda b: sizes.append(len(b))), tmp_path / "x.h5")])
    assert sizes == [3] * 7


@pytest.mark.parametrize(("gpu", "given", "largest"), [(False, None, 16), (True, None, 64), (True, 3, 3)])
def test_batches_are_larger_on_a_gpu(tmp_path, moving, write_video, monkeypatch, gpu, given, largest):
    video, sizes = write_video(tmp_path / "long.mkv", moving(70, 16, 16), "ffv1", "bgr0"), []
    monkeypatch.setattr(stages, "on_gpu", lambda extractor, resources: gpu)
    watched = Watched(lambda batch: sizes.append(len(batch)))
    extract({"long": video}, [Output(watched, tmp_path / "x.h5")], batch_size=given)
    assert max(sizes) == largest
    assert sum(sizes) == 70


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stage", ["decoding", "inference", "writing"])
def test_bug_names_its_video_and_keeps_what_is_finished(tmp_path, videos, monkeypatch, stage, threads):
    def bug(frame):
        if len(frame) == 220:
            raise ZeroDivisionError("a bug")

    def open_with_bug(path):
        if path.stem == "c":
            raise ZeroDivisionError("a bug")
        return open_video(path)

    open_video = stages.open_video
    broken = Watched(
        (lambda batch: bug(batch[0])) if stage == "inference" else None, bug if stage == "writing" else None
    )
    with monkeypatch.context() as patch:
        if stage == "decoding":
            patch.setattr(stages, "open_video", open_with_bug)
        with pytest.raises(ZeroDivisionError) as raised:
            extract(videos, [Output(broken, tmp_path / "x.h5")], resources=Resources(threads))
    assert raised.value.__notes__ == [
        f"{stage} of video 'c' ({videos['c']}) failed; finished videos are kept"
    ]
    assert not (tmp_path / "x.h5").exists()
    done = []
    summary = extract(videos, [Output(Watched(lambda batch: done.append(len(batch[0]))), tmp_path / "x.h5")])
    assert summary.videos == len(set(done)) == 2, "c and d were left to do"


@pytest.mark.parametrize("threads", [1, 2])
def test_interruption_keeps_what_is_finished(tmp_path, videos, threads):
    def interrupt(batch):
        if len(batch[0]) == 220:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        extract(videos, [Output(Watched(interrupt), tmp_path / "x.h5")], resources=Resources(threads))
    assert extract(videos, [Output(Watched(), tmp_path / "x.h5")]).videos == 2


def test_error_in_the_middle_of_a_video_leaves_nothing_of_it(tmp_path, videos):
    batches = []

    def interrupt(batch):
        batches.append(batch)
        if len(batches) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract({"c": videos["c"]}, [Output(Watched(interrupt), tmp_path / "x.h5")], batch_size=2)
    extract({"c": videos["c"]}, [Output(Watched(), tmp_path / "x.h5")])
    assert Shard(tmp_path / "x.h5").videos["c"].frames == 21


def test_summary_tells_how_the_time_was_divided(tmp_path, videos):
    class Told(Progress):
        def finish(self, summary):
            self.summary = summary

    told = Told()
    slow = Watched(lambda batch: threading.Event().wait(0.05))
    summary = extract(videos, [Output(slow, tmp_path / "x.h5")], progress=told)
    assert told.summary is summary
    assert summary.frames == 31
    assert set(summary.busy) == {"decode", "inference", "write"}
    assert 0.25 < summary.busy["inference"] < sum(summary.busy.values()) <= summary.seconds
    assert summary.bottleneck == "inference"


class TellsRate(MeanPose):
    """Writes the video's frames per second in place of a keypoint's score."""

    def start(self, height, width):
        super().start(height, width)
        self.rate = self.fps

    def process(self, batch):
        return [np.full((1, 17, 3), self.rate / 100, np.float32) for _ in batch]


def test_extractors_know_the_frame_rate_when_a_video_begins(tmp_path, moving, write_video):
    videos = {
        name: write_video(tmp_path / f"{name}.mp4", moving(3, 48, 64), rate=rate)
        for name, rate in (("slow", 10), ("fast", 50))
    }
    extract(
        videos, [Output(TellsRate(PoseExtraction()), tmp_path / "pose.h5")], resources=Resources(threads=1)
    )
    shard = Shard(tmp_path / "pose.h5")
    assert {name: round(100 * float(shard.keypoints(name)[0][0, 0, 2])) for name in videos} == {
        "slow": 10,
        "fast": 50,
    }
