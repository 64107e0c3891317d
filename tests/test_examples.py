"""The scripts in examples/, run as a user would."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from cocon.config.schema import FolderDataset
from cocon.datasets.folder import list_videos
from cocon.shards import Shard, ShardWriter, VideoRecord
from cocon.shards.codecs import PictureCodec, encode_as

REPOSITORY = Path(__file__).parent.parent


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "examples" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_tables_of_ut_interaction(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    names = [
        f"set{s}_seq{n:02}_clip00_{label}.avi" for s in (1, 2) for n in (1, 2) for label in ("hug", "kick")
    ]
    for name in names:
        path = videos / name.split("_")[-1].removesuffix(".avi") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (videos / "hug" / "notes.txt").touch()
    done = run("ut_interaction.py", str(videos), "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr

    configured = yaml.safe_load((REPOSITORY / "config" / "ut_interaction.yaml").read_text())["datasets"]
    listed = {}
    for name, section in configured.items():
        place = {"videos": videos, "table": tmp_path / Path(section["table"]).name, "shards": 1}
        keys = section | place | ({"folds": 2} if "folds" in section else {})  # there are four sequences here
        listed[name] = list_videos(FolderDataset.model_validate(keys))
    assert len(listed["ut"]) == len(listed["ut_folds"]) == len(names)
    for video in listed["ut"]:
        first = "/set1_" in video.id
        assert video.splits == {"1": "train" if first else "test", "2": "test" if first else "train"}
    for fold in ("1", "2"):
        tested = {video.group for video in listed["ut_folds"] if video.splits[fold] == "test"}
        trained = {video.group for video in listed["ut_folds"] if video.splits[fold] == "train"}
        assert len(tested) == len(trained) == 2
        assert not tested & trained


def test_a_folder_without_such_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hug").mkdir()
    (tmp_path / "hug" / "a.avi").touch()
    done = run("ut_interaction.py", str(tmp_path))
    assert done.returncode == 1
    assert "set<S>_seq<N>" in done.stderr
    assert not list(tmp_path.glob("*.csv"))


FRAMES = {"a": 3, "b": 0, "c": 2}
"""Of the videos of a shard; one without frames was skipped."""


def write_shard(path: Path, view: str, codec: PictureCodec, channels: int) -> None:
    noise = np.random.default_rng(0)
    with ShardWriter(path, view=view, video_ids=list(FRAMES), parameters={}, codec=codec) as writer:
        for video, count in FRAMES.items():
            if not count:
                writer.skip(video, "is empty")
                continue
            pictures = noise.integers(0, 256, (count, 18, 24, channels), np.uint8)
            coded = [encode_as(codec, picture, 90) for picture in pictures]
            writer.add(VideoRecord(video, 18, 24, 36, 48, 25.0, frames=coded))
        writer.finish(max_failed_fraction=1)


@pytest.mark.parametrize(
    ("view", "codec", "channels"), [("flow", "delta", 2), ("rgb", "jpeg", 3), ("rgb", "dct", 3)]
)
def test_a_shard_is_read_with_and_without_cocon(
    tmp_path: Path, view: str, codec: PictureCodec, channels: int
) -> None:
    path = tmp_path / "00000.h5"
    write_shard(path, view, codec, channels)
    done = run("read_a_shard.py", str(path))
    assert done.returncode == 0, done.stderr
    frames = {video: Shard(path).read(video, range(count)) for video, count in FRAMES.items() if count}
    means = [f"{video} {x.shape} mean {x.mean():.1f}" for video, x in frames.items()]
    alone = ["docs/shard_format.md describes dct"] if codec == "dct" else ["with h5py alone:", *means]
    assert done.stdout.splitlines() == [means[0], "b was skipped: is empty", means[1], *alone]


@pytest.mark.parametrize(("view", "codec", "channels"), [("mask", "delta", 1), ("rgb", "jpeg", 3)])
def test_every_pixel_is_the_same_without_cocon(
    tmp_path: Path, view: str, codec: PictureCodec, channels: int
) -> None:
    path = tmp_path / "00000.h5"
    write_shard(path, view, codec, channels)
    names = runpy.run_path(str(REPOSITORY / "examples" / "read_a_shard.py"))
    read = dict(names["with_h5py"](path))
    assert list(read) == ["a", "c"]
    for video, frames in names["with_cocon"](path):
        np.testing.assert_array_equal(read[video], frames)
