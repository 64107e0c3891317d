"""The moving body: inverse kinematics, planted feet, gaits, rotations and the camera."""

from __future__ import annotations

import numpy as np
import pytest

from cocon.datasets.demo import ACTIONS
from cocon.renderer import actions
from cocon.renderer.actions import Style, perform
from cocon.renderer.body import Body
from cocon.renderer.camera import Camera, Filming
from cocon.renderer.liveliness import enliven
from cocon.renderer.posture import CHANNELS, Posture, Way, animate, interpolate, mirrored
from cocon.renderer.rotations import align, euler, limb, pitch, roll, unit, yaw

SECONDS = np.arange(64) / 32


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.random(np.random.default_rng(3))[0]


def bone(motion, body, name):
    return motion.joints[:, body.template.bone(name)]


def test_listed_actions_are_the_implemented_ones():
    assert tuple(actions.ACTIONS) == ACTIONS


def test_rotations_follow_the_stated_signs():
    forward, up, right = np.eye(3)
    quarter = np.pi / 2
    assert np.allclose(yaw(quarter) @ forward, -right)  # to the left
    assert np.allclose(pitch(-quarter) @ up, forward)  # a bow
    assert np.allclose(roll(quarter) @ up, right)
    angles = np.random.default_rng(0).uniform(-3, 3, (50, 3))
    matrices = euler(angles)
    assert np.allclose(matrices @ np.swapaxes(matrices, 1, 2), np.eye(3))
    assert np.allclose(np.linalg.det(matrices), 1)


def test_limb_and_align_reach_their_target():
    rng = np.random.default_rng(1)
    along, hinge = unit(rng.normal(size=(20, 3))), rng.normal(size=(20, 3))
    matrices = limb(along, hinge)
    assert np.allclose(matrices @ [0, -1, 0], along)
    assert np.allclose(np.linalg.det(matrices), 1)
    assert np.allclose(align(along[0], along[1]) @ along[0], along[1])


def test_interpolation_passes_through_keys_without_overshoot():
    keys = [
        (0.0, Posture()),
        (0.5, Posture(root=(0, -0.3, 0))),
        (1.0, Posture(root=(0, -0.3, 0))),
        (2.0, Posture()),
    ]
    heights = interpolate(keys, np.linspace(0, 2, 201))["root"][:, 1]
    assert heights[50] == pytest.approx(-0.3)
    assert np.allclose(heights[50:101], -0.3)
    assert heights.min() >= -0.3 - 1e-9
    assert heights.max() <= 1e-9


def test_mirroring_twice_is_the_identity():
    channels = perform("box", Style.random(np.random.default_rng(0)), np.random.default_rng(1), SECONDS)
    assert set(channels) == set(CHANNELS)
    again = mirrored(mirrored(channels))
    assert all(np.allclose(channels[name], again[name]) for name in channels)
    assert not np.allclose(channels["left_fore"], mirrored(channels)["left_fore"])


def test_inverse_kinematics_reaches_the_ankle(body):
    """With the sole flat, the ankle is exactly above the foot's place, and the bones keep their lengths."""
    leg = body.legs["Left"]
    scale = leg.length / 0.83
    posture = Posture(root=(0, -0.25, 0), left_foot=(0.2, 0.1, -0.2), right_foot=(-0.15, 0, 0.15))
    motion = animate(body, interpolate([(0, posture), (1, posture)], np.array([0.5])), Way())
    for side, foot in (("Left", posture.left_foot), ("Right", posture.right_foot)):
        hip, knee, ankle = (bone(motion, body, side + name)[0] for name in ("UpLeg", "Leg", "Foot"))
        assert np.allclose(ankle, np.array(foot) * scale + [0, leg.ankle_height, 0], atol=1e-6)
        assert np.linalg.norm(knee - hip) == pytest.approx(leg.thigh)
        assert np.linalg.norm(ankle - knee) == pytest.approx(leg.shank)
        assert knee[0] > (hip[0] + ankle[0]) / 2  # knees bend forwards


@pytest.mark.parametrize("action", ["wave", "squat", "bow", "clap"])
def test_feet_of_those_who_stand_do_not_move(body, action):
    rng = np.random.default_rng(5)
    channels = enliven(perform(action, Style.random(rng), rng, SECONDS), rng, SECONDS)
    motion = animate(body, channels, Way())
    for name in ("LeftFoot", "RightFoot", "LeftToeBase", "RightToeBase"):
        assert np.ptp(bone(motion, body, name), axis=0).max() < 1e-6


@pytest.mark.parametrize("curvature", [0.0, 0.5])
@pytest.mark.parametrize("action", ["walk", "run"])
def test_a_foot_in_stance_is_planted_and_running_has_a_flight(body, action, curvature):
    rng = np.random.default_rng(2)
    channels = perform(action, Style.random(rng), rng, SECONDS)
    channels |= {
        name: channels[name] - [channels["root"][0, 0], 0, 0] for name in ("root", "left_foot", "right_foot")
    }
    motion = animate(body, channels, Way(curvature))
    down = {}
    for side, tilt in (("Left", channels["heels"][:, 0]), ("Right", channels["heels"][:, 1])):
        down[side] = channels[f"{side.lower()}_foot"][:, 1] == 0
        flat = down[side] & (tilt == 0)
        ankle = bone(motion, body, f"{side}Foot")
        both = flat[1:] & flat[:-1]
        assert both.sum() >= 4
        assert np.abs(np.diff(ankle, axis=0)[both]).max() < 1e-6
        assert (motion.joints[..., 1].min(1) > -0.01).all()
    in_flight = (~down["Left"] & ~down["Right"]).mean()
    assert in_flight == 0 if action == "walk" else 0.15 < in_flight < 0.5
    speed = np.linalg.norm(np.diff(bone(motion, body, "Hips"), axis=0), axis=1) / (SECONDS[1] - SECONDS[0])
    assert speed.std() < 0.15 * speed.mean()


def test_running_lifts_knee_and_heel(body):
    rng = np.random.default_rng(2)
    motion = animate(body, perform("run", Style.random(rng), rng, SECONDS), Way())
    hips, knee, ankle = (bone(motion, body, name) for name in ("Hips", "RightLeg", "RightFoot"))
    assert (knee[:, 0] - hips[:, 0]).max() > 0.22  # knee drive
    behind = ankle[:, 0] < hips[:, 0]
    assert ankle[behind, 1].max() > 0.3  # heel recovery
    assert 0.03 < np.ptp(hips[:, 1]) < 0.15


def test_an_arc_keeps_distances_along_the_way():
    way = Way(curvature=0.4)
    steps = np.linspace(0, 3, 301)
    points = way.place(np.stack([steps, 0 * steps, 0 * steps], 1))
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).sum() == pytest.approx(3, rel=1e-4)
    assert points[-1, 2] < 0  # positive curvature turns to the left


def test_camera_projects_by_the_pinhole_formula():
    camera = Camera.looking_at(np.array([0.0, 1, 0]), np.array([1.0, 1, 0]), np.pi / 2, 100)
    assert np.allclose(camera.rotation, [[0, 0, 1], [0, -1, 0], [1, 0, 0]])  # right, down, forward
    tilted = Camera.looking_at(np.array([1.0, 2, 3]), np.array([0.5, 1, 7]), 1, 100).rotation
    assert np.allclose(tilted @ tilted.T, np.eye(3))
    assert np.linalg.det(tilted) == pytest.approx(1)
    x, y, inverse = camera.project(np.array([2.0, 1.5, 0.25]))  # 2 m ahead, .5 up, .25 right
    assert x == pytest.approx(49.5 + 50 * 0.25 / 2)
    assert y == pytest.approx(49.5 - 50 * 0.5 / 2)
    assert inverse == pytest.approx(0.5)
    assert camera.project(np.array([-1.0, 1, 0]))[2] == 0
    doubled = camera.scaled(200).project(np.array([2.0, 1.5, 0.25]))
    assert doubled[:2] == pytest.approx([2 * x + 0.5, 2 * y + 0.5])


def test_half_of_the_cameras_stand_still():
    draws = [Filming.random(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.4 < np.mean([filming.static for filming in draws]) < 0.6
    root = np.cumsum(np.full((16, 3), 0.02), axis=0)
    for filming in draws[:6]:
        cameras = filming.cameras(root, 1.7, 96, np.arange(16) / 16, np.random.default_rng(0))
        moved = np.linalg.norm(cameras[0].eye - cameras[-1].eye)
        assert moved == 0 if filming.static else moved > 0.05
