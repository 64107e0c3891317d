"""Renders one clip from its name and the seed: person, action, scene and camera."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cocon.files import atomic_path
from cocon.renderer.actions import Style, perform
from cocon.renderer.body import Body
from cocon.renderer.camera import Camera, Filming
from cocon.renderer.liveliness import enliven, smooth_noise
from cocon.renderer.outfit import Figure, Looks, dress
from cocon.renderer.painter import Painter
from cocon.renderer.posture import REFERENCE_LEG, Motion, Way, animate, mirrored
from cocon.renderer.scene import Scene
from cocon.renderer.truth import Truth, behind_others, coco_joints, flow_to_next

FRAMES_PER_SECOND = 16
_ARM_REACH = 0.9  # m from the pelvis to what a person stretches out


@dataclass(frozen=True)
class ClipKey:
    """Identifies a clip; nothing else decides what it shows.

    Attributes:
        seed: of the data set.
        action: a class of the data set.
        subject, take: numbers from 1.
        frames: length.
        size: width and height, px.
    """

    seed: int
    action: str
    subject: int
    take: int
    frames: int
    size: int

    def chance(self, purpose: str, *parts: object) -> np.random.Generator:
        """A separate random generator for every purpose, so that changing one does not affect the others."""
        words = [zlib.crc32(str(part).encode()) for part in (purpose, *parts)]
        return np.random.default_rng([self.seed, *words])

    def of_clip(self, purpose: str) -> np.random.Generator:
        """A random generator of this clip."""
        return self.chance(purpose, self.action, self.subject, self.take)


def make_clip(key: ClipKey, flow_every: int) -> tuple[np.ndarray, Truth]:
    """Render a clip.

    Args:
        key: which.
        flow_every: the true flow is computed for every n-th frame.

    Returns:
        (T, H, W, 3) uint8 frames and their truth.
    """
    person = key.chance("person", key.subject)
    body, sex = Body.random(person)
    figure = dress(body, Looks.random(person, sex), key.of_clip("clothes"))
    filming = Filming.random(key.of_clip("filming"))
    seconds = np.arange(key.frames) / FRAMES_PER_SECOND
    room = filming.room_to_move(body.height)
    motion = act(key, body, seconds, room)
    scene = Scene.random(key.of_clip("scene"), room, _ARM_REACH, filming.azimuth, seconds[-1])
    cameras = filming.cameras(
        motion.joints[:, body.template.bone("Hips")], body.height, key.size, seconds, key.of_clip("shake")
    )
    frames, truth = shoot([Actor(body, figure, motion)], scene, cameras, seconds, flow_every)
    return with_sensor_noise(frames, key.of_clip("sensor")), truth


@dataclass(frozen=True)
class Actor:
    """A dressed person who moves."""

    body: Body
    figure: Figure
    motion: Motion


def shoot(
    actors: Sequence[Actor],
    scene: Scene,
    cameras: Sequence[Camera],
    seconds: np.ndarray,
    flow_every: int,
) -> tuple[np.ndarray, Truth]:
    """Draw every frame, and record the truth.

    Args:
        actors: the persons.
        scene: where they are.
        cameras: one per frame.
        seconds: (T,) times of the frames.
        flow_every: the true flow is computed for every n-th frame.

    Returns:
        (T, H, W, 3) uint8 frames and their truth.
    """
    size = cameras[0].size
    figures = [actor.figure for actor in actors]
    painter = Painter(figures, scene, size)
    surfaces_PT = [[painter.surface(a.figure, maps) for maps in a.motion.skinning] for a in actors]
    surfaces_TP = list(zip(*surfaces_PT, strict=True))
    world_TPJ3 = np.stack(
        [
            coco_joints(actor.body.template, actor.figure, actor.motion.joints, surfaces)
            for actor, surfaces in zip(actors, surfaces_PT, strict=True)
        ],
        1,
    )
    frames, points, masks, hidden, union, flows = [], [], [], [], [], {}
    for t, camera in enumerate(cameras):
        frame = painter.draw(camera, surfaces_TP[t], seconds[t])
        frames.append(frame.picture)
        points.append(camera.project(world_TPJ3[t]))
        masks.append([drawn.coverage >= 0.5 for drawn in frame.persons])
        union.append(np.sum([drawn.coverage for drawn in frame.persons], axis=0) >= 0.5)
        hidden.append(behind_others(points[t], frame))
        if t % flow_every == 0 and t + 1 < len(cameras):
            following = [painter.points(cameras[t + 1], surface) for surface in surfaces_TP[t + 1]]
            steps = scene.boxes.velocities / FRAMES_PER_SECOND
            flows[t] = flow_to_next(frame, following, figures, (camera, cameras[t + 1]), steps)
    joints_TPJ2 = np.array(points)[..., :2].astype(np.float32)
    inside_TPJ = (np.abs(joints_TPJ2 - (size - 1) / 2) < size / 2).all(-1)
    alone = len(actors) == 1
    truth = Truth(
        joints=joints_TPJ2[:, 0] if alone else joints_TPJ2,
        joints_visible=inside_TPJ[:, 0] if alone else inside_TPJ & ~np.array(hidden),
        mask=np.array(union),
        flow_index=np.array(list(flows), np.int32),
        flow=np.array(list(flows.values()), np.float32).reshape(-1, size, size, 2),
        joints_inside=None if alone else inside_TPJ,
        persons=None if alone else np.array(masks),
    )
    return np.array(frames), truth


def act(key: ClipKey, body: Body, seconds: np.ndarray, radius: float) -> Motion:
    """The person's movement, around the origin and nowhere further from it than ``radius`` m."""
    rng = key.of_clip("motion")
    style = Style.random(key.chance("style", key.subject, key.action))
    tempo = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
    warped = tempo * seconds + 0.08 * smooth_noise(rng, seconds, 1)[:, 0]
    warped = np.maximum.accumulate(warped - warped[0])
    channels = enliven(perform(key.action, style, rng, warped), rng, seconds)
    if rng.random() < 0.5:
        channels = mirrored(channels)
    start = channels["root"][0, 0]
    for name in ("root", "left_foot", "right_foot"):
        channels[name] = channels[name] - [start, 0, 0]
    way = _fitting_way(np.ptp(channels["root"][:, 0]), radius, rng)
    channels = _leaning(channels, way, seconds)
    motion = animate(body, channels, way)
    root = motion.joints[:, body.template.bone("Hips")]
    middle = (root.min(0) + root.max(0)) / 2 * [1, 0, 1]
    skinning = motion.skinning.copy()
    skinning[..., 3] -= middle
    return Motion(motion.joints - middle, skinning)


def _fitting_way(length: float, radius: float, rng: np.random.Generator) -> Way:
    """A straight way if ``length`` m fit into a circle of ``radius`` m, else an arc that stays inside it."""
    side = rng.choice([-1.0, 1.0])
    slight = rng.uniform(0, 0.15)
    if length <= 2 * radius:
        return Way(side * slight)
    return Way(side / (0.95 * radius))


def _leaning(channels: dict[str, np.ndarray], way: Way, seconds: np.ndarray) -> dict[str, np.ndarray]:
    """Lean into the curve as far as speed and gravity ask for."""
    if len(seconds) < 2:
        return channels
    speed = np.ptp(channels["root"][:, 0]) / np.ptp(seconds)
    lean = 0.45 * np.arctan(speed**2 * way.curvature / 9.81)
    return channels | {
        "turn": channels["turn"] - [lean, 0, 0],
        "root": channels["root"] - [0, 0, REFERENCE_LEG * np.sin(lean)],
    }


def with_sensor_noise(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise of at most two grey levels; every frame gets another part of one large pattern."""
    size, margin = frames.shape[1], 64
    pattern = rng.standard_normal((size + margin, size + margin, 3), dtype=np.float32) * rng.uniform(0, 2)
    noisy = np.empty_like(frames)
    for t, (x, y) in enumerate(rng.integers(0, margin, (len(frames), 2))):
        noisy[t] = np.clip(frames[t] + pattern[y : y + size, x : x + size] + 0.5, 0, 255)
    return noisy


def write_video(path: Path, frames: np.ndarray, frames_per_second: int = FRAMES_PER_SECOND) -> None:
    """Write (T, H, W, 3) uint8 as an H.264 file, atomically and with the same bytes every time.

    Without ``cpu-independent``, x264 sometimes gives another stream for equal pictures, even on one machine;
    with several threads it does so as well.
    """
    import av

    with (
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        stream = container.add_stream("libx264", rate=frames_per_second)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"crf": "20", "preset": "veryfast", "x264-params": "cpu-independent=1"}
        for picture in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
