from __future__ import annotations

import math

import numpy as np
import pytest

from cocon.config.schema import OneEuroParameters, PoseExtraction
from view_extractors.networks.blazepose import Person
from view_extractors.networks.persons import Persons
from view_extractors.pose.blazepose import BlazePosePose
from view_extractors.pose.persons import PersonPose
from view_extractors.pose.smoothing import LOST_SECONDS, USUAL_FPS, smooth

SIZE = (120, 200)
FPS = 20.0
ON = OneEuroParameters()


def pose(*places, height=50.0):
    """Persons whose box is ``height`` px high and half as wide, with its corner at each place, px."""
    unit = np.stack([np.linspace(0, 0.5, 17), np.linspace(0, 1, 17)], 1)
    points = [np.asarray(place) + height * unit for place in places]
    result = np.ones((len(places), 17, 3), np.float32)
    result[:, :, :2] = np.reshape(points, (-1, 17, 2)) / SIZE[::-1]
    result[:, :, 2] = 0.7
    return result


def pixels(poses):
    """x of each frame's first person's first keypoint, px."""
    return np.array([frame[0, 0, 0] * SIZE[1] for frame in poses])


def one_euro(values, rate, min_cutoff, beta, speed_cutoff):
    """One coordinate, written from the paper's pseudo-code."""

    def alpha(cutoff):
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau * rate)

    result, speed = [values[0]], 0.0
    for value in values[1:]:
        change = (value - result[-1]) * rate
        speed += alpha(speed_cutoff) * (change - speed)
        weight = alpha(min_cutoff + beta * abs(speed))
        result.append(weight * value + (1 - weight) * result[-1])
    return result


@pytest.mark.parametrize("settings", [{}, {"min_cutoff": 0.5, "beta": 0, "speed_cutoff": 3}])
def test_it_is_the_filter_of_the_paper_with_speeds_in_persons(settings):
    rng = np.random.default_rng(0)
    x = 60 + np.cumsum(rng.normal(0, 2, 40))
    found, _ = smooth([pose((value, 30)) for value in x], (), SIZE, FPS, OneEuroParameters(**settings))
    parameters = OneEuroParameters(**settings).model_dump()
    parameters["beta"] /= 50  # the person is 50 px high
    np.testing.assert_allclose(pixels(found), one_euro(x, FPS, **parameters), rtol=1e-4)


def test_rest_stays_and_noise_shrinks_as_much_as_a_low_pass_says():
    still = [pose((60, 30))] * 5
    for frame in smooth(still, (), SIZE, FPS, ON)[0]:
        np.testing.assert_allclose(frame, still[0], rtol=1e-6)
    noise = np.random.default_rng(0).normal(0, 1, 3000)
    cutoff = OneEuroParameters(min_cutoff=2, beta=0)
    found = pixels(smooth([pose((60 + value, 30)) for value in noise], (), SIZE, FPS, cutoff)[0])
    weight = 1 / (1 + FPS / (2 * math.pi * 2))
    assert np.var(found[100:]) == pytest.approx(weight / (2 - weight), rel=0.1)


def test_a_fast_movement_lags_less_with_beta():
    x = np.linspace(20, 120, 15)
    lags = [
        x[-1] - pixels(smooth([pose((v, 30)) for v in x], (), SIZE, FPS, OneEuroParameters(beta=beta))[0])[-1]
        for beta in (0, 20)
    ]
    assert 0 < lags[1] < 0.3 * lags[0]


def test_scores_and_order_stay_and_nothing_that_was_given_changes():
    frames = [pose((60, 30), (120, 40)), pose((121, 41), (61, 31))]
    before = [frame.copy() for frame in frames]
    found, _ = smooth(frames, (), SIZE, FPS, ON)
    for frame, copy in zip(frames, before, strict=True):
        np.testing.assert_array_equal(frame, copy)
    assert found[1].dtype == np.float32
    np.testing.assert_array_equal(found[1][..., 2], frames[1][..., 2])
    # The second frame has the persons in the other order: each is drawn to where it was itself.
    x = found[1][:, 0, 0] * SIZE[1]
    assert 120 < x[0] < 121
    assert 60 < x[1] < 61


def test_somebody_elsewhere_is_somebody_else():
    found, tracks = smooth([pose((20, 30)), pose((120, 30))], (), SIZE, FPS, ON)
    np.testing.assert_allclose(found[1], pose((120, 30)), rtol=1e-6)
    assert len(tracks) == 2


@pytest.mark.parametrize(
    ("gone", "fresh"), [(int(LOST_SECONDS * FPS), False), (int(LOST_SECONDS * FPS) + 1, True)]
)
def test_who_is_lost_for_long_starts_afresh(gone, fresh):
    nobody = np.zeros((0, 17, 3), np.float32)
    steady = OneEuroParameters(min_cutoff=0.1, beta=0)
    found, _ = smooth([pose((60, 30)), *[nobody] * gone, pose((64, 30))], (), SIZE, FPS, steady)
    assert [len(frame) for frame in found] == [1, *[0] * gone, 1]
    last = pixels(found[-1:])[0]
    if fresh:
        assert last == pytest.approx(64, rel=1e-6)
    else:  # the step is as long as the person was away
        weight = 1 / (1 + FPS / (2 * math.pi * 0.1 * (gone + 1)))
        assert last == pytest.approx(60 + 4 * weight, rel=1e-5)


@pytest.mark.parametrize("fps", [0.0, 1.0, 600.0, 90000.0])
def test_without_a_likely_frame_rate_the_usual_one_is_taken(fps):
    """Some files say 1 or 90,000 frames per second."""
    frames = [pose((60, 30)), pose((64, 30))]
    found, usual = (smooth(frames, (), SIZE, rate, ON)[0][1] for rate in (fps, USUAL_FPS))
    np.testing.assert_array_equal(found, usual)


class Everybody(PersonPose):
    backend = "torchvision"


def persons(*places):
    keypoints = pose(*places)
    keypoints[..., :2] *= SIZE[::-1]
    count = len(places)
    return Persons(np.zeros((count, 4), np.float32), np.ones(count, np.float32), keypoints)


def started(**settings):
    extractor = Everybody(PoseExtraction(backend="torchvision", **settings))
    extractor.fps = FPS
    extractor.start(*SIZE)
    return extractor


WALK = [persons((60 + 3 * t, 30), (120 - 2 * t, 40)) for t in range(9)]


def test_batches_do_not_matter_and_a_failed_one_leaves_no_trace():
    whole = started(smoothing="one_euro").process(WALK)
    extractor = started(smoothing="one_euro")
    parts = extractor.process(WALK[:4])
    with pytest.raises(AttributeError):
        extractor.process([WALK[4], None])
    parts += extractor.process(WALK[4:5]) + extractor.process(WALK[5:])
    for frame, again in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(frame, again)
    assert np.abs(whole[-1] - started().process(WALK)[-1]).max() > 1e-3
    extractor.start(*SIZE)
    np.testing.assert_array_equal(extractor.process(WALK[:1])[0], whole[0])


def test_off_by_default_and_for_blazepose_as_well():
    plain = started().process(WALK)
    np.testing.assert_allclose(plain[8][0, 0, 0], 84 / SIZE[1], rtol=1e-6)
    keypoints = pose((60, 30))[0] * [*SIZE[::-1], 1]
    one = [Person(keypoints + np.array([3 * t, 0, 0]), np.zeros((256, 256)), np.eye(2, 3)) for t in range(3)]
    x = {}
    for smoothing in ("none", "one_euro"):
        extractor = BlazePosePose(PoseExtraction(smoothing=smoothing))
        extractor.fps = FPS
        extractor.start(*SIZE)
        x[smoothing] = pixels(extractor.process(one))
    np.testing.assert_allclose(x["none"], [60, 63, 66], rtol=1e-6)
    assert x["one_euro"][0] == pytest.approx(60)
    assert 60 < x["one_euro"][1] < 63
    assert 63 < x["one_euro"][2] < 66


def test_parameters_name_the_filter_only_where_it_is_used():
    off = started().parameters
    assert not {"smoothing", "one_euro"} & off.keys()
    on = started(smoothing="one_euro", one_euro={"beta": 5}).parameters
    assert on["smoothing"] == "one_euro"
    assert on["one_euro"] == {"min_cutoff": 2.0, "beta": 5.0, "speed_cutoff": 1.0}
