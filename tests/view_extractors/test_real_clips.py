"""Real clips of the data sets that the project names, through every extractor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cocon.config.schema import FlowExtraction, MaskExtraction, PoseExtraction, RgbExtraction
from cocon.shards import Shard
from cocon.video import decode, open_video
from view_extractors.base import Output
from view_extractors.flow.tvl1_opencv import Tvl1OpenCv
from view_extractors.mask.blazepose import BlazePoseMask
from view_extractors.pipeline.run import extract
from view_extractors.pose.blazepose import BlazePosePose
from view_extractors.rgb.decode import Rgb

CARTWHEEL = "hmdb51/cartwheel/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"
CLIPS = {
    "pitch": "ucf101/BaseballPitch/v_BaseballPitch_g01_c01.avi",
    "cartwheel": CARTWHEEL,
    "tai_chi": "kinetics400/tai_chi/ta_chi.mp4",
    "sign": "asl/again/again.mkv",
}
FRAMES = 12


@pytest.fixture(scope="module")
def clips(shared_data, tmp_path_factory, write_video):
    """The first frames of each clip, cut out without loss."""
    folder = tmp_path_factory.mktemp("clips")
    cut = {}
    for name, source in CLIPS.items():
        frames = list(itertools.islice(decode(shared_data / "clips" / source), FRAMES))
        cut[name] = write_video(folder / f"{name}.mkv", frames, "ffv1", "bgr0")
    return cut


def test_metadata_that_is_no_utf8(shared_data):
    with open_video(shared_data / "clips" / CARTWHEEL) as video:
        frames = list(video)
    assert len(frames) == video.frames == 83
    assert frames[0].shape == (240, 320, 3)
    assert video.reason == ""


def test_every_real_clip_is_whole(shared_data):
    """No whole file is called repaired."""
    paths = [path for path in (shared_data / "clips").rglob("*") if path.suffix in (".avi", ".mkv", ".mp4")]
    short = [path for path in paths if path.stat().st_size < 2_000_000]
    assert len(short) > 30
    for path in short:
        with open_video(path) as video:
            frames = sum(1 for _ in video)
        assert video.reason == "", path
        assert abs(frames - video.expected_frames) <= 1, path
        assert 10 <= video.fps <= 30


def test_rgb_and_flow(clips, tmp_path):
    tvl1 = {"warps": 1, "outer_iterations": 2, "inner_iterations": 10}
    flow = FlowExtraction.model_validate({"short_side": 60, "compute_short_side": 60, "tvl1_opencv": tvl1})
    outputs = [
        Output(Rgb(RgbExtraction(short_side=60)), tmp_path / "rgb.h5"),
        Output(Tvl1OpenCv(flow), tmp_path / "flow.h5"),
    ]
    extract(clips, outputs)
    rgb, flow_shard = Shard(tmp_path / "rgb.h5"), Shard(tmp_path / "flow.h5")
    for name in CLIPS:
        assert rgb.videos[name].frames == flow_shard.videos[name].frames == FRAMES
        assert rgb.videos[name].status == "ok"
        assert rgb.read(name, [0]).std() > 20
    moved = np.abs(flow_shard.read("pitch", range(FRAMES)).astype(int) - 128)
    assert moved.max() > 2
    assert np.median(moved) <= 1, "the camera stands still"


def test_mask_and_pose_of_real_people(clips, blazepose_weights, tmp_path):
    outputs = [
        Output(BlazePoseMask(MaskExtraction()), tmp_path / "mask.h5"),
        Output(BlazePosePose(PoseExtraction()), tmp_path / "pose.h5"),
    ]
    extract(clips, outputs)
    extract({"sign": clips["sign"]}, [Output(outputs[1].extractor, tmp_path / "alone.h5")], batch_size=5)
    mask, pose = Shard(tmp_path / "mask.h5"), Shard(tmp_path / "pose.h5")
    assert Shard(tmp_path / "alone.h5").videos["sign"] == pose.videos["sign"], "checksums included"
    for name in CLIPS:
        row = pose.videos[name]
        heatmaps = pose.read(name, range(FRAMES))
        masks = mask.read(name, range(FRAMES))[..., 0]
        assert heatmaps.shape == (FRAMES, row.height, row.width, 17)
        assert min(row.height, row.width) == 75
        for frame, persons in enumerate(pose.keypoints(name)):
            assert len(persons) == 1, f"{name}, frame {frame}: the person is missed"
            points = (persons[0, :, :2] * [row.width, row.height]).astype(int)
            certain = (persons[0, :, 2] > 0.8) & (points >= 0).all(axis=1)
            certain &= (points < [row.width, row.height]).all(axis=1)
            x, y = points[certain].T
            assert certain.sum() >= 8
            assert (masks[frame, y, x] > 127).mean() > 0.75, "keypoints lie on the mask"
            joint = int(np.argmax(np.where(certain, persons[0, :, 2], 0)))
            peak = np.unravel_index(heatmaps[frame, :, :, joint].argmax(), heatmaps.shape[1:3])
            np.testing.assert_allclose(peak, points[joint][::-1], atol=1)
