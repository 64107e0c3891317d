"""Rendered clips: determinism, splits, truth that agrees with the picture, and resuming."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from cocon.config.schema import DemoDataset
from cocon.datasets import demo as dataset
from cocon.datasets.demo import ACTIONS, list_videos, render, truth_path
from cocon.errors import DatasetError
from cocon.files import read_csv, sha256_of
from cocon.renderer.clip import ClipKey, make_clip, write_video
from cocon.renderer.truth import Truth


def settings(root: Path, **changes) -> DemoDataset:
    values = {"train_subjects": 1, "test_subjects": 1, "takes": 1, "frames": 12, "size": 96}
    return DemoDataset(kind="demo", recipe="demo", shards=1, root=root, **(values | changes))


@pytest.fixture(scope="module")
def clips() -> dict[str, tuple[np.ndarray, Truth]]:
    """One short clip of every action, of different people."""
    return {
        action: make_clip(ClipKey(0, action, number + 1, 1, 12, 128), flow_every=4)
        for number, action in enumerate(ACTIONS)
    }


def test_listing_needs_no_renderer(tmp_path):
    code = (
        "import sys; from cocon.config.schema import DemoDataset;"
        "from cocon.datasets.demo import list_videos;"
        "n = len(list_videos(DemoDataset(kind='demo', recipe='demo', shards=1)));"
        "assert n == 240, n; print([m for m in ('numba', 'cv2', 'torch', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_people_are_in_one_split_only(tmp_path):
    videos = list_videos(settings(tmp_path, train_subjects=3, test_subjects=2, takes=2))
    assert len({video.id for video in videos}) == len(videos) == 5 * len(ACTIONS) * 2
    people = {
        role: {video.group for video in videos if video.splits["1"] == role} for role in ("train", "test")
    }
    assert (len(people["train"]), len(people["test"])) == (3, 2)
    assert not people["train"] & people["test"]
    assert videos[0].id == "walk/walk_s01_t1"
    assert videos[0].path == tmp_path / "videos" / "walk" / "walk_s01_t1.mp4"


def test_validation_people_leave_the_others_as_they_are(tmp_path):
    plain = settings(tmp_path, train_subjects=3, test_subjects=2)
    more = settings(tmp_path, train_subjects=3, test_subjects=2, validation_subjects=2)
    videos = list_videos(more)
    assert videos[: 5 * len(ACTIONS)] == list_videos(plain)
    new = videos[5 * len(ACTIONS) :]
    assert {video.splits["1"] for video in new} == {"validation"}
    assert {video.group for video in new} == {"s501", "s502"}
    # What a clip shows follows from this alone.
    keys = {video.id: dataset._clip_key(more, video) for video in videos}
    assert all(keys[video.id] == dataset._clip_key(plain, video) for video in list_videos(plain))
    # More people to be tested on do not reach them, and their numbers cannot.
    larger = list_videos(settings(tmp_path, train_subjects=3, test_subjects=4, validation_subjects=2))
    assert larger[-2 * len(ACTIONS) :] == new
    with pytest.raises(ValueError, match="at most 500 together"):
        settings(tmp_path, train_subjects=300, test_subjects=201)


def test_same_key_same_bytes_other_seed_other_bytes(tmp_path):
    def video(seed: int, name: str) -> bytes:
        frames, _ = make_clip(ClipKey(seed, "wave", 2, 1, 6, 64), flow_every=6)
        write_video(tmp_path / name, frames)
        return (tmp_path / name).read_bytes()

    assert video(0, "a.mp4") == video(0, "b.mp4")
    assert video(0, "a.mp4") != video(1, "c.mp4")


def _rendered(root: Path, ids: list[str], repetitions: int) -> dict[str, list[str]]:
    """Checksums of each clip's files, made one after the other in the given order, so many times."""
    chosen = settings(root, frames=24, size=160, truth_flow_every=8)
    videos = {video.id: video for video in list_videos(chosen)}
    sums: dict[str, list[str]] = {f"{name}{suffix}": [] for name in ids for suffix in (".mp4", ".npz")}
    for name in ids * repetitions:
        task = (name, dataset._clip_key(chosen, videos[name]), root, chosen.truth_flow_every)
        dataset._make(task)
        for suffix in (".mp4", ".npz"):
            sums[f"{name}{suffix}"].append(sha256_of(root / f"{name}{suffix}"))
    return sums


def test_two_renderings_are_equal_byte_for_byte(tmp_path):
    """Videos and truths, in processes that compete for the cores, whatever was rendered before."""
    ids = ["wave/wave_s01_t1", "run/run_s01_t1", "kick/kick_s02_t1"]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(_rendered, tmp_path / str(n), order, 4) for n, order in enumerate((ids, ids[::-1]))
        ]
        first, second = (job.result() for job in jobs)
    assert first == second
    assert {name: len(set(sums)) for name, sums in first.items()} == dict.fromkeys(first, 1)


def test_people_keep_their_body_and_change_their_clothes():
    first, second = ClipKey(0, "walk", 1, 1, 8, 64), ClipKey(0, "kick", 1, 2, 8, 64)
    draw = [key.chance("person", key.subject).random() for key in (first, second)]
    clothes = [key.of_clip("clothes").random() for key in (first, second)]
    assert draw[0] == draw[1]
    assert clothes[0] != clothes[1]


def test_joints_lie_on_the_person(clips):
    distances = []
    for frames, truth in clips.values():
        assert truth.joints.shape == (len(frames), 17, 2)
        for mask, joints, visible in zip(truth.mask, truth.joints, truth.joints_visible, strict=True):
            away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
            x, y = np.rint(joints[visible]).astype(int).T
            distances += list(away[y, x])
    assert np.mean(np.array(distances) <= 1.5) > 0.98
    assert np.max(distances) < 12


def test_left_is_left(clips):
    """Seen from the front (nose nearer than ears cannot be told, so by geometry): sides are not swapped."""
    _, truth = clips["jumping_jack"]
    left, right = truth.joints[:, 5::2], truth.joints[:, 6::2]
    order = np.sign(np.median(left[..., 0] - right[..., 0], axis=1))
    assert abs(order.sum()) == len(order)


def test_masks_are_people_sized(clips):
    for _, truth in clips.values():
        share = truth.mask.mean((1, 2))
        assert (share > 0.008).all()
        assert (share < 0.35).all()


def test_true_flow_warps_the_next_frame_onto_this_one(clips):
    for action, (frames, truth) in clips.items():
        for index, flow in zip(truth.flow_index, truth.flow, strict=True):
            now, after = frames[index].astype(np.float32), frames[index + 1].astype(np.float32)
            y, x = np.mgrid[0 : len(now), 0 : len(now)].astype(np.float32)
            warped = cv2.remap(
                after, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderValue=np.nan
            )
            inside = ~np.isnan(warped).any(-1)
            error = np.abs(warped - now).mean(-1)
            identity = np.abs(after - now).mean(-1)
            # Noise alone is up to 2 grey levels; what appears from behind something cannot be warped.
            assert np.median(error[inside]) < 4
            moving = inside & (np.linalg.norm(flow, axis=-1) > 0.5)
            if moving.sum() > 50:
                assert np.mean(error[moving]) < 0.8 * np.mean(identity[moving]), action


def test_background_of_a_static_camera_has_no_flow(clips):
    still = [np.median(np.linalg.norm(truth.flow, axis=-1)) for _, truth in clips.values()]
    assert 2 <= sum(value < 1e-6 for value in still) <= 8


def test_truth_survives_the_disk(clips, tmp_path):
    _, truth = clips["run"]
    truth.save(tmp_path / "run.npz")
    again = Truth.load(tmp_path / "run.npz")
    assert (again.mask == truth.mask).all()
    assert (again.joints == truth.joints).all()
    assert np.abs(again.flow - truth.flow).max() <= 1 / 128
    with np.load(tmp_path / "run.npz") as stored:
        assert stored["flow"].dtype == np.int16
        assert tuple(stored["size"]) == truth.mask.shape[1:]


def test_interrupted_render_is_resumed_and_nothing_half_done_is_seen(tmp_path, monkeypatch):
    chosen = settings(tmp_path / "demo", frames=3, size=32)
    make = dataset._make
    made: list[str] = []

    def interrupted(task):
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(make(task))
        return made[-1]

    monkeypatch.setattr(dataset, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        render(chosen)
    assert not (tmp_path / "demo").exists()
    resumed: list[str] = []
    monkeypatch.setattr(dataset, "_make", lambda task: resumed.append(task[0]) or make(task))
    render(chosen)
    videos = list_videos(chosen)
    assert len(resumed) == len(videos) - 7
    assert not set(made) & set(resumed)
    assert all(video.path.exists() and truth_path(chosen, video.id).exists() for video in videos)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    table = read_csv(tmp_path / "demo" / "videos.csv")
    assert table[0] == {"video": "walk/walk_s01_t1.mp4", "label": "walk", "split": "train", "group": "s01"}


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_render_leaves_no_process_and_goes_on(tmp_path):
    chosen = settings(tmp_path / "demo", frames=2, size=32)
    command = [sys.executable, "-m", "cocon", "render", "--processes", "2"]
    command += ["--settings", chosen.model_dump_json()]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("*.done")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert list(tmp_path.rglob("*.done"))
    assert not (tmp_path / "demo").exists()
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(process.pid)
    render(chosen)
    assert len(list((tmp_path / "demo" / "videos").rglob("*.mp4"))) == 2 * len(ACTIONS)


def test_odd_sizes_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="odd"):
        render(settings(tmp_path / "demo", size=97))
