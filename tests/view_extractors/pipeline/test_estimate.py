from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import Future

import numpy as np
import pytest

from cocon.config.schema import MaskExtraction, PoseExtraction, RgbExtraction
from cocon.shards.codecs import encode
from cocon.video import decode
from view_extractors.base import Extractor, Pending, Resources, SharedNetwork, resize, scaled_size
from view_extractors.cli import main
from view_extractors.pipeline import costs
from view_extractors.pipeline.costs import Cost, measure
from view_extractors.pipeline.estimate import published
from view_extractors.pipeline.rendered import write_sample
from view_extractors.rgb.decode import Rgb

SMALL = ("--settings", "rgb", "{short_side: 16}")


class Mean(SharedNetwork):
    weights = "none"

    def __init__(self, options, resources):
        pass

    def start(self):
        pass

    def infer(self, frames):
        return [float(frame.mean()) for frame in frames]


class MeanMask(Extractor):
    view, backend, section, network = "mask", "mean", MaskExtraction, Mean

    def process(self, batch):
        return list(batch)

    def store(self, result):
        return bytes(10)


class MeanPose(Extractor):
    view, backend, section, network, codec = "pose", "mean", PoseExtraction, Mean, "keypoints"

    def process(self, batch):
        return [np.zeros((2, 17, 3), np.float32) for _ in batch]


class LateMask(Extractor):
    """Has all its work and results at the end of a video."""

    view, backend, section = "mask", "late", MaskExtraction

    def start(self, height, width):
        super().start(height, width)
        self.frames = []

    def process(self, batch):
        self.frames += batch
        return []

    def finish(self):
        time.sleep(0.001 * len(self.frames))
        return self.frames

    def store(self, result):
        return bytes(10)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(costs, "_PATIENCE", 0.05)


@pytest.fixture
def video(tmp_path, moving, write_video):
    return write_video(tmp_path / "v.mp4", moving(12))


def estimate(capsys, *arguments):
    assert main(["estimate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_hours_are_frames_times_cost():
    cpu = Cost("flow", "dis", False, "", decode=0.002, inference=0.01, write=0.003, bytes=1)
    assert cpu.seconds(cores=1, gpus=1) == pytest.approx(0.015)
    assert cpu.seconds(cores=3, gpus=8) == pytest.approx(0.005)
    gpu = Cost("flow", "raft", True, "", decode=0.002, inference=0.01, write=0.003, bytes=1)
    assert gpu.seconds(cores=4, gpus=2) == pytest.approx(0.005), "inference takes longest"
    assert gpu.seconds(cores=1, gpus=20) == pytest.approx(0.005), "decoding and writing take longest"


def test_bytes_and_shared_networks(video):
    rgb, mask, pose = measure(
        [Rgb(RgbExtraction(short_side=16)), MeanMask(MaskExtraction()), MeanPose(PoseExtraction())],
        [video],
        Resources(),
        batch_size=4,
    )
    extractor = Rgb(RgbExtraction(short_side=16))
    extractor.start(48, 64)
    sizes = [len(extractor.store(frame)) for frame in decode(video)]
    assert min(sizes) <= rgb.bytes <= max(sizes)
    assert mask.bytes == 10
    assert pose.bytes == 2 * 17 * 3 * 2
    assert (rgb.shares, mask.shares, pose.shares) == ("", "", "mask")
    assert pose.decode == 0 < mask.decode == rgb.decode
    assert rgb.write > 0
    assert mask.inference > pose.inference


def test_work_at_the_end_of_a_video_counts(video):
    (mask,) = measure([LateMask(MaskExtraction())], [video], Resources(), batch_size=4)
    assert mask.bytes == 10
    assert mask.inference >= 0.001


def test_work_of_a_gpu_counts_when_it_is_done(video):
    class OnGpu(LateMask):
        def start(self, height, width):
            super().start(height, width)
            self.done = Future()

        def process(self, batch):
            begin = len(self.frames)
            super().process(batch)
            return [Pending(self.done, index) for index in range(begin, len(self.frames))]

        def finish(self):
            self.done.set_result(super().finish())
            return []

    (mask,) = measure([OnGpu(MaskExtraction())], [video], Resources(), batch_size=4)
    assert mask.bytes == 10
    assert mask.inference >= 0.001


def test_published_data_set_on_other_cores(capsys):
    one, many = (estimate(capsys, "rgb", "--dataset", "hmdb51", *SMALL, "--cores", n) for n in (1, 1000))
    assert (one["videos"], one["frames"]) == (published()["hmdb51"].videos, published()["hmdb51"].frames)
    assert one["hours"] == one["views"]["rgb"]["hours"] > 100 * many["hours"] > 0
    rgb = one["views"]["rgb"]
    assert rgb["gigabytes"] == pytest.approx(rgb["bytes"] * 630_000 / 1e9)
    assert rgb["hours"] == pytest.approx((rgb["decode"] + rgb["inference"] + rgb["write"]) * 630_000 / 3600)
    assert any("320x240 px" in line for line in one["assumed"])


def test_manifest_is_counted_by_what_its_videos_declare(tmp_path, capsys, moving, write_video):
    rows = [f"{n},{write_video(tmp_path / f'{n}.mp4', moving(n))}" for n in (4, 8)]
    table = tmp_path / "m.csv"
    table.write_text("\n".join(["id,path", *rows, f"gone,{tmp_path / 'gone.mp4'}"]))
    figures = estimate(capsys, "rgb", "--manifest", table, *SMALL)
    assert (figures["videos"], figures["frames"]) == (3, 18)


def test_own_numbers_and_an_own_sample_as_a_table(capsys, video):
    arguments = ["estimate", "rgb", "--videos", "10", "--frames", "36000000", "--sample", str(video)]
    assert main([*arguments, *SMALL, "--cores", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["view", "backend", "decode", "inference", "write", "time", "size"]
    assert lines[1].startswith("rgb   decode")
    assert lines[2].startswith("all")
    assert lines[3] == "assumed:"
    assert "36,000,000 frames" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to estimate"),
        (["--videos", "3"], "nothing to estimate"),
        (["--dataset", "ucf101", "--manifest", "m.csv"], "nothing to estimate"),
        (["--manifest", "absent.csv"], "no manifest"),
        (["--manifest", "empty.csv"], "can be opened"),
        (["--dataset", "ucf101", "--size", "big"], "--size big"),
        (["--dataset", "ucf101", "--cores", "0"], "--cores"),
        (["--dataset", "ucf101", "--settings", "flow", "{}"], "flow"),
        (["depth", "--dataset", "ucf101"], "no view 'depth'"),
    ],
)
def test_mistakes_are_explained(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text("id,path\na,absent.mp4\n")
    assert main(["estimate", "rgb", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_rendered_sample_has_the_detail_of_real_clips(tmp_path):
    sample = write_sample(tmp_path / "s.mkv", 4, (255, 340), "libx264")
    frames = list(decode(sample))
    assert len(frames) == 4
    assert frames[0].shape == (256, 340, 3)
    assert np.abs(np.diff(np.stack(frames).astype(int), axis=0)).mean() > 2, "the camera moves"
    stored = [len(encode(resize(frame, scaled_size(256, 340, 150)), 90)) for frame in frames]
    assert 7_000 < np.mean(stored) < 13_000
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(frames))
