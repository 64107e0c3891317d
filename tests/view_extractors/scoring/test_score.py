from __future__ import annotations

import json

import numpy as np
import pytest

from cocon.errors import CoConError
from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from view_extractors.cli import main
from view_extractors.flow.base import flow_to_bytes, rescale_flow
from view_extractors.scoring.score import score, table, torso

FRAMES, SIZE, STORED = 4, 160, 80
MOTION = np.float32([3.0, -4.0])


def standing():
    """A person of 17 joints: torso 40 px high and 20 px wide, everything else at the nose."""
    joints = np.tile(np.float32([80, 30]), (17, 1))
    joints[[5, 6]] = [[90, 50], [70, 50]]
    joints[[11, 12]] = [[90, 90], [70, 90]]
    return joints


@pytest.fixture
def truth(tmp_path):
    mask = np.zeros((FRAMES, SIZE, SIZE), bool)
    mask[:, 40:120, 60:100] = True
    visible = np.ones((FRAMES, 17), bool)
    visible[:, 16] = False
    flow = np.zeros((2, SIZE, SIZE, 2), np.int16)
    flow[:, 40:120, 60:100] = 64 * MOTION
    (tmp_path / "truth" / "walk").mkdir(parents=True)
    np.savez_compressed(
        tmp_path / "truth" / "walk" / "a.npz",
        joints=np.stack([standing()] * FRAMES),
        joints_visible=visible,
        mask_packed=np.packbits(mask, axis=-1),
        size=np.array([SIZE, SIZE], np.int32),
        flow_index=np.array([0, 2], np.int32),
        flow=flow,
    )
    return tmp_path / "truth"


def write(folder, view, codec="jpeg", parameters=None, **content):
    ids = ["walk/a", "unknown/b"]
    path = folder / "shards" / view / "00000.h5"
    path.parent.mkdir(parents=True)
    with ShardWriter(path, view=view, video_ids=ids, parameters=parameters or {}, codec=codec) as writer:
        for video_id in ids:
            writer.add(VideoRecord(video_id, STORED, STORED, SIZE, SIZE, 16.0, **content))
        writer.finish()


def write_pose(folder, keypoints):
    write(folder, "pose", "keypoints", {"sigma": 1.5}, keypoints=keypoints)


def persons(joints):
    return np.concatenate([(joints + 0.5) / SIZE, np.ones((17, 1))], axis=1)[None].astype(np.float32)


def test_torso_is_the_longest_of_three_lines():
    assert torso(standing()) == pytest.approx(np.hypot(40, 20))


def test_pose(tmp_path, truth):
    near, far = standing(), standing()
    near[:, 0] += 0.15 * torso(standing())
    far[:4, 1] += 0.3 * torso(standing())
    far[16] += 100  # not visible in the truth: does not count
    nobody = np.zeros((0, 17, 3), np.float32)
    write_pose(tmp_path, [persons(near), persons(far), nobody, persons(standing())])
    figures = score(tmp_path / "shards", truth)["pose"]
    assert figures["videos"] == 1
    assert figures["detection rate"] == 0.75
    assert figures["PCK@0.2"] == pytest.approx(1 - 4 / (3 * 16))


def test_the_best_of_several_persons_counts(tmp_path, truth):
    both = np.concatenate([persons(standing() + 50), persons(standing())])
    both[0, :, 2] = 0.3
    write_pose(tmp_path, [both] * FRAMES)
    assert score(tmp_path / "shards", truth)["pose"]["PCK@0.2"] == 1


def test_mask(tmp_path, truth):
    mask = np.zeros((STORED, STORED, 1), np.uint8)
    mask[20:60, 30:40] = 255  # half of the person
    write(tmp_path, "mask", frames=[encode(mask, 100)] * FRAMES)
    assert score(tmp_path / "shards", truth)["mask"]["IoU"] == pytest.approx(0.5)


def test_flow(tmp_path, truth):
    true = np.zeros((SIZE, SIZE, 2), np.float32)
    true[40:120, 60:100] = MOTION
    perfect = encode(flow_to_bytes(rescale_flow(true, (STORED, STORED)), 4), 100)
    still = encode(np.full((STORED, STORED, 2), 128, np.uint8), 100)
    write(tmp_path, "flow", parameters={"bound": 4}, frames=[perfect, still, still, still])
    figures = score(tmp_path / "shards", truth)["flow"]
    # On the person the true motion is 2.5 px at the stored size, found in one of the two frames.
    assert figures["end-point error on the person"] == pytest.approx(1.25, abs=0.05)
    assert figures["end-point error on the person, still"] == pytest.approx(2.5)
    assert figures["end-point error"] == pytest.approx(1.25 * 40 * 20 / 80**2, abs=0.03)
    assert figures["end-point error, still"] == pytest.approx(2.5 * 40 * 20 / 80**2)


def test_command_prints_a_table_and_writes_json(tmp_path, truth, capsys):
    write_pose(tmp_path, [persons(standing())] * FRAMES)
    out = tmp_path / "score.json"
    assert (
        main(["score", "--shards", str(tmp_path / "shards"), "--truth", str(truth), "--output", str(out)])
        == 0
    )
    figures = json.loads(out.read_text())
    assert figures["pose"]["PCK@0.2"] == 1
    printed = capsys.readouterr().out
    assert printed.strip() == table(figures)
    assert len({len(line) for line in table(figures).splitlines()}) == 1


def test_no_truth_is_explained(tmp_path):
    write_pose(tmp_path, [persons(standing())] * FRAMES)
    with pytest.raises(CoConError, match="truth"):
        score(tmp_path / "shards", tmp_path / "elsewhere")


def test_truth_of_another_rendering_is_explained(tmp_path, truth):
    write_pose(tmp_path, [persons(standing())] * (FRAMES - 1))
    with pytest.raises(CoConError, match="rendered again"):
        score(tmp_path / "shards", truth)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("joints", None),
        ("joints", np.zeros((FRAMES, 16, 2), np.float32)),
        ("joints", np.full((FRAMES, 17, 2), np.nan, np.float32)),
        ("joints_visible", np.ones((FRAMES, 17), np.uint8)),
        ("joints_visible", np.ones((FRAMES + 1, 17), bool)),
        ("size", np.array([SIZE])),
        ("size", np.array([-SIZE, SIZE])),
        ("size", np.array([SIZE, 2**40])),
        ("mask_packed", np.zeros((FRAMES, SIZE, SIZE), np.uint8)),
        ("mask_packed", np.zeros((FRAMES, SIZE, SIZE // 8), np.float32)),
        ("flow_index", np.array([0, FRAMES])),
        ("flow_index", np.array([0, -1])),
        ("flow_index", np.array([0])),
        ("flow", np.zeros((2, SIZE, SIZE), np.int16)),
        ("flow", np.array([[None]], dtype=object)),
    ],
)
def test_a_hostile_truth_is_a_sentence(tmp_path, truth, name, value):
    path = truth / "walk" / "a.npz"
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files} | {name: value}
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    if name.startswith("joints"):
        write_pose(tmp_path, [persons(standing())] * FRAMES)
    else:
        still = encode(np.full((STORED, STORED, 2), 128, np.uint8), 100)
        write(tmp_path, "flow", parameters={"bound": 4}, frames=[still] * FRAMES)
    with pytest.raises(CoConError, match=r"a\.npz is not a file of the truth") as error:
        score(tmp_path / "shards", truth)
    assert "render the videos again" in error.value.hint


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18)])
def test_a_truth_that_is_no_npz_is_a_sentence(tmp_path, truth, content):
    (truth / "walk" / "a.npz").write_bytes(content)
    write_pose(tmp_path, [persons(standing())] * FRAMES)
    with pytest.raises(CoConError, match=r"a\.npz is not a file of the truth"):
        score(tmp_path / "shards", truth)


@pytest.mark.parametrize("parameters", [{}, {"bound": "x"}, {"bound": 0}])
def test_flow_without_its_bound_is_a_sentence(tmp_path, truth, parameters):
    still = encode(np.full((STORED, STORED, 2), 128, np.uint8), 100)
    write(tmp_path, "flow", parameters=parameters, frames=[still] * FRAMES)
    with pytest.raises(CoConError, match="does not record the bound of its flow"):
        score(tmp_path / "shards", truth)
