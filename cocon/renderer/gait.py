"""Walking and running: feet on the floor in stance, joint angles in the air, arms against the legs.

The angles at the key instants of the swing follow textbook gait curves (hip and knee flexion of
level walking at 1.3 m/s and of running at 3 m/s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from cocon.renderer.posture import REFERENCE_LEG, Channels
from cocon.renderer.rotations import unit

_THIGH, _SHANK = 0.43 / 0.83 * REFERENCE_LEG, 0.40 / 0.83 * REFERENCE_LEG
_BALL = np.array([0.135, -0.055])  # ball of the foot from the ankle


@dataclass(frozen=True)
class Gait:
    """One way of moving on two legs. A phase of 1 is a stride, two steps.

    Attributes:
        speed: m/s.
        stride: seconds per stride.
        duty: part of the stride that a foot is on the floor; below one half there is a flight.
        swing: rows of (part of the swing, hip flexion, knee flexion), degrees.
        heel: pitch of the foot at landing and when it leaves the floor, radians.
        bounce: half the range of the pelvis' rise and fall, m.
        crouch: how far the pelvis is below standing height on average, m.
        highest: phase, after landing, at which the pelvis is highest.
        lean: pitch of the pelvis and of the chest.
        arm_swing, elbow: amplitude of the upper arm and bend of the elbow, radians.
        twist: yaw of the chest against the pelvis.
        track: sideways distance of a foot from the middle, m.
    """

    speed: float
    stride: float
    duty: float
    swing: tuple[tuple[float, float, float], ...]
    heel: tuple[float, float]
    bounce: float
    crouch: float
    highest: float
    lean: tuple[float, float]
    arm_swing: float
    elbow: float
    twist: float
    track: float


def gait_channels(gait: Gait, seconds: np.ndarray) -> Channels:
    """Channels of a person who keeps moving at constant speed.

    Args:
        gait: how.
        seconds: (T,) increasing times.
    """
    phase, travelled, zero = seconds / gait.stride, gait.speed * seconds, np.zeros_like(seconds)
    foot = _foot_cycle(gait)
    channels: Channels = {}
    heels = []
    for side, sign, offset in (("left", -1, 0.0), ("right", 1, 0.5)):
        ahead, up, tilt = foot((phase + offset) % 1)
        channels[f"{side}_foot"] = np.stack([travelled + ahead, up, sign * gait.track + zero], 1)
        heels.append(tilt)
    channels["heels"] = np.stack(heels, 1)
    rise = np.cos(4 * np.pi * (phase - gait.highest))
    stance_left = np.cos(2 * np.pi * (phase - gait.duty / 2))  # 1 in the middle of the left foot's stance
    channels["root"] = np.stack(
        [travelled, -gait.crouch + gait.bounce * rise, -0.3 * gait.track * stance_left], 1
    )
    legs_apart = np.cos(2 * np.pi * phase)  # 1 when the left foot lands, in front
    channels["turn"] = np.stack(
        [-0.03 * stance_left, -0.35 * gait.twist * legs_apart, gait.lean[0] + zero], 1
    )
    channels["chest"] = np.stack([0.03 * stance_left, gait.twist * legs_apart, gait.lean[1] + zero], 1)
    channels["neck"] = np.stack([zero, -0.6 * gait.twist * legs_apart, -0.8 * sum(gait.lean) + zero], 1)
    for side, sign in (("left", -1), ("right", 1)):
        _swing_arm(channels, side, sign, gait, sign * legs_apart)
    return channels


def _swing_arm(channels: Channels, side: str, sign: int, gait: Gait, forward: np.ndarray) -> None:
    """``forward``: 1 when this arm is furthest forward."""
    upper = gait.arm_swing * forward - 0.25 * gait.elbow * gait.arm_swing
    fore = upper + gait.elbow * (1 + 0.2 * forward)
    out, inwards = sign * 0.16 + 0 * upper, -sign * (0.04 + 0.14 * gait.elbow) + 0 * upper
    channels[f"{side}_upper"] = unit(np.stack([np.sin(upper), -np.cos(upper), out], 1))
    channels[f"{side}_fore"] = unit(np.stack([np.sin(fore), -np.cos(fore), inwards], 1))


def _ankle(hip_flexion: float, knee_flexion: float) -> np.ndarray:
    """(forward, up) of the ankle from the hip; angles in degrees."""
    thigh, shank = np.radians(hip_flexion), np.radians(hip_flexion - knee_flexion)
    return _THIGH * np.array([np.sin(thigh), -np.cos(thigh)]) + _SHANK * np.array(
        [np.sin(shank), -np.cos(shank)]
    )


def _tilted(tilt: float) -> np.ndarray:
    """(forward, up) by which an ankle moves when the foot is tilted about its ball (see ``posture``)."""
    if tilt >= 0:
        return np.zeros(2)
    turned = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]) @ _BALL
    result: np.ndarray = _BALL - turned
    return result


def _foot_cycle(gait: Gait) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Phase since landing -> (ahead of the pelvis, above the floor, pitch) of a foot."""
    landing, leaving = gait.heel
    step = gait.speed * gait.stride * gait.duty
    front = 0.5 * step + 0.02
    part = np.array([row[0] for row in gait.swing])
    tilts = np.interp(part, [0, 0.25, 0.7, 1], [leaving, leaving * 1.15, leaving * 0.35, landing])
    hip_height = REFERENCE_LEG - gait.crouch
    in_air = [
        _ankle(hip, knee) + np.array([0, hip_height]) - _tilted(tilt)
        for (_, hip, knee), tilt in zip(gait.swing, tilts, strict=True)
    ]
    points = np.array([[front - step, 0], *in_air, [front, 0]])
    velocity = [-gait.speed * gait.stride * (1 - gait.duty), 0.0]
    swing = CubicSpline([0, *part, 1], points, bc_type=((1, velocity), (1, velocity)))
    air_tilt = PchipInterpolator([0, *part, 1], [leaving, *tilts, landing])
    stance_tilt = PchipInterpolator([0, 0.16, 0.55, 1], [landing, 0, 0, leaving])

    def at(phase: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        down, through = phase / gait.duty, (phase - gait.duty) / (1 - gait.duty)
        stance = phase < gait.duty
        flying = swing(through.clip(0, 1))
        ahead = np.where(stance, front - step * down, flying[:, 0])
        up = np.where(stance, 0, np.maximum(flying[:, 1], 0))
        return ahead, up, np.where(stance, stance_tilt(down.clip(0, 1)), air_tilt(through.clip(0, 1)))

    return at
