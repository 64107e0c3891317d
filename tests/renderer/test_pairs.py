"""Clips of two persons: who hides whom, what the truth says of it, and the files."""

from __future__ import annotations

import numpy as np
import pytest

from cocon.cli import main
from cocon.files import read_csv
from cocon.renderer import pairs
from cocon.renderer.pairs import PAIRS, make_pair
from cocon.renderer.truth import Truth


@pytest.fixture(scope="module")
def passing() -> Truth:
    """The second person walks by in front of the first."""
    return make_pair("in_front", frames=40, size=96)[1]


def test_truth_has_an_axis_of_persons(passing):
    assert passing.joints.shape == (40, 2, 17, 2)
    assert passing.joints_visible.shape == passing.joints_inside.shape == (40, 2, 17)
    assert passing.persons.shape == (40, 2, 96, 96)
    assert passing.mask.shape == (40, 96, 96)
    assert passing.flow.shape == (len(passing.flow_index), 96, 96, 2)


def test_masks_are_apart_and_their_union_is_the_mask(passing):
    first, second = passing.persons[:, 0], passing.persons[:, 1]
    united = first | second
    # Only pixels that show both of them, by half each, belong to both.
    assert (first & second).sum() < 0.01 * united.sum()
    assert not (united & ~passing.mask).any()
    # A pixel that both cover by less than a half belongs to neither.
    assert (passing.mask & ~united).sum() < 0.02 * passing.mask.sum()


def test_who_walks_by_in_front_hides_the_other_and_is_never_hidden(passing):
    hidden = passing.joints_inside & ~passing.joints_visible
    assert not hidden[:, 1].any()
    counts = hidden[:, 0].sum(axis=1)
    assert counts.max() >= 10
    assert counts[0] == counts[-1] == 0
    least = passing.persons[:, 0].sum(axis=(1, 2)).argmin()
    assert counts[least] >= 8


def test_visible_joints_lie_on_their_own_person(passing):
    misses = []
    for masks, joints, visible in zip(passing.persons, passing.joints, passing.joints_visible, strict=True):
        for own in range(2):
            x, y = np.rint(joints[own][visible[own]]).astype(int).T
            misses += list(masks[1 - own][y, x])
    assert np.mean(misses) < 0.03


def test_one_who_leaves_is_out_of_the_picture_at_the_end():
    truth = make_pair("leaves", frames=40, size=64)[1]
    assert truth.persons[0].any(axis=(1, 2)).all()
    assert truth.persons[-1].any(axis=(1, 2)).tolist() == [True, False]
    assert not truth.joints_inside[-1, 1].any()


def test_the_one_further_away_is_smaller():
    truth = make_pair("near_and_far", frames=3, size=96)[1]
    near, far = np.ptp(truth.joints[..., 1], axis=2).mean(axis=0)
    assert 0.2 < far / near < 0.6


def test_same_seed_same_clip_other_seed_other_clip():
    first, again, other = (make_pair("close", seed, 2, 48)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_command_writes_videos_truth_and_a_table(tmp_path, monkeypatch):
    two = {name: PAIRS[name] for name in ("small", "followed")}
    monkeypatch.setattr(pairs, "PAIRS", two)
    monkeypatch.setattr(pairs.make_pair, "__defaults__", (0, 3, 48))
    assert main(["render", "--persons", "2", "--root", str(tmp_path / "two")]) == 0
    table = read_csv(tmp_path / "two" / "videos.csv")
    assert table[0] == {"video": "small.mp4", "first": "jump", "second": "kick"}
    for name in two:
        assert (tmp_path / "two" / "videos" / f"{name}.mp4").is_file()
        path = tmp_path / "two" / "truth" / f"{name}.npz"
        truth, made = Truth.load(path), make_pair(name)[1]
        for field in ("joints", "joints_visible", "joints_inside", "mask", "persons"):
            assert np.array_equal(getattr(truth, field), getattr(made, field)), field


def test_two_persons_need_a_folder_and_one_needs_settings(capsys):
    assert main(["render", "--persons", "2"]) == 2
    assert "--root" in capsys.readouterr().err
    assert main(["render"]) == 2
    assert "--settings is missing" in capsys.readouterr().err
