"""Real clips of two persons: everybody is found, and nobody else."""

from __future__ import annotations

import numpy as np
import pytest

from cocon.config.schema import MovenetParameters
from cocon.video import decode
from view_extractors.base import Resources
from view_extractors.networks.movenet import MoveNet

STEP = 12
APART = (
    "hand_shaking/set1_seq04_clip21_hand_shaking",
    "kicking/set2_seq12_clip11_kicking",
    "punching/set1_seq05_clip25_punching",
    "pushing/set2_seq20_clip56_pushing",
)
OTHERS = ("hugging/set1_seq05_clip27_hugging", "pointing/set2_seq13_clip15_pointing")


@pytest.fixture(scope="module")
def found(shared_data, movenet_weights):
    """Persons per frame, by clip."""
    network = MoveNet(MovenetParameters(), Resources(threads=2))
    counts = {}
    for name in (*APART, *OTHERS):
        frames = list(decode(shared_data / "sets" / "ut_interaction" / f"{name}.avi"))[::STEP]
        network.start()
        counts[name] = np.array([len(persons.boxes_P4) for persons in network.infer(frames)])
    return counts


def test_two_persons_in_full_view_have_two_poses(found):
    counts = np.concatenate([found[name] for name in APART])
    assert len(counts) > 30
    assert (counts == 2).mean() >= 0.95


def test_no_frame_is_without_a_person(found):
    assert min(counts.min() for counts in found.values()) >= 1


def test_one_person_alone_is_one(found):
    assert set(found["pointing/set2_seq13_clip15_pointing"]) == {1}
