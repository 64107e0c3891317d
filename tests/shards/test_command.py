"""``cocon shards verify|info|show``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from cocon.cli import main
from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import PictureCodec, encode_as

HEIGHT, WIDTH, FRAMES = 30, 40, 9
PERSON = np.full((1, 17, 3), (0.75, 0.5, 1.0), np.float32)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Four views of a grey video in which everything moves right and one person stands at the right."""
    mask = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    mask[:, WIDTH // 2 :] = 255
    flow = np.full((HEIGHT, WIDTH, 2), (228, 128), np.uint8)
    pictures = {"rgb": np.full((HEIGHT, WIDTH, 3), 100, np.uint8), "flow": flow, "mask": mask}
    codecs: dict[str, PictureCodec] = {"rgb": "dct", "flow": "delta", "mask": "delta"}
    for view in ("rgb", "flow", "mask", "pose"):
        path = tmp_path / view / "00000.h5"
        size = (HEIGHT, WIDTH, 2 * HEIGHT, 2 * WIDTH, 25.0)
        with ShardWriter(
            path,
            view=view,
            video_ids=["a b", "c"],
            parameters={"sigma": 2.0, "bound": 10.0},
            codec=codecs.get(view, "keypoints"),
        ) as writer:
            if view == "pose":
                writer.add(VideoRecord("a b", *size, keypoints=[PERSON] * FRAMES))
            else:
                frames = [encode_as(codecs[view], pictures[view], 95)] * FRAMES
                writer.add(VideoRecord("a b", *size, frames=frames))
            writer.skip("c", "no frame can be decoded")
            writer.finish(max_failed_fraction=0.5)
    return tmp_path


def test_verify_names_the_bad_one_and_goes_on(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "verify", str(shards)]) == 0
    assert "4 shards, all whole" in capsys.readouterr().out
    bad = shards / "flow" / "00000.h5"
    bad.write_bytes(bad.read_bytes()[:-7])
    assert main(["shards", "verify", str(shards)]) == 2
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines] == ["BAD", "whole", "whole", "whole"]
    assert str(bad) in lines[0]
    assert "1 of 4 shards are bad" in captured.err


def test_a_file_that_cannot_be_read_is_not_to_be_deleted(
    shards: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, opening = shards / "flow" / "00000.h5", os.open

    def refuse(path: Path, flags: int) -> int:
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return opening(path, flags)

    monkeypatch.setattr("cocon.shards.header.os.open", refuse)
    (shards / "rgb" / "folder.h5").mkdir()
    with h5py.File(shards / "rgb" / "features.h5", "w") as file:
        file["ids"] = [1]
    os.mkfifo(shards / "rgb" / "pipe.h5")
    assert main(["shards", "verify", str(shards)]) == 2
    captured = capsys.readouterr()
    assert f"{secret} cannot be opened (Permission denied)" in captured.out
    assert "folder.h5 is a folder" in captured.out
    assert "pipe.h5 is not a regular file" in captured.out
    assert "features.h5 is an HDF5 file, but not a shard" in captured.out
    assert "4 of 7 files cannot be read as shards" in captured.err
    assert "delete" not in captured.err


def test_a_folder_without_shards_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "verify", str(tmp_path)]) == 2
    assert "there is no shard in" in capsys.readouterr().err


def test_info(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "info", str(shards / "flow")]) == 0
    text = capsys.readouterr().out
    for part in (
        "format      version 3\n",
        "files that it does not",
        "flow, coded as delta",
        "2 videos (1 ok, 1 skipped)",
        "bound       10.0",
        "c: no frame can",
    ):
        assert part in text
    assert main(["shards", "info", str(shards), "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)
    assert [document["view"] for document in documents] == ["flow", "mask", "pose", "rgb"]
    assert documents[0]["parameters"]["bound"] == 10.0
    assert documents[0]["videos"][0] | {"crc32": 0} == {
        "id": "a b", "frames": FRAMES, "height": HEIGHT, "width": WIDTH, "source_height": 60,
        "source_width": 80, "fps": 25.0, "status": "ok", "reason": "", "crc32": 0,
        "source_bytes": 0, "source_modified": 0, "source_sha256": "",
    }  # fmt: skip


def test_status(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "show", str(shards), "--status"]) == 0
    header, a, c = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header[-4:] == ["rgb", "flow", "mask", "pose"]
    assert a == ["a", "b", "9", "25.00", "80x60", "ok", "ok", "ok", "ok"]
    assert c[4:8] == ["skipped"] * 4


def test_sheet(shards: Path, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    arguments = ["--video", "a b", "--output", str(output), "--frames", "3", "--height", "60"]
    assert main(["shards", "show", str(shards), *arguments]) == 0
    sheet = cv2.imread(str(output))[..., ::-1]
    assert sheet.shape == (16 + 4 * (16 + 60), 3 * (80 + 2), 3)
    rgb, flow, mask, pose = (sheet[32 + 76 * row : 92 + 76 * row, :80].astype(int) for row in range(4))
    np.testing.assert_allclose(rgb, 100, atol=3)
    assert (flow[..., 0] > flow[..., 1] + 100).all(), "to the right is red"
    np.testing.assert_allclose(mask[:, :38], 100, atol=3)
    assert (mask[:, 42:, 0] > 150).all(), "the mask is laid over in red"
    lit = np.abs(pose - np.median(pose, axis=(0, 1))).sum(axis=2) > 60
    assert lit[30, 60]
    assert not lit[:, :30].any()


def test_a_sheet_tells_persons_apart(tmp_path: Path) -> None:
    left, right = PERSON.copy(), PERSON.copy()
    left[..., 0], right[..., 0] = 0.25, 0.75
    path = tmp_path / "pose.h5"
    with ShardWriter(
        path, view="pose", video_ids=["a"], parameters={"sigma": 4.0}, codec="keypoints"
    ) as writer:
        size = (HEIGHT, WIDTH, 2 * HEIGHT, 2 * WIDTH, 25.0)
        frames = [np.concatenate([left, right]), np.concatenate([right, left]), left]
        writer.add(VideoRecord("a", *size, keypoints=frames))
        writer.finish()
    output = tmp_path / "sheet.png"
    arguments = ["--video", "a", "--output", str(output), "--frames", "3", "--height", "60"]
    assert main(["shards", "show", str(path), *arguments]) == 0
    sheet = cv2.imread(str(output))[32:, :, ::-1].astype(int)
    # A little beside the joints lies the heat alone; it has the colour of the person.
    y = round(60 * float(PERSON[0, 0, 1])) + 5
    first, second, third = (
        [sheet[y, 82 * column + x] - [60, 60, 60] for x in (20, 60)] for column in range(3)
    )
    for amber, blue in (first, second):  # whoever comes first in the frame
        assert amber[0] > amber[2] + 30
        assert blue[2] > blue[0] + 30
    assert third[0][0] > third[0][2] + 30
    assert abs(third[1]).max() < 10


def test_a_sheet_of_nothing_says_why(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shards", "show", str(shards), "--video", "c"]) == 2
    assert "it was skipped (no frame can be decoded)" in capsys.readouterr().err
    assert main(["shards", "show", str(shards), "--video", "d"]) == 2
    assert "no shard of 4 has it" in capsys.readouterr().err
    assert main(["shards", "show", str(shards), "--video", "a b", "--frames", "0"]) == 2
