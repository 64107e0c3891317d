"""How an action is represented: key postures, interpolation between them, and the resulting skeleton.

A posture is a handful of numbers in metres (for a person with a leg of 0.83 m) and radians. A list of
(time, posture) becomes smooth channels over time; inverse kinematics then puts the feet where they
belong on the body at hand, so that a planted foot stays planted whatever the body does above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from cocon.renderer.body import SIDES, Body, Leg
from cocon.renderer.rotations import euler, limb, pitch, transform, unit, without, yaw
from cocon.renderer.rotations import roll as roll_about_x

Triple = tuple[float, float, float]

REFERENCE_LEG = 0.83
"""Length of hip to ankle, metres, of the person that the numbers of a posture are written for."""

_TOE_OUT = 0.15
_REACH = 0.998  # of the leg's length: a knee is never quite straight


@dataclass(frozen=True)
class Posture:
    """One posture; the defaults are a person who stands with hanging arms.

    Attributes:
        root: pelvis relative to where it is when standing at the origin (forward, up, right).
        turn, chest: (roll, yaw, pitch) of the pelvis, and of the chest relative to it.
        neck: (roll, yaw, pitch) of the head relative to the chest.
        left_foot, right_foot: the foot when its sole is flat on the floor (forward, up, right).
        heels: pitch of the left and right foot; negative lifts the heel around the ball of the foot,
            positive the toes around the heel.
        left_upper, left_fore, right_upper, right_fore: directions of the arm's parts in the chest frame.
    """

    root: Triple = (0, 0, 0)
    turn: Triple = (0, 0, 0)
    chest: Triple = (0, 0, 0)
    neck: Triple = (0, 0, 0)
    left_foot: Triple = (0, 0, -0.11)
    right_foot: Triple = (0, 0, 0.11)
    heels: tuple[float, float] = (0, 0)
    left_upper: Triple = (0.08, -1, -0.12)
    left_fore: Triple = (0.25, -1, -0.08)
    right_upper: Triple = (0.08, -1, 0.12)
    right_fore: Triple = (0.25, -1, 0.08)

    def moved(self, forward: float = 0.0, up: float = 0.0) -> Posture:
        """The same posture further along the way or up in the air."""

        def shift(point: Triple) -> Triple:
            return point[0] + forward, point[1] + up, point[2]

        return replace(
            self, root=shift(self.root), left_foot=shift(self.left_foot), right_foot=shift(self.right_foot)
        )


CHANNELS = tuple(field.name for field in fields(Posture))
ARMS = ("left_upper", "left_fore", "right_upper", "right_fore")
Keys = Sequence[tuple[float, Posture]]
Channels = dict[str, np.ndarray]
"""Every attribute of a posture over time: heels (T, 2), all others (T, 3)."""


def interpolate(keys: Keys, times: np.ndarray) -> Channels:
    """Smooth channels through key postures: no overshoot, no stop at a key that is passed through.

    Args:
        keys: postures at increasing times.
        times: (T,), inside the range of the keys.
    """
    at = [time for time, _ in keys]
    channels = {}
    for name in CHANNELS:
        values = np.array([getattr(posture, name) for _, posture in keys], float)
        if name in ARMS:
            values = unit(values)
        channels[name] = PchipInterpolator(at, values)(times)
    return channels


def mirrored(channels: Channels) -> Channels:
    """Left and right change places."""
    swap = {"left": "right", "right": "left"}
    result = {}
    for name, values in channels.items():
        side, _, rest = name.partition("_")
        other = f"{swap[side]}_{rest}" if side in swap else name
        if name in ("turn", "chest", "neck"):
            result[other] = values * [-1, -1, 1]
        elif name == "heels":
            result[other] = values[:, ::-1]
        else:
            result[other] = values * [1, 1, -1]
    return result


@dataclass(frozen=True)
class Way:
    """The line on the floor along which "forward" runs: straight, or an arc that turns to the left.

    Attributes:
        curvature: 1 / radius of the arc, 1/m; negative turns to the right.
    """

    curvature: float = 0.0

    def heading(self, forward: np.ndarray) -> np.ndarray:
        """Yaw of the path after ``forward`` metres."""
        return np.asarray(forward) * self.curvature

    def place(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) of (along the path, up, right of it) -> world. Fixed points stay fixed points."""
        if abs(self.curvature) < 1e-6:
            return np.array(points, float)
        radius, angle = 1 / self.curvature, self.heading(points[..., 0])
        out = radius + points[..., 2]
        return np.stack([out * np.sin(angle), points[..., 1], out * np.cos(angle) - radius], -1)


@dataclass(frozen=True)
class Motion:
    """A body that moves.

    Attributes:
        joints: (T, B, 3) in the world, m.
        skinning: (T, B, 3, 4), rest mesh to world.
    """

    joints: np.ndarray
    skinning: np.ndarray


def animate(body: Body, channels: Channels, way: Way) -> Motion:
    """Let ``body`` act out ``channels``; the floor is y = 0."""
    scale = body.legs["Left"].length / REFERENCE_LEG
    heading = way.heading(channels["root"][:, 0] * scale)
    turn = channels["turn"] + np.stack([np.zeros_like(heading), heading, np.zeros_like(heading)], 1)
    pelvis = euler(turn)
    ankles, feet = {}, {}
    for side, pitch_of in (("Left", channels["heels"][:, 0]), ("Right", channels["heels"][:, 1])):
        foot = channels[f"{side.lower()}_foot"] * scale
        direction = way.heading(foot[:, 0]) - SIDES[side] * _TOE_OUT
        feet[side] = (direction, pitch_of)
        ankles[side] = way.place(foot) + _ankle_over_sole(body.legs[side], direction, pitch_of)
    leg = body.legs["Left"]
    standing = leg.ankle_height + leg.length * _REACH - leg.hip[1]
    root = way.place(channels["root"] * scale) + np.array([0, standing, 0])
    root = _within_reach(body, root, pelvis, ankles)
    turns = _spine(pelvis, channels)
    for side in SIDES:
        turns |= _leg(body.legs[side], side, root, pelvis, ankles[side], *feet[side])
        turns |= _arm(side, turns["Spine1"], channels)
    return Motion(*body.place(root, turns))


def _ankle_over_sole(leg: Leg, direction: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """(T, 3) from the sole's flat position to the ankle when the foot is tilted about ball or heel."""
    pivot = np.where(tilt[:, None] < 0, leg.ball, leg.heel)
    ankle = np.array([0, leg.ankle_height, 0])
    return transform(yaw(direction), ankle + pivot - transform(pitch(tilt), pivot))


def _within_reach(
    body: Body, root: np.ndarray, pelvis: np.ndarray, ankles: dict[str, np.ndarray]
) -> np.ndarray:
    """Lower the pelvis until every foot near the floor can be reached; a lifted foot need not be."""
    drop = np.zeros(len(root))
    for side, leg in body.legs.items():
        hip = root + pelvis @ leg.hip
        apart = hip - ankles[side]
        reach = leg.length * _REACH
        allowed = np.sqrt(np.maximum(reach**2 - (apart[:, [0, 2]] ** 2).sum(1), (0.3 * reach) ** 2))
        grounded = np.clip(1.5 - (ankles[side][:, 1] - leg.ankle_height) / 0.1, 0, 1)
        drop = np.maximum(drop, grounded * (apart[:, 1] - allowed))
    return root - drop[:, None] * [0, 1, 0]


def _spine(pelvis: np.ndarray, channels: Channels) -> dict[str, np.ndarray]:
    chest, neck = channels["chest"], channels["neck"]
    upper = pelvis @ euler(chest)
    return {
        **dict.fromkeys(("Hips", "LHipJoint", "RHipJoint"), pelvis),
        "LowerBack": pelvis @ euler(chest * 0.35),
        "Spine": pelvis @ euler(chest * 0.7),
        "Spine1": upper,
        "Neck": upper @ euler(neck * 0.35),
        "Neck1": upper @ euler(neck * 0.7),
        "Head": upper @ euler(neck),
    }


def _leg(
    leg: Leg,
    side: str,
    root: np.ndarray,
    pelvis: np.ndarray,
    ankle: np.ndarray,
    direction: np.ndarray,
    tilt: np.ndarray,
) -> dict[str, np.ndarray]:
    """Two-link inverse kinematics; the knee points where the foot points, and up when the leg is raised."""
    apart = ankle - (root + pelvis @ leg.hip)
    distance = np.linalg.norm(apart, axis=1)
    reach = np.clip(distance, 0.3 * leg.length, leg.length * 0.9999)
    along = apart / distance[:, None]
    cosine = (leg.thigh**2 + reach**2 - leg.shank**2) / (2 * leg.thigh * reach)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]
    ahead = transform(yaw(direction), np.array([1.0, 0.4, 0]))
    knee_side = unit(without(ahead, along))
    thigh = np.cos(angle) * along + np.sin(angle) * knee_side
    shank = unit(reach[:, None] * along - leg.thigh * thigh)
    hinge = np.cross(knee_side, -along)
    toes = tilt + np.minimum(np.maximum(-tilt, 0), 0.5)
    return {
        f"{side}UpLeg": limb(thigh, hinge),
        f"{side}Leg": limb(shank, hinge),
        f"{side}Foot": yaw(direction) @ pitch(tilt),
        f"{side}ToeBase": yaw(direction) @ pitch(toes),
    }


def _arm(side: str, chest: np.ndarray, channels: Channels) -> dict[str, np.ndarray]:
    """Shoulder and elbow from the directions of upper arm and forearm; a raised arm lifts the collarbone."""
    upper = unit(channels[f"{side.lower()}_upper"])
    fore = unit(channels[f"{side.lower()}_fore"])
    # A straight arm has no plane of its own: a little of a default keeps the twist continuous.
    bend = without(fore, upper) + 0.12 * without(np.array([1.0, 0.5, -0.2 * SIDES[side]]), upper)
    hinge = np.cross(bend, -upper)
    forearm = chest @ limb(fore, hinge)
    raised = np.clip((upper[:, 1] + 0.1) / 1.1, 0, 1)
    curl = forearm @ roll_about_x(-SIDES[side] * 0.5)
    return {
        f"{side}Shoulder": chest @ roll_about_x(-SIDES[side] * 0.45 * raised),
        f"{side}Arm": chest @ limb(upper, hinge),
        **dict.fromkeys((f"{side}ForeArm", f"{side}Hand", f"{side}FingerBase", f"{side[0]}Thumb"), forearm),
        f"{side}HandFinger1": curl,
    }
