from __future__ import annotations

import numpy as np
import pytest

from cocon.errors import CoConError
from cocon.shards import ShardWriter, VideoRecord
from cocon.shards.codecs import encode
from view_extractors.scoring.score import score
from view_extractors.scoring.several import OTHER_SIDE, match
from view_extractors.scoring.truth import torso

FRAMES, SIZE, STORED = 3, 160, 80
FACE = [0, 1, 2, 3, 4]


def standing(x, height=80.0):
    """Joints of a person around ``x``, from the head at y = 20 downwards: torso 1 / 2, 1 / 4 wide."""
    joints = np.tile(np.float32([x, 20]), (17, 1))
    out = [0.125, 0.2, 0.2, 0.125, 0.125, 0.125]  # of shoulders, elbows, wrists, hips, knees, ankles
    down = [0.1, 0.3, 0.5, 0.6, 0.8, 1]
    joints[5::2] += np.float32(height) * np.float32([out, down]).T
    joints[6::2] += np.float32(height) * np.float32([np.negative(out), down]).T
    return joints


LEFT, RIGHT = standing(40), standing(120, 60)


def write_truth(folder, **changes):
    persons = np.zeros((FRAMES, 2, SIZE, SIZE), bool)
    persons[:, 0, 20:100, 20:60], persons[:, 1, 20:80, 100:140] = True, True
    arrays = {
        "joints": np.tile(np.stack([LEFT, RIGHT]), (FRAMES, 1, 1, 1)),
        "joints_inside": np.ones((FRAMES, 2, 17), bool),
        "joints_visible": np.ones((FRAMES, 2, 17), bool),
        "mask_packed": np.packbits(persons.any(axis=1), axis=-1),
        "persons_packed": np.packbits(persons, axis=-1),
        "size": np.array([SIZE, SIZE], np.int32),
    } | changes
    (folder / "truth").mkdir(exist_ok=True)
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez_compressed(folder / "truth" / "pair.npz", **arrays)


def scored(folder, view, codec="jpeg", **content):
    path = folder / "shards" / view / "00000.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ShardWriter(path, view=view, video_ids=["pair"], parameters={"sigma": 1.5}, codec=codec) as writer:
        writer.add(VideoRecord("pair", STORED, STORED, SIZE, SIZE, 16.0, **content))
        writer.finish()
    return score(folder / "shards", folder / "truth")


def scored_poses(folder, *persons):
    """Figures when these persons are found in every frame."""
    found = np.ones((len(persons), 17, 3), np.float32)
    found[:, :, :2] = (np.reshape(persons, (-1, 17, 2)) + 0.5) / SIZE
    (figures,) = scored(folder, "pose", "keypoints", keypoints=[found] * FRAMES).values()
    return figures


def test_everybody_found_in_any_order(tmp_path):
    write_truth(tmp_path)
    figures = scored_poses(tmp_path, RIGHT, LEFT)
    assert (figures["videos"], figures["frames"], figures["persons"]) == (1, FRAMES, 2 * FRAMES)
    assert figures["persons found"] == figures["persons found, the smaller"] == 1
    assert figures["false persons per frame"] == 0
    assert figures["PCK@0.2"] == figures["PCK@0.2, lost persons as wrong"] == 1


def test_one_of_two_found_is_half_and_the_smaller_is_lost(tmp_path):
    write_truth(tmp_path)
    figures = scored_poses(tmp_path, LEFT)
    assert figures["persons found"] == 0.5
    assert figures["persons found, the smaller"] == 0
    assert (figures["PCK@0.2"], figures["PCK@0.2, lost persons as wrong"]) == (1, 0.5)
    assert figures["PCK@0.2, the smaller"] == 0


def test_nobody_found(tmp_path):
    write_truth(tmp_path)
    figures = scored_poses(tmp_path)
    assert {figures[name] for name in figures if name.startswith(("PCK", "persons found"))} == {0}


def test_found_beyond_the_true_persons_is_false(tmp_path):
    write_truth(tmp_path)
    figures = scored_poses(tmp_path, LEFT, RIGHT, LEFT + 1, standing(80))
    assert figures["persons found"] == 1
    assert figures["false persons per frame"] == 2
    assert figures["PCK@0.2"] == 1


def test_wrong_joints_are_counted_over_the_picture_and_over_what_is_in_sight(tmp_path):
    visible, inside = np.ones((FRAMES, 2, 17), bool), np.ones((FRAMES, 2, 17), bool)
    visible[:, 1, FACE] = False  # behind the other
    visible[:, 1, 16] = inside[:, 1, 16] = False  # outside of the picture
    write_truth(tmp_path, joints_visible=visible, joints_inside=inside)
    off = RIGHT.copy()
    off[FACE] += [0.3 * torso(RIGHT), 0]
    off[16] += 50
    figures = scored_poses(tmp_path, LEFT, off)
    assert figures["persons found"] == 1
    assert figures["PCK@0.2, the smaller"] == pytest.approx(11 / 16)
    assert figures["PCK@0.2"] == pytest.approx((17 + 11) / (17 + 16))
    assert figures["PCK@0.2, in sight"] == 1


def test_a_person_with_few_joints_in_sight_does_not_count(tmp_path):
    visible = np.ones((FRAMES, 2, 17), bool)
    visible[0, 1, :9] = False  # 8 of 17 are left
    visible[1, 1, :8] = False  # 9 of 17 are left
    write_truth(tmp_path, joints_visible=visible)
    figures = scored_poses(tmp_path, LEFT, RIGHT)
    assert figures["persons"] == 2 * FRAMES - 1
    assert figures["false persons per frame"] == 0  # found, though not asked for


def test_exchanged_sides_are_found_but_wrong(tmp_path):
    write_truth(tmp_path)
    figures = scored_poses(tmp_path, LEFT[OTHER_SIDE], RIGHT[OTHER_SIDE])
    assert figures["persons found"] == 1
    assert figures["PCK@0.2"] == pytest.approx(5 / 17)  # the face lies in one point


def test_the_nearest_two_are_matched_first():
    truth = np.stack([standing(40), standing(60)])
    inside = np.ones((2, 17), bool)
    # The first found person is nearest to the second true one, the other one is left for the first.
    assert match(truth, inside, np.stack([standing(57), standing(52)])) == {1: 0, 0: 1}
    assert match(truth, inside, np.stack([standing(40 - 0.6 * torso(truth[0]))])) == {}
    inside[0] = False
    assert match(truth, inside, truth) == {1: 1}
    assert match(truth, inside, np.zeros((0, 17, 2))) == {}


def test_masks(tmp_path):
    write_truth(tmp_path)
    mask = np.zeros((STORED, STORED, 1), np.uint8)
    mask[10:50, 10:30] = 255  # all of the first
    mask[10:20, 50:70] = 255  # a third of the second
    (figures,) = scored(tmp_path, "mask", frames=[encode(mask, 100)] * FRAMES).values()
    assert figures["IoU"] == pytest.approx((800 + 200) / (800 + 600))
    assert figures["persons covered"] == pytest.approx((1 + 1 / 3) / 2)
    assert figures["persons covered, the smaller"] == pytest.approx(1 / 3)
    assert figures["persons found"] == 0.5


def test_one_person_and_several_stand_apart(tmp_path):
    write_truth(tmp_path)
    found = np.ones((1, 17, 3), np.float32)
    found[0, :, :2] = (LEFT + 0.5) / SIZE
    alone = {"joints": np.stack([LEFT] * FRAMES), "joints_visible": np.ones((FRAMES, 17), bool)}
    np.savez(tmp_path / "truth" / "alone.npz", **alone)
    path = tmp_path / "shards" / "pose" / "00000.h5"
    path.parent.mkdir(parents=True)
    ids = ["alone", "pair"]
    with ShardWriter(
        path, view="pose", video_ids=ids, parameters={"sigma": 1.5}, codec="keypoints"
    ) as writer:
        for video_id in ids:
            writer.add(VideoRecord(video_id, STORED, STORED, SIZE, SIZE, 16.0, keypoints=[found] * FRAMES))
        writer.finish()
    figures = score(tmp_path / "shards", tmp_path / "truth")
    assert set(figures) == {"pose", "pose, several persons"}
    assert figures["pose"] == {"videos": 1, "frames": FRAMES, "detection rate": 1, "PCK@0.2": 1}
    assert figures["pose, several persons"]["persons found"] == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("joints", None),
        ("joints", np.zeros((FRAMES, 17, 2), np.float32)),
        ("joints", np.zeros((FRAMES, 0, 17, 2), np.float32)),
        ("joints_inside", np.ones((FRAMES, 17), bool)),
        ("joints_visible", np.ones((FRAMES, 3, 17), bool)),
    ],
)
def test_a_hostile_truth_is_a_sentence(tmp_path, name, value):
    write_truth(tmp_path, **{name: value})
    with pytest.raises(CoConError, match=r"pair\.npz is not a file of the truth"):
        scored_poses(tmp_path, LEFT)


def test_hostile_masks_are_a_sentence(tmp_path):
    write_truth(tmp_path, persons_packed=np.zeros((FRAMES, 3, SIZE, SIZE // 8), np.uint8))
    with pytest.raises(CoConError, match=r"pair\.npz is not a file of the truth"):
        scored(tmp_path, "mask", frames=[encode(np.zeros((STORED, STORED, 1), np.uint8), 100)] * FRAMES)
