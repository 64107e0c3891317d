"""The ten actions. Each is a function of a person's style, random variation, and the time.

All of them are written by hand for this project; no motion capture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cocon.renderer.gait import Gait, gait_channels
from cocon.renderer.posture import Channels, Keys, Posture, Triple, interpolate

_GRAVITY = 9.81


@dataclass(frozen=True)
class Style:
    """How one person does one action, the same in all of that person's clips.

    Attributes:
        vigour: size of the movement, about 1.
        pace: relative duration, -1 quick to 1 slow.
        manner: a free choice between variants, -1 to 1.
        depth: how far a movement goes, 0 to 1.
        width: sideways distance of each foot from the middle, m.
    """

    vigour: float
    pace: float
    manner: float
    depth: float
    width: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Style:
        """Draw a style."""
        return cls(
            rng.uniform(0.8, 1.2), rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 1),
            rng.uniform(0.09, 0.16),
        )  # fmt: skip

    def duration(self, seconds: float, spread: float, rng: np.random.Generator) -> float:
        """Seconds of one repetition: ``seconds`` +- ``spread`` by the person, some per cent by chance."""
        return (seconds + spread * self.pace) * rng.uniform(0.93, 1.07)

    @property
    def stand(self) -> Posture:
        """Standing with this person's distance between the feet."""
        return Posture(left_foot=(0, 0, -self.width), right_foot=(0, 0, self.width))


def perform(action: str, style: Style, rng: np.random.Generator, seconds: np.ndarray) -> Channels:
    """Channels of an action, begun at a random phase.

    Args:
        action: a key of ``ACTIONS``.
        style: of the person.
        rng: random generator of this clip.
        seconds: (T,) increasing times from 0.
    """
    return ACTIONS[action](style, rng, seconds)


# ------------------------------------------------------------------------------- key postures


def _arms(posture: Posture, upper: Triple, fore: Triple, **more: Any) -> Posture:
    """Both arms alike; directions are given for the right arm."""
    return replace(
        posture,
        right_upper=upper, right_fore=fore,
        left_upper=(upper[0], upper[1], -upper[2]), left_fore=(fore[0], fore[1], -fore[2]),
        **more,
    )  # fmt: skip


def _jumping_jack(style: Style, rng: np.random.Generator) -> Keys:
    time = style.duration(0.95, 0.12, rng)
    near, far, bend = style.width, style.width + 0.24 + 0.1 * style.depth, 0.15 + 0.25 * abs(style.manner)

    def feet(out: float, up: float = 0.0, heel: float = 0.0) -> dict[str, Any]:
        return {"left_foot": (0, up, -out), "right_foot": (0, up, out), "heels": (heel, heel)}

    closed = _arms(Posture(root=(0, -0.06, 0), **feet(near)), (0, -1, 0.25), (0.1, -1, 0.2))
    apart = _arms(
        Posture(root=(0, -0.1, 0), **feet(far)), (-0.05, 0.9 * style.vigour, 0.55), (0.05, 1, 0.15 - bend)
    )
    flying = _arms(
        Posture(root=(0, 0.06, 0), **feet((near + far) / 2, 0.06, -0.5)), (0.05, -0.05, 1), (0.05, 0.1, 1)
    )
    return [(0, closed), (0.25 * time, flying), (0.5 * time, apart), (0.75 * time, flying), (time, closed)]


def _wave(style: Style, rng: np.random.Generator) -> Keys:
    time, high, swing = style.duration(0.68, 0.12, rng), 0.2 + 0.35 * style.depth, 0.5 * style.vigour
    base = replace(style.stand, root=(0, 0, 0.02 * style.manner), chest=(0.05 * style.manner, 0, 0))
    out = replace(base, right_upper=(0.25, high, 0.9), right_fore=(0.2, 1, 0.15 + swing))
    inwards = replace(base, right_upper=(0.3, high + 0.05, 0.85), right_fore=(0.25, 1, 0.1 - swing))
    return [(0, out), (0.5 * time, inwards), (time, out)]


def _squat(style: Style, rng: np.random.Generator) -> Keys:
    time, wide = style.duration(1.9, 0.3, rng), style.width + 0.06
    up = Posture(left_foot=(0, 0, -wide), right_foot=(0, 0, wide))
    down = replace(
        up, root=(-0.12, -0.34 - 0.13 * style.depth, 0), turn=(0, 0, -0.35 * style.vigour),
        chest=(0, 0, -0.2), neck=(0, 0, 0.25),
    )  # fmt: skip
    if style.manner > -0.2:
        down = _arms(down, (1, -0.15, 0.2), (1, 0, -0.1))
    else:
        down = _arms(down, (0.5, -0.8, 0.3), (0.4, 0.6, -0.6))
    return [
        (0, up),
        (0.1 * time, up),
        (0.45 * time, down),
        (0.57 * time, down),
        (0.92 * time, up),
        (time, up),
    ]


def _bow(style: Style, rng: np.random.Generator) -> Keys:
    time = style.duration(2.2, 0.3, rng)
    down = replace(
        style.stand, root=(-0.14, -0.04 - 0.08 * style.depth, 0), turn=(0, 0, -0.75 * style.vigour),
        chest=(0, 0, -0.65 * style.vigour), neck=(0, 0, 0.1 * style.manner),
    )  # fmt: skip
    down = _arms(down, (0.9, -0.9, 0.15), (0.9, -0.9, -0.05))
    up = style.stand
    return [(0, up), (0.1 * time, up), (0.45 * time, down), (0.55 * time, down), (0.9 * time, up), (time, up)]


def _clap(style: Style, rng: np.random.Generator) -> Keys:
    time, high = style.duration(0.58, 0.08, rng), 0.15 + 0.3 * style.depth
    spread = _arms(style.stand, (0.55, -0.6 + high, 0.75), (0.9, 0.15 + high, 0.45 * style.vigour))
    closed = _arms(style.stand, (0.7, -0.7 + high, 0.3), (0.75, 0.15 + high, -0.6))
    return [(0, spread), (0.48 * time, closed), (0.56 * time, closed), (time, spread)]


def _box(style: Style, rng: np.random.Generator) -> Keys:
    time = style.duration(1.0, 0.15, rng)
    guard = Posture(
        root=(0, -0.09, 0), turn=(0, -0.35, 0), neck=(0, 0.25, 0), heels=(0, -0.25),
        left_foot=(0.17, 0, -0.13), right_foot=(-0.15, 0, 0.15),
        left_upper=(0.45, -0.85, -0.2), left_fore=(0.45, 0.85, 0.3),
        right_upper=(0.25, -0.9, 0.3), right_fore=(0.55, 0.8, -0.25),
    )  # fmt: skip
    jab = replace(
        guard, root=(0.07, -0.1, 0), chest=(0, -0.3 * style.vigour, 0), neck=(0, 0.55, 0),
        left_upper=(1, -0.02, 0.05), left_fore=(1, 0.03, 0.12),
    )  # fmt: skip
    cross = replace(
        guard, root=(0.1, -0.11, 0), chest=(0, 0.75 * style.vigour, 0), neck=(0, -0.4, 0), heels=(0, -0.6),
        right_upper=(1, -0.03, -0.3), right_fore=(1, 0.02, -0.3),
    )  # fmt: skip
    if rng.random() < 0.7:
        order = [(0, guard), (0.12, guard), (0.3, jab), (0.46, guard), (0.7, cross), (1, guard)]
    else:
        order = [(0, guard), (0.25, jab), (0.5, guard), (0.75, jab), (1, guard)]
    return [(part * time, posture) for part, posture in order]


def _kick(style: Style, rng: np.random.Generator) -> Keys:
    time, high = style.duration(1.5, 0.2, rng), 0.45 + 0.35 * style.depth
    guard = Posture(
        root=(0, -0.05, 0), turn=(0, -0.2, 0), neck=(0, 0.15, 0),
        left_foot=(0.12, 0, -0.1), right_foot=(-0.16, 0, 0.12),
        left_upper=(0.4, -0.85, -0.25), left_fore=(0.45, 0.8, 0.3),
        right_upper=(0.25, -0.9, 0.3), right_fore=(0.5, 0.75, -0.2),
    )  # fmt: skip
    chamber = replace(
        guard, root=(0.09, -0.03, -0.07), turn=(0, -0.1, 0.08), right_foot=(0.22, 0.42, 0.05),
        heels=(0, -0.6),
    )  # fmt: skip
    strike = replace(
        guard, root=(0.1, -0.04, -0.07), turn=(0, 0.15, 0.24), chest=(0, 0, -0.12),
        right_foot=(0.84, high, 0.02), heels=(0, 0),
        left_upper=(0.1, -0.8, -0.5), right_upper=(-0.3, -0.8, 0.5),
    )  # fmt: skip
    order = [
        (0, guard),
        (0.1, guard),
        (0.33, chamber),
        (0.48, strike),
        (0.64, chamber),
        (0.9, guard),
        (1, guard),
    ]
    return [(part * time, posture) for part, posture in order]


def _jump(style: Style, rng: np.random.Generator) -> Keys:
    """Crouch, leave the floor, fly by the law of gravity, land, stand up; some people jump forwards."""
    forward = 0.0 if style.depth < 0.5 else 0.3 * style.vigour
    height = 0.2 + 0.16 * style.depth
    flight = 2 * np.sqrt(2 * height / _GRAVITY)
    ground = style.duration(1.15, 0.2, rng)
    crouch = _arms(
        replace(
            style.stand, root=(-0.05, -0.3, 0), turn=(0, 0, -0.35), chest=(0, 0, -0.25), neck=(0, 0, 0.2)
        ),
        (-0.6, -0.8, 0.2), (-0.5, -0.9, 0.2),
    )  # fmt: skip
    stretched = _arms(
        replace(style.stand, root=(0, 0.05, 0), heels=(-0.9, -0.9)),
        (0.8, 0.6 * style.vigour, 0.2),
        (0.6, 1, 0.1),
    )
    tucked = _arms(
        replace(stretched, root=(0, -0.08, 0), heels=(-0.5, -0.5)),
        (0.6, 0.8 * style.vigour, 0.3),
        (0.4, 1, 0.1),
    )
    touch = _arms(
        replace(style.stand, root=(0, -0.06, 0), heels=(-0.5, -0.5)), (0.7, 0.1, 0.4), (0.9, 0.2, 0.2)
    )
    landed = _arms(
        replace(style.stand, root=(-0.03, -0.24, 0), turn=(0, 0, -0.25), chest=(0, 0, -0.15)),
        (0.5, -0.8, 0.4), (0.8, -0.3, 0.2),
    )  # fmt: skip
    leave, land = 0.52 * ground, 0.52 * ground + flight
    keys = [(0, style.stand), (0.08 * ground, style.stand), (0.36 * ground, crouch), (leave, stretched)]
    for part in (0.25, 0.5, 0.75):
        above = height * (1 - (2 * part - 1) ** 2)
        keys.append((leave + part * flight, tucked.moved(part * forward, above)))
    keys += [
        (land, touch.moved(forward)),
        (land + 0.14 * ground, landed.moved(forward)),
        (land + 0.44 * ground, style.stand.moved(forward)),
        (land + 0.48 * ground, style.stand.moved(forward)),
    ]
    return keys


def _repeated(cycle: Callable[[Style, np.random.Generator], Keys]) -> Callable[..., Channels]:
    """An action that repeats a few key postures, each time with small variations."""

    def channels(style: Style, rng: np.random.Generator, seconds: np.ndarray) -> Channels:
        start = rng.uniform(0, 2)
        keys: list[tuple[float, Posture]] = []
        time, forward = 0.0, 0.0
        while time <= start + seconds[-1]:
            repetition = cycle(style, rng)
            keys += [(time + at, posture.moved(forward)) for at, posture in repetition[:-1]]
            end, last = repetition[-1]
            time, forward = time + end, forward + last.root[0] - repetition[0][1].root[0]
        keys.append((time, repetition[0][1].moved(forward)))
        return interpolate(keys, start + seconds)

    return channels


# ------------------------------------------------------------------------------------- gaits


def _walk(style: Style, rng: np.random.Generator, seconds: np.ndarray) -> Channels:
    speed = (1.15 + 0.2 * style.manner) * (0.6 + 0.4 * style.vigour)
    gait = Gait(
        speed=speed,
        stride=1.1 + 0.1 * style.pace,
        duty=0.62,
        swing=((0.12, -5, 50), (0.35, 12, 62), (0.62, 27, 42), (0.85, 27, 12)),
        heel=(0.28, -0.75),
        bounce=0.02,
        crouch=0.035,
        highest=0.3,
        lean=(-0.02, -0.04 - 0.04 * style.depth),
        arm_swing=0.42 * style.vigour,
        elbow=0.25 + 0.25 * style.depth,
        twist=0.12,
        track=0.7 * style.width,
    )
    return gait_channels(gait, seconds + rng.uniform(0, 2))


def _run(style: Style, rng: np.random.Generator, seconds: np.ndarray) -> Channels:
    gait = Gait(
        speed=(2.3 + 0.3 * style.manner) * (0.7 + 0.3 * style.vigour),
        stride=0.7 + 0.05 * style.pace,
        duty=0.35,
        swing=(
            (0.14, -14, 48), (0.32, 4, 85 + 15 * style.depth), (0.5, 28, 100 + 15 * style.depth),
            (0.7, 48 + 8 * style.depth, 82), (0.87, 42, 42),
        ),
        heel=(0.1, -0.95),
        bounce=0.04,
        crouch=0.055,
        highest=0.425,
        lean=(-0.08, -0.1 - 0.08 * style.depth),
        arm_swing=0.65 * style.vigour,
        elbow=1.5 + 0.25 * style.manner,
        twist=0.22,
        track=0.45 * style.width,
    )  # fmt: skip
    return gait_channels(gait, seconds + rng.uniform(0, 2))


ACTIONS: dict[str, Callable[[Style, np.random.Generator, np.ndarray], Channels]] = {
    "walk": _walk,
    "run": _run,
    "jump": _repeated(_jump),
    "jumping_jack": _repeated(_jumping_jack),
    "wave": _repeated(_wave),
    "squat": _repeated(_squat),
    "bow": _repeated(_bow),
    "clap": _repeated(_clap),
    "box": _repeated(_box),
    "kick": _repeated(_kick),
}
