from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from cocon.datasets.manifest import Video
from cocon.errors import DatasetError
from cocon.evaluation.splits import labelled_split

MakeVideos = Callable[..., list[Video]]


def test_unlabelled_videos_and_other_roles_stay_out(make_videos: MakeVideos) -> None:
    videos = make_videos(2, 1)
    videos[0] = replace(videos[0], splits={"1": "validation"})
    split = labelled_split(videos, "1")
    assert split.classes == ("jump", "run", "walk")
    assert list(split.train) == ["jump/train1", "run/train0", "run/train1", "walk/train0", "walk/train1"]
    assert split.test == {"jump/test0": 0, "run/test0": 1, "walk/test0": 2}
    assert split.chance == pytest.approx(1 / 3)


def test_chance_counts_the_classes_of_the_test_list(make_videos: MakeVideos) -> None:
    videos = [video for video in make_videos(1, 1) if video.id != "walk/test0"]
    assert labelled_split(videos, "1").chance == 0.5


def test_unknown_split_is_named_with_the_known_ones(make_videos: MakeVideos) -> None:
    with pytest.raises(DatasetError, match="split '7'"):
        labelled_split(make_videos(1, 1), "7")


@pytest.mark.parametrize(("train", "test", "role"), [(0, 2, "train"), (2, 0, "test")])
def test_empty_role(make_videos: MakeVideos, train: int, test: int, role: str) -> None:
    with pytest.raises(DatasetError, match=f"no labelled {role} video"):
        labelled_split(make_videos(train, test), "1")


def test_what_is_left_must_suffice(make_videos: MakeVideos) -> None:
    split = labelled_split(make_videos(2, 1), "1")
    with pytest.raises(DatasetError, match="none of the 3 test videos"):
        split.available(set(split.train))
    with pytest.raises(DatasetError, match="none of the 6 training videos"):
        split.available(set(split.test))
    with pytest.raises(DatasetError, match="only the class 'run'"):
        split.available({"run/train0", "jump/test0"})


def test_class_without_training_video_is_a_warning(
    make_videos: MakeVideos, caplog: pytest.LogCaptureFixture
) -> None:
    split = labelled_split(make_videos(1, 1), "1")
    with caplog.at_level(logging.WARNING):
        train, test = split.available({"run/train0", "walk/train0", *split.test})
    assert (len(train), len(test)) == (2, 3)
    assert "no training video for: jump" in caplog.text
