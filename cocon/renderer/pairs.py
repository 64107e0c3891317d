"""A small set of clips with two persons each, to score backends that find several persons. It is separate
from the demo data set: nothing is trained on it. Twelve short clips show other people than the demo's: apart
and close together, near and small, one behind or in front of the other, one who comes or goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from cocon.files import write_csv
from cocon.renderer.body import Body
from cocon.renderer.camera import Filming
from cocon.renderer.clip import (
    FRAMES_PER_SECOND,
    Actor,
    ClipKey,
    act,
    shoot,
    with_sensor_noise,
    write_video,
)
from cocon.renderer.outfit import Looks, dress
from cocon.renderer.posture import Motion
from cocon.renderer.progress import in_processes, progress_of
from cocon.renderer.rotations import transform
from cocon.renderer.scene import Scene
from cocon.renderer.truth import Truth

FRAMES, SIZE, FLOW_EVERY = 40, 240, 10
_STRAIGHT = 10.0  # m in which a walk needs no bend
_REACH = 0.9  # m from the pelvis to what a person stretches out
_FIRST_SUBJECT = 1001  # far from the numbers of the demo's people


@dataclass(frozen=True)
class Role:
    """What one of the persons does, and where in the picture.

    Attributes:
        action: a class of the demo data set.
        across: m to the right of the picture's middle, halfway through the clip.
        towards: m towards the camera from the middle of the scene.
        facing: degrees; 0: to the camera, 90: to the right of the picture.
    """

    action: str
    across: float
    towards: float
    facing: float


@dataclass(frozen=True)
class Pair:
    """Two persons and how they are filmed.

    Attributes:
        fill: height of a standing person as a part of the picture's height, at the middle of the scene.
        first, second: the persons.
        follows: the camera follows them; else it stands still.
    """

    fill: float
    first: Role
    second: Role
    follows: bool = False


PAIRS = {
    "apart": Pair(0.5, Role("wave", -0.8, 0, 10), Role("clap", 0.8, 0.2, -15)),
    "near_and_far": Pair(0.6, Role("box", -0.5, 0.4, 40), Role("jumping_jack", 1.1, -4.5, 0)),
    "in_front": Pair(0.55, Role("squat", 0, -0.6, 0), Role("walk", 0, 0.6, 90)),
    "behind": Pair(0.5, Role("jumping_jack", 0.2, 0.5, 170), Role("walk", 0, -0.8, -90)),
    "close": Pair(0.55, Role("box", -0.4, 0, 80), Role("bow", 0.45, 0.1, -85)),
    "leaves": Pair(0.5, Role("clap", -0.6, 0, 20), Role("walk", 1.4, 0.5, 90)),
    "enters": Pair(0.45, Role("kick", 0.7, -0.4, -20), Role("walk", -1.8, 0.4, 90)),
    "crossing": Pair(0.42, Role("walk", 0, 0.5, 90), Role("run", 0, -0.9, -90)),
    "small": Pair(0.26, Role("jump", -1.2, 0, 30), Role("kick", 1.0, 0.5, -60)),
    "half_hidden": Pair(0.55, Role("clap", 0, 0.35, 0), Role("wave", 0.35, -0.6, 0)),
    "followed": Pair(0.5, Role("walk", -0.2, 0.4, 60), Role("walk", 0.3, -0.5, 60), follows=True),
    "small_crossing": Pair(0.28, Role("walk", 0, 0.5, 90), Role("walk", 0, -0.5, -90)),
}
"""The clips by name."""


def render_pairs(root: Path, seed: int = 0, processes: int = 1) -> None:
    """Render the clips to ``root/videos`` and their truth to ``root/truth``, for the ids in :data:`PAIRS`.

    A table ``videos.csv`` with the columns video, first and second (the actions) is written last.

    Raises:
        AssetError: the data of the human body cannot be had.
    """
    tasks = [(name, root, seed) for name in PAIRS]
    for _ in progress_of(in_processes(_make, tasks, processes), len(tasks), len(tasks)):
        pass
    rows = [
        {"video": f"{name}.mp4", "first": pair.first.action, "second": pair.second.action}
        for name, pair in PAIRS.items()
    ]
    write_csv(root / "videos.csv", rows, ["video", "first", "second"])


def _make(task: tuple[str, Path, int]) -> str:
    """Render one clip; runs in a worker process."""
    cv2.setNumThreads(1)
    name, root, seed = task
    frames, truth = make_pair(name, seed)
    truth.save(root / "truth" / f"{name}.npz")
    write_video(root / "videos" / f"{name}.mp4", frames)
    return name


def make_pair(name: str, seed: int = 0, frames: int = FRAMES, size: int = SIZE) -> tuple[np.ndarray, Truth]:
    """Render one clip.

    Args:
        name: a key of :data:`PAIRS`.
        seed: of the set.
        frames: length.
        size: width and height, px.

    Returns:
        (T, H, W, 3) uint8 frames and their truth, of two persons.
    """
    pair = PAIRS[name]
    key = ClipKey(seed, f"pair {name}", 0, 1, frames, size)
    filming = replace(Filming.random(key.of_clip("filming")), static=not pair.follows, fill=pair.fill)
    seconds = np.arange(frames) / FRAMES_PER_SECOND
    subject = _FIRST_SUBJECT + 2 * list(PAIRS).index(name)
    actors = [
        _actor(replace(key, action=role.action, subject=number), role, filming.azimuth, seconds)
        for number, role in ((subject, pair.first), (subject + 1, pair.second))
    ]
    hips_PT3 = np.array([a.motion.joints[:, a.body.template.bone("Hips")] for a in actors])
    radius = float(np.linalg.norm(hips_PT3[..., [0, 2]], axis=-1).max())
    scene = Scene.random(key.of_clip("scene"), radius, _REACH, filming.azimuth, seconds[-1])
    looked_at_T3 = hips_PT3.mean(0) if pair.follows else np.zeros((frames, 3))
    height = float(np.mean([actor.body.height for actor in actors]))
    cameras = filming.cameras(looked_at_T3, height, size, seconds, key.of_clip("shake"))
    pictures, truth = shoot(actors, scene, cameras, seconds, FLOW_EVERY)
    return with_sensor_noise(pictures, key.of_clip("sensor")), truth


def _actor(key: ClipKey, role: Role, azimuth: float, seconds: np.ndarray) -> Actor:
    """A person in their place, for a camera at this azimuth (radians) as seen from the scene."""
    chance = key.chance("person", key.subject)
    body, sex = Body.random(chance)
    figure = dress(body, Looks.random(chance, sex), key.of_clip("clothes"))
    to_camera = np.array([np.cos(azimuth), 0, np.sin(azimuth)])
    to_right = np.array([np.sin(azimuth), 0, -np.cos(azimuth)])
    forward = np.cos(np.radians(role.facing)) * to_camera + np.sin(np.radians(role.facing)) * to_right
    up = np.array([0.0, 1, 0])
    turn = np.stack([forward, up, np.cross(forward, up)], 1)
    return Actor(
        body,
        figure,
        _placed(act(key, body, seconds, _STRAIGHT), turn, role.across * to_right + role.towards * to_camera),
    )


def _placed(motion: Motion, turn: np.ndarray, place: np.ndarray) -> Motion:
    """Turn a motion by a (3, 3) rotation about the origin, and move it to a place, (3,)."""
    skinning = turn @ motion.skinning
    skinning[..., 3] += place
    return Motion(transform(turn, motion.joints) + place, skinning)
