"""What follows from the size of the frames alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cocon.cli import main
from cocon.errors import DatasetError
from cocon.evaluation.frame_size import FrameSize, classes_by_size, read_frame_size
from cocon.evaluation.splits import Split
from cocon.files import write_json

TRAIN = {f"{label}{n}": "abc".index(label) for label in "abc" for n in range(6)}
TEST = {f"{label}t{n}": "abc".index(label) for label in "abc" for n in range(2)}
SPLIT = Split("2", ("a", "b", "c"), TRAIN, TEST)


def test_sizes_that_tell_the_classes_apart() -> None:
    size = {"a": (320, 240), "b": (240, 320), "c": (1280, 960)}
    found = classes_by_size(SPLIT, {video: size[video[0]] for video in (*TRAIN, *TEST)})
    assert found == FrameSize("2", 3, 1.0, 6)


def test_sizes_that_say_half() -> None:
    """a is upright, b and c lie; c's test videos are taken for one of them."""
    size = {"a": (240, 320), "b": (320, 240), "c": (320, 240)}
    assert classes_by_size(SPLIT, {video: size[video[0]] for video in (*TRAIN, *TEST)}).top1 == pytest.approx(
        4 / 6
    )


def test_one_size_for_all_is_chance() -> None:
    found = classes_by_size(SPLIT, dict.fromkeys((*TRAIN, *TEST), (160, 160)))
    assert (found.sizes, found.top1) == (1, pytest.approx(1 / 3))


def test_videos_without_frames_are_left_out(striped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = striped / "sizes.json"
    given = ["--manifest", str(striped / "manifest.csv"), "--shards", str(striped / "shards")]
    assert main(["sizes", *given, "--view", "mask", "--split", "1", "--output", str(output)]) == 0
    found = read_frame_size(output)
    assert (found.sizes, found.n) == (1, 5), "run/test1 was skipped"
    assert "1 sizes; " in capsys.readouterr().out
    write_json(output, {"split": "1", "sizes": 1, "top1": 3, "n": 5})
    with pytest.raises(DatasetError, match="is not a file of `cocon sizes`"):
        read_frame_size(output)
